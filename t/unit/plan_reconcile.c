/*
 * Reconciling against a simulated kernel: whatever it is like before, and
 * after whichever operation we are killed, the next run leads to the same
 * end, and nothing of others is touched.
 */

#include "plan_fixture.h"

#include "plan/reconcile.h"

#define SIM_LINKS 8


/* One interface, ours or not; the lists are heap copies. */
struct sim_link {
    bool exists;
    bool foreign;
    struct actual_interface now;
};

struct sim {
    struct sim_link links[SIM_LINKS];
    unsigned random;
};


static unsigned
sim_random(struct sim *sim, unsigned below)
{
    sim->random = sim->random * 1664525U + 1013904223U;

    return (sim->random >> 8) % below;
}


static struct sim_link *
sim_find(struct sim *sim, const char *name)
{
    size_t i;

    for (i = 0; i < SIM_LINKS; i++) {
        if (sim->links[i].exists && strcmp(sim->links[i].now.name, name) == 0) {
            return &sim->links[i];
        }
    }

    return NULL;
}


static void
sim_free(struct sim_link *link)
{
    size_t i;

    for (i = 0; i < link->now.peer_count; i++) {
        free(link->now.peers[i].allowed);
    }

    free(link->now.peers);
    free(link->now.addresses);
    free(link->now.routes);
    memset(link, 0, sizeof(*link));
}


static struct sim_link *
sim_create(struct sim *sim, const char *name)
{
    size_t i;

    cr_assert_null(sim_find(sim, name), "%s exists", name);

    for (i = 0; sim->links[i].exists; i++) {
        cr_assert_lt(i + 1, SIM_LINKS);
    }

    sim->links[i].exists = true;
    sim->links[i].now.device = true;
    sim->links[i].now.mtu = 1420;
    memcpy(sim->links[i].now.name, name, strlen(name));

    return &sim->links[i];
}


static void
sim_prefix_add(struct prefix **list, size_t *count, const struct prefix *prefix)
{
    *list = realloc(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = *prefix;
}


static bool
sim_prefix_delete(struct prefix *list, size_t *count,
                  const struct prefix *prefix)
{
    size_t i;

    for (i = 0; i < *count; i++) {
        if (prefix_compare(&list[i], prefix) == 0) {
            list[i] = list[--*count];
            return true;
        }
    }

    return false;
}


static struct actual_peer *
sim_peer(struct actual_interface *link, const struct key *key)
{
    size_t i;

    for (i = 0; i < link->peer_count; i++) {
        if (key_compare(&link->peers[i].public_key, key) == 0) {
            return &link->peers[i];
        }
    }

    return NULL;
}


/* An allowed ip has one owner: who gets it takes it from who had it. */
static void
sim_allow(struct actual_interface *link, struct actual_peer *peer,
          const struct peer_change *change, bool small)
{
    size_t i, k;

    peer->allowed_count = 0;

    for (i = 0; i < change->allowed_count; i++) {
        for (k = 0; small && k < link->peer_count; k++) {
            (void) sim_prefix_delete(link->peers[k].allowed,
                                     &link->peers[k].allowed_count,
                                     &change->allowed[i]);
        }

        sim_prefix_add(&peer->allowed, &peer->allowed_count,
                       &change->allowed[i]);
    }
}


static void
sim_change(struct actual_interface *link, const struct peer_change *change,
           bool fresh)
{
    struct actual_peer *peer;

    peer = fresh ? NULL : sim_peer(link, &change->public_key);

    if ((change->flags & PEER_REMOVE) != 0) {
        cr_assert_not_null(peer, "removes a peer that is not there");
        free(peer->allowed);
        *peer = link->peers[--link->peer_count];
        return;
    }

    if (peer == NULL) {
        cr_assert_not(change->flags & PEER_UPDATE_ONLY);
        link->peers =
            realloc(link->peers, (link->peer_count + 1) * sizeof(*peer));
        peer = &link->peers[link->peer_count++];
        memset(peer, 0, sizeof(*peer));
        peer->public_key = change->public_key;
    }

    if ((change->flags & PEER_ENDPOINT) != 0) {
        peer->endpoint = change->endpoint;
    }

    if ((change->flags & PEER_KEEPALIVE) != 0) {
        peer->keepalive = change->keepalive;
    }

    if ((change->flags & PEER_ALLOWED) != 0) {
        sim_allow(link, peer, change, !fresh);
    }
}


/* fresh: the peers are many and all new, so looking them up is spared */
static void
sim_apply(struct sim *sim, const struct operation *operation, bool fresh)
{
    struct actual_interface *now;
    struct sim_link *link;
    size_t i;

    link = sim_find(sim, operation->name);

    if (operation->kind == OPERATION_CREATE) {
        (void) sim_create(sim, operation->name);
        return;
    }

    cr_assert_not_null(link, "%s is not there", operation->name);
    cr_assert_not(link->foreign, "%s is not ours", operation->name);
    now = &link->now;

    switch (operation->kind) {

    case OPERATION_CREATE:
        break;

    case OPERATION_DELETE:
        sim_free(link);
        break;

    case OPERATION_ALIAS:
        memcpy(now->network_id, operation->network_id, NETMAP_ID_SIZE);
        break;

    case OPERATION_MTU:
        now->mtu = operation->mtu;
        break;

    case OPERATION_DEVICE:
        if (operation->device.private_key != NULL) {
            /* here a "public" key is the private one, first byte changed */
            now->public_key = *operation->device.private_key;
            now->public_key.bytes[0] ^= 0xff;
        }

        if (operation->device.listen_port != 0) {
            now->listen_port = operation->device.listen_port;
        }

        if (operation->device.set_mark) {
            now->mark = operation->device.mark;
        }

        break;

    case OPERATION_PEERS:
        for (i = 0; i < operation->peers.count; i++) {
            sim_change(now, &operation->peers.changes[i], fresh);
        }

        break;

    case OPERATION_ADDRESS_ADD:
        sim_prefix_add(&now->addresses, &now->address_count,
                       &operation->prefix);
        break;

    case OPERATION_ADDRESS_DELETE:
        cr_assert(sim_prefix_delete(now->addresses, &now->address_count,
                                    &operation->prefix));
        break;

    case OPERATION_UP:
        now->up = true;
        break;

    case OPERATION_ROUTE_ADD:
        cr_assert(now->up, "a route over a link that is down");
        sim_prefix_add(&now->routes, &now->route_count, &operation->prefix);
        break;

    case OPERATION_ROUTE_DELETE:
        cr_assert(sim_prefix_delete(now->routes, &now->route_count,
                                    &operation->prefix));
        break;

    case OPERATION_NARROW_ADD:
    case OPERATION_NARROW_DELETE:
        cr_assert_fail("no path is narrow here: t/unit/plan_probe.c");
        break;
    }
}


static void *
sim_copy(const void *list, size_t count, size_t size)
{
    void *copy;

    copy = malloc(count * size + 1);

    if (count > 0) {
        memcpy(copy, list, count * size);
    }

    return copy;
}


/* What a back end would tell: ours alone. */
static struct actual *
sim_observe(struct sim *sim)
{
    struct actual_interface *to;
    struct actual *actual;
    size_t i, k;

    actual = calloc(1, sizeof(*actual));
    actual->interfaces = calloc(SIM_LINKS, sizeof(*actual->interfaces));

    for (i = 0; i < SIM_LINKS; i++) {
        if (!sim->links[i].exists || sim->links[i].foreign) {
            continue;
        }

        to = &actual->interfaces[actual->interface_count++];
        *to = sim->links[i].now;
        to->addresses =
            sim_copy(to->addresses, to->address_count, sizeof(struct prefix));
        to->routes =
            sim_copy(to->routes, to->route_count, sizeof(struct prefix));
        to->peers =
            sim_copy(to->peers, to->peer_count, sizeof(struct actual_peer));

        for (k = 0; k < to->peer_count; k++) {
            to->peers[k].allowed =
                sim_copy(to->peers[k].allowed, to->peers[k].allowed_count,
                         sizeof(struct prefix));
        }
    }

    actual_sort(actual);

    return actual;
}


static void
sim_clear(struct sim *sim)
{
    size_t i;

    for (i = 0; i < SIM_LINKS; i++) {
        if (sim->links[i].exists) {
            sim_free(&sim->links[i]);
        }
    }
}


static struct operations
plan(struct sim *sim, struct desired *const *desired, size_t count)
{
    struct operations operations;
    struct actual *actual;
    struct error error;

    actual = sim_observe(sim);
    cr_assert_eq(reconcile((const struct desired *const *) desired, count,
                           actual, &operations, &error),
                 0, "%s", error.text);
    actual_destroy(actual);

    return operations;
}


/* Applies at most `steps`; returns how many there were. */
static size_t
run(struct sim *sim, struct desired *const *desired, size_t count, size_t steps,
    bool fresh)
{
    struct operations operations;
    size_t i, total;

    operations = plan(sim, desired, count);
    total = operations.count;

    for (i = 0; i < total && i < steps; i++) {
        sim_apply(sim, &operations.list[i], fresh);
    }

    operations_clear(&operations);

    return total;
}


static void
same_prefixes(const struct prefix *a, size_t a_count, const struct prefix *b,
              size_t b_count)
{
    size_t i;

    cr_assert_eq(a_count, b_count);

    for (i = 0; i < a_count; i++) {
        cr_assert_eq(prefix_compare(&a[i], &b[i]), 0);
    }
}


/* The end, compared by hand and not by reconcile()'s own eyes. */
static void
check(struct sim *sim, struct desired *const *desired, size_t count)
{
    const struct actual_interface *have;
    const struct actual_peer *peer;
    const struct desired *want;
    struct actual *actual;
    size_t i, k;

    actual = sim_observe(sim);
    cr_assert_eq(actual->interface_count, count, "%zu interfaces, not %zu",
                 actual->interface_count, count);

    for (i = 0; i < count; i++) {
        want = desired[i];
        have = actual_find(actual, want->network_id);
        cr_assert_not_null(have);
        cr_assert_str_eq(have->name, want->name);
        cr_assert(have->up);
        cr_assert_eq(have->mtu, want->mtu);
        cr_assert_eq(have->listen_port, want->listen_port);
        cr_assert_eq(have->mark, want->mark);
        cr_assert_eq(key_compare(&have->public_key, &want->public_key), 0);
        same_prefixes(have->addresses, have->address_count, want->addresses,
                      want->address_count);
        same_prefixes(have->routes, have->route_count, want->routes,
                      want->route_count);
        cr_assert_eq(have->peer_count, want->peer_count);

        for (k = 0; k < want->peer_count; k++) {
            peer = actual_peer(have, &want->peers[k].public_key);
            cr_assert_not_null(peer);
            same_prefixes(peer->allowed, peer->allowed_count,
                          want->peers[k].allowed, want->peers[k].allowed_count);
            cr_assert_eq(peer->keepalive, want->peers[k].keepalive);

            if (want->peers[k].endpoint.address.family != ADDRESS_NONE) {
                cr_assert_eq(
                    endpoint_compare(&peer->endpoint, &want->peers[k].endpoint),
                    0);
            }
        }
    }

    actual_destroy(actual);
    cr_assert_eq(run(sim, desired, count, 0, false), 0, "not idempotent");
}


/* A wish for network number n with peers first .. first + count - 1. */
static struct desired *
wish(unsigned n, unsigned first, unsigned count, uint16_t port)
{
    struct desired_self self;
    struct desired *desired;
    struct netmap *map;
    struct paths *paths;
    struct error error;
    char name[ACTUAL_NAME_SIZE];

    (void) snprintf(name, sizeof(name), "gc-net%u", n);
    self = fixture_self(name, port);
    self.public_key = self.private_key;
    self.public_key.bytes[0] ^= 0xff;
    map = fixture_map(first, count, 1);
    map->network_id[0] = (char) ('0' + n);
    paths = paths_create();
    cr_assert_eq(paths_set_netmap(paths, map, self.peer_id), 0);
    desired = desired_create(map, &self, paths, &error);
    cr_assert_not_null(desired, "%s", error.text);
    paths_destroy(paths);
    netmap_destroy(map);

    return desired;
}


static void
foreign(struct sim *sim, const char *name, const char *network_id)
{
    struct sim_link *link;

    link = sim_create(sim, name);
    link->foreign = true;
    memcpy(link->now.network_id, network_id, strlen(network_id));
}


Test(reconcile, from_nothing_and_back)
{
    struct sim sim = {.random = 1};
    struct desired *desired;
    char text[160];
    struct operations operations;
    static const char *const expected[] = {
        "gc-net0: create",
        ("gc-net0: alias goconnect:" FIXTURE_NETWORK),
        "gc-net0: device key port 51820",
        "gc-net0: peers +3 -0 ~0",
        "gc-net0: address + 10.127.255.254/10",
        "gc-net0: address + fd00:64::ffff:fffe/64",
        "gc-net0: up",
        "gc-net0: route + 10.64.0.0/10",
        "gc-net0: route + fd00:64::/64",
    };
    size_t i, k;

    desired = wish(0, 0, 4, 51820);
    operations = plan(&sim, &desired, 1);

    /* the MTU is set in any case: what a new link has is not known */
    for (i = 0, k = 0; i < operations.count; i++) {
        (void) operation_describe(&operations.list[i], text, sizeof(text));

        if (strcmp(text, "gc-net0: mtu 1420") != 0) {
            cr_assert_lt(k, sizeof(expected) / sizeof(expected[0]));
            cr_assert_str_eq(text, expected[k++]);
        }
    }

    cr_assert_eq(k, sizeof(expected) / sizeof(expected[0]));
    operations_clear(&operations);

    foreign(&sim, "gc-foo", "");
    foreign(&sim, "wg0", "");
    (void) run(&sim, &desired, 1, SIZE_MAX, false);
    check(&sim, &desired, 1);

    /* down: everything of ours goes, and nothing else */
    cr_assert_eq(run(&sim, NULL, 0, SIZE_MAX, false), 1);
    check(&sim, NULL, 0);
    cr_assert_not_null(sim_find(&sim, "gc-foo"));
    cr_assert_not_null(sim_find(&sim, "wg0"));
    desired_destroy(desired);
    sim_clear(&sim);
}


/* What an administrator, another program or a reboot might have done. */
static void
meddle(struct sim *sim, struct actual_interface *link)
{
    struct prefix stray;

    switch (sim_random(sim, 8)) {

    case 0:
        link->up = false;
        link->route_count = 0;
        break;

    case 1:
        link->mtu = 1500;
        break;

    case 2:
        stray = fixture_prefix("10.99.0.1/24");
        sim_prefix_add(&link->addresses, &link->address_count, &stray);
        break;

    case 3:
        link->address_count = 0;
        break;

    case 4:
        stray = fixture_prefix("10.99.0.0/24");
        sim_prefix_add(&link->routes, &link->route_count, &stray);
        break;

    case 5:
        link->device = false;
        break;

    case 6:
        link->listen_port = 1;
        link->mark ^= 7;
        link->public_key.bytes[7] ^= 1;
        break;

    case 7:
        if (link->peer_count > 1) {
            link->peers[0].endpoint = fixture_endpoint("203.0.113.9:9");
            link->peers[0].handshake_s = (int64_t) sim_random(sim, 2);
            link->peers[1].allowed_count = 0;
            link->peers[1].keepalive = 25;
        }

        break;
    }
}


/* Two or three networks, before or after; all follow from the seed. */
static size_t
wishes(struct sim *sim, struct desired **desired)
{
    size_t count;
    unsigned n;

    count = 0;

    for (n = 0; n < 3; n++) {
        if (sim_random(sim, 3) > 0) {
            desired[count++] =
                wish(n, sim_random(sim, 20), 1 + sim_random(sim, 12),
                     (uint16_t) (51820 + sim_random(sim, 3)));
            desired[count - 1]->mark = sim_random(sim, 2) * 0x6763;
        }
    }

    return count;
}


Test(reconcile, killed_after_any_operation_it_converges)
{
    struct desired *before[3], *after[3];
    size_t a, b, i, steps, total;
    unsigned seed;

    for (seed = 0; seed < 60; seed++) {
        for (steps = 0, total = 1; steps <= total; steps++) {
            struct sim sim = {.random = seed};

            foreign(&sim, "gc-foreign", "");
            a = wishes(&sim, before);
            (void) run(&sim, before, a, SIZE_MAX, false);
            check(&sim, before, a);

            for (i = 0; i < SIM_LINKS; i++) {
                if (sim.links[i].exists && !sim.links[i].foreign) {
                    meddle(&sim, &sim.links[i].now);
                }
            }

            b = wishes(&sim, after);
            total = run(&sim, after, b, steps, false);

            /* killed here; the next start sees what there is */
            (void) run(&sim, after, b, SIZE_MAX, false);
            check(&sim, after, b);
            cr_assert_not_null(sim_find(&sim, "gc-foreign"));

            while (a > 0) {
                desired_destroy(before[--a]);
            }

            while (b > 0) {
                desired_destroy(after[--b]);
            }

            sim_clear(&sim);
        }
    }
}


/* Killed between making the interface and its alias: only the mark tells. */
Test(reconcile, an_interface_without_alias_is_ours_and_goes)
{
    struct sim sim = {.random = 1};
    struct desired *desired;

    desired = wish(0, 0, 4, 51820);
    (void) run(&sim, &desired, 1, 1, false);
    cr_assert_str_eq(sim_find(&sim, "gc-net0")->now.network_id, "");
    cr_assert_eq(run(&sim, NULL, 0, SIZE_MAX, false), 1);
    check(&sim, NULL, 0);
    desired_destroy(desired);
    sim_clear(&sim);
}


/* The state folder was lost and another name was chosen. */
Test(reconcile, an_interface_of_another_name_makes_way)
{
    struct sim sim = {.random = 1};
    struct desired *desired;

    desired = wish(0, 0, 4, 51820);
    (void) run(&sim, &desired, 1, SIZE_MAX, false);
    memcpy(desired->name, "gc-other", sizeof("gc-other"));
    (void) run(&sim, &desired, 1, SIZE_MAX, false);
    check(&sim, &desired, 1);
    cr_assert_null(sim_find(&sim, "gc-net0"));
    desired_destroy(desired);
    sim_clear(&sim);
}


Test(reconcile, a_session_is_not_lost_for_an_endpoint)
{
    struct sim sim = {.random = 1};
    struct operations operations;
    struct actual_peer *peer;
    struct desired *desired;

    desired = wish(0, 0, 3, 51820);
    (void) run(&sim, &desired, 1, SIZE_MAX, false);
    peer = sim_peer(&sim.links[0].now, &desired->peers[0].public_key);

    /* after a handshake the peer is updated in place */
    peer->endpoint = fixture_endpoint("203.0.113.9:9");
    peer->handshake_s = 1000;
    operations = plan(&sim, &desired, 1);
    cr_assert_eq(operations.count, 1);
    cr_assert_eq(operations.list[0].peers.count, 1);
    cr_assert_eq(operations.list[0].peers.changes[0].flags,
                 PEER_UPDATE_ONLY | PEER_ENDPOINT);
    operations_clear(&operations);

    /* without one it is made anew, so that WireGuard tries at once */
    peer->handshake_s = 0;
    operations = plan(&sim, &desired, 1);
    cr_assert_eq(operations.count, 1);
    cr_assert_eq(operations.list[0].peers.count, 2);
    cr_assert_eq(operations.list[0].peers.changes[0].flags, PEER_REMOVE);
    cr_assert_not(operations.list[0].peers.changes[1].flags & PEER_UPDATE_ONLY);
    operations_clear(&operations);

    /* no wish about the endpoint leaves it alone */
    memset(&desired->peers[0].endpoint, 0, sizeof(struct endpoint));
    cr_assert_eq(run(&sim, &desired, 1, 0, false), 0);
    desired_destroy(desired);
    sim_clear(&sim);
}


Test(reconcile, two_networks_cannot_want_one_name)
{
    struct desired *desired[2];
    struct operations operations;
    struct actual actual = {NULL, 0};
    struct error error;

    desired[0] = wish(0, 0, 2, 51820);
    desired[1] = wish(1, 0, 2, 51821);
    memcpy(desired[1]->name, desired[0]->name, sizeof(desired[0]->name));
    cr_assert_eq(reconcile((const struct desired *const *) desired, 2, &actual,
                           &operations, &error),
                 -1);
    cr_assert_eq(error.code, ERROR_INVALID);
    cr_assert_eq(operations.count, 0);
    desired_destroy(desired[0]);
    desired_destroy(desired[1]);
}


static void
many(unsigned count)
{
    struct sim sim = {.random = 1};
    struct operations operations;
    struct desired *desired;
    size_t i, changes;

    desired = wish(0, 0, count, 51820);
    cr_assert_eq(desired->peer_count, count - 1); /* less ourselves */
    (void) run(&sim, &desired, 1, SIZE_MAX, true);
    check(&sim, &desired, 1);
    desired_destroy(desired);

    /* a hundred go and a hundred come: only they are told of */
    desired = wish(0, 100, count, 51820);
    operations = plan(&sim, &desired, 1);

    for (i = 0, changes = 0; i < operations.count; i++) {
        cr_assert_eq(operations.list[i].kind, OPERATION_PEERS);
        changes += operations.list[i].peers.count;
    }

    cr_assert_eq(changes, 199);
    operations_clear(&operations);
    desired_destroy(desired);
    sim_clear(&sim);
}


Test(reconcile, a_thousand_peers)
{
    many(1000);
}


Test(reconcile, ten_thousand_peers)
{
    many(10000);
}


Test(desired, devices_behind_a_gateway_ride_on_it)
{
    struct desired_self self;
    struct desired *desired;
    struct netmap *map;
    struct error error;
    struct key key;
    char ids[3][NETMAP_ID_SIZE];
    size_t i;

    self = fixture_self("gc-lan", 51820);
    map = fixture_map(0, 5, 1);
    fixture_id(1, ids[0]);
    fixture_id(2, ids[1]);
    fixture_id(3, ids[2]);

    /* 3 and 4 are behind 2 and behind us; 1 is behind somebody unknown */
    for (i = 0; i < map->peer_count; i++) {
        if (strcmp(map->peers[i].id, ids[2]) == 0) {
            memcpy(map->peers[i].via, ids[1], NETMAP_ID_SIZE);

        } else if (strcmp(map->peers[i].id, ids[0]) == 0) {
            memcpy(map->peers[i].via, FIXTURE_NETWORK, NETMAP_ID_SIZE);
        }
    }

    memcpy(map->peers[4].via, self.peer_id, NETMAP_ID_SIZE);
    desired = desired_create(map, &self, NULL, &error);
    cr_assert_not_null(desired, "%s", error.text);
    cr_assert_eq(desired->peer_count, 2);

    for (i = 0; i < 2; i++) {
        key = fixture_key(2);
        cr_assert_eq(desired->peers[i].allowed_count,
                     key_compare(&desired->peers[i].public_key, &key) == 0 ? 4
                                                                           : 2);
        cr_assert_eq(desired->peers[i].endpoint.address.family, ADDRESS_NONE);
    }

    cr_assert_eq(desired->mtu, DESIRED_MTU);
    desired_destroy(desired);

    /* the network's own MTU, if it has one */
    map->settings.mtu = 1300;
    desired = desired_create(map, &self, NULL, &error);
    cr_assert_eq(desired->mtu, 1300);
    desired_destroy(desired);

    /* our own address must be of the network */
    cr_assert(address_parse("192.168.1.1", &self.ip_address));
    cr_assert_null(desired_create(map, &self, NULL, &error));
    cr_assert_eq(error.code, ERROR_INVALID);
    memset(&self.ip_address, 0, sizeof(self.ip_address));
    memset(&self.ip6_address, 0, sizeof(self.ip6_address));
    cr_assert_null(desired_create(map, &self, NULL, &error));
    netmap_destroy(map);
}


Test(reconcile, operations_say_what_they_are)
{
    static const struct {
        enum operation_kind kind;
        const char *text;
    } cases[] = {
        {OPERATION_DELETE, "gc-lan: delete"},
        {OPERATION_CREATE, "gc-lan: create"},
        {OPERATION_UP, "gc-lan: up"},
        {OPERATION_ADDRESS_ADD, "gc-lan: address + 10.64.0.1/10"},
        {OPERATION_ADDRESS_DELETE, "gc-lan: address - 10.64.0.1/10"},
        {OPERATION_ROUTE_ADD, "gc-lan: route + 10.64.0.1/10"},
        {OPERATION_ROUTE_DELETE, "gc-lan: route - 10.64.0.1/10"},
    };
    struct operation operation;
    struct peer_change changes[6];
    struct key key;
    char text[160];
    size_t i;

    memset(&operation, 0, sizeof(operation));
    memcpy(operation.name, "gc-lan", sizeof("gc-lan"));
    operation.prefix = fixture_prefix("10.64.0.1/10");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        operation.kind = cases[i].kind;
        cr_expect_str_eq(operation_describe(&operation, text, sizeof(text)),
                         cases[i].text);
    }

    operation.kind = OPERATION_MTU;
    operation.mtu = 1420;
    cr_expect_str_eq(operation_describe(&operation, text, sizeof(text)),
                     "gc-lan: mtu 1420");

    /* that there is a key is told, the key is not */
    key = fixture_key(1);
    operation.kind = OPERATION_DEVICE;
    operation.device.private_key = &key;
    operation.device.listen_port = 51820;
    cr_expect_str_eq(operation_describe(&operation, text, sizeof(text)),
                     "gc-lan: device key port 51820");
    operation.device.set_mark = true;
    cr_expect_str_eq(operation_describe(&operation, text, sizeof(text)),
                     "gc-lan: device key mark port 51820");

    memset(changes, 0, sizeof(changes));
    changes[0].flags = PEER_REMOVE;
    changes[1].flags = PEER_UPDATE_ONLY | PEER_ENDPOINT;
    changes[2].flags = PEER_UPDATE_ONLY | PEER_ALLOWED;
    operation.kind = OPERATION_PEERS;
    operation.peers.changes = changes;
    operation.peers.count = 6;
    cr_expect_str_eq(operation_describe(&operation, text, sizeof(text)),
                     "gc-lan: peers +3 -1 ~2");
    cr_expect_str_eq(operation_describe(&operation, text, 10), "gc-lan: p");
}


Test(reconcile, bounds)
{
    static const struct desired *desired[1025];
    struct actual_interface interface;
    struct operations operations;
    struct actual actual = {NULL, 0};
    struct error error;
    struct key key;

    cr_assert_eq(reconcile(desired, 1025, &actual, &operations, &error), -1);
    cr_assert_eq(error.code, ERROR_TOO_BIG);
    cr_assert_eq(error_set(NULL, ERROR_INVALID, "to nobody"), -1);

    key = fixture_key(1);
    memset(&interface, 0, sizeof(interface));
    cr_assert_null(actual_peer(&interface, &key));
    cr_assert_null(actual_find(&actual, FIXTURE_NETWORK));
    actual_destroy(NULL);
    desired_destroy(NULL);
    netmap_destroy(NULL);
}
