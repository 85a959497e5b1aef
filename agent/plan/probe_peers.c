/* Who is asked: those that are talked to, by WireGuard's counters. */

#include "plan/probe.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_LIVE_S 180 /* Reject-After-Time of the WireGuard paper, 6.1 */

/*
 * What WireGuard sends by itself between two looks: a keep-alive or two and
 * a probe that one side has counted and the other not yet; with a new
 * handshake its messages, several if they were repeated.
 */
#define PROBE_QUIET 320
#define PROBE_QUIET_HANDSHAKE 1024


static struct probe_peer *
probes_by_key(struct probes *probes, const struct key *key)
{
    size_t i;

    for (i = 0; i < probes->count; i++) {
        if (key_compare(&probes->peers[i].public_key, key) == 0) {
            return &probes->peers[i];
        }
    }

    return NULL;
}


/* NULL: nobody to ask, too many already (count stays), or no memory. */
static struct probe_peer *
probes_add(struct probes *probes, const struct netmap *map,
           const struct netmap_peer *from, uint64_t now_us, int *rc)
{
    struct probe_peer *peer, *grown;
    size_t room;

    if (probe_address(map, from)->family == ADDRESS_NONE || from->agentless ||
        probes->count == PROBE_PEERS_MAX) {
        return NULL;
    }

    if (probes->count == probes->room) {
        room = probes->room == 0 ? 4 : probes->room * 2;
        grown = realloc(probes->peers, room * sizeof(*grown));

        if (grown == NULL) {
            *rc = -1;
            return NULL;
        }

        probes->peers = grown;
        probes->room = room;
    }

    peer = &probes->peers[probes->count++];
    memset(peer, 0, sizeof(*peer));
    memcpy(peer->id, from->id, sizeof(peer->id));
    peer->public_key = from->public_key;
    peer->address = *probe_address(map, from);
    peer->next_us = now_us;
    peer->judged_us = now_us;

    return peer;
}


/* Whether more has passed than what WireGuard and the probes do alone. */
static bool
probe_judge(struct probe_peer *peer, const struct actual_peer *wg,
            uint64_t now_us)
{
    uint64_t bytes, quiet;
    bool active;

    if (now_us < peer->judged_us + PROBE_LOOK_US) {
        return false;
    }

    bytes = wg->rx_bytes + wg->tx_bytes;
    quiet = peer->own_bytes + (wg->handshake_s != peer->handshake_s
                                   ? PROBE_QUIET_HANDSHAKE
                                   : PROBE_QUIET);
    active = bytes > peer->bytes && bytes - peer->bytes > quiet;

    peer->bytes = bytes;
    peer->own_bytes = 0;
    peer->handshake_s = wg->handshake_s;
    peer->judged_us = now_us;

    return active;
}


static void
probe_wake(struct probe_peer *peer, uint64_t now_us)
{
    if (now_us >= peer->active_until_us) {
        peer->next_us = now_us;
        peer->asked = false;
    }

    peer->active_until_us = now_us + PROBE_ACTIVE_US;
}


static const struct netmap_peer *
probes_peer_of(const struct netmap *map, const struct key *key)
{
    size_t i;

    for (i = 0; i < map->peer_count; i++) {
        if (key_compare(&map->peers[i].public_key, key) == 0) {
            return &map->peers[i];
        }
    }

    return NULL;
}


/* A session that was not there before: somebody began to talk. */
static int
probes_begin(struct probes *probes, const struct netmap *map,
             const struct actual_peer *wg, uint64_t now_us)
{
    const struct netmap_peer *from;
    struct probe_peer *peer;
    int rc;

    rc = 0;
    from = probes_peer_of(map, &wg->public_key);

    if (from == NULL) {
        return 0;
    }

    peer = (struct probe_peer *) probes_find(probes, from->id);

    if (peer == NULL) {
        peer = probes_add(probes, map, from, now_us, &rc);
    }

    if (peer == NULL) {
        return rc;
    }

    peer->public_key = wg->public_key;
    peer->bytes = wg->rx_bytes + wg->tx_bytes;
    peer->own_bytes = 0;
    peer->handshake_s = wg->handshake_s;
    peer->judged_us = now_us;
    probe_wake(peer, now_us);

    return 0;
}


/* What took long to find out is kept, as long as there is room. */
static bool
probe_is_narrow(const struct probes *probes, const struct probe_peer *peer)
{
    return peer->mtu != 0 && peer->mtu < probes->mtu &&
           probes->count <= PROBE_PEERS_MAX / 2;
}


/* Those that left the network, changed their address or fell silent go. */
static void
probes_sweep(struct probes *probes, const struct netmap *map,
             const struct actual_interface *interface, int64_t now_s,
             uint64_t now_us)
{
    const struct netmap_peer *from;
    const struct actual_peer *wg;
    struct probe_peer *peer;
    size_t i;

    i = 0;

    while (i < probes->count) {
        peer = &probes->peers[i];
        from = netmap_find(map, peer->id);
        wg = actual_peer(interface, &peer->public_key);

        if (from != NULL &&
            address_compare(probe_address(map, from), &peer->address) == 0 &&
            (now_us < peer->active_until_us || probe_is_narrow(probes, peer) ||
             (wg != NULL && now_s - wg->handshake_s < PROBE_LIVE_S))) {
            i++;
            continue;
        }

        probes->peers[i] = probes->peers[--probes->count];
    }
}


int
probes_look(struct probes *probes, const struct netmap *map,
            const struct actual_interface *interface, int64_t now_s,
            uint64_t now_us)
{
    const struct actual_peer *wg;
    struct probe_peer *peer;
    size_t i;

    if (interface == NULL || map == NULL) {
        probes_clear(probes);
        return 0;
    }

    probes->mtu = interface->mtu;

    for (i = 0; i < interface->peer_count; i++) {
        wg = &interface->peers[i];

        if (now_s - wg->handshake_s >= PROBE_LIVE_S) {
            continue;
        }

        peer = probes_by_key(probes, &wg->public_key);

        if (peer == NULL) {
            if (probes_begin(probes, map, wg, now_us) != 0) {
                return -1;
            }

        } else if (probe_judge(peer, wg, now_us)) {
            probe_wake(peer, now_us);
        }
    }

    probes_sweep(probes, map, interface, now_s, now_us);

    return 0;
}


int
probes_want(struct probes *probes, const struct netmap *map,
            const char *peer_id, uint64_t now_us)
{
    const struct netmap_peer *from;
    struct probe_peer *peer;
    int rc;

    rc = 0;
    from = netmap_find(map, peer_id);
    peer = (struct probe_peer *) probes_find(probes, peer_id);

    if (peer == NULL && from != NULL) {
        peer = probes_add(probes, map, from, now_us, &rc);
    }

    if (peer != NULL) {
        probe_wake(peer, now_us);
    }

    return rc;
}


static void
probe_narrow(struct desired *desired, const struct address *address,
             uint32_t mtu)
{
    struct actual_narrow *narrow;

    if (address->family == ADDRESS_NONE) {
        return;
    }

    if (address->family == ADDRESS_IPV6 && mtu < NETMAP_MTU_MIN) {
        mtu = NETMAP_MTU_MIN;
    }

    narrow = &desired->narrow[desired->narrow_count];

    if (mtu < desired->mtu) {
        narrow->prefix.address = *address;
        narrow->prefix.length = address_bits(address);
        narrow->mtu = mtu;
        desired->narrow_count++;
    }
}


/* Whether our interface has addresses of the family. */
static bool
probe_routed(const struct desired *desired, const struct address *address)
{
    size_t i;

    for (i = 0; i < desired->route_count; i++) {
        if (desired->routes[i].length < address_bits(address) &&
            prefix_contains(&desired->routes[i], address)) {
            return true;
        }
    }

    return false;
}


int
probes_desire(const struct probes *probes, const struct netmap *map,
              struct desired *desired)
{
    const struct netmap_peer *peer;
    size_t i;

    if (probes->count == 0) {
        return 0;
    }

    desired->narrow = calloc(2 * probes->count, sizeof(*desired->narrow));

    if (desired->narrow == NULL) {
        return -1;
    }

    for (i = 0; i < probes->count; i++) {
        peer = netmap_find(map, probes->peers[i].id);

        if (peer == NULL || probes->peers[i].mtu == 0) {
            continue;
        }

        if (probe_routed(desired, &peer->ip_address)) {
            probe_narrow(desired, &peer->ip_address, probes->peers[i].mtu);
        }

        if (probe_routed(desired, &peer->ip6_address)) {
            probe_narrow(desired, &peer->ip6_address, probes->peers[i].mtu);
        }
    }

    return 0;
}
