#ifndef GC_DAEMON_SERVICE_H
#define GC_DAEMON_SERVICE_H

#include "daemon/daemon.h"

/* goconnectd as a service: what systemd is told, and settings read anew. */

/* The control socket listens and the networks are taken over. */
void service_ready(daemon_t *daemon);

/* Tells how things stand (STATUS=), if that is not what was told last. */
void service_tell(daemon_t *daemon);

/* It ends; nothing is told after that. */
void service_stopping(daemon_t *daemon);

/*
 * Reads the settings anew and takes what needs no restart; the log says what,
 * and what does. -1: the file is not as it should be, everything stays as it
 * was. change may be NULL.
 */
int service_reload(daemon_t *daemon, config_change_t *change, err_t *err);

#endif
