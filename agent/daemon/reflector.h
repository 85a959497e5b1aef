#ifndef GC_DAEMON_REFLECTOR_H
#define GC_DAEMON_REFLECTOR_H

#include "daemon/daemon.h"

/*
 * What this host sends to everybody on a port that a network lists, told to
 * the members that are online. Follows what is up and what it lists; without
 * a listed port nothing is read.
 */
void reflector_sync(daemon_t *daemon);
void reflector_stop(daemon_t *daemon);

#endif
