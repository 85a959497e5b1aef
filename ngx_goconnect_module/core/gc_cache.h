/*
 * A store of answers in memory that processes share: bounded, the one that was
 * not used for longest goes first.  It holds no pointers and knows no lock;
 * its owner calls everything below, after gc_cache_init(), between enter and
 * leave, under a lock of his.
 *
 * A process that is killed between the two leaves the mark of having entered.
 * Whoever enters next finds it and empties the store: no half of a change is
 * ever read.
 *
 * The memory is cut into blocks of equal size; an entry is a chain of them,
 * the first holding its head, key and places.  So nothing is fragmented, and
 * taking and giving back cost what the entry is long.
 */


#ifndef GC_CACHE_H
#define GC_CACHE_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gc_json_slice.h"
#include "core/gc_siphash.h"


#define GC_CACHE_BLOCK 512   /* bytes */
#define GC_CACHE_KEY_MAX 240 /* bytes */
#define GC_CACHE_PLACES_MAX 32
#define GC_CACHE_TAG_MAX 128 /* bytes */


typedef struct gc_cache_s gc_cache_t;


/* What is kept under a key; body may be empty. */
typedef struct {
    uint64_t since;   /* of the clock: see gc_clock.h */
    uint64_t expires; /* in the caller's milliseconds */
    const uint32_t *places;
    size_t nplaces;
    gc_slice_t tag;
    gc_slice_t body;
} gc_cache_value_t;


/* What was found.  Good until the caller leaves or stores. */
typedef struct {
    uint32_t entry;
    uint64_t since;
    uint64_t expires;
    const uint32_t *places;
    size_t nplaces;
    size_t tag;  /* bytes */
    size_t body; /* bytes */
} gc_cache_found_t;


typedef struct {
    uint32_t entries;
    uint32_t blocks; /* in use */
    uint32_t room;   /* blocks in all */
    uint64_t stored;
    uint64_t evicted;
    uint64_t emptied; /* because somebody died inside */
} gc_cache_stats_t;


/* Makes one in memory that is aligned to 8; NULL: too little of it. */
gc_cache_t *gc_cache_init(void *memory, size_t size,
                          const unsigned char key[GC_SIPHASH_KEY]);

/* True if it had to be emptied. */
bool gc_cache_enter(gc_cache_t *cache);
void gc_cache_leave(gc_cache_t *cache);

/* False: there is none.  Counts as a use. */
bool gc_cache_find(gc_cache_t *cache, gc_slice_t key, gc_cache_found_t *found);

/* Writes the tag and then the body, found->tag + found->body bytes. */
void gc_cache_copy(gc_cache_t *cache, const gc_cache_found_t *found, void *to);

/*
 * Keeps a value, in the place of what the key had.  Others that were not used
 * for longer give way.  False: one of its parts is too long, or it would take
 * more than an eighth of the room.
 */
bool gc_cache_store(gc_cache_t *cache, gc_slice_t key,
                    const gc_cache_value_t *value);

void gc_cache_drop(gc_cache_t *cache, uint32_t entry);

void gc_cache_stats(gc_cache_t *cache, gc_cache_stats_t *stats);

/* For tests: whether all that is linked is linked as it should be. */
bool gc_cache_sound(gc_cache_t *cache);


#endif /* GC_CACHE_H */
