#include "plan/netmap.h"


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
        "{so so so so so so so sb sb so so so so so}", "id",
        netmap_json_text(peer->id), "device_id",
        netmap_json_text(peer->device_id), "user_id",
        netmap_json_text(peer->user_id), "username",
        netmap_json_text(peer->username), "role", netmap_json_text(peer->role),
        "name", netmap_json_text(peer->name), "via",
        netmap_json_text(peer->via), "gateway", peer->gateway ? 1 : 0, "agent",
        peer->agentless ? 0 : 1, "public_key",
        netmap_json_key(&peer->public_key, true), "next_public_key",
        netmap_json_key(&peer->next_public_key, peer->has_next_key),
        "ip_address", netmap_json_address(&peer->ip_address), "ip6_address",
        netmap_json_address(&peer->ip6_address), "endpoints",
        netmap_json_endpoints(peer));
}


json_t *
netmap_to_json(const struct netmap *map)
{
    json_t *peers;
    size_t i;

    peers = json_array();

    for (i = 0; i < map->peer_count && peers != NULL; i++) {
        if (json_array_append_new(peers, netmap_json_peer(&map->peers[i])) !=
            0) {
            json_decref(peers);
            peers = NULL;
        }
    }

    return json_pack(
        "{ss sI si sb s{so so so so so so} so}", "network_id", map->network_id,
        "version", (json_int_t) map->version, "part", 0, "last", 1, "network",
        "id", netmap_json_text(map->network_id), "tenant_id",
        netmap_json_text(map->tenant_id), "name", netmap_json_text(map->name),
        "slug", netmap_json_text(map->slug), "cidr",
        netmap_json_cidr(&map->cidr), "cidr6", netmap_json_cidr(&map->cidr6),
        "peers", peers);
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
