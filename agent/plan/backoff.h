/*
 * How long to wait before trying again: doubling, capped, with full jitter
 * (a random share of the window), so that a thousand agents whose server
 * came back do not come back together.
 */

#ifndef PLAN_BACKOFF_H
#define PLAN_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t first_ms; /* the first window */
    uint64_t cap_ms;   /* the largest window */
    unsigned failures; /* since the last success */
};

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t cap_ms);

/*
 * Counts one more failure and returns the wait in ms: between a quarter of
 * the window and all of it, chosen by random (32 random bits).
 */
uint64_t backoff_failed(struct backoff *backoff, uint32_t random);

/* After a success that lasted: start from the first window again. */
void backoff_reset(struct backoff *backoff);

#endif
