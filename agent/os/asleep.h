/*
 * Whether this machine was asleep: CLOCK_BOOTTIME goes on while it is,
 * CLOCK_MONOTONIC does not (clock_gettime(2)).
 */

#ifndef OS_ASLEEP_H
#define OS_ASLEEP_H

#include <stdint.h>

#include "plan/error.h"

struct asleep;

struct asleep *asleep_open(struct error *error);
void asleep_close(struct asleep *asleep); /* NULL is fine */

/* Readable when the clock was set, which waking up does too; costs nothing
 * before. */
int asleep_fd(const struct asleep *asleep);

/* How long it slept since the last call, in ms; 0 mostly.  Takes what made
 * the descriptor readable. */
int64_t asleep_ms(struct asleep *asleep);

#endif
