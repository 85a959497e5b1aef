/* Who is at an address, whose an index is, and what a pair does. */


#include "core/gc_relay_table_private.h"


/* ------------------------------------------------------------- addresses */

static int
gc_relay_same_address(const gc_stun_address_t *a, const gc_stun_address_t *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}


/* the entry has the hash's upper half and the peer */
static uint64_t *
gc_relay_address_bucket(const gc_relay_t *relay,
                        const gc_stun_address_t *remote, uint64_t *tag)
{
    uint64_t hash;
    unsigned char text[19];
    gc_relay_address_bucket_t *buckets =
        gc_relay_array(relay, GC_RELAY_AT_ADDRESSES);

    text[0] = remote->family;
    memcpy(text + 1, remote->bytes, 16);
    memcpy(text + 17, &remote->port, 2);
    hash = gc_relay_hash(relay, text, sizeof(text));
    *tag = hash & 0xffffffff00000000ULL;

    return buckets[hash & (relay->buckets - 1)].entries;
}


uint32_t
gc_relay_address_find(const gc_relay_t *relay, const gc_stun_address_t *remote,
                      uint64_t now, gc_relay_place_t *place)
{
    unsigned i;
    uint32_t peer;
    uint64_t tag, entry, *entries;

    entries = gc_relay_address_bucket(relay, remote, &tag);

    for (i = 0; i < 8; i++) {
        entry = __atomic_load_n(&entries[i], __ATOMIC_ACQUIRE);
        peer = (uint32_t) entry;

        if (peer != 0 && (entry & 0xffffffff00000000ULL) == tag &&
            gc_relay_place_read(relay, peer, now, place) == 0 &&
            gc_relay_same_address(&place->address.remote, remote)) {
            return peer;
        }
    }

    return 0;
}


/* whether the entry's peer is not (any more) at an address of this entry */
static int
gc_relay_address_stale(const gc_relay_t *relay, const uint64_t *bucket,
                       uint64_t entry, uint64_t now)
{
    uint64_t tag;
    gc_relay_place_t place;

    return entry == 0 ||
           gc_relay_place_read(relay, (uint32_t) entry, now, &place) != 0 ||
           gc_relay_address_bucket(relay, &place.address.remote, &tag) !=
               bucket ||
           tag != (entry & 0xffffffff00000000ULL);
}


static void
gc_relay_address_take(gc_relay_t *relay, uint32_t peer)
{
    gc_relay_peer_t *record = gc_relay_peer(relay, peer);

    gc_relay_peer_begin(record);
    memset(&record->place.address, 0, sizeof(record->place.address));
    record->place.seen = 0;
    gc_relay_peer_end(record);
}


int
gc_relay_address_set(gc_relay_t *relay, uint32_t peer,
                     const gc_relay_address_t *address, uint64_t now)
{
    int place_of;
    unsigned i;
    uint32_t other;
    uint64_t tag, *entries;
    gc_relay_place_t place;
    gc_relay_peer_t *record;

    other = gc_relay_address_find(relay, &address->remote, now, &place);

    if (other != 0 && other != peer) {
        gc_relay_address_take(relay, other);
    }

    entries = gc_relay_address_bucket(relay, &address->remote, &tag);
    place_of = -1;

    for (i = 0; i < 8; i++) {
        if (entries[i] == (tag | peer)) {
            place_of = (int) i;
            break;
        }

        if (place_of == -1 &&
            gc_relay_address_stale(relay, entries, entries[i], now)) {
            place_of = (int) i;
        }
    }

    if (place_of == -1) {
        return -1;
    }

    record = gc_relay_peer(relay, peer);

    if (!gc_relay_same_address(&record->place.address.remote,
                               &address->remote)) {
        record->moved = now;
    }

    gc_relay_peer_begin(record);
    record->place.address = *address;
    record->place.seen = now;
    gc_relay_peer_end(record);
    __atomic_store_n(&entries[place_of], tag | peer, __ATOMIC_RELEASE);

    return 0;
}


/* -------------------------------------------------------------- bindings */

static gc_relay_binding_bucket_t *
gc_relay_binding_bucket(const gc_relay_t *relay, uint32_t sender,
                        uint32_t index)
{
    uint32_t text[2] = {sender, index};
    gc_relay_binding_bucket_t *buckets =
        gc_relay_array(relay, GC_RELAY_AT_BINDINGS);

    return buckets + (gc_relay_hash(relay, text, sizeof(text)) &
                      (relay->buckets * GC_RELAY_BINDING_SHARE - 1));
}


int
gc_relay_binding_read(const gc_relay_t *relay, uint32_t sender, uint32_t index,
                      uint64_t now, gc_relay_binding_t *binding)
{
    unsigned i;
    const gc_relay_binding_bucket_t *bucket;
    gc_relay_binding_t entries[GC_RELAY_WAYS];

    bucket = gc_relay_binding_bucket(relay, sender, index);

    if (gc_relay_seq_copy(&bucket->seq, entries, bucket->entries,
                          sizeof(entries)) != 0) {
        return -1;
    }

    for (i = 0; i < GC_RELAY_WAYS; i++) {
        if (entries[i].state != GC_RELAY_FREE && entries[i].sender == sender &&
            entries[i].index == index && now < entries[i].expires) {
            *binding = entries[i];
            return 0;
        }
    }

    return -1;
}


int
gc_relay_binding_write(gc_relay_t *relay, const gc_relay_binding_t *binding,
                       uint64_t now)
{
    unsigned i;
    gc_relay_binding_t *to = NULL, *entry;
    gc_relay_binding_bucket_t *bucket;

    bucket = gc_relay_binding_bucket(relay, binding->sender, binding->index);

    for (i = 0; i < GC_RELAY_WAYS; i++) {
        entry = &bucket->entries[i];

        if (entry->state != GC_RELAY_FREE && entry->sender == binding->sender &&
            entry->index == binding->index) {
            to = entry;
            break;
        }

        if (to == NULL &&
            (entry->state == GC_RELAY_FREE || now >= entry->expires)) {
            to = entry;
        }
    }

    if (to == NULL) {
        return -1;
    }

    gc_relay_seq_begin(&bucket->seq);
    *to = *binding;
    gc_relay_seq_end(&bucket->seq);

    return 0;
}


/* ----------------------------------------------------------------- pairs */

gc_relay_pair_t *
gc_relay_pair(gc_relay_t *relay, uint32_t from, uint32_t to, uint64_t now)
{
    unsigned i;
    uint32_t text[2] = {from, to};
    gc_relay_pair_t *entry, *free = NULL;
    gc_relay_pair_bucket_t *buckets = gc_relay_array(relay, GC_RELAY_AT_PAIRS);

    buckets += gc_relay_hash(relay, text, sizeof(text)) & (relay->buckets - 1);

    for (i = 0; i < GC_RELAY_WAYS; i++) {
        entry = &buckets->entries[i];

        if (entry->from == from && entry->to == to) {
            entry->used = now;
            return entry;
        }

        if (free == NULL &&
            (entry->from == 0 || now > entry->used + GC_RELAY_TOLD_MS)) {
            free = entry;
        }
    }

    if (free != NULL) {
        *free = (gc_relay_pair_t){.from = from, .to = to, .used = now};
    }

    return free;
}
