#include "plan_fixture.h"

#include "plan/firewall.h"


/* Peers 0..4; 0 is ourselves; 1 and 2 are devices without an agent. */
static struct netmap *
network(unsigned gateway)
{
    struct netmap *map;
    size_t i;

    map = fixture_map(0, 5, 1);

    for (i = 0; i < map->peer_count; i++) {
        map->peers[i].gateway = i == gateway;
        map->peers[i].agentless = i == 1 || i == 2;

        if (map->peers[i].agentless) {
            fixture_id(gateway, map->peers[i].via);
        }
    }

    return map;
}


static struct netmap *
mesh(unsigned count)
{
    return fixture_map(0, count, 1);
}


/* "ACTION SOURCE DESTINATION PROTOCOL FIRST LAST" */
static void
rule(struct netmap *map, const char *text)
{
    char action[8], protocol[8];
    struct netmap_rule *one;
    unsigned first, last;

    map->rules = realloc(map->rules, (map->rule_count + 1) * sizeof(*one));
    one = &map->rules[map->rule_count++];
    memset(one, 0, sizeof(*one));
    cr_assert_eq(sscanf(text, "%7s %67s %67s %7s %u %u", action, one->source,
                        one->destination, protocol, &first, &last),
                 6);
    one->allow = strcmp(action, "allow") == 0;
    one->protocol = strcmp(protocol, "tcp") == 0    ? NETMAP_TCP
                    : strcmp(protocol, "udp") == 0  ? NETMAP_UDP
                    : strcmp(protocol, "icmp") == 0 ? NETMAP_ICMP
                                                    : NETMAP_ANY;
    one->port_first = (uint16_t) first;
    one->port_last = (uint16_t) last;
}


/* The text, and only what lies between a chain's braces unless that is NULL. */
static char *
said(const struct netmap *map, const struct firewall_route *routes,
     size_t route_count, const char *chain)
{
    char id[NETMAP_ID_SIZE], head[64], *text, *begin, *part;
    struct error error;
    struct firewall firewall = {NULL, 0, 0};
    struct firewall_self self;

    fixture_id(0, id);
    memset(&self, 0, sizeof(self));
    self.peer_id = id;
    self.name = "gc-lan";
    self.lan = "";
    self.ip_address = fixture_prefix("10.64.0.0").address;
    self.ip6_address = fixture_prefix("fd00:64::").address;
    self.routes = routes;
    self.route_count = route_count;
    cr_assert_eq(firewall_add(&firewall, map, &self, &error), 0, "%s",
                 error.text);
    text = firewall_rules(&firewall, NULL, 0);
    cr_assert_not_null(text);
    firewall_clear(&firewall);
    cr_assert_eq(firewall.count, 0);

    if (chain == NULL) {
        return text;
    }

    (void) snprintf(head, sizeof(head), " chain %s {\n", chain);
    begin = strstr(text, head);
    cr_assert_not_null(begin, "no chain %s in %s", chain, text);
    begin += strlen(head);
    part = strndup(begin, (size_t) (strstr(begin, " }\n") - begin));
    free(text);

    return part;
}


static void
expect(const struct netmap *map, const char *chain, const char *wanted)
{
    char *text;

    text = said(map, NULL, 0, chain);
    cr_expect_str_eq(text, wanted, "%s", text);
    free(text);
}


#define NOTHING                  \
    "add table inet goconnect\n" \
    "delete table inet goconnect\n"

#define ANSWERS                     \
    "  ct state related return\n"   \
    "  ct direction reply return\n" \
    "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } return\n"


Test(firewall, no_network_no_table)
{
    struct firewall firewall = {NULL, 0, 0};
    char *text;

    text = firewall_rules(&firewall, NULL, 0);
    cr_expect_str_eq(text, NOTHING);
    free(text);
}


Test(firewall, a_network_is_open_inside_and_closed_to_the_outside)
{
    struct netmap *map;

    map = mesh(3);
    expect(map, NULL,
           NOTHING
           "table inet goconnect {\n"
           " chain prerouting {\n"
           "  type filter hook prerouting priority raw; policy accept;\n"
           "  iifname != { \"gc-lan\" } ip saddr 10.64.0.0/10 "
           "fib saddr oifname { \"gc-lan\" } drop\n"
           "  iifname != { \"gc-lan\" } ip6 saddr fd00:64::/64 "
           "fib saddr oifname { \"gc-lan\" } drop\n"
           " }\n"
           " chain local_0 {\n"
           "  ip daddr 10.64.0.0 return\n"
           "  ip6 daddr fd00:64:: return\n"
           "  ip6 daddr fe80::/10 return\n"
           "  drop\n"
           " }\n"
           " chain input_0 {\n"
           "  fib daddr type local jump local_0\n"
           "  udp dport 51821 return\n"
           " }\n"
           " chain input {\n"
           "  type filter hook input priority filter; policy accept;\n"
           "  iifname { \"gc-lan\" } jump input_0\n"
           " }\n"
           " chain forward {\n"
           "  type filter hook forward priority filter; policy accept;\n"
           "  iifname \"gc-lan\" drop\n"
           "  oifname \"gc-lan\" drop\n"
           " }\n"
           " chain output {\n"
           "  type filter hook output priority filter; policy accept;\n"
           " }\n"
           "}\n");
    netmap_destroy(map);
}


Test(firewall, a_peer_more_changes_nothing_while_the_network_is_open)
{
    struct netmap *map;
    char *few, *many;

    map = mesh(3);
    few = said(map, NULL, 0, NULL);
    netmap_destroy(map);
    map = mesh(300);
    many = said(map, NULL, 0, NULL);
    netmap_destroy(map);
    cr_expect_str_eq(few, many);
    free(few);
    free(many);
}


Test(firewall, the_first_rule_that_matches_decides)
{
    struct netmap *map;
    char text[128], id[NETMAP_ID_SIZE];

    map = mesh(4);
    strcpy(map->peers[1].role, "admin");
    strcpy(map->peers[2].role, "admin");
    fixture_id(3, id);
    rule(map, "allow role:admin any tcp 22 22");
    (void) snprintf(text, sizeof(text), "deny peer:%s any udp 100 200", id);
    rule(map, text);
    rule(map, "deny role:owner any any 0 0"); /* nobody is */
    rule(map, "deny 10.64.1.0/24 any icmp 0 0");
    rule(map, "deny any any tcp 0 0");
    expect(map, "rules_0",
           ANSWERS
           "  ip saddr @s0_1_ip meta l4proto tcp th dport 22 return\n"
           "  ip6 saddr @s0_1_ip6 meta l4proto tcp th dport 22 return\n"
           "  ip saddr 10.64.0.3/32 meta l4proto udp th dport 100-200 drop\n"
           "  ip6 saddr fd00:64::3/128 meta l4proto udp th dport 100-200 "
           "drop\n"
           "  ip saddr 10.64.1.0/24 meta l4proto { icmp, ipv6-icmp } drop\n"
           "  meta l4proto tcp drop\n");
    expect(map, "input_0",
           "  fib daddr type local jump local_0\n"
           "  udp dport 51821 return\n"
           "  jump rules_0\n");
    netmap_destroy(map);
}


Test(firewall, only_rules_about_us_are_laid)
{
    struct netmap *map;
    char text[128], id[NETMAP_ID_SIZE];

    map = mesh(3);
    strcpy(map->peers[0].role, "owner");
    fixture_id(1, id);
    (void) snprintf(text, sizeof(text), "deny any peer:%s any 0 0", id);
    rule(map, text);
    rule(map, "deny any role:member any 0 0");
    rule(map, "deny any 10.64.9.0/24 any 0 0");
    rule(map, "deny any role:owner udp 7 7");
    rule(map, "deny any 10.64.0.0/24 udp 8 8");
    rule(map, "deny any tag:server any 0 0");
    expect(map, "rules_0",
           ANSWERS "  meta l4proto udp th dport 7 drop\n"
                   "  ip daddr 10.64.0.0/24 meta l4proto udp th dport 8 "
                   "drop\n");
    netmap_destroy(map);
}


Test(firewall, ports_without_a_protocol_are_those_of_tcp_and_udp)
{
    struct netmap *map;

    map = mesh(1);
    rule(map, "deny any any any 5 6");
    expect(map, "rules_0",
           ANSWERS "  meta l4proto { tcp, udp } th dport 5-6 drop\n");
    netmap_destroy(map);
}


Test(firewall, a_gateway_forwards_for_its_devices_alone)
{
    struct netmap *map;

    map = network(0);
    expect(map, "from_0",
           "  oifname \"gc-lan\" ip saddr { 10.64.0.1, 10.64.0.2 } accept\n"
           "  oifname \"gc-lan\" ip daddr { 10.64.0.1, 10.64.0.2 } accept\n"
           "  oifname \"gc-lan\" ip6 saddr { fd00:64::1, fd00:64::2 } accept\n"
           "  oifname \"gc-lan\" ip6 daddr { fd00:64::1, fd00:64::2 } accept\n"
           "  drop\n");
    expect(map, "to_0", "  drop\n");
    expect(map, "forward",
           "  type filter hook forward priority filter; policy accept;\n"
           "  iifname \"gc-lan\" jump from_0\n"
           "  oifname \"gc-lan\" jump to_0\n");
    expect(map, "output",
           "  type filter hook output priority filter; policy accept;\n"
           "  oifname \"gc-lan\" icmp type redirect drop\n"
           "  oifname \"gc-lan\" icmpv6 type nd-redirect drop\n");
    netmap_destroy(map);

    /* another one is it */
    map = network(3);
    expect(map, "forward",
           "  type filter hook forward priority filter; policy accept;\n"
           "  iifname \"gc-lan\" drop\n"
           "  oifname \"gc-lan\" drop\n");
    netmap_destroy(map);
}


Test(firewall, a_gateway_enforces_rules_for_its_devices)
{
    struct netmap *map;
    char text[128], id[NETMAP_ID_SIZE];

    map = network(0);
    fixture_id(1, id);
    (void) snprintf(text, sizeof(text), "deny any peer:%s tcp 80 80", id);
    rule(map, text);
    expect(map, "rules_0",
           ANSWERS
           "  ip daddr 10.64.0.1/32 meta l4proto tcp th dport 80 drop\n"
           "  ip6 daddr fd00:64::1/128 meta l4proto tcp th dport 80 drop\n");
    netmap_destroy(map);
}


Test(firewall, routes_and_exits)
{
    struct firewall_route routes[3];
    struct netmap *map;
    char *text;

    memset(routes, 0, sizeof(routes));
    routes[0].prefix = fixture_prefix("192.168.7.0/24");
    strcpy(routes[0].name, "eth1");
    routes[1].prefix = fixture_prefix("0.0.0.0/0");
    strcpy(routes[1].name, "eth0");
    routes[1].masquerade = true;
    routes[2].prefix = fixture_prefix("10.9.0.0/16");
    strcpy(routes[2].name, "odd\"");
    map = mesh(2);
    text = said(map, routes, 3, "from_0");
    cr_expect_str_eq(
        text,
        "  oifname \"eth1\" ip saddr 10.64.0.0/10 ip daddr 192.168.7.0/24 "
        "accept\n"
        "  oifname \"eth0\" ip saddr 10.64.0.0/10 ip daddr != { 0.0.0.0/8, "
        "10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, "
        "172.16.0.0/12, 192.168.0.0/16, 224.0.0.0/3 } accept\n"
        "  drop\n");
    free(text);
    text = said(map, routes, 3, "to_0");
    cr_expect_str_eq(text,
                     "  ct state related accept\n"
                     "  ct direction reply accept\n"
                     "  iifname \"eth1\" ip saddr 192.168.7.0/24 ip daddr "
                     "10.64.0.0/10 accept\n"
                     "  drop\n");
    free(text);
    text = said(map, routes, 3, "postrouting");
    cr_expect_str_eq(text, "  type nat hook postrouting priority srcnat; "
                           "policy accept;\n"
                           "  oifname \"eth0\" ip saddr 10.64.0.0/10 ip daddr "
                           "0.0.0.0/0 masquerade\n");
    free(text);
    text = said(map, routes, 3, "local_0");
    cr_expect_str_eq(text, "  ip daddr 10.64.0.0 return\n"
                           "  ip6 daddr fd00:64:: return\n"
                           "  ip daddr 192.168.7.0/24 return\n"
                           "  ip6 daddr fe80::/10 return\n"
                           "  drop\n");
    free(text);
    netmap_destroy(map);
}


Test(firewall, what_forwards_for_our_sake_leads_to_us_alone)
{
    static const char guarded[1][ACTUAL_NAME_SIZE] = {"eth1"};
    struct error error;
    struct firewall firewall = {NULL, 0, 0};
    struct firewall_self self = {.peer_id = "x", .name = "gc-a", .lan = "gv-a"};
    struct netmap *map;
    char *text;

    map = mesh(1);
    cr_assert_eq(firewall_add(&firewall, map, &self, &error), 0);
    self.name = "gc-b";
    self.lan = "";
    cr_assert_eq(firewall_add(&firewall, map, &self, &error), 0);
    text = firewall_rules(&firewall, guarded, 1);
    cr_expect_not_null(
        strstr(text, " set switched { type ifname; elements = { \"eth1\" }"));
    cr_expect_not_null(
        strstr(text, "  iifname @switched oifname != { \"gc-a\", \"gv-a\", "
                     "\"gc-b\" } drop\n"));
    free(text);
    firewall_clear(&firewall);
    netmap_destroy(map);
}


Test(firewall, an_odd_name_is_refused)
{
    static const char *const odd[] = {"gc\"", "gc-*", "gc\n",
                                      "a-name-too-long-", "gc lan"};
    struct error error;
    struct firewall firewall = {NULL, 0, 0};
    struct firewall_self self = {.peer_id = "x", .lan = ""};
    struct netmap *map;
    size_t i;

    map = mesh(1);

    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        self.name = odd[i];
        cr_expect_eq(firewall_add(&firewall, map, &self, &error), -1);
        cr_expect_eq(error.code, ERROR_INVALID);
    }

    cr_expect_eq(firewall.count, 0);
    firewall_clear(&firewall);
    netmap_destroy(map);
}


Test(firewall, too_many_addresses_are_refused)
{
    struct error error;
    struct firewall firewall = {NULL, 0, 0};
    struct firewall_self self = {.peer_id = "x", .name = "gc-a", .lan = ""};
    struct netmap *map;

    map = mesh(3);
    rule(map, "deny role:member any any 0 0");
    firewall.elements = FIREWALL_ELEMENTS_MAX - 6;
    cr_expect_eq(firewall_add(&firewall, map, &self, &error), 0);
    cr_expect_eq(firewall_add(&firewall, map, &self, &error), -1);
    cr_expect_eq(error.code, ERROR_TOO_BIG);
    cr_expect_eq(firewall.count, 1);
    firewall_clear(&firewall);
    netmap_destroy(map);
}
