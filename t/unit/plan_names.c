#include "plan_fixture.h"

#include "plan/names.h"
#include "plan/names_top.h"


static struct netmap *
network(const char *domain, unsigned peers)
{
    struct netmap *map;
    size_t i;

    map = fixture_map(1, peers, 1);
    (void) snprintf(map->domain, sizeof(map->domain), "%s", domain);

    for (i = 0; i < map->peer_count; i++) {
        (void) snprintf(map->peers[i].name, NETMAP_LABEL_SIZE, "pc%zu", i + 1);
    }

    return map;
}


static char *
hosts(const struct netmap *const *maps, size_t count)
{
    struct names names;
    struct error error;
    char *text;

    cr_assert_eq(names_collect(&names, maps, count, &error), 0);
    text = names_hosts(&names);
    cr_assert_not_null(text);
    names_clear(&names);

    return text;
}


Test(names, labels)
{
    cr_expect(names_label("a"));
    cr_expect(names_label("xn--bcher-kva"));
    cr_expect_not(names_label(""));
    cr_expect_not(names_label("-a"));
    cr_expect_not(names_label("a-"));
    cr_expect_not(names_label("A"));
    cr_expect_not(names_label("a.b"));
    cr_expect_not(names_label("a b"));
    cr_expect_not(names_label("a\n127.0.0.1"));
    cr_expect_not(names_label("b\xc3\xbc"));
}


Test(names, a_domain_never_covers_a_domain_of_the_world)
{
    struct netmap *map;

    map = network("lan.friends.gc", 1);
    cr_expect(names_domain(map));
    strcpy(map->domain, "com");
    cr_expect_not(names_domain(map));
    strcpy(map->domain, "example.com");
    cr_expect_not(names_domain(map));
    strcpy(map->domain, "lan..gc");
    cr_expect_not(names_domain(map));
    strcpy(map->domain, "lan.friends.gc.");
    cr_expect_not(names_domain(map));
    strcpy(map->domain, "");
    cr_expect_not(names_domain(map));
    netmap_destroy(map);
}


Test(names, a_full_name_means_its_peer)
{
    struct netmap *map;
    struct address address;
    const struct netmap_peer *peer;

    map = network("lan.friends.gc", 3);
    peer = names_peer(map, "pc2.lan.friends.gc");
    cr_assert_not_null(peer);
    cr_expect_str_eq(peer->name, "pc2");
    cr_expect_null(names_peer(map, "pc4.lan.friends.gc"));
    cr_expect_null(names_peer(map, "pc.lan.friends.gc"));
    cr_expect_null(names_peer(map, "pc22.lan.friends.gc"));
    cr_expect_null(names_peer(map, "lan.friends.gc"));
    cr_expect_null(names_peer(map, ".lan.friends.gc"));
    cr_expect_null(names_peer(map, "pc2.xlan.friends.gc"));
    cr_expect_null(names_peer(map, "pc2lan.friends.gc"));
    cr_expect_null(names_peer(map, "a.pc2.lan.friends.gc"));
    cr_expect(names_inside(map, "a.pc2.lan.friends.gc"));
    cr_expect(names_inside(map, "lan.friends.gc"));
    cr_expect_not(names_inside(map, "friends.gc"));
    cr_expect_not(names_inside(map, "xlan.friends.gc"));
    cr_expect_eq(names_peer_at(map, &peer->ip_address), peer);
    cr_expect_eq(names_peer_at(map, &peer->ip6_address), peer);
    cr_assert(address_parse("192.0.2.1", &address));
    cr_expect_null(names_peer_at(map, &address));
    netmap_destroy(map);
}


Test(names, the_table_has_short_forms)
{
    struct netmap *map;
    char *text;

    map = network("lan.friends.gc", 2);
    text = hosts((const struct netmap *const *) &map, 1);
    cr_expect_str_eq(text, "10.64.0.1 pc1.lan.friends.gc pc1.lan pc1\n"
                           "fd00:64::1 pc1.lan.friends.gc pc1.lan pc1\n"
                           "10.64.0.2 pc2.lan.friends.gc pc2.lan pc2\n"
                           "fd00:64::2 pc2.lan.friends.gc pc2.lan pc2\n");
    free(text);
    netmap_destroy(map);
}


Test(names, an_ambiguous_short_form_is_none)
{
    struct netmap *maps[3];
    char *text;

    maps[0] = network("lan.friends.gc", 1);
    maps[1] = network("lan.work.gc", 1);
    maps[2] = network("fun-2.friends.gc", 2);
    text = hosts((const struct netmap *const *) maps, 3);
    cr_expect_str_eq(text, "10.64.0.1 pc1.fun-2.friends.gc pc1.fun-2\n"
                           "fd00:64::1 pc1.fun-2.friends.gc pc1.fun-2\n"
                           "10.64.0.1 pc1.lan.friends.gc\n"
                           "fd00:64::1 pc1.lan.friends.gc\n"
                           "10.64.0.1 pc1.lan.work.gc\n"
                           "fd00:64::1 pc1.lan.work.gc\n"
                           "10.64.0.2 pc2.fun-2.friends.gc pc2.fun-2 pc2\n"
                           "fd00:64::2 pc2.fun-2.friends.gc pc2.fun-2 pc2\n");
    free(text);
    netmap_destroy(maps[0]);
    netmap_destroy(maps[1]);
    netmap_destroy(maps[2]);
}


/* A member who calls his device "epic" in a network "games" is not epic.games,
 * and one called "wpad" configures nobody's browser. */
Test(names, nothing_of_the_world_is_shadowed)
{
    struct netmap *map;
    char *text;

    map = network("games.friends.gc", 2);
    strcpy(map->peers[0].name, "epic");
    strcpy(map->peers[1].name, "wpad");
    text = hosts((const struct netmap *const *) &map, 1);
    cr_expect_str_eq(text, "10.64.0.1 epic.games.friends.gc epic\n"
                           "fd00:64::1 epic.games.friends.gc epic\n"
                           "10.64.0.2 wpad.games.friends.gc\n"
                           "fd00:64::2 wpad.games.friends.gc\n");
    free(text);
    netmap_destroy(map);

    cr_expect(names_top("com"));
    cr_expect(names_top("aaa"));
    cr_expect(names_top("zuerich"));
    cr_expect(names_top("de"));
    cr_expect(names_top("local"));
    cr_expect(names_top("xn--p1ai"));
    cr_expect_not(names_top("lan"));
    cr_expect_not(names_top("comx"));
    cr_expect_not(names_top("co-m"));
}


Test(names, what_is_no_name_is_left_out)
{
    struct netmap *map;
    char *text;

    map = network("lan.friends.gc", 3);
    strcpy(map->peers[0].name, "a\n1.2.3.4 b");
    strcpy(map->peers[1].name, "");
    strcpy(map->peers[2].name, "pc3");
    text = hosts((const struct netmap *const *) &map, 1);
    cr_expect_str_eq(text, "10.64.0.3 pc3.lan.friends.gc pc3.lan pc3\n"
                           "fd00:64::3 pc3.lan.friends.gc pc3.lan pc3\n");
    free(text);

    /* of two that say the same name the first one has it */
    strcpy(map->peers[0].name, "pc3");
    text = hosts((const struct netmap *const *) &map, 1);
    cr_expect_str_eq(text, "10.64.0.1 pc3.lan.friends.gc pc3.lan pc3\n"
                           "fd00:64::1 pc3.lan.friends.gc pc3.lan pc3\n");
    free(text);

    strcpy(map->domain, "com");
    text = hosts((const struct netmap *const *) &map, 1);
    cr_expect_str_eq(text, "");
    free(text);
    netmap_destroy(map);
}


Test(names, reverse_names)
{
    static const struct {
        const char *name;
        const char *prefix; /* NULL: none */
    } cases[] = {
        {"1.2.3.10.in-addr.arpa", "10.3.2.1/32"},
        {"3.10.in-addr.arpa", "10.3.0.0/16"},
        {"255.in-addr.arpa", "255.0.0.0/8"},
        {"256.in-addr.arpa", NULL},
        {"01.in-addr.arpa", NULL},
        {"a.in-addr.arpa", NULL},
        {"1.1.2.3.10.in-addr.arpa", NULL},
        {"in-addr.arpa", NULL},
        {".in-addr.arpa", NULL},
        {"1..10.in-addr.arpa", NULL},
        {"d.f.ip6.arpa", "fd00::/8"},
        {"1.0.d.f.ip6.arpa", "fd01::/16"},
        {"a.1.0.d.f.ip6.arpa", "fd01:a000::/20"},
        {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.6.0.0.0.0.d.f."
         "ip6.arpa",
         "fd00:64::1/128"},
        {"1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.6.0.0.0.0.d.f."
         "ip6.arpa",
         NULL},
        {"10.ip6.arpa", NULL},
        {"g.ip6.arpa", NULL},
        {"example.com", NULL},
    };
    char text[ADDRESS_TEXT];
    size_t i;
    struct prefix prefix;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].prefix == NULL) {
            cr_expect_not(names_reverse(cases[i].name, &prefix), "%s",
                          cases[i].name);
            continue;
        }

        cr_assert(names_reverse(cases[i].name, &prefix), "%s", cases[i].name);
        cr_expect_str_eq(prefix_format(&prefix, text), cases[i].prefix);
    }
}


Test(names, zones_are_the_network_and_not_a_label_more)
{
    static const struct {
        const char *cidr;
        size_t count; /* with the domain and the one of fd00:64::/64 */
        const char *first;
        const char *last;
    } cases[] = {
        {"10.64.0.0/16", 3, "64.10.in-addr.arpa", "64.10.in-addr.arpa"},
        {"10.64.4.0/22", 6, "4.64.10.in-addr.arpa", "7.64.10.in-addr.arpa"},
        {"10.64.0.128/25", 130, "128.0.64.10.in-addr.arpa",
         "255.0.64.10.in-addr.arpa"},
        {"10.0.0.0/9", 130, "0.10.in-addr.arpa", "127.10.in-addr.arpa"},
        {"10.0.0.0/8", 3, "10.in-addr.arpa", "10.in-addr.arpa"},
    };
    static struct names_zone zones[NAMES_ZONES_MAX];
    struct netmap *map;
    size_t i, count;

    map = network("lan.friends.gc", 1);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert(prefix_parse(cases[i].cidr, &map->cidr));
        count = names_zones(map, zones);
        cr_assert_eq(count, cases[i].count, "%s: %zu", cases[i].cidr, count);
        cr_expect_str_eq(zones[0].name, "lan.friends.gc");
        cr_expect_str_eq(zones[1].name, cases[i].first);
        cr_expect_str_eq(zones[count - 2].name, cases[i].last);
        cr_expect_str_eq(zones[count - 1].name,
                         "0.0.0.0.0.0.0.0.4.6.0.0.0.0.d.f.ip6.arpa");
    }

    cr_assert(prefix_parse("fd00:64::/61", &map->cidr6));
    count = names_zones(map, zones);
    cr_expect_eq(count, 10);
    cr_expect_str_eq(zones[9].name, "7.0.0.0.0.0.0.0.4.6.0.0.0.0.d.f.ip6.arpa");
    netmap_destroy(map);
}


Test(names, only_our_lines_of_a_hosts_file_change)
{
    static const struct {
        const char *file;
        const char *table;
        const char *want;
    } cases[] = {
        {"127.0.0.1 localhost\n", "", "127.0.0.1 localhost\n"},
        {"127.0.0.1 localhost", "", "127.0.0.1 localhost"},
        {"127.0.0.1 localhost", "10.0.0.1 a\n",
         "127.0.0.1 localhost\n" NAMES_BEGIN "\n10.0.0.1 a\n" NAMES_END "\n"},
        {"1 a\n" NAMES_BEGIN "\n10.0.0.1 a\n" NAMES_END "\n2 b\n",
         "10.0.0.2 c\n",
         "1 a\n2 b\n" NAMES_BEGIN "\n10.0.0.2 c\n" NAMES_END "\n"},
        {"1 a\n" NAMES_BEGIN "\n10.0.0.1 a\n" NAMES_END "\n2 b\n", "",
         "1 a\n2 b\n"},
        /* somebody has cut our end off: what follows may be theirs */
        {"1 a\n" NAMES_BEGIN "\n10.0.0.1 a\n2 b\n", "",
         "1 a\n" NAMES_BEGIN "\n10.0.0.1 a\n2 b\n"},
        {"", "10.0.0.1 a\n", NAMES_BEGIN "\n10.0.0.1 a\n" NAMES_END "\n"},
    };
    char *text, *again;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = names_merge(cases[i].file, cases[i].table);
        cr_expect_str_eq(text, cases[i].want, "case %zu: %s", i, text);
        again = names_merge(text, cases[i].table);
        cr_expect_str_eq(again, text, "case %zu is idempotent", i);
        free(again);
        free(text);
    }
}
