/* Subnets behind peers: who carries them, what stands against it, and what is
 * looked at when nothing is sent. */

#include "plan_fixture.h"

#include "plan/routes.h"

#define SUBNET "192.168.77.0/24"

struct world {
    struct netmap *map;
    struct desired *desired;
    struct routes routes;
    struct routes_around around;
    struct actual_interface interface;
    char self[NETMAP_ID_SIZE];
    char dead[NETMAP_ID_SIZE];
    uint32_t rtt_us; /* of the greatest id */
    unsigned asked;
};


static struct netmap *
world_map(const char *subnet, bool lan)
{
    struct netmap *map;
    struct error error;
    json_t *data = fixture_part(0, 1, 1, fixture_peers(0, 4));
    size_t i;

    if (lan) {
        json_object_set_new(json_object_get(data, "network"), "mode",
                            json_string("l2"));
    }

    /* 0 is ourselves; 1 and 2 offer it */
    for (i = 0; i < 3; i++) {
        json_object_set_new(json_array_get(json_object_get(data, "peers"), i),
                            "routes", json_pack("[ss]", subnet, "0.0.0.0/0"));
    }

    map = netmap_from_json(data, &error);
    cr_assert_not_null(map, "%s", error.text);
    json_decref(data);

    return map;
}


static bool
world_alive(void *arg, const struct netmap_peer *peer, uint32_t *rtt_us)
{
    struct world *world = arg;
    char last[NETMAP_ID_SIZE];

    fixture_id(2, last);
    *rtt_us = strcmp(peer->id, last) == 0 ? world->rtt_us : 20000;

    return strcmp(peer->id, world->dead) != 0;
}


static void
world_open(struct world *world, const char *subnet, bool lan)
{
    memset(world, 0, sizeof(*world));
    fixture_id(0, world->self);
    world->rtt_us = 30000;
    world->map = world_map(subnet, lan);
    world->around.peer_id = world->self;
    world->around.ipv6 = true;
    world->around.alive = world_alive;
    world->around.arg = world;
}


static void
world_wish(struct world *world)
{
    struct desired_self self = fixture_self("gc-x", 4000);
    struct error error;

    desired_destroy(world->desired);
    world->desired = desired_create(world->map, &self, NULL, &error);
    cr_assert_not_null(world->desired);
    cr_assert_eq(routes_desire(&world->routes, world->map, &world->around,
                               world->desired),
                 0);
}


static void
world_close(struct world *world)
{
    desired_destroy(world->desired);
    netmap_destroy(world->map);
    routes_clear(&world->routes);
}


/* The peers that have the subnet, as digits; "" for none. */
static const char *
world_carriers(const struct world *world, const char *subnet)
{
    static char text[8];
    struct prefix prefix = fixture_prefix(subnet);
    struct key key;
    unsigned n;
    size_t i, k, used = 0;

    for (n = 0; n < 4; n++) {
        key = fixture_key(n);

        for (i = 0; i < world->desired->peer_count; i++) {
            const struct desired_peer *peer = &world->desired->peers[i];

            for (k = 0; key_compare(&peer->public_key, &key) == 0 &&
                        k < peer->allowed_count;
                 k++) {
                if (prefix_compare(&peer->allowed[k], &prefix) == 0) {
                    text[used++] = (char) ('0' + n);
                }
            }
        }
    }

    text[used] = '\0';

    return text;
}


static void
world_accept(struct world *world, const char *text, bool on)
{
    struct prefix prefix = fixture_prefix(text);

    cr_assert(routes_accept(&world->routes, &prefix, on));
}


Test(routes, only_what_is_accepted_and_by_one_peer)
{
    struct world world;

    world_open(&world, SUBNET, false);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "");
    cr_assert_eq(world.desired->route_count, 2);

    world_accept(&world, SUBNET, true);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "1");
    cr_assert_eq(world.desired->route_count, 3);
    cr_assert_eq(world.routes.subnets[0].offers, 2);

    /* never the whole internet */
    routes_accept_all(&world.routes, true);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "1");
    cr_assert_str_eq(world_carriers(&world, "0.0.0.0/0"), "");
    world_accept(&world, SUBNET, false);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "");
    world_accept(&world, SUBNET, true);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "1");
    routes_accept_all(&world.routes, false);
    world_wish(&world);
    cr_assert_eq(world.routes.count, 0);
    world_close(&world);
}


Test(routes, the_next_takes_over)
{
    struct world world;

    world_open(&world, SUBNET, false);
    world_accept(&world, SUBNET, true);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "1");
    fixture_id(1, world.dead);
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "2");

    /* back again, and only a little better */
    world.dead[0] = '\0';
    world.rtt_us = 21000;
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "2");
    world_close(&world);
}


Test(routes, who_had_it_before_a_restart_keeps_it)
{
    struct world world;
    struct prefix subnet = fixture_prefix(SUBNET);
    struct actual_peer peer;

    world_open(&world, SUBNET, false);
    world_accept(&world, SUBNET, true);
    memset(&peer, 0, sizeof(peer));
    peer.public_key = fixture_key(2);
    peer.allowed = &subnet;
    peer.allowed_count = 1;
    world.interface.peers = &peer;
    world.interface.peer_count = 1;
    world.around.interface = &world.interface;
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "2");
    world_close(&world);
}


Test(routes, conflicts_are_named)
{
    static const struct {
        const char *local;
        const char *network;
        const char *text; /* NULL: none */
    } cases[] = {
        {"192.168.77.5/24", NULL, "192.168.77.0/24, which this device"},
        {"192.168.0.5/16", NULL, "192.168.0.0/16, which this device"},
        {"192.168.77.5/28", NULL, NULL},
        {"10.1.2.3/8", "10.50.0.0/16", NULL},
        {NULL, "192.168.77.128/25", "overlaps network Games"},
        {NULL, "192.168.0.0/16", "overlaps network Games"},
    };
    struct routes_network other;
    struct prefix local;
    struct world world;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_open(&world, SUBNET, false);
        world_accept(&world, SUBNET, true);
        memset(&other, 0, sizeof(other));
        other.name = "Games";

        if (cases[i].local != NULL) {
            local = fixture_prefix(cases[i].local);
            world.around.local = &local;
            world.around.local_count = 1;
        }

        if (cases[i].network != NULL) {
            other.cidr = fixture_prefix(cases[i].network);
            world.around.networks = &other;
            world.around.network_count = 1;
        }

        world_wish(&world);
        cr_assert_str_eq(world_carriers(&world, SUBNET),
                         cases[i].text == NULL ? "1" : "");

        if (cases[i].text != NULL) {
            cr_assert_not_null(
                strstr(world.routes.subnets[0].problem, cases[i].text), "%s",
                world.routes.subnets[0].problem);
        }

        world_close(&world);
    }
}


Test(routes, not_everywhere)
{
    struct actual_peer peer;
    struct prefix subnet = fixture_prefix(SUBNET);
    struct world world;

    world_open(&world, SUBNET, true);
    world_accept(&world, SUBNET, true);
    world_wish(&world);
    cr_assert_not_null(strstr(world.routes.subnets[0].problem, "mode l2"));
    world_close(&world);

    world_open(&world, "fd77::/64", false);
    world_accept(&world, "fd77::/64", true);
    world.around.ipv6 = false;
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, "fd77::/64"), "");
    cr_assert_not_null(strstr(world.routes.subnets[0].problem, "IPv6"));
    world.around.ipv6 = true;
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, "fd77::/64"), "1");
    world_close(&world);

    /* another route there: not for a while */
    world_open(&world, SUBNET, false);
    world_accept(&world, SUBNET, true);
    world_wish(&world);
    cr_assert(routes_foreign(&world.routes, &subnet, 0));
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "");
    world.around.now_ms = ROUTES_FOREIGN_MS;
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "1");

    /* a tunnel whose own packets would go by itself */
    memset(&peer, 0, sizeof(peer));
    peer.public_key = fixture_key(1);
    peer.endpoint = fixture_endpoint("192.168.77.1:4000");
    world.interface.peers = &peer;
    world.interface.peer_count = 1;
    world.around.interface = &world.interface;
    world_wish(&world);
    cr_assert_str_eq(world_carriers(&world, SUBNET), "");
    world_close(&world);
}


static void
world_ask(void *arg, const char *peer_id)
{
    struct world *world = arg;

    (void) peer_id;
    world->asked++;
}


static unsigned
world_look(struct world *world, uint64_t now_ms)
{
    world->asked = 0;
    (void) routes_look(&world->routes, world->map, &world->interface, 1000,
                       now_ms, world_ask, world);

    return world->asked;
}


Test(routes, an_idle_subnet_sends_nothing)
{
    struct actual_peer peer;
    struct world world;

    world_open(&world, SUBNET, false);
    world_accept(&world, SUBNET, true);
    world_wish(&world);
    memset(&peer, 0, sizeof(peer));
    peer.public_key = fixture_key(1);
    peer.handshake_s = 990;
    peer.tx_bytes = 100000;
    world.interface.peers = &peer;
    world.interface.peer_count = 1;

    /* a session, with what it costs by itself */
    cr_assert_eq(world_look(&world, 1000), 0);
    peer.tx_bytes += 148;
    peer.rx_bytes += 92;
    cr_assert_eq(world_look(&world, 11000), 0);

    /* all who offer it are asked under traffic (ourselves too, who know) */
    peer.tx_bytes += 2000;
    cr_assert_geq(world_look(&world, 21000), 2);
    cr_assert_eq(world_look(&world, 31000), 0);

    /* no session: one that cannot be made is asked once in a while */
    peer.handshake_s = 0;
    cr_assert_eq(world_look(&world, 41000), 0);
    peer.tx_bytes += 148;
    cr_assert_geq(world_look(&world, 51000), 2);
    peer.tx_bytes += 148;
    cr_assert_eq(world_look(&world, 61000), 0);
    cr_assert_eq(world_look(&world, 51000 + 2 * ROUTES_AGAIN_MS), 0);
    peer.tx_bytes += 148;
    cr_assert_geq(world_look(&world, 52000 + 2 * ROUTES_AGAIN_MS), 2);
    world_close(&world);
}


Test(routes, an_exit_carries_all_of_a_family)
{
    struct key key = fixture_key(2), nobody = fixture_key(77);
    struct world world;

    world_open(&world, SUBNET, false);
    world_wish(&world);
    cr_assert_eq(desired_allow_all(world.desired, &nobody, true, true), 0);
    cr_assert_str_eq(world_carriers(&world, "0.0.0.0/0"), "");
    cr_assert_eq(desired_allow_all(world.desired, &key, true, false), 0);
    cr_assert_str_eq(world_carriers(&world, "0.0.0.0/0"), "2");
    cr_assert_str_eq(world_carriers(&world, "::/0"), "");
    cr_assert_eq(desired_allow_all(world.desired, &key, false, true), 0);
    cr_assert_str_eq(world_carriers(&world, "::/0"), "2");
    cr_assert_eq(world.desired->route_count, 2); /* by no route of ours */
    world_close(&world);
}
