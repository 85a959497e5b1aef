#ifndef GC_DAEMON_WIRE_LOCAL_H
#define GC_DAEMON_WIRE_LOCAL_H

#include "daemon/daemon.h"

/*
 * This machine's own addresses: followed as they change, for the paths to
 * peers and for what the server is told.
 */
int wire_local_open(wire_t *wire, err_t *err);
void wire_local_close(wire_t *wire);

/* A network is new: its paths learn of this machine's addresses. */
void wire_local_member(daemon_t *daemon, member_t *member);

/* ["ADDRESS:PORT", ...]: where this device may be reached in a network. */
json_t *wire_local_endpoints(daemon_t *daemon, const member_t *member);

#endif
