/*
 * When each topic last changed, by a clock that counts changes.  It lies in
 * memory that processes share and needs no lock: whoever is killed in the
 * middle of a call leaves nothing behind that another could stumble over.
 *
 * What is read from the database is as of the clock's value before the
 * question was sent; it holds as long as none of the topics that it depends on
 * has changed since.  A topic has a place by its hash.  Two that share one are
 * taken to change together, which costs a question and nothing else.
 */


#ifndef GC_CLOCK_H
#define GC_CLOCK_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/gc_siphash.h"


typedef struct gc_clock_s gc_clock_t;


/* The memory, a multiple of 8, that a clock of `places`, a power of 2, takes */
size_t gc_clock_size(uint32_t places);

/* Makes one in gc_clock_size() bytes, aligned to 8. */
gc_clock_t *gc_clock_init(void *memory, uint32_t places,
                          const unsigned char key[GC_SIPHASH_KEY]);

uint64_t gc_clock_now(gc_clock_t *clock);

/* Where a topic stands, for gc_clock_holds() */
uint32_t gc_clock_place(gc_clock_t *clock, const void *topic, size_t len);

/*
 * The topic has changed, by its event seq; 0: by something without a number.
 * An event that was heard of before, or one that came after it, changes
 * nothing: whoever has asked since has seen it already, because a topic's seq
 * follows the commits.
 */
void gc_clock_advance(gc_clock_t *clock, const void *topic, size_t len,
                      int64_t seq);

/* Everything has changed, and sequences may begin anew. */
void gc_clock_advance_all(gc_clock_t *clock);

/* True if nothing has changed at these places since. */
bool gc_clock_holds(gc_clock_t *clock, uint64_t since, const uint32_t *places,
                    size_t n);


#endif /* GC_CLOCK_H */
