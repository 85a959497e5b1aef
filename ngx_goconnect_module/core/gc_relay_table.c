#include "core/gc_relay_table_private.h"


#define GC_RELAY_MAGIC 0x31796c7263676f67ULL
#define GC_RELAY_LAYOUT ((uint64_t) sizeof(gc_relay_peer_t) << 32 | 2)


static uint32_t
gc_relay_buckets(uint32_t peers)
{
    uint32_t n;

    for (n = 64; n < peers; n *= 2) {
    }

    return n;
}


/* Where each array begins, all aligned to 64 bytes; returns where they end. */
static size_t
gc_relay_lay(uint32_t peers, uint64_t offsets[GC_RELAY_ARRAYS])
{
    size_t buckets = gc_relay_buckets(peers);
    const size_t sizes[] = {
        ((size_t) peers + 1) * sizeof(gc_relay_peer_t),
        buckets * sizeof(gc_relay_address_bucket_t),
        buckets * GC_RELAY_BINDING_SHARE * sizeof(gc_relay_binding_bucket_t),
        buckets * sizeof(gc_relay_pair_bucket_t),
        buckets * 2 * sizeof(uint32_t),
    };
    unsigned i;
    size_t at = (sizeof(gc_relay_t) + 63) & ~(size_t) 63;

    for (i = 0; i < GC_RELAY_ARRAYS; i++) {
        offsets[i] = at;
        at += (sizes[i] + 63) & ~(size_t) 63;
    }

    return at;
}


size_t
gc_relay_size(uint32_t peers)
{
    uint64_t offsets[GC_RELAY_ARRAYS];

    return gc_relay_lay(peers, offsets);
}


gc_relay_t *
gc_relay_create(void *area, uint32_t peers, uint64_t boot,
                const unsigned char random[64])
{
    gc_relay_t *relay = area;

    relay->layout = GC_RELAY_LAYOUT;
    relay->boot = boot;
    relay->capacity = peers;
    relay->buckets = gc_relay_buckets(peers);
    relay->fresh = 1;
    (void) gc_relay_lay(peers, relay->offsets);
    memcpy(relay->hash_key, random, sizeof(relay->hash_key));
    memcpy(relay->nonce_key, random + 32, sizeof(relay->nonce_key));

    /* the last: a table that is half made is none */
    __atomic_store_n(&relay->magic, GC_RELAY_MAGIC, __ATOMIC_RELEASE);

    return relay;
}


gc_relay_t *
gc_relay_attach(void *area, size_t size, uint32_t peers)
{
    gc_relay_t *relay = area;
    uint64_t offsets[GC_RELAY_ARRAYS];

    return size == gc_relay_lay(peers, offsets) &&
                   __atomic_load_n(&relay->magic, __ATOMIC_ACQUIRE) ==
                       GC_RELAY_MAGIC &&
                   relay->layout == GC_RELAY_LAYOUT &&
                   relay->capacity == peers &&
                   memcmp(relay->offsets, offsets, sizeof(offsets)) == 0
               ? relay
               : NULL;
}


uint64_t
gc_relay_boot(const gc_relay_t *relay)
{
    return relay->boot;
}


uint32_t
gc_relay_used(const gc_relay_t *relay)
{
    return relay->used;
}


unsigned
gc_relay_repair(gc_relay_t *relay)
{
    uint32_t i;
    unsigned forgotten = 0;
    gc_relay_peer_t *peer;
    gc_relay_binding_bucket_t *bindings =
        gc_relay_array(relay, GC_RELAY_AT_BINDINGS);

    for (i = 0; i < relay->buckets * GC_RELAY_BINDING_SHARE; i++) {
        if (bindings[i].seq & 1) {
            memset(bindings[i].entries, 0, sizeof(bindings[i].entries));
            gc_relay_seq_end(&bindings[i].seq);
            forgotten++;
        }
    }

    memset(gc_relay_array(relay, GC_RELAY_AT_HEADS), 0,
           (size_t) relay->buckets * 2 * sizeof(uint32_t));
    relay->used = 0;
    relay->free = 0;
    relay->fresh = relay->capacity + 1;

    for (i = relay->capacity; i >= 1; i--) {
        peer = gc_relay_peer(relay, i);

        if (peer->seq & 1) {
            gc_relay_peer_wipe(peer);
            gc_relay_peer_end(peer);
            forgotten++;
        }

        if (peer->used) {
            gc_relay_peer_link(relay, i);

        } else {
            peer->chain = relay->free;
            relay->free = i;
        }
    }

    return forgotten;
}
