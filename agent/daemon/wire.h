#ifndef GC_DAEMON_WIRE_H
#define GC_DAEMON_WIRE_H

#include "daemon/daemon.h"

/*
 * From what is wanted to what is: the joined networks' netmaps become
 * operations on this machine's interfaces.
 */
wire_t *wire_create(daemon_t *daemon, err_t *err);

/* Interfaces stay as they are. */
void wire_destroy(wire_t *wire);

/* A network is new: its paths learn of this machine's addresses. */
void wire_member_local(daemon_t *daemon, member_t *member);

/* Bring interfaces in step, in a moment. */
void wire_sync(daemon_t *daemon);

/* At once. -1 with err if something could not be done; it is tried again. */
int wire_sync_now(daemon_t *daemon, err_t *err);

/* What is up and who is talked to, as it is now. */
void wire_look(daemon_t *daemon);

/* ["ADDRESS:PORT", ...]: where this device may be reached in a network. */
json_t *wire_endpoints(daemon_t *daemon, const member_t *member);

/* "joining", "starting", "up", "down", "failed", "leaving" */
const char *wire_state(const member_t *member);

/* The peers of a network with what WireGuard says of them; NULL with err. */
json_t *wire_peers(daemon_t *daemon, member_t *member, err_t *err);

#endif
