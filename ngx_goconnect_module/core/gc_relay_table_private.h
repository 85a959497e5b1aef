/* What the files of the relay's table (gc_relay_table.h) share. */


#ifndef GC_RELAY_TABLE_PRIVATE_H
#define GC_RELAY_TABLE_PRIVATE_H


#include <string.h>

#include "core/gc_relay_table.h"


#define GC_RELAY_TRIES 64 /* of a reader, before it is a miss */
#define GC_RELAY_BINDING_SHARE 4
#define GC_RELAY_PREFIXES 4096


/* the arrays behind the header, in their order */
enum {
    GC_RELAY_AT_PEERS = 0,
    GC_RELAY_AT_ADDRESSES,
    GC_RELAY_AT_BINDINGS,
    GC_RELAY_AT_PAIRS,
    GC_RELAY_AT_HEADS,
    GC_RELAY_ARRAYS
};


/* one cache line: a tag of the address | the peer */
typedef struct {
    uint64_t entries[8];
} gc_relay_address_bucket_t;


typedef struct {
    uint32_t seq;
    gc_relay_binding_t entries[GC_RELAY_WAYS];
} gc_relay_binding_bucket_t;


typedef struct {
    gc_relay_pair_t entries[GC_RELAY_WAYS];
} gc_relay_pair_bucket_t;


struct gc_relay_s {
    uint64_t magic;
    uint64_t layout;
    uint64_t boot;
    uint32_t capacity;
    uint32_t buckets; /* a power of two, as many as peers or more */
    uint32_t used;
    uint32_t fresh; /* the first record that was never used */
    uint32_t free;
    uint32_t sweep;
    uint64_t offsets[GC_RELAY_ARRAYS]; /* of the arrays behind this */
    unsigned char hash_key[GC_SIPHASH_KEY];
    unsigned char nonce_key[32];
    uint64_t search_pace;
    uint64_t prefix_pace[GC_RELAY_PREFIXES];
};


static inline void *
gc_relay_array(const gc_relay_t *relay, unsigned array)
{
    return (char *) relay + relay->offsets[array];
}


static inline uint64_t
gc_relay_hash(const gc_relay_t *relay, const void *data, size_t len)
{
    return gc_siphash(relay->hash_key, data, len);
}


static inline void
gc_relay_seq_begin(uint32_t *seq)
{
    __atomic_store_n(seq, *seq | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}


static inline void
gc_relay_seq_end(uint32_t *seq)
{
    __atomic_store_n(seq, (*seq | 1) + 1, __ATOMIC_RELEASE);
}


/* A copy that no writer has touched meanwhile; -1 after a few tries. */
static inline int
gc_relay_seq_copy(const uint32_t *seq, void *out, const void *data, size_t size)
{
    unsigned i;
    uint32_t before;

    for (i = 0; i < GC_RELAY_TRIES; i++) {
        before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);

        if (before & 1) {
            continue;
        }

        memcpy(out, data, size);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (__atomic_load_n(seq, __ATOMIC_RELAXED) == before) {
            return 0;
        }
    }

    return -1;
}


/* gc_relay_peer.c, for the repair */
void gc_relay_peer_link(gc_relay_t *relay, uint32_t i);
void gc_relay_peer_wipe(gc_relay_peer_t *peer);


#endif /* GC_RELAY_TABLE_PRIVATE_H */
