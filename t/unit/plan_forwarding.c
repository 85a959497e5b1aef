#include "plan_fixture.h"

#include "plan/forwarding.h"


/* Peers 0..4; 0 is the gateway, 1 and 2 are devices without an agent. */
static struct netmap *
network(bool ours, bool told)
{
    struct netmap *map;
    size_t i;

    map = fixture_map(0, 5, 1);

    for (i = 0; i < map->peer_count; i++) {
        map->peers[i].gateway = i == (ours ? 0 : 3);
        map->peers[i].agentless = i == 1 || i == 2;

        if (map->peers[i].agentless && told) {
            fixture_id(ours ? 0 : 3, map->peers[i].via);
        }
    }

    return map;
}


static char *
rules(const struct netmap *map, const char *name)
{
    char id[NETMAP_ID_SIZE], *text;
    struct error error;
    struct forwarding forwarding = {NULL, 0};

    fixture_id(0, id);
    cr_assert_eq(forwarding_add(&forwarding, map, id, name, &error), 0, "%s",
                 error.text);
    text = forwarding_rules(&forwarding);
    cr_assert_not_null(text);
    forwarding_clear(&forwarding);
    cr_assert_eq(forwarding.count, 0);

    return text;
}


#define NOTHING                          \
    "add table inet goconnect_gateway\n" \
    "delete table inet goconnect_gateway\n"


Test(forwarding, nothing_is_forwarded_unless_we_are_the_gateway)
{
    struct netmap *map;
    char *text;

    map = network(false, true);
    text = rules(map, "gc-lan");
    cr_expect_str_eq(text, NOTHING);
    free(text);
    netmap_destroy(map);

    /* the map does not even know us */
    map = fixture_map(7, 2, 1);
    map->peers[0].gateway = true;
    text = rules(map, "gc-lan");
    cr_expect_str_eq(text, NOTHING);
    free(text);
    netmap_destroy(map);
}


Test(forwarding, between_members_and_devices_inside_the_interface_alone)
{
    struct netmap *map;
    char *text;

    map = network(true, true);
    text = rules(map, "gc-lan");
    cr_expect_str_eq(
        text, NOTHING
        "table inet goconnect_gateway {\n"
        " chain forward {\n"
        "  type filter hook forward priority filter; policy accept;\n"
        "  iifname \"gc-lan\" oifname \"gc-lan\" ip saddr { 10.64.0.1, "
        "10.64.0.2 } accept\n"
        "  iifname \"gc-lan\" oifname \"gc-lan\" ip daddr { 10.64.0.1, "
        "10.64.0.2 } accept\n"
        "  iifname \"gc-lan\" oifname \"gc-lan\" ip6 saddr { fd00:64::1, "
        "fd00:64::2 } accept\n"
        "  iifname \"gc-lan\" oifname \"gc-lan\" ip6 daddr { fd00:64::1, "
        "fd00:64::2 } accept\n"
        "  iifname \"gc-lan\" drop\n"
        "  oifname \"gc-lan\" drop\n"
        " }\n"
        " chain output {\n"
        "  type filter hook output priority filter; policy accept;\n"
        "  oifname \"gc-lan\" icmp type redirect drop\n"
        "  oifname \"gc-lan\" icmpv6 type nd-redirect drop\n"
        " }\n"
        "}\n");
    free(text);
    netmap_destroy(map);
}


Test(forwarding, without_devices_there_is_nothing_but_the_drops)
{
    struct netmap *map;
    char *text;

    map = network(true, false);
    text = rules(map, "gc-lan");
    cr_expect_null(strstr(text, " accept\n"));
    cr_expect_not_null(strstr(text, "  iifname \"gc-lan\" drop\n"));
    free(text);
    netmap_destroy(map);
}


Test(forwarding, each_network_has_its_own_rules)
{
    struct forwarding forwarding = {NULL, 0};
    struct netmap *map;
    struct error error;
    char id[NETMAP_ID_SIZE], *text;

    map = network(true, true);
    fixture_id(0, id);
    cr_assert_eq(forwarding_add(&forwarding, map, id, "gc-a", &error), 0);
    cr_assert_eq(forwarding_add(&forwarding, map, id, "gc-b", &error), 0);
    cr_assert_eq(forwarding.count, 2);
    text = forwarding_rules(&forwarding);
    cr_expect_not_null(strstr(text, "iifname \"gc-a\" oifname \"gc-a\""));
    cr_expect_not_null(strstr(text, "iifname \"gc-b\" oifname \"gc-b\""));
    cr_expect_null(strstr(text, "iifname \"gc-a\" oifname \"gc-b\""));
    free(text);

    /* a name cannot break out of its quotes */
    cr_assert_eq(forwarding_add(&forwarding, map, id, "gc-\" accept", &error),
                 -1);
    cr_assert_eq(error.code, ERROR_INVALID);
    cr_assert_eq(forwarding.count, 2);
    forwarding_clear(&forwarding);
    netmap_destroy(map);
}


/* A device without an agent that says it is the gateway is none. */
Test(forwarding, a_phone_is_no_gateway)
{
    struct netmap *map;
    char id[NETMAP_ID_SIZE];

    map = network(true, true);
    fixture_id(0, id);
    cr_expect(forwarding_is_gateway(map, id));
    map->peers[0].agentless = true;
    cr_expect_not(forwarding_is_gateway(map, id));
    netmap_destroy(map);
}


/* Members' allowed ips as the gateway comes, goes and is ourselves. */
Test(desired, devices_without_an_agent_follow_the_gateway)
{
    static const struct {
        bool ours;
        bool told;
        size_t peers;   /* that WireGuard gets */
        size_t gateway; /* allowed ips of peer 3 */
    } cases[] = {
        {false, true, 2, 6},  /* both ride on peer 3 */
        {false, false, 2, 2}, /* there is no gateway: nobody carries them */
        {true, true, 4, 2},   /* they are our own peers */
        {true, false, 2, 2},
    };
    struct desired_self self;
    struct desired *desired;
    struct netmap *map;
    struct error error;
    struct key key;
    size_t i, k;

    self = fixture_self("gc-lan", 51820);
    key = fixture_key(3);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        map = network(cases[i].ours, cases[i].told);
        desired = desired_create(map, &self, NULL, &error);
        cr_assert_not_null(desired, "%s", error.text);
        cr_expect_eq(desired->peer_count, cases[i].peers, "case %zu: %zu", i,
                     desired->peer_count);

        for (k = 0; k < desired->peer_count; k++) {
            if (key_compare(&desired->peers[k].public_key, &key) == 0) {
                cr_expect_eq(desired->peers[k].allowed_count, cases[i].gateway,
                             "case %zu", i);
            }
        }

        desired_destroy(desired);
        netmap_destroy(map);
    }
}


/* What is on disk says so too. */
Test(netmap, keeps_that_a_peer_has_no_agent)
{
    struct netmap *map, *again;
    struct error error;
    json_t *json;

    map = network(true, true);
    json = netmap_to_json(map);
    again = netmap_from_json(json, &error);
    cr_assert_not_null(again, "%s", error.text);
    cr_expect_not(again->peers[0].agentless);
    cr_expect(again->peers[1].agentless);
    json_decref(json);
    netmap_destroy(map);
    netmap_destroy(again);
}
