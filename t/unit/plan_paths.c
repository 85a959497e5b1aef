/*
 * The choice of endpoints, with simulated time: what is tried, when the next
 * one's turn comes, and what is left alone.
 */

#include "plan_fixture.h"

#include "plan/paths.h"


/* A world of one network in which peer 1 is watched. */
struct world {
    struct netmap *map;
    struct paths *paths;
    struct paths_local local;
    struct actual_peer peer;
    struct actual_interface interface;
    uint64_t now;
    char self[NETMAP_ID_SIZE];
};


static void
offer(struct world *world, const char *const *endpoints)
{
    struct netmap_peer *peer;
    char id[NETMAP_ID_SIZE];
    size_t i;

    fixture_id(1, id);
    peer = (struct netmap_peer *) netmap_find(world->map, id);
    peer->endpoint_count = 0;

    for (i = 0; endpoints[i] != NULL; i++) {
        peer->endpoints[peer->endpoint_count++] =
            fixture_endpoint(endpoints[i]);
    }

    cr_assert_eq(paths_set_netmap(world->paths, world->map, world->self), 0);
}


/* The peer's present endpoint, as the system would have it. */
static const char *
chosen(struct world *world)
{
    static char text[ADDRESS_TEXT];
    struct endpoint endpoint;

    if (!paths_endpoint(world->paths, &world->peer.public_key, &endpoint)) {
        return "none";
    }

    return endpoint_format(&endpoint, text);
}


static struct world
begin(const char *const *subnets, const char *const *endpoints)
{
    struct world world;
    size_t i;

    memset(&world, 0, sizeof(world));
    world.map = fixture_map(0, 3, 1);
    world.paths = paths_create();
    world.now = 1000000;
    fixture_id(0, world.self);
    world.peer.public_key = fixture_key(1);
    world.interface.peer_count = 1;
    world.local.default4 = true;

    for (i = 0; subnets[i] != NULL; i++) {
        world.local.subnets[i] = fixture_prefix(subnets[i]);
        world.local.own[i] = world.local.subnets[i].address;
        world.local.subnet_count++;
        world.local.own_count++;
    }

    paths_set_local(world.paths, &world.local);
    offer(&world, endpoints);

    return world;
}


static void
end(struct world *world)
{
    paths_destroy(world->paths);
    netmap_destroy(world->map);
}


/* Time passes, then the counters are looked at. */
static size_t
after(struct world *world, uint64_t ms)
{
    struct endpoint endpoint;
    size_t changed;

    world->now += ms;
    world->interface.peers = &world->peer;

    if (world->peer.endpoint.address.family == ADDRESS_NONE &&
        paths_endpoint(world->paths, &world->peer.public_key, &endpoint)) {
        world->peer.endpoint = endpoint;
    }

    changed = paths_observe(world->paths, &world->interface, world->now);

    if (changed > 0) {
        cr_assert(paths_endpoint(world->paths, &world->peer.public_key,
                                 &world->peer.endpoint));
    }

    return changed;
}


static const char *const lan[] = {"192.168.7.5/24", NULL};
static const char *const three[] = {"10.5.5.5:1000", "192.168.7.9:1000",
                                    "203.0.113.1:1000", NULL};


Test(paths, a_shared_subnet_comes_first)
{
    struct world world;

    world = begin(lan, three);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");
    end(&world);
}


Test(paths, else_the_first_of_the_peers_own_order)
{
    static const char *const away[] = {"172.20.0.1/16", NULL};
    struct world world;

    world = begin(away, three);
    cr_assert_str_eq(chosen(&world), "10.5.5.5:1000");
    end(&world);
}


Test(paths, what_cannot_work_is_last_or_left_out)
{
    /* no IPv6 route here, our own address, one inside the tunnel */
    static const char *const offers[] = {"[2001:db8::1]:1000",
                                         "192.168.7.5:1000", "10.64.0.1:1000",
                                         "203.0.113.1:1000", NULL};
    static const char *const inside[] = {"10.64.0.1:1000", NULL};
    struct world world;

    world = begin(lan, offers);
    cr_assert_str_eq(chosen(&world), "203.0.113.1:1000");

    /* only those two are tried, in turn */
    world.peer.tx_bytes = 148;
    (void) after(&world, 0);
    world.peer.tx_bytes = 296;
    cr_assert_eq(after(&world, 5000), 1);
    cr_assert_str_eq(chosen(&world), "[2001:db8::1]:1000");
    world.peer.tx_bytes = 444;
    (void) after(&world, 1000);
    cr_assert_eq(after(&world, 5000), 1);
    cr_assert_str_eq(chosen(&world), "203.0.113.1:1000");

    /* an IPv6 route appears */
    world.local.default6 = true;
    paths_set_local(world.paths, &world.local);
    cr_assert_str_eq(chosen(&world), "[2001:db8::1]:1000");

    offer(&world, inside);
    cr_assert_str_eq(chosen(&world), "none");
    end(&world);
}


Test(paths, five_seconds_of_traffic_without_an_answer)
{
    struct world world;

    world = begin(lan, three);

    /* an idle peer is left alone for ever */
    cr_assert_eq(after(&world, 100000), 0);
    cr_assert_eq(after(&world, 100000), 0);
    cr_assert_gt(paths_deadline(world.paths), world.now + 1000);

    world.peer.tx_bytes = 148;
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_leq(paths_deadline(world.paths), world.now + 1000);
    cr_assert_eq(after(&world, 4999), 0);
    cr_assert_eq(paths_deadline(world.paths), world.now + 1);
    cr_assert_eq(after(&world, 1), 1);
    cr_assert_str_eq(chosen(&world), "10.5.5.5:1000");

    /* the count begins with the first packet to the new one */
    cr_assert_eq(after(&world, 20000), 0);
    world.peer.tx_bytes = 296;
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_eq(after(&world, 5000), 1);
    cr_assert_str_eq(chosen(&world), "203.0.113.1:1000");

    /* and round */
    world.peer.tx_bytes = 444;
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_eq(after(&world, 5000), 1);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");
    end(&world);
}


Test(paths, made_anew_the_counters_begin_at_zero)
{
    struct world world;

    world = begin(lan, three);
    world.peer.tx_bytes = 10000;
    (void) after(&world, 0);
    cr_assert_eq(after(&world, 5000), 1);

    /* the reconciler made the peer anew: 148 is growth */
    world.peer.tx_bytes = 148;
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_eq(after(&world, 5000), 1);
    end(&world);
}


Test(paths, an_answer_settles_it_and_roaming_is_followed)
{
    static const char *const others[] = {"198.51.100.1:1", NULL};
    struct world world;

    world = begin(lan, three);
    world.peer.tx_bytes = 148;
    (void) after(&world, 1000);
    world.peer.handshake_s = 1700000000;
    world.peer.rx_bytes = 92;
    cr_assert_eq(after(&world, 4500), 0);
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");

    /* the peer roams; what comes in tells from where */
    world.peer.endpoint = fixture_endpoint("203.0.113.77:4444");
    world.peer.rx_bytes = 1000;
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_str_eq(chosen(&world), "203.0.113.77:4444");

    /* new candidates do not disturb a path that works */
    offer(&world, others);
    cr_assert_str_eq(chosen(&world), "203.0.113.77:4444");

    /* but take the place of one that has been still for too long */
    cr_assert_eq(after(&world, 200000), 0);
    offer(&world, three);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");
    end(&world);
}


Test(paths, one_way_traffic_is_not_a_dead_path)
{
    struct world world;
    unsigned i;

    world = begin(lan, three);
    world.peer.handshake_s = 1700000000;
    world.peer.rx_bytes = 92;
    (void) after(&world, 0);

    /* a passive keepalive answers every 10 s (WireGuard paper, 6.5) */
    for (i = 1; i < 100; i++) {
        world.peer.tx_bytes += 1000;
        world.peer.rx_bytes += i % 10 == 0 ? 32 : 0;
        cr_assert_eq(after(&world, 1000), 0, "after %u s", i);
    }

    /* then silence: dead after 15 s, and the best candidate's turn */
    world.peer.endpoint = fixture_endpoint("203.0.113.77:4444");
    world.peer.rx_bytes += 32;
    (void) after(&world, 1000);
    world.peer.tx_bytes += 1000;
    cr_assert_eq(after(&world, 1000), 0);
    cr_assert_eq(after(&world, 14999), 0);
    cr_assert_eq(after(&world, 1), 1);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");
    end(&world);
}


Test(paths, with_one_candidate_there_is_nothing_to_watch)
{
    static const char *const one[] = {"203.0.113.1:1000", NULL};
    static const char *const none[] = {NULL};
    struct world world;
    struct netmap_peer *peer;
    char id[NETMAP_ID_SIZE];

    world = begin(lan, none);
    fixture_id(2, id);
    peer = (struct netmap_peer *) netmap_find(world.map, id);
    peer->endpoint_count = 1;
    offer(&world, one);
    (void) after(&world, 0);
    cr_assert_eq(paths_deadline(world.paths), UINT64_MAX);
    world.peer.tx_bytes = 148;
    (void) after(&world, 1000);
    cr_assert_eq(after(&world, 6000), 0);
    cr_assert_eq(paths_deadline(world.paths), UINT64_MAX);
    cr_assert_str_eq(chosen(&world), "203.0.113.1:1000");

    offer(&world, none);
    cr_assert_str_eq(chosen(&world), "none");
    end(&world);
}


Test(paths, after_a_restart_a_live_session_is_adopted)
{
    struct world world;

    world = begin(lan, three);
    world.peer.endpoint = fixture_endpoint("203.0.113.77:4444");
    world.peer.handshake_s = 1700000000;
    world.peer.rx_bytes = 123456;
    world.peer.tx_bytes = 654321;
    cr_assert_eq(after(&world, 0), 0);
    cr_assert_str_eq(chosen(&world), "203.0.113.77:4444");
    end(&world);
}


Test(paths, peers_that_leave_are_forgotten)
{
    struct world world;
    struct endpoint endpoint;
    struct key key;

    world = begin(lan, three);
    key = fixture_key(2);
    cr_assert(paths_endpoint(world.paths, &key, &endpoint));
    key = fixture_key(0);
    cr_assert_not(paths_endpoint(world.paths, &key, &endpoint)); /* ourselves */

    netmap_destroy(world.map);
    world.map = fixture_map(0, 2, 2);
    cr_assert_eq(paths_set_netmap(world.paths, world.map, world.self), 0);
    key = fixture_key(2);
    cr_assert_not(paths_endpoint(world.paths, &key, &endpoint));

    /* the interface is gone: nothing is counted, nothing breaks */
    cr_assert_eq(paths_observe(world.paths, NULL, world.now), 0);
    end(&world);
}


/* A session, and then another place. */
static struct world
roamed(const char *const *subnets)
{
    struct world world;

    world = begin(subnets, three);
    world.peer.endpoint = fixture_endpoint(chosen(&world));
    world.peer.handshake_s = 1700000000;
    world.peer.rx_bytes = 92;
    cr_assert_eq(after(&world, 1000), 0);
    paths_roamed(world.paths);

    return world;
}


static uint16_t
keepalive(struct world *world)
{
    return paths_keepalive(world->paths, &world->peer.public_key);
}


Test(paths, after_roaming_every_candidate_hears_from_us_once)
{
    struct world world;

    world = roamed(lan);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");
    cr_assert_eq(keepalive(&world), PATHS_WAKE_S);

    /* the interval is there: said, and taken back */
    world.peer.keepalive = PATHS_WAKE_S;
    world.peer.tx_bytes = 32;
    cr_assert_eq(after(&world, 10), 0);
    cr_assert_eq(keepalive(&world), 0);
    world.peer.keepalive = 0;
    cr_assert_leq(paths_deadline(world.paths), world.now + 990);

    cr_assert_eq(after(&world, 1000), 1);
    cr_assert_str_eq(chosen(&world), "10.5.5.5:1000");
    cr_assert_eq(keepalive(&world), PATHS_WAKE_S);
    world.peer.keepalive = PATHS_WAKE_S;
    cr_assert_eq(after(&world, 10), 0);
    world.peer.keepalive = 0;
    cr_assert_eq(after(&world, 1000), 1);
    cr_assert_str_eq(chosen(&world), "203.0.113.1:1000");

    /* nobody is there to answer: as it was, and no more of it */
    cr_assert_eq(after(&world, 1000), 1);
    cr_assert_str_eq(chosen(&world), "192.168.7.9:1000");
    cr_assert_eq(keepalive(&world), 0);
    cr_assert_eq(after(&world, 100000), 0);
    end(&world);
}


Test(paths, after_roaming_an_answer_settles_it)
{
    struct world world;

    world = roamed(lan);
    cr_assert_eq(after(&world, 1000), 1);
    world.peer.rx_bytes += 32;
    world.peer.endpoint = fixture_endpoint("10.5.5.5:1000");
    cr_assert_eq(after(&world, 500), 0);
    cr_assert_eq(keepalive(&world), 0);
    cr_assert_eq(after(&world, 100000), 0);
    cr_assert_str_eq(chosen(&world), "10.5.5.5:1000");
    end(&world);
}


Test(paths, after_roaming_what_is_near_goes_first)
{
    static const char *const home[] = {"10.5.5.1/24", NULL};
    struct world world;
    struct paths_local local;

    world = roamed(lan);
    local = world.local;
    local.subnets[0] = fixture_prefix(home[0]);
    local.own[0] = local.subnets[0].address;
    paths_set_local(world.paths, &local);
    paths_roamed(world.paths);
    cr_assert_str_eq(chosen(&world), "10.5.5.5:1000");
    end(&world);
}


Test(paths, after_roaming_idle_peers_are_left_alone)
{
    struct world world;
    unsigned i;

    world = begin(lan, three);
    paths_roamed(world.paths);
    cr_assert_eq(keepalive(&world), 0);
    end(&world);

    /* a session that has ended is none */
    world = roamed(lan);

    for (i = 0; i < 4; i++) {
        (void) after(&world, 1000);
    }

    (void) after(&world, 200000);
    paths_roamed(world.paths);
    cr_assert_eq(keepalive(&world), 0);
    end(&world);
}


Test(paths, a_peer_that_roamed_says_where_it_is)
{
    static const char *const elsewhere[] = {"203.0.113.9:1000", NULL};
    struct world world;

    world = roamed(lan);
    world.peer.rx_bytes += 32;
    (void) after(&world, 10);
    offer(&world, elsewhere);
    cr_assert_str_eq(chosen(&world), "203.0.113.9:1000");
    end(&world);
}


Test(paths, a_keepalive_needs_no_answer)
{
    struct world world;

    world = begin(lan, three);
    world.peer.handshake_s = 1700000000;
    world.peer.rx_bytes = 92;
    (void) after(&world, 0);
    world.peer.tx_bytes = 32;
    cr_assert_eq(after(&world, 10000), 0);
    cr_assert_eq(after(&world, 100000), 0);
    end(&world);
}
