/*
 * How fast a server that leaves sends its clients away, and how far apart it
 * has them come back.
 */


#ifndef GC_PACE_H
#define GC_PACE_H


#include <stdint.h>


/* how often a worker tells some more of its sockets, in milliseconds */
#define GC_PACE_TICK 50

/* all of them are told within so many ms, however many there are */
#define GC_PACE_TELL_MAX 20000

/* clients of a node that come back in a second; each is a few queries */
#define GC_PACE_RETURN_RATE 500
#define GC_PACE_RETURN_MAX 120 /* seconds */


/*
 * How many of a worker's `sockets` it tells in one tick, so that all are told
 * `within` ms: at least 1,000 a second.
 */
uint32_t gc_pace_batch(uint32_t sockets, uint32_t within);

/*
 * Seconds over which the `sockets` of a node are to spread their return: each
 * waits a whole number of seconds from 0 to this one.
 */
uint32_t gc_pace_window(uint32_t sockets);


#endif /* GC_PACE_H */
