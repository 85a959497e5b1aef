#ifndef GC_DAEMON_EXITS_H
#define GC_DAEMON_EXITS_H

#include "daemon/daemon.h"
#include "plan/desired.h"

/*
 * The internet by way of a member: one exit at a time, chosen by `exit use`
 * and kept in the record of its network.  While it is in use and cannot be
 * reached nothing leaves by another way.
 */
int exits_open(wire_t *wire, err_t *err);
void exits_close(wire_t *wire); /* what is laid stays */

/* Allowed ips of the exit, and the mark of WireGuard's own packets. -1: memory
 * is out. */
int exits_wish(member_t *member, struct desired *desired);

/* Takes it back, before tunnels are changed, where it is not wanted any more.
 */
void exits_before(daemon_t *daemon);

/* Lays it, after. */
void exits_sync(daemon_t *daemon);

/* The server has answered, perhaps at another address. */
void exits_connected(daemon_t *daemon);

/* Somebody changed nftables. */
void exits_again(daemon_t *daemon);

/* When to try again what could not be done; UINT64_MAX: all is done. */
uint64_t exits_deadline(const daemon_t *daemon);

/* What stands against it now, "" for nothing; NULL: no exit is in use. */
const char *exits_problem(daemon_t *daemon, char *text, size_t size);

/* The exit that is used, in `status`: an object, or null. */
json_t *exits_status(daemon_t *daemon);

/* The command `exit`. */
void exits_run(daemon_t *daemon, control_call_t *call, json_t *request);

#endif
