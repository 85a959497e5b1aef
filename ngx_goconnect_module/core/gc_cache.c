#include "core/gc_cache.h"

#include <stdatomic.h>
#include <string.h>


#define GC_CACHE_NONE UINT32_MAX
#define GC_CACHE_ROOM_MIN 64 /* blocks */
#define GC_CACHE_SHARE 8     /* the part of the room that an entry may take */


/* at the beginning of a chain's first block; key, tag and body follow it */
typedef struct {
    uint64_t hash;
    uint64_t since;
    uint64_t expires;
    uint32_t bucket; /* the next one of the same bucket */
    uint32_t newer;
    uint32_t older;
    uint32_t blocks;
    uint32_t body;
    uint32_t places;
    uint16_t key;
    uint16_t tag;
    uint32_t place[GC_CACHE_PLACES_MAX];
} gc_cache_head_t;

#define GC_CACHE_DATA (GC_CACHE_BLOCK - sizeof(uint64_t))

typedef struct {
    uint32_t next; /* of the chain, or of the free ones */
    uint32_t spare;
    union {
        gc_cache_head_t head;
        unsigned char data[GC_CACHE_DATA];
    };
} gc_cache_block_t;

_Static_assert(sizeof(gc_cache_block_t) == GC_CACHE_BLOCK, "a block's size");
_Static_assert(sizeof(gc_cache_head_t) + GC_CACHE_KEY_MAX <= GC_CACHE_DATA,
               "head and key are in one block");


/* the buckets follow it, and then the blocks */
struct gc_cache_s {
    _Atomic uint32_t entered;
    uint32_t room;
    uint32_t nbuckets; /* a power of two */
    uint32_t unused;   /* the first free block */
    uint32_t newest;
    uint32_t oldest;
    unsigned char key[GC_SIPHASH_KEY];
    gc_cache_stats_t stats;
    uint32_t buckets[];
};


/* where the next byte of an entry is read or written */
typedef struct {
    gc_cache_block_t *block;
    size_t at;
} gc_cache_cursor_t;


static gc_cache_block_t *
gc_cache_block(gc_cache_t *cache, uint32_t i)
{
    return (gc_cache_block_t *) (void *) (cache->buckets + cache->nbuckets) + i;
}


static gc_cache_head_t *
gc_cache_head(gc_cache_t *cache, uint32_t entry)
{
    return &gc_cache_block(cache, entry)->head;
}


/* the end of the buckets is the beginning of the blocks: aligned to 8 */
static size_t
gc_cache_overhead(uint32_t nbuckets)
{
    return sizeof(gc_cache_t) + nbuckets * sizeof(uint32_t);
}


static void
gc_cache_empty(gc_cache_t *cache)
{
    uint32_t i;

    memset(cache->buckets, 0xff, cache->nbuckets * sizeof(uint32_t));

    for (i = 0; i < cache->room; i++) {
        gc_cache_block(cache, i)->next =
            i + 1 < cache->room ? i + 1 : GC_CACHE_NONE;
    }

    cache->unused = 0;
    cache->newest = GC_CACHE_NONE;
    cache->oldest = GC_CACHE_NONE;
    cache->stats.entries = 0;
    cache->stats.blocks = 0;
}


gc_cache_t *
gc_cache_init(void *memory, size_t size,
              const unsigned char key[GC_SIPHASH_KEY])
{
    gc_cache_t *cache;
    uint32_t nbuckets;
    size_t room;

    room = size / GC_CACHE_BLOCK;

    if (room < GC_CACHE_ROOM_MIN || room >= GC_CACHE_NONE) {
        return NULL;
    }

    for (nbuckets = 2; nbuckets < room; nbuckets *= 2) {
        /* one for each block, and up to twice as many */
    }

    room = (size - gc_cache_overhead(nbuckets)) / GC_CACHE_BLOCK;

    cache = memory;
    memset(cache, 0, sizeof(gc_cache_t));
    memcpy(cache->key, key, GC_SIPHASH_KEY);
    cache->room = (uint32_t) room;
    cache->nbuckets = nbuckets;
    cache->stats.room = cache->room;
    gc_cache_empty(cache);

    return cache;
}


bool
gc_cache_enter(gc_cache_t *cache)
{
    if (atomic_exchange(&cache->entered, 1) == 0) {
        return false;
    }

    gc_cache_empty(cache);
    cache->stats.emptied++;

    return true;
}


void
gc_cache_leave(gc_cache_t *cache)
{
    atomic_store(&cache->entered, 0);
}


/*
 * The order of use
 */

static void
gc_cache_unlink(gc_cache_t *cache, const gc_cache_head_t *head)
{
    if (head->newer == GC_CACHE_NONE) {
        cache->newest = head->older;

    } else {
        gc_cache_head(cache, head->newer)->older = head->older;
    }

    if (head->older == GC_CACHE_NONE) {
        cache->oldest = head->newer;

    } else {
        gc_cache_head(cache, head->older)->newer = head->newer;
    }
}


static void
gc_cache_link(gc_cache_t *cache, uint32_t entry)
{
    gc_cache_head_t *head;

    head = gc_cache_head(cache, entry);
    head->newer = GC_CACHE_NONE;
    head->older = cache->newest;

    if (cache->newest == GC_CACHE_NONE) {
        cache->oldest = entry;

    } else {
        gc_cache_head(cache, cache->newest)->newer = entry;
    }

    cache->newest = entry;
}


/*
 * Finding
 */

static uint32_t *
gc_cache_bucket(gc_cache_t *cache, uint64_t hash)
{
    return &cache->buckets[hash & (cache->nbuckets - 1)];
}


static const unsigned char *
gc_cache_key(const gc_cache_head_t *head)
{
    return (const unsigned char *) (head + 1);
}


static uint32_t
gc_cache_lookup(gc_cache_t *cache, gc_slice_t key, uint64_t hash)
{
    gc_cache_head_t *head;
    uint32_t entry;

    entry = *gc_cache_bucket(cache, hash);

    while (entry != GC_CACHE_NONE) {
        head = gc_cache_head(cache, entry);

        if (head->hash == hash && head->key == key.len &&
            memcmp(gc_cache_key(head), key.data, key.len) == 0) {
            break;
        }

        entry = head->bucket;
    }

    return entry;
}


bool
gc_cache_find(gc_cache_t *cache, gc_slice_t key, gc_cache_found_t *found)
{
    gc_cache_head_t *head;
    uint32_t entry;

    entry =
        gc_cache_lookup(cache, key, gc_siphash(cache->key, key.data, key.len));

    if (entry == GC_CACHE_NONE) {
        return false;
    }

    head = gc_cache_head(cache, entry);

    if (cache->newest != entry) {
        gc_cache_unlink(cache, head);
        gc_cache_link(cache, entry);
    }

    found->entry = entry;
    found->since = head->since;
    found->expires = head->expires;
    found->places = head->place;
    found->nplaces = head->places;
    found->tag = head->tag;
    found->body = head->body;

    return true;
}


/* behind the key */
static gc_cache_cursor_t
gc_cache_cursor(gc_cache_t *cache, uint32_t entry)
{
    gc_cache_cursor_t cursor;

    cursor.block = gc_cache_block(cache, entry);
    cursor.at = sizeof(gc_cache_head_t) + cursor.block->head.key;

    return cursor;
}


/* the next bytes that lie together, at most len; moves behind them */
static unsigned char *
gc_cache_span(gc_cache_t *cache, gc_cache_cursor_t *cursor, size_t *len)
{
    unsigned char *p;

    if (cursor->at == GC_CACHE_DATA) {
        cursor->block = gc_cache_block(cache, cursor->block->next);
        cursor->at = 0;
    }

    if (*len > GC_CACHE_DATA - cursor->at) {
        *len = GC_CACHE_DATA - cursor->at;
    }

    p = cursor->block->data + cursor->at;
    cursor->at += *len;

    return p;
}


void
gc_cache_copy(gc_cache_t *cache, const gc_cache_found_t *found, void *to)
{
    const unsigned char *from;
    gc_cache_cursor_t cursor;
    unsigned char *p;
    size_t left, len;

    p = to;
    cursor = gc_cache_cursor(cache, found->entry);

    for (left = found->tag + found->body; left > 0; left -= len) {
        len = left;
        from = gc_cache_span(cache, &cursor, &len);
        memcpy(p, from, len);
        p += len;
    }
}


/*
 * Storing
 */

static void
gc_cache_write(gc_cache_t *cache, gc_cache_cursor_t *cursor, gc_slice_t text)
{
    unsigned char *to;
    size_t len;

    while (text.len > 0) {
        len = text.len;
        to = gc_cache_span(cache, cursor, &len);
        memcpy(to, text.data, len);
        text.data += len;
        text.len -= len;
    }
}


void
gc_cache_drop(gc_cache_t *cache, uint32_t entry)
{
    gc_cache_head_t *head;
    uint32_t *link, last, i;

    head = gc_cache_head(cache, entry);
    link = gc_cache_bucket(cache, head->hash);

    while (*link != entry) {
        link = &gc_cache_head(cache, *link)->bucket;
    }

    *link = head->bucket;
    gc_cache_unlink(cache, head);

    cache->stats.entries--;
    cache->stats.blocks -= head->blocks;

    last = entry;

    for (i = 1; i < head->blocks; i++) {
        last = gc_cache_block(cache, last)->next;
    }

    gc_cache_block(cache, last)->next = cache->unused;
    cache->unused = entry;
}


/* a chain of n blocks; others give way */
static uint32_t
gc_cache_take(gc_cache_t *cache, uint32_t n)
{
    uint32_t first, last, i;

    while (cache->room - cache->stats.blocks < n) {
        gc_cache_drop(cache, cache->oldest);
        cache->stats.evicted++;
    }

    first = cache->unused;
    last = first;

    for (i = 1; i < n; i++) {
        last = gc_cache_block(cache, last)->next;
    }

    cache->unused = gc_cache_block(cache, last)->next;
    gc_cache_block(cache, last)->next = GC_CACHE_NONE;
    cache->stats.blocks += n;

    return first;
}


static bool
gc_cache_fits(gc_cache_t *cache, gc_slice_t key, const gc_cache_value_t *value)
{
    return key.len <= GC_CACHE_KEY_MAX &&
           value->nplaces <= GC_CACHE_PLACES_MAX &&
           value->tag.len <= GC_CACHE_TAG_MAX &&
           value->body.len <=
               (size_t) (cache->room / GC_CACHE_SHARE - 2) * GC_CACHE_DATA;
}


static void
gc_cache_fill(gc_cache_t *cache, uint32_t entry, gc_slice_t key,
              const gc_cache_value_t *value)
{
    gc_cache_cursor_t cursor;
    gc_cache_head_t *head;

    head = gc_cache_head(cache, entry);
    head->since = value->since;
    head->expires = value->expires;
    head->key = (uint16_t) key.len;
    head->tag = (uint16_t) value->tag.len;
    head->body = (uint32_t) value->body.len;
    head->places = (uint32_t) value->nplaces;

    memcpy(head + 1, key.data, key.len);

    if (value->nplaces > 0) {
        memcpy(head->place, value->places, value->nplaces * sizeof(uint32_t));
    }

    cursor = gc_cache_cursor(cache, entry);
    gc_cache_write(cache, &cursor, value->tag);
    gc_cache_write(cache, &cursor, value->body);
}


bool
gc_cache_store(gc_cache_t *cache, gc_slice_t key, const gc_cache_value_t *value)
{
    gc_cache_head_t *head;
    uint32_t entry, *bucket, n;
    uint64_t hash;
    size_t size;

    if (!gc_cache_fits(cache, key, value)) {
        return false;
    }

    hash = gc_siphash(cache->key, key.data, key.len);
    entry = gc_cache_lookup(cache, key, hash);

    if (entry != GC_CACHE_NONE) {
        gc_cache_drop(cache, entry);
    }

    size = sizeof(gc_cache_head_t) + key.len + value->tag.len + value->body.len;
    n = (uint32_t) ((size + GC_CACHE_DATA - 1) / GC_CACHE_DATA);

    entry = gc_cache_take(cache, n);
    gc_cache_fill(cache, entry, key, value);

    bucket = gc_cache_bucket(cache, hash);
    head = gc_cache_head(cache, entry);
    head->hash = hash;
    head->blocks = n;
    head->bucket = *bucket;
    *bucket = entry;
    gc_cache_link(cache, entry);

    cache->stats.entries++;
    cache->stats.stored++;

    return true;
}


void
gc_cache_stats(gc_cache_t *cache, gc_cache_stats_t *stats)
{
    *stats = cache->stats;
}


bool
gc_cache_sound(gc_cache_t *cache)
{
    gc_cache_head_t *head;
    uint32_t entry, newer, entries, blocks, unused;

    entries = 0;
    blocks = 0;
    unused = 0;
    newer = GC_CACHE_NONE;

    for (entry = cache->newest; entry != GC_CACHE_NONE; entry = head->older) {
        head = gc_cache_head(cache, entry);

        if (entries++ > cache->room || head->newer != newer ||
            gc_cache_lookup(
                cache,
                (gc_slice_t){(const char *) gc_cache_key(head), head->key},
                head->hash) != entry) {
            return false;
        }

        blocks += head->blocks;
        newer = entry;
    }

    for (entry = cache->unused; entry != GC_CACHE_NONE && unused <= cache->room;
         entry = gc_cache_block(cache, entry)->next) {
        unused++;
    }

    return newer == cache->oldest && entries == cache->stats.entries &&
           blocks == cache->stats.blocks && blocks + unused == cache->room;
}
