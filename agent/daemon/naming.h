#ifndef GC_DAEMON_NAMING_H
#define GC_DAEMON_NAMING_H

#include "daemon/daemon.h"

/*
 * The names of the networks' peers, for this machine's other programs: a
 * table that the C library's module reads, systemd-resolved where it runs
 * (naming_resolved.c), or lines in the hosts file. Never resolv.conf.
 */
naming_t *naming_create(daemon_t *daemon, err_t *err);

/* Names stay as they are told. NULL is fine. */
void naming_destroy(naming_t *naming);

/* After a round: what is up may have changed. */
void naming_sync(daemon_t *daemon);

/* What `names` answers: all names, and who is told of them. */
json_t *naming_describe(daemon_t *daemon, err_t *err);

#endif
