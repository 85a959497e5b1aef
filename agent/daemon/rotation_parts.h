#ifndef GC_DAEMON_ROTATION_PARTS_H
#define GC_DAEMON_ROTATION_PARTS_H

#include "daemon/rotation.h"

#define ROTATION_AGAIN_MS 2000
#define ROTATION_LOOK_S 3600 /* the clock may be set meanwhile */

/* What rotation.c and rotation_own.c, our own key's change, know of each other.
 */

/* The timer of our own key, which ends in rotation_tick(). */
void rotation_timer(member_t *member, int64_t ms);
void rotation_tick(void *arg);

/* Seconds until our key is due; -1: never. */
int64_t rotation_left(const member_t *member);

/* When to look whether it is due. */
void rotation_arm(member_t *member);

void rotation_forget_next(struct member_rotation *rotation);

/* The request under way, if there is one. */
void rotation_cancel(member_t *member);

#endif
