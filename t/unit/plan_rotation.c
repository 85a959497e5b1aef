/*
 * Another member's change of key, with simulated time: which of its two keys
 * has the allowed ips, and how long both are there.
 */

#include "plan_fixture.h"

#include "plan/rotation.h"

#define OLD 1
#define NEW 1001


/* Peer 1 rotates; peer 0 is ourselves. */
struct world {
    struct netmap *map;
    struct paths *paths;
    struct rotations *rotations;
    struct actual_peer peer; /* the new key, as the system sees it */
    struct actual_interface interface;
    uint64_t now;
    char self[NETMAP_ID_SIZE];
};


static struct netmap_peer *
rotating(struct world *world)
{
    char id[NETMAP_ID_SIZE];

    fixture_id(1, id);

    return (struct netmap_peer *) netmap_find(world->map, id);
}


/* Whether that was news of somebody's key. */
static int
told(struct world *world)
{
    int news;

    news = rotations_set_netmap(world->rotations, world->map, world->self,
                                world->paths, world->now);
    cr_assert_geq(news, 0);
    cr_assert_eq(paths_set_netmap(world->paths, world->map, world->self), 0);

    return news;
}


static struct world
begin(void)
{
    struct world world;

    memset(&world, 0, sizeof(world));
    world.map = fixture_map(0, 3, 1);
    world.paths = paths_create();
    world.rotations = rotations_create();
    world.now = 1000000;
    world.peer.public_key = fixture_key(NEW);
    fixture_id(0, world.self);
    told(&world);

    return world;
}


static void
end(struct world *world)
{
    rotations_destroy(world->rotations);
    paths_destroy(world->paths);
    netmap_destroy(world->map);
}


static void
announce(struct world *world)
{
    rotating(world)->has_next_key = true;
    rotating(world)->next_public_key = fixture_key(NEW);
    told(world);
    world->interface.peers = &world->peer;
    world->interface.peer_count = 1;
}


static void
commit(struct world *world)
{
    rotating(world)->has_next_key = false;
    rotating(world)->public_key = fixture_key(NEW);
    told(world);
}


static void
wait(struct world *world, uint64_t ms)
{
    world->now += ms;
    rotations_observe(world->rotations, &world->interface, world->now);
}


/* What a peer of the wish has: "none", "-" (no allowed ips) or "allowed". */
static const char *
has(struct world *world, unsigned n)
{
    const char *text;
    struct desired *desired;
    struct desired_self self;
    struct error error;
    struct key key;
    size_t i;

    memset(&self, 0, sizeof(self));
    memcpy(self.peer_id, world->self, sizeof(self.peer_id));
    memcpy(self.name, "gc-lan", 7);
    self.public_key = fixture_key(0);
    self.ip_address = world->map->peers[0].ip_address;
    desired = desired_create(world->map, &self, world->paths, &error);
    cr_assert_not_null(desired);
    cr_assert_eq(rotations_desire(world->rotations, desired, &error), 0);

    key = fixture_key(n);
    text = "none";

    for (i = 0; i < desired->peer_count; i++) {
        if (i > 0) {
            cr_assert_lt(key_compare(&desired->peers[i - 1].public_key,
                                     &desired->peers[i].public_key),
                         0);
        }

        if (key_compare(&desired->peers[i].public_key, &key) == 0) {
            text = desired->peers[i].allowed_count > 0 ? "allowed" : "-";
        }
    }

    desired_destroy(desired);

    return text;
}


Test(rotation, a_key_is_announced_and_acknowledged_once)
{
    struct world world = begin();
    struct rotation_ready ready;

    cr_assert_str_eq(has(&world, NEW), "none");
    announce(&world);
    cr_assert_str_eq(has(&world, OLD), "allowed");
    cr_assert_str_eq(has(&world, NEW), "-");
    cr_assert_eq(rotations_deadline(world.rotations), UINT64_MAX);

    /* not before it is on the interface */
    cr_assert_not(rotations_ready(world.rotations, NULL, &ready));
    cr_assert(rotations_ready(world.rotations, &world.interface, &ready));
    cr_assert_eq(key_compare(&ready.next_key, &world.peer.public_key), 0);
    cr_assert_not(rotations_ready(world.rotations, &world.interface, &ready));
    told(&world);
    cr_assert_not(rotations_ready(world.rotations, &world.interface, &ready));

    end(&world);
}


Test(rotation, a_handshake_moves_the_allowed_ips)
{
    struct world world = begin();

    announce(&world);
    commit(&world);
    wait(&world, ROTATION_POLL_MS);
    cr_assert_str_eq(has(&world, OLD), "allowed");
    cr_assert_str_eq(has(&world, NEW), "-");
    cr_assert_eq(rotations_deadline(world.rotations),
                 world.now + ROTATION_POLL_MS);

    world.peer.handshake_s = 1;
    wait(&world, ROTATION_POLL_MS);
    cr_assert_str_eq(has(&world, OLD), "-");
    cr_assert_str_eq(has(&world, NEW), "allowed");

    wait(&world, ROTATION_OLD_MS);
    cr_assert_str_eq(has(&world, OLD), "none");
    cr_assert_str_eq(has(&world, NEW), "allowed");
    cr_assert_eq(rotations_deadline(world.rotations), UINT64_MAX);

    end(&world);
}


Test(rotation, without_a_handshake_they_move_after_two_seconds)
{
    struct world world = begin();

    announce(&world);
    commit(&world);
    wait(&world, ROTATION_MOVE_MS - 1);
    cr_assert_str_eq(has(&world, OLD), "allowed");
    wait(&world, 1);
    cr_assert_str_eq(has(&world, OLD), "-");
    cr_assert_str_eq(has(&world, NEW), "allowed");

    end(&world);
}


Test(rotation, a_handshake_that_is_faster_than_the_commit_counts)
{
    struct world world = begin();

    announce(&world);
    world.peer.handshake_s = 1;
    wait(&world, 1);
    cr_assert_str_eq(has(&world, NEW), "allowed");
    cr_assert_str_eq(has(&world, OLD), "-");
    commit(&world);
    cr_assert_str_eq(has(&world, NEW), "allowed");

    end(&world);
}


Test(rotation, a_key_that_is_not_announced_any_more_goes)
{
    struct world world = begin();

    announce(&world);
    rotating(&world)->has_next_key = false;
    told(&world);
    cr_assert_str_eq(has(&world, OLD), "allowed");
    cr_assert_str_eq(has(&world, NEW), "none");

    end(&world);
}


Test(rotation, says_when_a_key_is_news)
{
    struct world world = begin();

    cr_assert_eq(told(&world), 0);
    rotating(&world)->has_next_key = true;
    rotating(&world)->next_public_key = fixture_key(NEW);
    cr_assert_eq(told(&world), 1, "announced");
    cr_assert_eq(told(&world), 0, "no news twice");
    rotating(&world)->next_public_key = fixture_key(NEW + 1);
    cr_assert_eq(told(&world), 1, "another one");
    rotating(&world)->has_next_key = false;
    rotating(&world)->public_key = fixture_key(NEW + 1);
    cr_assert_eq(told(&world), 1, "in use");
    cr_assert_eq(told(&world), 0);

    end(&world);
}


/* The announcement was missed: there is nothing to keep. */
Test(rotation, one_that_slept_has_the_new_key_at_once)
{
    struct world world = begin();

    commit(&world);
    cr_assert_str_eq(has(&world, OLD), "none");
    cr_assert_str_eq(has(&world, NEW), "allowed");

    end(&world);
}


/* Nobody takes another's place by announcing the other's key. */
Test(rotation, the_key_of_another_peer_is_not_announced)
{
    struct world world = begin();

    rotating(&world)->has_next_key = true;
    rotating(&world)->next_public_key = fixture_key(2);
    told(&world);
    cr_assert_str_eq(has(&world, 2), "allowed");
    cr_assert_str_eq(has(&world, OLD), "allowed");

    rotating(&world)->next_public_key = fixture_key(0);
    told(&world);
    cr_assert_str_eq(has(&world, 0), "none");

    end(&world);
}


Test(rotation, the_new_key_goes_on_where_the_old_one_was)
{
    struct world world = begin();
    struct endpoint before, after;
    struct key key;

    announce(&world);
    key = fixture_key(OLD);
    cr_assert(paths_endpoint(world.paths, &key, &before));
    commit(&world);
    cr_assert_not(paths_endpoint(world.paths, &key, &after));
    key = fixture_key(NEW);
    cr_assert(paths_endpoint(world.paths, &key, &after));
    cr_assert_eq(endpoint_compare(&before, &after), 0);

    end(&world);
}
