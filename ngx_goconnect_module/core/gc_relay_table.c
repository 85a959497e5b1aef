#include "core/gc_relay_table.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>


#define GC_RELAY_MAGIC 0x31796c7263676f67ULL
#define GC_RELAY_LAYOUT ((uint64_t) sizeof(gc_relay_peer_t) << 32 | 1)
#define GC_RELAY_TRIES 64 /* of a reader, before it is a miss */
#define GC_RELAY_BINDING_SHARE 4
#define GC_RELAY_PREFIXES 4096
#define GC_RELAY_SWEEP 16 /* old records looked for, for each new one */


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
    unsigned char hash_key[GC_SIPHASH_KEY];
    unsigned char nonce_key[32];
    uint64_t search_pace;
    uint64_t prefix_pace[GC_RELAY_PREFIXES];
};


static uint32_t
gc_relay_buckets(uint32_t peers)
{
    uint32_t n;

    for (n = 64; n < peers; n *= 2) {
    }

    return n;
}


/* Where each array begins, all aligned to 64 bytes; the last one: the end. */
static size_t
gc_relay_offset(uint32_t peers, unsigned array)
{
    size_t buckets = gc_relay_buckets(peers);
    const size_t sizes[] = {
        sizeof(gc_relay_t),
        ((size_t) peers + 1) * sizeof(gc_relay_peer_t),
        buckets * sizeof(gc_relay_address_bucket_t),
        buckets * GC_RELAY_BINDING_SHARE * sizeof(gc_relay_binding_bucket_t),
        buckets * sizeof(gc_relay_pair_bucket_t),
        buckets * 2 * sizeof(uint32_t),
    };
    unsigned i;
    size_t at = 0;

    for (i = 0; i < array; i++) {
        at += (sizes[i] + 63) & ~(size_t) 63;
    }

    return at;
}


static void *
gc_relay_array(const gc_relay_t *relay, unsigned array)
{
    return (char *) relay + gc_relay_offset(relay->capacity, array);
}


size_t
gc_relay_size(uint32_t peers)
{
    return gc_relay_offset(peers, 6);
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

    return size == gc_relay_size(peers) &&
                   __atomic_load_n(&relay->magic, __ATOMIC_ACQUIRE) ==
                       GC_RELAY_MAGIC &&
                   relay->layout == GC_RELAY_LAYOUT && relay->capacity == peers
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


static uint64_t
gc_relay_hash(const gc_relay_t *relay, const void *data, size_t len)
{
    return gc_siphash(relay->hash_key, data, len);
}


/* ------------------------------------------------------------- sequences */

static void
gc_relay_seq_begin(uint32_t *seq)
{
    __atomic_store_n(seq, *seq | 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}


static void
gc_relay_seq_end(uint32_t *seq)
{
    __atomic_store_n(seq, (*seq | 1) + 1, __ATOMIC_RELEASE);
}


/* A copy that no writer has touched meanwhile; -1 after a few tries. */
static int
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


/* ----------------------------------------------------------------- peers */

gc_relay_peer_t *
gc_relay_peer(const gc_relay_t *relay, uint32_t peer)
{
    return (gc_relay_peer_t *) gc_relay_array(relay, 1) + peer;
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
    uint32_t *heads = gc_relay_array(relay, 5);
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


static void
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
static void
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
    gc_relay_address_bucket_t *buckets = gc_relay_array(relay, 2);

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
    gc_relay_binding_bucket_t *buckets = gc_relay_array(relay, 3);

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
    gc_relay_pair_bucket_t *buckets = gc_relay_array(relay, 4);

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


/* ----------------------------------------------------------------- paces */

int
gc_relay_pace(uint64_t *pace, uint64_t now, uint64_t cost, uint64_t burst)
{
    uint64_t at = *pace > now * 1000 ? *pace : now * 1000;

    if (at + cost > now * 1000 + burst) {
        return 0;
    }

    *pace = at + cost;
    return 1;
}


uint64_t *
gc_relay_search_pace(gc_relay_t *relay)
{
    return &relay->search_pace;
}


uint64_t *
gc_relay_prefix_pace(gc_relay_t *relay, const gc_stun_address_t *remote)
{
    unsigned char text[7] = {remote->family};

    /* whoever has one address has these */
    memcpy(text + 1, remote->bytes, remote->family == 4 ? 3 : 6);

    return &relay->prefix_pace[gc_relay_hash(relay, text, sizeof(text)) %
                               GC_RELAY_PREFIXES];
}


/* ---------------------------------------------------------------- nonces */

static int
gc_relay_nonce_of(const gc_relay_t *relay, const gc_stun_address_t *remote,
                  uint64_t second, uint8_t nonce[16])
{
    unsigned i;
    unsigned char text[23], mac[32];

    for (i = 0; i < 4; i++) {
        nonce[i] = (uint8_t) (second >> (24 - 8 * i));
    }

    memcpy(text, nonce, 4);
    text[4] = remote->family;
    memcpy(text + 5, remote->bytes, 16);
    text[21] = (unsigned char) (remote->port >> 8);
    text[22] = (unsigned char) remote->port;

    if (HMAC(EVP_sha256(), relay->nonce_key, sizeof(relay->nonce_key), text,
             sizeof(text), mac, NULL) == NULL) {
        return -1;
    }

    memcpy(nonce + 4, mac, 12);
    return 0;
}


int
gc_relay_nonce(const gc_relay_t *relay, const gc_stun_address_t *remote,
               uint64_t now, uint8_t nonce[16])
{
    return gc_relay_nonce_of(relay, remote, now / 1000, nonce);
}


int
gc_relay_nonce_valid(const gc_relay_t *relay, const gc_stun_address_t *remote,
                     uint64_t now, const uint8_t nonce[16])
{
    uint64_t second;
    uint8_t expected[16];

    second = (uint64_t) nonce[0] << 24 | (uint64_t) nonce[1] << 16 |
             (uint64_t) nonce[2] << 8 | nonce[3];

    return second <= now / 1000 &&
           now / 1000 - second < GC_RELAY_NONCE_MS / 1000 &&
           gc_relay_nonce_of(relay, remote, second, expected) == 0 &&
           CRYPTO_memcmp(expected, nonce, sizeof(expected)) == 0;
}


/* ---------------------------------------------------------------- repair */

unsigned
gc_relay_repair(gc_relay_t *relay)
{
    uint32_t i;
    unsigned forgotten = 0;
    gc_relay_peer_t *peer;
    gc_relay_binding_bucket_t *bindings = gc_relay_array(relay, 3);

    for (i = 0; i < relay->buckets * GC_RELAY_BINDING_SHARE; i++) {
        if (bindings[i].seq & 1) {
            memset(bindings[i].entries, 0, sizeof(bindings[i].entries));
            gc_relay_seq_end(&bindings[i].seq);
            forgotten++;
        }
    }

    memset(gc_relay_array(relay, 5), 0,
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
