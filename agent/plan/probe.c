#include "plan/probe.h"

#include <stdlib.h>
#include <string.h>

/* Of a data message: header, counter, tag, at most 15 bytes of padding. */
#define PROBE_OVERHEAD 32

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
