#ifndef GC_DAEMON_NAMING_RESOLVED_H
#define GC_DAEMON_NAMING_RESOLVED_H

#include "daemon/daemon.h"

/*
 * systemd-resolved as the one that is told of the names: each network's
 * interface gets a small name server of ours, on this device's own address in
 * that network, for the network's domains alone. Told again when it was
 * restarted.
 */
typedef struct naming_resolved naming_resolved_t;

/* required: its absence is a problem. NULL: memory is out. */
naming_resolved_t *naming_resolved_create(daemon_t *daemon, int required);

/* What was told stays told. NULL is fine. */
void naming_resolved_destroy(naming_resolved_t *resolved);

/* After a round: what is up may have changed. */
void naming_resolved_sync(naming_resolved_t *resolved);

/* Whether it knows of all networks that are up. */
int naming_resolved_told(const naming_resolved_t *resolved);

/* What is wrong, or "". */
const char *naming_resolved_problem(const naming_resolved_t *resolved);

#endif
