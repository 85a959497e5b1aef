#include "core/gc_relay_table_private.h"

#include <openssl/crypto.h>


#define GC_RELAY_SWEEP 16 /* old records looked for, for each new one */


gc_relay_peer_t *
gc_relay_peer(const gc_relay_t *relay, uint32_t peer)
{
    return (gc_relay_peer_t *) gc_relay_array(relay, GC_RELAY_AT_PEERS) + peer;
}


void
gc_relay_peer_begin(gc_relay_peer_t *peer)
{
    gc_relay_seq_begin(&peer->seq);
}


void
gc_relay_peer_end(gc_relay_peer_t *peer)
{
    gc_relay_seq_end(&peer->seq);
}


/* heads of the chains by id, then of the lists by network */
static uint32_t *
gc_relay_head(const gc_relay_t *relay, const uint8_t *id, int network)
{
    uint32_t *heads = gc_relay_array(relay, GC_RELAY_AT_HEADS);
    uint32_t at =
        (uint32_t) gc_relay_hash(relay, id, GC_RELAY_ID) & (relay->buckets - 1);

    return heads + at + (network ? relay->buckets : 0);
}


uint32_t
gc_relay_peer_find(const gc_relay_t *relay, const uint8_t *id)
{
    uint32_t i;

    for (i = *gc_relay_head(relay, id, 0); i != 0;
         i = gc_relay_peer(relay, i)->chain) {
        if (memcmp(gc_relay_peer(relay, i)->id, id, GC_RELAY_ID) == 0) {
            return i;
        }
    }

    return 0;
}


uint32_t
gc_relay_network_first(const gc_relay_t *relay, const uint8_t *network)
{
    return *gc_relay_head(relay, network, 1);
}


void
gc_relay_peer_link(gc_relay_t *relay, uint32_t i)
{
    uint32_t *head;
    gc_relay_peer_t *peer = gc_relay_peer(relay, i);

    head = gc_relay_head(relay, peer->id, 0);
    peer->chain = *head;
    *head = i;

    head = gc_relay_head(relay, peer->network, 1);
    peer->before = 0;
    peer->after = *head;

    if (*head != 0) {
        gc_relay_peer(relay, *head)->before = i;
    }

    *head = i;
    relay->used++;
}


static void
gc_relay_peer_unlink(gc_relay_t *relay, uint32_t i)
{
    uint32_t *at;
    gc_relay_peer_t *peer = gc_relay_peer(relay, i);

    for (at = gc_relay_head(relay, peer->id, 0); *at != i;
         at = &gc_relay_peer(relay, *at)->chain) {
    }

    *at = peer->chain;

    if (peer->before != 0) {
        gc_relay_peer(relay, peer->before)->after = peer->after;

    } else {
        *gc_relay_head(relay, peer->network, 1) = peer->after;
    }

    if (peer->after != 0) {
        gc_relay_peer(relay, peer->after)->before = peer->before;
    }

    relay->used--;
}


/* all but the sequence */
void
gc_relay_peer_wipe(gc_relay_peer_t *peer)
{
    OPENSSL_cleanse(&peer->used, sizeof(*peer) - sizeof(peer->seq));
}


static void
gc_relay_peer_free(gc_relay_t *relay, uint32_t i)
{
    gc_relay_peer_t *peer = gc_relay_peer(relay, i);

    gc_relay_peer_unlink(relay, i);
    gc_relay_peer_begin(peer);
    gc_relay_peer_wipe(peer);
    gc_relay_peer_end(peer);
    peer->chain = relay->free;
    relay->free = i;
}


/* `seen` is 0 in one whose address another peer has proved */
static int
gc_relay_peer_old(const gc_relay_peer_t *peer, uint64_t now)
{
    uint64_t last;

    last = peer->place.seen > peer->moved ? peer->place.seen : peer->moved;

    return peer->used && now > last + GC_RELAY_RECORD_MS;
}


static void
gc_relay_sweep(gc_relay_t *relay, uint64_t now)
{
    unsigned n;

    for (n = 0; n < GC_RELAY_SWEEP; n++) {
        relay->sweep = relay->sweep % relay->capacity + 1;

        if (gc_relay_peer_old(gc_relay_peer(relay, relay->sweep), now)) {
            gc_relay_peer_free(relay, relay->sweep);
        }
    }
}


uint32_t
gc_relay_peer_make(gc_relay_t *relay, const uint8_t *id, const uint8_t *network,
                   uint64_t now)
{
    uint32_t i;
    gc_relay_peer_t *peer;

    gc_relay_sweep(relay, now);
    i = relay->free;

    if (i != 0) {
        relay->free = gc_relay_peer(relay, i)->chain;

    } else if (relay->fresh <= relay->capacity) {
        i = relay->fresh++;

    } else {
        return 0;
    }

    peer = gc_relay_peer(relay, i);
    gc_relay_peer_begin(peer);
    peer->used = 1;
    memcpy(peer->id, id, GC_RELAY_ID);
    memcpy(peer->network, network, GC_RELAY_ID);
    peer->moved = now;
    gc_relay_peer_link(relay, i);
    gc_relay_peer_end(peer);

    return i;
}


int
gc_relay_place_read(const gc_relay_t *relay, uint32_t peer, uint64_t now,
                    gc_relay_place_t *place)
{
    const gc_relay_peer_t *record;

    if (peer == 0 || peer > relay->capacity) {
        return -1;
    }

    record = gc_relay_peer(relay, peer);

    return gc_relay_seq_copy(&record->seq, place, &record->place,
                             sizeof(*place)) == 0 &&
                   place->seen != 0 &&
                   now <= place->seen + GC_RELAY_REGISTERED_MS
               ? 0
               : -1;
}
