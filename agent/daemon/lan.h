#ifndef GC_DAEMON_LAN_H
#define GC_DAEMON_LAN_H

#include "daemon/daemon.h"
#include "plan/actual.h"

/*
 * LAN mode: the VXLANs of the networks of mode l2, kept in step with their
 * netmaps.  ours is what was observed last.  0; -1, and the members' problems
 * say why, when something has to be tried again.
 */
int lan_sync(daemon_t *daemon, const struct actual *ours);

/* Leaves all as it is. */
void lan_close(wire_t *wire);

/* Whether what the network needs beyond its tunnel stands. */
int lan_ready(const member_t *member);

/* Says in a network's object for `status` what its mode is. */
void lan_status(const member_t *member, json_t *network);

#endif
