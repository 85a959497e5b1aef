/*
 * Netmaps: parts, deltas, the durable form, and everything that a server
 * might get wrong.
 */

#include "plan_fixture.h"


/* Feeds one part and frees it. */
static enum netmap_result
feed(struct netmap **assembly, json_t *data)
{
    enum netmap_result result;
    struct error error;

    result = netmap_part(assembly, data, &error);
    json_decref(data);

    return result;
}


static json_t *
delta(json_int_t base, json_int_t version, json_t *upsert, json_t *remove)
{
    return json_pack("{ss sI sI so so}", "network_id", FIXTURE_NETWORK,
                     "version", version, "base_version", base, "upsert", upsert,
                     "remove", remove);
}


static enum netmap_result
change(struct netmap *map, json_t *data)
{
    enum netmap_result result;
    struct error error;

    result = netmap_delta(map, data, &error);
    json_decref(data);

    return result;
}


static json_t *
ids(unsigned first, unsigned count)
{
    char id[NETMAP_ID_SIZE];
    json_t *list;
    unsigned i;

    list = json_array();

    for (i = 0; i < count; i++) {
        fixture_id(first + i, id);
        json_array_append_new(list, json_string(id));
    }

    return list;
}


Test(netmap, one_part)
{
    const struct netmap_peer *peer;
    struct netmap *map;
    char id[NETMAP_ID_SIZE], text[ADDRESS_TEXT];
    struct key key;

    map = fixture_map(0, 3, 41);
    cr_assert_str_eq(map->network_id, FIXTURE_NETWORK);
    cr_assert_str_eq(map->name, "Ada's LAN");
    cr_assert_str_eq(map->slug, "adas-lan");
    cr_assert_str_eq(prefix_format(&map->cidr, text), "10.64.0.0/10");
    cr_assert_str_eq(prefix_format(&map->cidr6, text), "fd00:64::/64");
    cr_assert_eq(map->version, 41);
    cr_assert(map->complete);
    cr_assert_eq(map->peer_count, 3);

    fixture_id(2, id);
    peer = netmap_find(map, id);
    cr_assert_not_null(peer);
    key = fixture_key(2);
    cr_assert_eq(key_compare(&peer->public_key, &key), 0);
    cr_assert_not(peer->has_next_key);
    cr_assert_str_eq(address_format(&peer->ip_address, text), "10.64.0.2");
    cr_assert_str_eq(address_format(&peer->ip6_address, text), "fd00:64::2");
    cr_assert_eq(peer->endpoint_count, 2);
    cr_assert_str_eq(endpoint_format(&peer->endpoints[1], text),
                     "198.51.100.3:51820");
    fixture_id(3, id);
    cr_assert_null(netmap_find(map, id));
    cr_assert_null(netmap_find(map, "no id at all, and a very long one too"));
    netmap_destroy(map);
}


Test(netmap, parts_in_order_make_a_map)
{
    struct netmap *map;

    map = NULL;
    cr_assert_eq(feed(&map, fixture_part(0, 0, 7, fixture_peers(20, 10))),
                 NETMAP_MORE);
    cr_assert_not(map->complete);
    cr_assert_eq(feed(&map, fixture_part(1, 0, 7, fixture_peers(0, 10))),
                 NETMAP_MORE);
    cr_assert_eq(feed(&map, fixture_part(2, 1, 7, fixture_peers(10, 10))),
                 NETMAP_DONE);
    cr_assert_eq(map->peer_count, 30);
    netmap_destroy(map);
}


Test(netmap, parts_out_of_order_need_a_resync)
{
    struct netmap *map;

    map = NULL;
    cr_assert_eq(feed(&map, fixture_part(1, 1, 7, fixture_peers(0, 1))),
                 NETMAP_RESYNC);
    cr_assert_null(map);

    cr_assert_eq(feed(&map, fixture_part(0, 0, 7, fixture_peers(0, 1))),
                 NETMAP_MORE);
    cr_assert_eq(feed(&map, fixture_part(2, 1, 7, fixture_peers(1, 1))),
                 NETMAP_RESYNC);
    cr_assert_null(map);

    /* another version in the middle */
    cr_assert_eq(feed(&map, fixture_part(0, 0, 7, fixture_peers(0, 1))),
                 NETMAP_MORE);
    cr_assert_eq(feed(&map, fixture_part(1, 1, 8, fixture_peers(1, 1))),
                 NETMAP_RESYNC);
    cr_assert_null(map);

    /* a new beginning in the middle is none of that */
    cr_assert_eq(feed(&map, fixture_part(0, 0, 7, fixture_peers(0, 5))),
                 NETMAP_MORE);
    cr_assert_eq(feed(&map, fixture_part(0, 1, 8, fixture_peers(0, 2))),
                 NETMAP_DONE);
    cr_assert_eq(map->peer_count, 2);
    cr_assert_eq(map->version, 8);

    /* a finished map takes no more parts */
    cr_assert_eq(feed(&map, fixture_part(1, 1, 8, fixture_peers(5, 2))),
                 NETMAP_RESYNC);
    cr_assert_null(map);
}


/* One peer with one member replaced; value is consumed. */
static json_t *
odd_peer(const char *name, json_t *value)
{
    json_t *peer;

    peer = fixture_peer(1);

    if (value == NULL) {
        json_object_del(peer, name);

    } else {
        json_object_set_new(peer, name, value);
    }

    return peer;
}


Test(netmap, malformed_peers_are_refused)
{
    struct netmap *map;
    json_t *list, *many;
    size_t i;
    int k;

    many = json_array();

    for (k = 0; k < NETMAP_ENDPOINTS_MAX + 1; k++) {
        json_array_append_new(many, json_string("192.0.2.1:5"));
    }

    json_t *bad[] = {
        json_null(),
        json_string("peer"),
        odd_peer("id", NULL),
        odd_peer("id", json_string("ABCDEF01-0000-4000-8000-000000000001")),
        odd_peer("id", json_integer(5)),
        odd_peer("device_id", json_string("x")),
        odd_peer("via", json_string("x")),
        odd_peer("public_key", NULL),
        odd_peer("public_key", json_null()),
        odd_peer("public_key", json_string("short")),
        odd_peer("public_key",
                 json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        odd_peer("next_public_key", json_string("short")),
        odd_peer("ip_address", json_null()),
        odd_peer("ip_address", json_string("fd00:64::1")),
        odd_peer("ip_address", json_string("127.0.0.1")),
        odd_peer("ip_address", json_string("10.0.0.1")), /* not of the cidr */
        odd_peer("ip_address", json_integer(1)),
        odd_peer("ip6_address", json_string("fd00:65::1")),
        odd_peer("ip6_address", json_string("10.64.0.9")),
        odd_peer("endpoints", json_string("192.0.2.1:5")),
        odd_peer("endpoints", json_pack("[s]", "example.org:5")),
        odd_peer("endpoints", json_pack("[i]", 5)),
        odd_peer("endpoints", many),
        odd_peer("name",
                 json_string("a-name-that-is-longer-than-the-sixty-three-"
                             "characters-of-a-dns-label")),
        odd_peer("name", json_stringn("a\0b", 3)),
        odd_peer("role", json_integer(1)),
        odd_peer("home_relay", json_string("x")),
        odd_peer("tags", json_string("web")),
        odd_peer("tags", json_pack("[s]", "")),
        odd_peer("tags", json_pack("[i]", 1)),
        odd_peer("routes", json_pack("[s]", "192.168.1.1/24")),
        odd_peer("routes", json_pack("[s, s]", "10.0.0.0/8", "home")),
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        map = NULL;
        list = fixture_peers(5, 2);
        json_array_append_new(list, bad[i]);
        cr_expect_eq(feed(&map, fixture_part(0, 1, 1, list)), NETMAP_INVALID,
                     "case %zu", i);
        cr_expect_null(map);
    }
}


Test(netmap, tags_and_routes_live_with_their_peer)
{
    struct netmap *map, *again;
    const struct netmap_peer *peer;
    const struct prefix *routes;
    struct error error;
    json_t *list, *json;
    char id[NETMAP_ID_SIZE], text[ADDRESS_TEXT];
    size_t count;

    list = json_array();
    json = odd_peer("tags", json_pack("[s, s]", "web", "db"));
    json_object_set_new(json, "routes",
                        json_pack("[s, s]", "192.168.1.0/24", "::/0"));
    json_array_append_new(list, json);
    map = NULL;
    cr_assert_eq(feed(&map, fixture_part(0, 1, 1, list)), NETMAP_DONE);

    /* a delta that does not touch the peer, and the durable form */
    cr_assert_eq(change(map, delta(1, 2, fixture_peers(5, 2), json_array())),
                 NETMAP_DONE);
    json = netmap_to_json(map);
    again = netmap_from_json(json, &error);
    json_decref(json);
    cr_assert_not_null(again);
    netmap_destroy(map);

    fixture_id(1, id);
    peer = netmap_find(again, id);
    cr_assert(netmap_tagged(peer, "web"));
    cr_assert(netmap_tagged(peer, "db"));
    cr_assert_not(netmap_tagged(peer, "we"));
    routes = netmap_routes(peer, &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(prefix_format(&routes[0], text), "192.168.1.0/24");
    cr_assert_str_eq(prefix_format(&routes[1], text), "::/0");

    /* replaced, and gone */
    list = json_array();
    json_array_append_new(list, fixture_peer(1));
    cr_assert_eq(change(again, delta(2, 3, list, ids(5, 1))), NETMAP_DONE);
    peer = netmap_find(again, id);
    cr_assert_not(netmap_tagged(peer, "web"));
    cr_assert_null(netmap_routes(peer, &count));
    cr_assert_eq(count, 0);
    netmap_destroy(again);
}


Test(netmap, two_peers_may_not_share_anything)
{
    static const char *const names[] = {"id", "public_key", "ip_address",
                                        "ip6_address"};
    struct netmap *map;
    json_t *list, *copy;
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        map = NULL;
        list = fixture_peers(0, 5);
        copy = fixture_peer(9);
        json_object_set(copy, names[i],
                        json_object_get(json_array_get(list, 2), names[i]));
        json_array_append_new(list, copy);
        cr_expect_eq(feed(&map, fixture_part(0, 1, 1, list)), NETMAP_INVALID,
                     "%s", names[i]);
    }

    /* but all may lack an IPv6 address */
    list = fixture_peers(0, 5);

    for (i = 0; i < 5; i++) {
        json_object_set_new(json_array_get(list, i), "ip6_address",
                            json_null());
    }

    map = NULL;
    cr_assert_eq(feed(&map, fixture_part(0, 1, 1, list)), NETMAP_DONE);
    netmap_destroy(map);
}


Test(netmap, malformed_networks_are_refused)
{
    static const struct {
        const char *name;
        const char *value;
    } cases[] = {
        {"cidr", "8.8.8.0/24"}, /* would draw public traffic */
        {"cidr", "0.0.0.0/0"},
        {"cidr", "10.64.0.1/10"},
        {"cidr", "fd00:64::/64"},
        {"cidr", "all"},
        {"cidr6", "2001:db8::/64"},
        {"cidr6", "::/0"},
        {"cidr6", "fd00::1/64"},
        {"cidr6", "fc00::/7"},
        {"id", "00000000-0000-4000-8000-00000000000b"},
        {"tenant_id", "x"},
    };
    struct netmap *map;
    json_t *part;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        part = fixture_part(0, 1, 1, json_array());
        json_object_set_new(json_object_get(part, "network"), cases[i].name,
                            json_string(cases[i].value));
        map = NULL;
        cr_expect_eq(feed(&map, part), NETMAP_INVALID, "%s %s", cases[i].name,
                     cases[i].value);
    }

    part = fixture_part(0, 1, 1, json_array());
    json_object_del(part, "network");
    map = NULL;
    cr_assert_eq(feed(&map, part), NETMAP_INVALID);

    part = fixture_part(0, 1, 1, json_array());
    json_object_del(part, "last");
    cr_assert_eq(feed(&map, part), NETMAP_INVALID);

    part = fixture_part(0, 1, 1, json_array());
    json_object_set_new(part, "part", json_integer(-1));
    cr_assert_eq(feed(&map, part), NETMAP_INVALID);

    part = fixture_part(0, 1, 1, json_object());
    cr_assert_eq(feed(&map, part), NETMAP_INVALID);
    cr_assert_eq(feed(&map, json_array()), NETMAP_INVALID);
    cr_assert_null(map);
}


Test(netmap, too_many_peers_are_refused)
{
    struct netmap *map;
    json_t *list;
    unsigned i;

    map = NULL;
    cr_assert_eq(feed(&map, fixture_part(0, 0, 1, fixture_peers(0, 1))),
                 NETMAP_MORE);

    list = json_array();

    for (i = 0; i < NETMAP_PEERS_MAX; i++) {
        json_array_append_new(list, json_null());
    }

    cr_assert_eq(feed(&map, fixture_part(1, 1, 1, list)), NETMAP_INVALID);
    cr_assert_null(map);
}


Test(netmap, deltas)
{
    struct netmap *map;
    char id[NETMAP_ID_SIZE];

    map = fixture_map(0, 10, 5);

    /* two go, one of them comes back, one is new, one changes */
    cr_assert_eq(
        change(map,
               delta(5, 9,
                     json_pack("[o o o]", fixture_peer(3), fixture_peer(77),
                               odd_peer("name", json_string("new"))),
                     ids(3, 2))),
        NETMAP_DONE);
    cr_assert_eq(map->version, 9);
    cr_assert_eq(map->peer_count, 10);
    fixture_id(4, id);
    cr_assert_null(netmap_find(map, id));
    fixture_id(3, id);
    cr_assert_not_null(netmap_find(map, id));
    fixture_id(77, id);
    cr_assert_not_null(netmap_find(map, id));
    fixture_id(1, id);
    cr_assert_str_eq(netmap_find(map, id)->name, "new");

    /* removing what is not there is fine */
    cr_assert_eq(change(map, delta(9, 10, json_array(), ids(500, 3))),
                 NETMAP_DONE);
    cr_assert_eq(map->peer_count, 10);
    cr_assert_eq(change(map, delta(10, 11, json_array(), ids(0, 100))),
                 NETMAP_DONE);
    cr_assert_eq(map->peer_count, 0);
    cr_assert_eq(change(map, delta(11, 12, fixture_peers(0, 3), json_array())),
                 NETMAP_DONE);
    cr_assert_eq(map->peer_count, 3);
    netmap_destroy(map);
}


Test(netmap, deltas_that_do_not_fit_change_nothing)
{
    struct netmap *map, *before;
    json_t *a, *b, *wrong, *twice;

    map = fixture_map(0, 10, 5);
    before = fixture_map(0, 10, 5);

    cr_assert_eq(change(map, delta(3, 5, fixture_peers(50, 1), json_array())),
                 NETMAP_STALE);
    cr_assert_eq(change(map, delta(1, 4, fixture_peers(50, 1), json_array())),
                 NETMAP_STALE);
    cr_assert_eq(change(map, delta(6, 7, fixture_peers(50, 1), json_array())),
                 NETMAP_RESYNC);
    cr_assert_eq(change(map, delta(4, 6, fixture_peers(50, 1), json_array())),
                 NETMAP_RESYNC);
    cr_assert_eq(change(map, delta(6, 6, json_array(), json_array())),
                 NETMAP_INVALID);
    cr_assert_eq(change(map, delta(5, 6, json_object(), json_array())),
                 NETMAP_INVALID);
    cr_assert_eq(change(map, delta(5, 6, json_array(), json_pack("[i]", 1))),
                 NETMAP_INVALID);

    /* the second of two is wrong: the first is not applied either */
    wrong = json_pack("[o o]", fixture_peer(50),
                      odd_peer("public_key", json_string("x")));
    cr_assert_eq(change(map, delta(5, 6, wrong, ids(0, 3))), NETMAP_INVALID);

    /* a key that another peer has */
    a = fixture_peer(60);
    b = fixture_peer(2);
    json_object_set(a, "public_key", json_object_get(b, "public_key"));
    json_decref(b);
    cr_assert_eq(change(map, delta(5, 6, json_pack("[o]", a), json_array())),
                 NETMAP_INVALID);

    twice = json_pack("[o o]", fixture_peer(60), fixture_peer(60));
    cr_assert_eq(change(map, delta(5, 6, twice, json_array())), NETMAP_INVALID);

    wrong = delta(5, 6, json_array(), json_array());
    json_object_set_new(wrong, "network_id",
                        json_string("00000000-0000-4000-8000-00000000000b"));
    cr_assert_eq(change(map, wrong), NETMAP_INVALID);

    cr_assert_eq(map->version, 5);
    cr_assert_eq(map->peer_count, before->peer_count);
    cr_assert_eq(memcmp(map->peers, before->peers,
                        map->peer_count * sizeof(*map->peers)),
                 0);
    netmap_destroy(map);
    netmap_destroy(before);
}


/* Keys and addresses that change hands within one delta. */
Test(netmap, a_delta_may_swap_addresses)
{
    struct netmap *map;
    json_t *a, *b, *ip;

    map = fixture_map(0, 10, 5);
    a = fixture_peer(1);
    b = fixture_peer(2);
    ip = json_incref(json_object_get(a, "ip_address"));
    json_object_set(a, "ip_address", json_object_get(b, "ip_address"));
    json_object_set_new(b, "ip_address", ip);
    cr_assert_eq(
        change(map, delta(5, 6, json_pack("[o o]", a, b), json_array())),
        NETMAP_DONE);
    netmap_destroy(map);
}


Test(netmap, what_is_kept_on_disk_comes_back)
{
    struct netmap *map, *back;
    struct netmap_peer *peer;
    struct error error;
    json_t *json;

    map = fixture_map(0, 100, 12345678901);
    peer = &map->peers[17];
    peer->has_next_key = true;
    peer->next_public_key = fixture_key(999);
    peer->gateway = true;
    memset(&peer->ip6_address, 0, sizeof(peer->ip6_address));
    peer->endpoint_count = 1;
    memset(&peer->endpoints[1], 0, sizeof(peer->endpoints[1]));
    fixture_id(17, map->peers[18].via);
    fixture_id(17, map->tenant_id);

    json = netmap_to_json(map);
    cr_assert_not_null(json);
    back = netmap_from_json(json, &error);
    cr_assert_not_null(back, "%s", error.text);
    json_decref(json);

    cr_assert_eq(back->version, 12345678901);
    cr_assert_str_eq(back->tenant_id, map->tenant_id);
    cr_assert_eq(back->peer_count, 100);
    cr_assert_eq(memcmp(back->peers, map->peers, 100 * sizeof(*map->peers)), 0);
    netmap_destroy(back);
    netmap_destroy(map);
}


/* The parts of a map besides its peers, as the server sends them. */
static json_t *
parts(const char *name)
{
    static const char text[] =
        "{\"network\": {\"id\": \"" FIXTURE_NETWORK "\","
        "\"name\": \"New\", \"slug\": \"new\", \"cidr\": \"10.64.0.0/10\","
        "\"cidr6\": \"fd00:64::/64\", \"settings\": {\"mtu\": 1300,"
        "\"birthday_punching\": false, \"reflector_ports\": [1, 65535],"
        "\"of_tomorrow\": {}}},"
        "\"relays\": [{\"id\": \"" FIXTURE_NETWORK "\", \"name\": \"fra\","
        "\"address4\": \"127.0.0.1\", \"address6\": null, \"port\": 3478,"
        "\"url\": \"wss://x/v1/relay\"}],"
        "\"dns\": {\"domain\": \"new.acme.gc\"},"
        "\"rules\": [{\"id\": \"x\", \"action\": \"allow\", \"source\": "
        "\"any\","
        "\"destination\": \"tag:web\", \"protocol\": \"tcp\","
        "\"port_first\": 80, \"port_last\": 443},"
        "{\"id\": \"y\", \"action\": \"deny\", \"source\": \"10.0.0.0/8\","
        "\"destination\": \"role:admin\", \"protocol\": \"any\","
        "\"port_first\": null, \"port_last\": null}]}";
    json_t *all, *part;

    all = json_loads(text, 0, NULL);
    cr_assert_not_null(all);

    if (name == NULL) {
        return all;
    }

    part = json_incref(json_object_get(all, name));
    json_decref(all);

    return part;
}


/* A delta that changes no peer but this part; value is consumed. */
static json_t *
delta_of(long base, const char *name, json_t *value)
{
    json_t *data;

    data = delta(base, base + 1, json_array(), json_array());
    json_object_set_new(data, name, value);

    return data;
}


static void
check_parts(const struct netmap *map)
{
    char text[ADDRESS_TEXT];

    cr_assert_str_eq(map->slug, "new");
    cr_assert_eq(map->settings.mtu, 1300);
    cr_assert(map->settings.no_birthday_punching);
    cr_assert_eq(map->settings.reflector_port_count, 2);
    cr_assert_eq(map->settings.reflector_ports[1], 65535);
    cr_assert_str_eq(map->domain, "new.acme.gc");
    cr_assert_eq(map->relay_count, 1);
    cr_assert_str_eq(map->relays[0].name, "fra");
    cr_assert_str_eq(address_format(&map->relays[0].address4, text),
                     "127.0.0.1");
    cr_assert_eq(map->relays[0].address6.family, ADDRESS_NONE);
    cr_assert_eq(map->relays[0].port, 3478);
    cr_assert_eq(map->rule_count, 2);
    cr_assert(map->rules[0].allow);
    cr_assert_str_eq(map->rules[0].destination, "tag:web");
    cr_assert_eq(map->rules[0].protocol, NETMAP_TCP);
    cr_assert_eq(map->rules[0].port_first, 80);
    cr_assert_eq(map->rules[0].port_last, 443);
    cr_assert_not(map->rules[1].allow);
    cr_assert_str_eq(map->rules[1].source, "10.0.0.0/8");
    cr_assert_eq(map->rules[1].protocol, NETMAP_ANY);
    cr_assert_eq(map->rules[1].port_first, 0);
}


Test(netmap, a_map_has_more_than_peers)
{
    struct netmap *map, *back;
    struct error error;
    json_t *data;

    data = fixture_part(0, 1, 5, fixture_peers(0, 3));
    json_object_update_new(data, parts(NULL));
    map = netmap_from_json(data, &error);
    cr_assert_not_null(map, "%s", error.text);
    json_decref(data);
    check_parts(map);

    /* on disk too */
    data = netmap_to_json(map);
    back = netmap_from_json(data, &error);
    cr_assert_not_null(back, "%s", error.text);
    json_decref(data);
    check_parts(back);
    netmap_destroy(back);
    netmap_destroy(map);
}


Test(netmap, a_delta_replaces_one_part_and_leaves_the_others)
{
    static const char *const names[] = {"network", "relays", "dns", "rules"};
    struct netmap *map;
    json_t *data;
    size_t i;

    map = fixture_map(0, 3, 5);
    cr_assert_eq(map->settings.mtu, 0);
    cr_assert_str_eq(map->domain, "");

    for (i = 0; i < 4; i++) {
        cr_assert_eq(
            change(map, delta_of((long) (5 + i), names[i], parts(names[i]))),
            NETMAP_DONE);
        cr_assert_eq(map->peer_count, 3);
    }

    check_parts(map);
    cr_assert_str_eq(map->name, "New");

    /* all at once, with a peer */
    data = delta(9, 10, fixture_peers(3, 1), json_array());
    json_object_update_new(data, parts(NULL));
    cr_assert_eq(change(map, data), NETMAP_DONE);
    check_parts(map);
    cr_assert_eq(map->peer_count, 4);

    /* and none of it */
    cr_assert_eq(change(map, delta_of(10, "rules", json_array())), NETMAP_DONE);
    cr_assert_eq(change(map, delta_of(11, "relays", json_array())),
                 NETMAP_DONE);
    cr_assert_eq(map->rule_count, 0);
    cr_assert_eq(map->relay_count, 0);
    cr_assert_eq(map->settings.mtu, 1300);
    netmap_destroy(map);
}


/* A part with the member at this path, such as "/0/port", replaced. */
static json_t *
odd_part(const char *name, int item, const char *member, json_t *value)
{
    json_t *part, *object;

    part = parts(name);
    object = item < 0 ? part : json_array_get(part, (size_t) item);
    json_object_set_new(object, member, value);

    return part;
}


/* The first item of a part that is a list. */
static json_t *
first_of(const char *name)
{
    json_t *list, *item;

    list = parts(name);
    item = json_incref(json_array_get(list, 0));
    json_decref(list);

    return item;
}


static json_t *
many(size_t count, json_t *item)
{
    json_t *list;
    size_t i;

    list = json_array();

    for (i = 0; i < count; i++) {
        json_array_append(list, item);
    }

    json_decref(item);

    return list;
}


static json_t *
odd_settings(const char *name, json_t *value)
{
    json_t *network;

    network = parts("network");
    json_object_set_new(json_object_get(network, "settings"), name, value);

    return network;
}


Test(netmap, malformed_parts_are_refused_and_change_nothing)
{
    struct {
        const char *name;
        json_t *part;
    } bad[] = {
        {"network", json_null()},
        {"network", odd_part("network", -1, "cidr", json_string("8.8.8.0/24"))},
        /* the peers would be outside */
        {"network",
         odd_part("network", -1, "cidr", json_string("10.0.0.0/24"))},
        {"network", odd_part("network", -1, "cidr6", json_null())},
        {"network", odd_settings("mtu", json_integer(1279))},
        {"network", odd_settings("mtu", json_integer(9001))},
        {"network", odd_settings("mtu", json_string("1400"))},
        {"network", odd_settings("birthday_punching", json_integer(1))},
        {"network", odd_settings("reflector_ports", json_integer(1))},
        {"network", odd_settings("reflector_ports", json_pack("[i]", 0))},
        {"network", odd_settings("reflector_ports", json_pack("[i]", 65536))},
        {"network", odd_settings("reflector_ports", json_pack("[s]", "1"))},
        {"network", odd_settings("reflector_ports",
                                 many(NETMAP_PORTS_MAX + 1, json_integer(1)))},
        {"relays", json_object()},
        {"relays", json_pack("[n]")},
        {"relays", odd_part("relays", 0, "id", json_string("x"))},
        {"relays", odd_part("relays", 0, "address4", json_string("::1"))},
        {"relays", odd_part("relays", 0, "address6", json_string("1.2.3.4"))},
        {"relays", odd_part("relays", 0, "port", json_integer(0))},
        {"relays", odd_part("relays", 0, "port", json_null())},
        {"relays", odd_part("relays", 0, "port", json_integer(65536))},
        {"relays", odd_part("relays", 0, "url", json_integer(1))},
        {"relays", many(NETMAP_RELAYS_MAX + 1, first_of("relays"))},
        {"dns", json_array()},
        {"dns", odd_part("dns", -1, "domain", json_integer(1))},
        {"rules", json_null()},
        {"rules", json_pack("[s]", "deny all")},
        {"rules", odd_part("rules", 1, "action", json_string("drop"))},
        {"rules", odd_part("rules", 1, "action", json_null())},
        {"rules", odd_part("rules", 1, "source", json_null())},
        {"rules", odd_part("rules", 1, "source", json_string("nobody"))},
        {"rules", odd_part("rules", 1, "destination", json_string("tag:"))},
        {"rules", odd_part("rules", 1, "protocol", json_string("sctp"))},
        {"rules", odd_part("rules", 0, "port_first", json_null())},
        {"rules", odd_part("rules", 0, "port_first", json_integer(444))},
        {"rules", odd_part("rules", 0, "port_last", json_integer(65536))},
        {"rules", many(NETMAP_RULES_MAX + 1, first_of("rules"))},
    };
    struct netmap *map;
    json_t *data;
    size_t i;

    map = fixture_map(0, 3, 5);
    data = delta(5, 6, json_array(), json_array());
    json_object_update_new(data, parts(NULL));
    cr_assert_eq(change(map, data), NETMAP_DONE);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(change(map, delta_of(6, bad[i].name, bad[i].part)),
                     NETMAP_INVALID, "%zu", i);
        cr_assert_eq(map->version, 6);
        check_parts(map);
    }

    netmap_destroy(map);
}


Test(netmap, as_many_rules_and_relays_as_may_be)
{
    struct netmap *map;

    map = fixture_map(0, 1, 5);
    cr_assert_eq(
        change(map,
               delta_of(5, "rules", many(NETMAP_RULES_MAX, first_of("rules")))),
        NETMAP_DONE);
    cr_assert_eq(
        change(map, delta_of(6, "relays",
                             many(NETMAP_RELAYS_MAX, first_of("relays")))),
        NETMAP_DONE);
    cr_assert_eq(map->rule_count, NETMAP_RULES_MAX);
    cr_assert_eq(map->relay_count, NETMAP_RELAYS_MAX);
    netmap_destroy(map);
}


Test(netmap, a_torn_file_is_no_map)
{
    struct error error;
    json_t *json;

    json = fixture_part(0, 0, 1, fixture_peers(0, 2));
    cr_assert_null(netmap_from_json(json, &error));
    json_decref(json);
    json = json_object();
    cr_assert_null(netmap_from_json(json, &error));
    json_decref(json);
    cr_assert_null(netmap_from_json(NULL, &error));
}


Test(netmap, ten_thousand_peers)
{
    struct netmap *map;
    json_t *json;

    map = fixture_map(0, 10000, 1);
    cr_assert_eq(
        change(map, delta(1, 2, fixture_peers(10000, 100), ids(5000, 1000))),
        NETMAP_DONE);
    cr_assert_eq(map->peer_count, 9100);
    json = netmap_to_json(map);
    cr_assert_not_null(json);
    json_decref(json);
    netmap_destroy(map);
}
