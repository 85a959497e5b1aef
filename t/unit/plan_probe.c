/* Probes over a simulated path: of an MTU, with losses, or down. */

#include "plan/probe.h"
#include "plan/reconcile.h"

#include "plan_fixture.h"

#define SECOND 1000000ULL

struct path {
    struct probes probes;
    struct netmap *map;
    struct actual_interface interface;
    struct actual_peer wg;
    uint64_t now;
    uint32_t mtu; /* 0: it is down */
    unsigned asked;
    unsigned changes;
};


static void
path_open(struct path *path)
{
    memset(path, 0, sizeof(*path));
    path->map = fixture_map(1, 3, 1);

    path->now = 1000 * SECOND;
    path->mtu = 1420;
    path->interface.mtu = 1420;
    path->interface.peers = &path->wg;
    path->interface.peer_count = 1;
    path->wg.public_key = path->map->peers[1].public_key;
    path->wg.handshake_s = 1000;
}


static void
path_close(struct path *path)
{
    probes_clear(&path->probes);
    netmap_destroy(path->map);
}


static void
path_look(struct path *path)
{
    cr_assert_eq(probes_look(&path->probes, path->map, &path->interface,
                             (int64_t) (path->now / SECOND), path->now),
                 0);
}


/* Sends what is due; what fits is answered 20 ms later. */
static void
path_tick(struct path *path)
{
    struct probe_send send;

    while (probes_due(&path->probes, path->now, path->now, &send)) {
        path->asked++;

        if (send.size <= path->mtu && path->mtu != 0) {
            path->now += 20000;
            send.packet.kind = PROBE_ANSWER;
            path->changes += probes_answer(&path->probes, &send.address,
                                           &send.packet, path->now);
        }
    }
}


/* Traffic all the time, or none but the probes' own. */
static void
path_run(struct path *path, unsigned seconds, bool traffic)
{
    uint64_t deadline, end, look;

    end = path->now + seconds * SECOND;
    look = path->now;

    while (path->now < end) {
        if (path->now >= look) {
            path->wg.handshake_s = (int64_t) (path->now / SECOND);
            path->wg.rx_bytes += traffic ? 5000 : 0;
            path_look(path);
            look = path->now + 2 * SECOND;
        }

        path_tick(path);
        deadline = probes_deadline(&path->probes);
        path->now = deadline < look ? deadline : look;
    }
}


Test(probe, a_packet_survives_the_wire_and_others_are_refused)
{
    struct probe_packet packet, got;
    uint8_t data[PROBE_SIZE + 1];
    size_t i;

    packet.kind = PROBE_ASK;
    packet.sequence = 0x01020304;
    packet.nonce = 0x1122334455667788ULL;
    memset(data, 0, sizeof(data));
    probe_write(&packet, data);
    cr_assert(probe_parse(data, sizeof(data), &got), "padded");
    cr_assert_eq(got.kind, packet.kind);
    cr_assert_eq(got.sequence, packet.sequence);
    cr_assert_eq(got.nonce, packet.nonce);

    for (i = 0; i < PROBE_SIZE; i++) {
        cr_assert_not(probe_parse(data, i, &got), "short");
    }

    for (i = 0; i < 8; i++) {
        data[i] ^= 0x80;
        cr_assert_not(probe_parse(data, PROBE_SIZE, &got), "byte %zu", i);
        data[i] ^= 0x80;
    }
}


Test(probe, who_is_not_talked_to_is_not_asked)
{
    struct path path;
    unsigned asked;

    path_open(&path);
    path.wg.handshake_s = 0;
    path_look(&path);
    path_tick(&path);
    cr_assert_eq(path.asked, 0);
    cr_assert_eq(probes_deadline(&path.probes), UINT64_MAX);

    path_run(&path, 60, false);
    asked = path.asked;
    cr_assert_gt(asked, 2, "a new session is asked for half a minute");
    path_run(&path, 600, false);
    cr_assert_eq(path.asked, asked, "and then left alone");
    path_run(&path, 60, true);
    cr_assert_gt(path.asked, asked, "until somebody talks");
    path_close(&path);
}


Test(probe, its_own_bytes_are_no_traffic)
{
    struct path path;
    unsigned asked;
    size_t i;

    path_open(&path);
    path_run(&path, 60, false);
    asked = path.asked;

    for (i = 0; i < 100; i++) {
        probes_passed(&path.probes,
                      probe_address(path.map, &path.map->peers[1]), 1420);
        path.wg.tx_bytes += 1424 + 32;
        path_run(&path, 2, false);
    }

    cr_assert_eq(path.asked, asked);
    path_close(&path);
}


Test(probe, round_trip_and_loss_are_measured)
{
    const struct probe_peer *peer;
    struct path path;

    path_open(&path);
    path_run(&path, 120, true);
    peer = probes_find(&path.probes, path.map->peers[1].id);
    cr_assert_not_null(peer);
    cr_assert_eq(peer->rtt_us, 20000);
    cr_assert_eq(probe_peer_loss(peer), 0);
    cr_assert_eq(peer->mtu, 1420);
    cr_assert_eq(path.changes, 0);

    path.mtu = 0;
    path_run(&path, 120, true);
    cr_assert_eq(probe_peer_loss(peer), 100);
    cr_assert_eq(peer->mtu, 1420, "a path that is down has no other MTU");
    path_close(&path);
}


Test(probe, the_mtu_of_a_path_is_found_lost_and_raised)
{
    static const uint32_t mtus[] = {577, 1000, 1232, 1280, 1419};
    const struct probe_peer *peer;
    struct path path;
    size_t i;

    for (i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
        path_open(&path);
        path.mtu = mtus[i];
        path_run(&path, 30, true);
        peer = probes_find(&path.probes, path.map->peers[1].id);
        cr_assert_leq(peer->mtu, mtus[i]);
        cr_assert_geq(peer->mtu + PROBE_STEP, mtus[i]);
        cr_assert_eq(path.changes, 1);

        path.mtu = 1420;
        path_run(&path, 1300, true);
        cr_assert_eq(peer->mtu, 1420, "raised");

        path.mtu = mtus[i];
        path_run(&path, 120, true);
        cr_assert_leq(peer->mtu, mtus[i], "noticed within two minutes");

        path.mtu = 1420;
        probes_roamed(&path.probes, path.now);
        path_run(&path, 10, true);
        cr_assert_eq(peer->mtu, 1420, "at once in another place");
        path_close(&path);
    }
}


Test(probe, an_answer_counts_once_and_from_the_right_peer)
{
    struct address other;
    struct probe_send send;
    struct path path;

    path_open(&path);
    path_look(&path);
    cr_assert(probes_due(&path.probes, 7, path.now, &send));
    send.packet.kind = PROBE_ANSWER;
    path.now += 1000;

    other = send.address;
    other.bytes[3] ^= 1;
    probes_answer(&path.probes, &other, &send.packet, path.now);
    send.packet.nonce = 8;
    probes_answer(&path.probes, &send.address, &send.packet, path.now);
    cr_assert_eq(path.probes.peers[0].history_count, 0);

    send.packet.nonce = 7;
    probes_answer(&path.probes, &send.address, &send.packet, path.now);
    probes_answer(&path.probes, &send.address, &send.packet, path.now);
    cr_assert_eq(path.probes.peers[0].history_count, 1);
    path_close(&path);
}


Test(probe, a_narrow_path_has_a_route_of_its_own)
{
    char text[160];
    struct actual actual;
    struct actual_interface have;
    struct desired desired;
    const struct desired *list = &desired;
    struct error error;
    struct operations operations;
    struct path path;

    path_open(&path);
    path.mtu = 1000;
    path_run(&path, 30, true);

    memset(&desired, 0, sizeof(desired));
    memcpy(desired.network_id, FIXTURE_NETWORK, sizeof(FIXTURE_NETWORK));
    memcpy(desired.name, "gc-lan", sizeof("gc-lan"));
    desired.mtu = 1420;
    desired.routes[desired.route_count++] = path.map->cidr;
    cr_assert_eq(probes_desire(&path.probes, path.map, &desired), 0);
    cr_assert_eq(desired.narrow_count, 1);

    memset(&have, 0, sizeof(have));
    memcpy(have.network_id, desired.network_id, sizeof(have.network_id));
    memcpy(have.name, desired.name, sizeof(have.name));
    have.device = true;
    have.up = true;
    have.mtu = 1420;
    have.routes = desired.routes;
    have.route_count = desired.route_count;
    actual.interfaces = &have;
    actual.interface_count = 1;

    cr_assert_eq(reconcile(&list, 1, &actual, &operations, &error), 0);
    cr_assert_eq(operations.count, 1);
    cr_assert_eq(operations.list[0].kind, OPERATION_NARROW_ADD);
    cr_assert_not_null(strstr(
        operation_describe(&operations.list[0], text, sizeof(text)), " mtu "));
    operations_clear(&operations);

    have.narrow = desired.narrow;
    have.narrow_count = 1;
    cr_assert_eq(reconcile(&list, 1, &actual, &operations, &error), 0);
    cr_assert_eq(operations.count, 0, "once");

    desired.narrow_count = 0;
    cr_assert_eq(reconcile(&list, 1, &actual, &operations, &error), 0);
    cr_assert_eq(operations.count, 1);
    cr_assert_eq(operations.list[0].kind, OPERATION_NARROW_DELETE);
    operations_clear(&operations);

    free(desired.narrow);
    path_close(&path);
}
