#ifndef GC_DAEMON_NETCHECK_H
#define GC_DAEMON_NETCHECK_H

#include "daemon/daemon.h"

/*
 * What is between this device and the internet: its addresses outside, and
 * what the NAT does, asked of a STUN server from WireGuard's own port.
 */

/* `netcheck`; one at a time. */
void netcheck_run(daemon_t *daemon, control_call_t *call, json_t *request);

/* The daemon ends: whoever asked is told so. */
void netcheck_stop(daemon_t *daemon);

#endif
