#ifndef GC_DAEMON_LOCAL_H
#define GC_DAEMON_LOCAL_H

#include "daemon/daemon.h"

/*
 * The local API: the commands that a page of this device needs, as HTTP on
 * 127.0.0.1, for whoever holds the token; and that page. Off unless the
 * settings say so.
 */

/* As the settings have it: opened or closed. What fails is in the log. */
void local_sync(daemon_t *daemon);

/* Closes it, and ends all that is under way. */
void local_stop(daemon_t *daemon);

/* {"url", "port"} for `local`: the token is in the URL. NULL with err. */
json_t *local_describe(const daemon_t *daemon, err_t *err);

#endif
