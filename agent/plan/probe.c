#include "plan/probe.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_LIVE_S 180 /* Reject-After-Time of the WireGuard paper, 6.1 */

/* Of a data message: header, counter, tag, at most 15 bytes of padding. */
#define PROBE_OVERHEAD 32

/*
 * What WireGuard sends by itself between two looks: a keep-alive or two and
 * a probe that one side has counted and the other not yet; with a new
 * handshake its messages, several if they were repeated.
 */
#define PROBE_QUIET 320
#define PROBE_QUIET_HANDSHAKE 1024

static const uint8_t probe_magic[] = {'G', 'C', 'P', 'R', 1};


static void
probe_put(uint8_t *data, uint64_t value, unsigned size)
{
    while (size-- > 0) {
        data[size] = (uint8_t) value;
        value >>= 8;
    }
}


static uint64_t
probe_get(const uint8_t *data, unsigned size)
{
    uint64_t value;
    unsigned i;

    value = 0;

    for (i = 0; i < size; i++) {
        value = value << 8 | data[i];
    }

    return value;
}


void
probe_write(const struct probe_packet *packet, uint8_t *data)
{
    memcpy(data, probe_magic, sizeof(probe_magic));
    data[5] = (uint8_t) packet->kind;
    data[6] = 0;
    data[7] = 0;
    probe_put(data + 8, packet->sequence, 4);
    probe_put(data + 12, packet->nonce, 8);
}


bool
probe_parse(const uint8_t *data, size_t size, struct probe_packet *packet)
{
    if (size < PROBE_SIZE ||
        memcmp(data, probe_magic, sizeof(probe_magic)) != 0 ||
        (data[5] != PROBE_ASK && data[5] != PROBE_ANSWER) || data[6] != 0 ||
        data[7] != 0) {
        return false;
    }

    packet->kind = data[5] == PROBE_ASK ? PROBE_ASK : PROBE_ANSWER;
    packet->sequence = (uint32_t) probe_get(data + 8, 4);
    packet->nonce = probe_get(data + 12, 8);

    return true;
}


void
probes_clear(struct probes *probes)
{
    free(probes->peers);
    memset(probes, 0, sizeof(*probes));
}


const struct address *
probe_address(const struct netmap *map, const struct netmap_peer *peer)
{
    /* in a LAN network IPv4 is not WireGuard's, but what it carries */
    return map->lan ? &peer->ip6_address : &peer->ip_address;
}


const struct probe_peer *
probes_find(const struct probes *probes, const char *peer_id)
{
    size_t i;

    for (i = 0; i < probes->count; i++) {
        if (strcmp(probes->peers[i].id, peer_id) == 0) {
            return &probes->peers[i];
        }
    }

    return NULL;
}


static struct probe_peer *
probes_at(struct probes *probes, const struct address *address)
{
    size_t i;

    for (i = 0; i < probes->count; i++) {
        if (address_compare(&probes->peers[i].address, address) == 0) {
            return &probes->peers[i];
        }
    }

    return NULL;
}


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


void
probes_passed(struct probes *probes, const struct address *address, size_t size)
{
    struct probe_peer *peer;

    peer = probes_at(probes, address);

    if (peer != NULL) {
        peer->own_bytes += (size + 15) / 16 * 16 + PROBE_OVERHEAD;
    }
}


void
probes_roamed(struct probes *probes, uint64_t now_us)
{
    size_t i;
    struct probe_peer *peer;

    for (i = 0; i < probes->count; i++) {
        peer = &probes->peers[i];
        peer->asked = false;
        peer->phase = PROBE_PLAIN;
        peer->next_us = now_us;
        peer->verify_us = 0;
        peer->raise_us = 0;
        peer->history_count = 0;
        peer->rtt_us = 0;
    }
}


uint64_t
probes_deadline(const struct probes *probes)
{
    uint64_t next;
    const struct probe_peer *peer;
    size_t i;

    next = UINT64_MAX;

    for (i = 0; i < probes->count; i++) {
        peer = &probes->peers[i];

        if ((peer->asked || peer->next_us < peer->active_until_us) &&
            peer->next_us < next) {
            next = peer->next_us;
        }
    }

    return next;
}


int
probe_peer_loss(const struct probe_peer *peer)
{
    if (peer->history_count == 0) {
        return -1;
    }

    return __builtin_popcount(peer->history &
                              ((1U << peer->history_count) - 1)) *
           100 / (int) peer->history_count;
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


static void
probe_remember(struct probe_peer *peer, bool lost)
{
    peer->history = peer->history << 1 | (lost ? 1 : 0);

    if (peer->history_count < PROBE_HISTORY) {
        peer->history_count++;
    }
}


/* The search is over: what passes is known. */
static bool
probe_found(struct probes *probes, struct probe_peer *peer, uint32_t mtu,
            uint64_t now_us)
{
    uint32_t was;

    was = peer->mtu != 0 ? peer->mtu : probes->mtu;
    peer->mtu = mtu;
    peer->phase = PROBE_PLAIN;
    peer->next_us = now_us + PROBE_EVERY_US;
    peer->verify_us = now_us + PROBE_VERIFY_US;

    if (peer->raise_us <= now_us) {
        peer->raise_us = now_us + PROBE_RAISE_US;
    }

    return was != mtu;
}


static void
probe_try(struct probe_peer *peer, uint32_t size, uint64_t now_us)
{
    peer->phase = PROBE_SIZED;
    peer->trying = size;
    peer->tries = 0;
    peer->next_us = now_us;
}


/* Between what passes and what does not, or the end of it. */
static bool
probe_halve(struct probes *probes, struct probe_peer *peer, uint64_t now_us)
{
    if (peer->high - peer->low <= PROBE_STEP) {
        return probe_found(probes, peer, peer->low, now_us);
    }

    probe_try(peer, peer->low + (peer->high - peer->low) / 2, now_us);

    return false;
}


/* A round trip is known: is it time for the path's MTU? */
static void
probe_plain(struct probes *probes, struct probe_peer *peer, uint64_t now_us)
{
    peer->phase = PROBE_PLAIN;
    peer->next_us = now_us + PROBE_EVERY_US;

    if (now_us < peer->verify_us && now_us < peer->raise_us) {
        return;
    }

    peer->low = PROBE_MTU_MIN;
    peer->high = 0;
    probe_try(peer,
              now_us < peer->raise_us && peer->mtu != 0 &&
                      peer->mtu < probes->mtu
                  ? peer->mtu
                  : probes->mtu,
              now_us);
}


/* Nothing came back to what was asked. */
static void
probe_lost(struct probe_peer *peer, uint64_t now_us)
{
    peer->asked = false;

    switch (peer->phase) {

    case PROBE_PLAIN:
        probe_remember(peer, true);
        peer->next_us = peer->sent_us + PROBE_EVERY_US;
        break;

    case PROBE_SIZED:
        peer->next_us = now_us;

        if (++peer->tries == PROBE_TRIES) {
            peer->phase = PROBE_CONFIRM;
        }

        break;

    case PROBE_CONFIRM:
        /* the path is down, which says nothing of its MTU */
        probe_remember(peer, true);
        peer->phase = PROBE_PLAIN;
        peer->next_us = peer->sent_us + PROBE_EVERY_US;
        break;
    }
}


/* How long an answer is waited for: padded asks are many. */
static uint64_t
probe_patience(const struct probe_peer *peer)
{
    uint64_t wait;

    wait = 250000 + 4 * (uint64_t) peer->rtt_us;

    return peer->phase == PROBE_SIZED && wait < PROBE_LOST_US ? wait
                                                              : PROBE_LOST_US;
}


bool
probes_due(struct probes *probes, uint64_t nonce, uint64_t now_us,
           struct probe_send *send)
{
    size_t i;
    struct probe_peer *peer;

    for (i = 0; i < probes->count; i++) {
        peer = &probes->peers[i];

        if (now_us < peer->next_us) {
            continue;
        }

        if (peer->asked) {
            probe_lost(peer, now_us);
        }

        if (now_us < peer->next_us || now_us >= peer->active_until_us) {
            continue;
        }

        peer->asked = true;
        peer->sequence++;
        peer->nonce = nonce;
        peer->sent_us = now_us;
        peer->next_us = now_us + probe_patience(peer);

        send->address = peer->address;
        send->packet.kind = PROBE_ASK;
        send->packet.sequence = peer->sequence;
        send->packet.nonce = nonce;
        send->size = peer->phase == PROBE_SIZED ? peer->trying : 0;
        return true;
    }

    return false;
}


static void
probe_timed(struct probe_peer *peer, uint64_t now_us)
{
    uint64_t us;

    us = now_us - peer->sent_us;
    us = us == 0 ? 1 : us;
    us = us > UINT32_MAX ? UINT32_MAX : us;

    /* smoothed as RFC 6298, 2 has it */
    peer->rtt_us = peer->rtt_us == 0
                       ? (uint32_t) us
                       : (uint32_t) ((7 * (uint64_t) peer->rtt_us + us) / 8);
    probe_remember(peer, false);
}


bool
probes_answer(struct probes *probes, const struct address *from,
              const struct probe_packet *packet, uint64_t now_us)
{
    struct probe_peer *peer;

    peer = probes_at(probes, from);

    if (peer == NULL || !peer->asked || packet->kind != PROBE_ANSWER ||
        packet->sequence != peer->sequence || packet->nonce != peer->nonce) {
        return false;
    }

    peer->asked = false;

    switch (peer->phase) {

    case PROBE_PLAIN:
        probe_timed(peer, now_us);
        probe_plain(probes, peer, now_us);
        return false;

    case PROBE_SIZED:
        if (peer->high == 0) {
            return probe_found(probes, peer, peer->trying, now_us);
        }

        peer->low = peer->trying;
        return probe_halve(probes, peer, now_us);

    case PROBE_CONFIRM:
        probe_timed(peer, now_us);
        peer->high = peer->trying;
        return probe_halve(probes, peer, now_us);
    }

    return false;
}
