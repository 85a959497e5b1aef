#include "plan/netmap.h"

#include "plan/netmap_lists.h"


/* json_null() for "" or an address that is not there. */
static json_t *
netmap_json_text(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}


static json_t *
netmap_json_address(const struct address *address)
{
    char text[ADDRESS_TEXT];

    return netmap_json_text(address_format(address, text));
}


static json_t *
netmap_json_cidr(const struct prefix *prefix)
{
    char text[ADDRESS_TEXT];

    if (prefix->address.family == ADDRESS_NONE) {
        return json_null();
    }

    return json_string(prefix_format(prefix, text));
}


static json_t *
netmap_json_key(const struct key *key, bool there)
{
    char text[KEY_BASE64_SIZE];

    if (!there) {
        return json_null();
    }

    key_to_base64(key, text);

    return json_string(text);
}


static json_t *
netmap_json_endpoints(const struct netmap_peer *peer)
{
    char text[ADDRESS_TEXT];
    json_t *list;
    size_t i;

    list = json_array();

    for (i = 0; i < peer->endpoint_count && list != NULL; i++) {
        (void) endpoint_format(&peer->endpoints[i], text);

        if (json_array_append_new(list, json_string(text)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }

    return list;
}


/* "o" steals the references, and fails as a whole if one is missing. */
static json_t *
netmap_json_peer(const struct netmap_peer *peer)
{
    return json_pack(
        "{so so so so so so so so sb sb so so so so so so so}", "id",
        netmap_json_text(peer->id), "device_id",
        netmap_json_text(peer->device_id), "user_id",
        netmap_json_text(peer->user_id), "username",
        netmap_json_text(peer->username), "role", netmap_json_text(peer->role),
        "name", netmap_json_text(peer->name), "via",
        netmap_json_text(peer->via), "home_relay",
        netmap_json_text(peer->home_relay), "gateway", peer->gateway ? 1 : 0,
        "agent", peer->agentless ? 0 : 1, "public_key",
        netmap_json_key(&peer->public_key, true), "next_public_key",
        netmap_json_key(&peer->next_public_key, peer->has_next_key),
        "ip_address", netmap_json_address(&peer->ip_address), "ip6_address",
        netmap_json_address(&peer->ip6_address), "endpoints",
        netmap_json_endpoints(peer), "tags", netmap_lists_tags(peer), "routes",
        netmap_lists_routes(peer));
}


/* A list that goes on with item, which is stolen; NULL when memory is out. */
static json_t *
netmap_json_add(json_t *list, json_t *item)
{
    if (list != NULL && json_array_append_new(list, item) == 0) {
        return list;
    }

    if (list == NULL) {
        json_decref(item);
    }

    json_decref(list);

    return NULL;
}


static json_t *
netmap_json_relay(const struct netmap_relay *relay)
{
    return json_pack("{so so so so si so}", "id", netmap_json_text(relay->id),
                     "name", netmap_json_text(relay->name), "address4",
                     netmap_json_address(&relay->address4), "address6",
                     netmap_json_address(&relay->address6), "port",
                     (int) relay->port, "url", netmap_json_text(relay->url));
}


static json_t *
netmap_json_port(uint16_t port)
{
    return port != 0 ? json_integer(port) : json_null();
}


static json_t *
netmap_json_rule(const struct netmap_rule *rule)
{
    static const char *const protocols[] = {
        [NETMAP_ANY] = "any",
        [NETMAP_TCP] = "tcp",
        [NETMAP_UDP] = "udp",
        [NETMAP_ICMP] = "icmp",
    };

    return json_pack("{ss so so ss so so}", "action",
                     rule->allow ? "allow" : "deny", "source",
                     netmap_json_text(rule->source), "destination",
                     netmap_json_text(rule->destination), "protocol",
                     protocols[rule->protocol], "port_first",
                     netmap_json_port(rule->port_first), "port_last",
                     netmap_json_port(rule->port_last));
}


static json_t *
netmap_json_settings(const struct netmap_settings *settings)
{
    json_t *json, *ports;
    size_t i;

    ports = json_array();

    for (i = 0; i < settings->reflector_port_count; i++) {
        ports =
            netmap_json_add(ports, json_integer(settings->reflector_ports[i]));
    }

    json = json_pack("{sb so}", "birthday_punching",
                     settings->no_birthday_punching ? 0 : 1, "reflector_ports",
                     ports);

    if (json != NULL && settings->mtu != 0 &&
        json_object_set_new(json, "mtu", json_integer(settings->mtu)) != 0) {
        json_decref(json);
        return NULL;
    }

    return json;
}


static json_t *
netmap_json_network(const struct netmap *map)
{
    return json_pack(
        "{so so so so so so so ss}", "id", netmap_json_text(map->network_id),
        "tenant_id", netmap_json_text(map->tenant_id), "name",
        netmap_json_text(map->name), "slug", netmap_json_text(map->slug),
        "cidr", netmap_json_cidr(&map->cidr), "cidr6",
        netmap_json_cidr(&map->cidr6), "settings",
        netmap_json_settings(&map->settings), "mode", map->lan ? "l2" : "l3");
}


json_t *
netmap_to_json(const struct netmap *map)
{
    json_t *peers, *relays, *rules;
    size_t i;

    peers = json_array();
    relays = json_array();
    rules = json_array();

    for (i = 0; i < map->peer_count; i++) {
        peers = netmap_json_add(peers, netmap_json_peer(&map->peers[i]));
    }

    for (i = 0; i < map->relay_count; i++) {
        relays = netmap_json_add(relays, netmap_json_relay(&map->relays[i]));
    }

    for (i = 0; i < map->rule_count; i++) {
        rules = netmap_json_add(rules, netmap_json_rule(&map->rules[i]));
    }

    return json_pack(
        "{ss sI si sb so so s{so} so so}", "network_id", map->network_id,
        "version", (json_int_t) map->version, "part", 0, "last", 1, "network",
        netmap_json_network(map), "relays", relays, "dns", "domain",
        netmap_json_text(map->domain), "rules", rules, "peers", peers);
}


struct netmap *
netmap_from_json(const json_t *json, struct error *error)
{
    struct netmap *map;

    map = NULL;

    if (netmap_part(&map, json, error) == NETMAP_DONE) {
        return map;
    }

    if (map != NULL) {
        (void) error_set(error, ERROR_INVALID, "the netmap is not whole");
        netmap_destroy(map);
    }

    return NULL;
}
