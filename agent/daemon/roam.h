#ifndef GC_DAEMON_ROAM_H
#define GC_DAEMON_ROAM_H

#include "daemon/daemon.h"

/*
 * This device somewhere else, or awake again: everything that was known of how
 * to reach others and the server is tried anew, at once.
 */
typedef struct roam roam_t;

/* Watches for the end of a sleep. NULL with err. */
roam_t *roam_create(daemon_t *daemon, err_t *err);
void roam_destroy(roam_t *roam); /* NULL is fine */

/* This machine's addresses are others than before. */
void roam_moved(daemon_t *daemon);

/* Something happened that waking up brings too: was it asleep? */
void roam_look(roam_t *roam);

#endif
