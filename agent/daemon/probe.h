#ifndef GC_DAEMON_PROBE_H
#define GC_DAEMON_PROBE_H

#include "daemon/daemon.h"
#include "plan/desired.h"

/*
 * Round trips, loss and path MTU of the peers that are talked to, by small
 * datagrams between tunnel addresses (docs/agent.md, plan/probe.h).
 */

/* The peer's round trip in microseconds; 0: not measured. */
uint32_t probe_rtt_us(const member_t *member, const char *peer_id);

/* Percent of the last probes that got no answer; -1: not measured. */
int probe_loss(const member_t *member, const char *peer_id);

/* Largest packet that reaches the peer; 0: the interface's own MTU. */
uint32_t probe_mtu(const member_t *member, const char *peer_id);

/* The same where it is less than the interface's MTU; else 0. */
uint32_t probe_narrow_mtu(const member_t *member, const char *peer_id);

/*
 * Measures the peer for the next half minute though nobody talks to it: for
 * those that are chosen among by round trip. Ask again as long as it matters.
 */
void probe_want(member_t *member, const char *peer_id);

/* "self", "direct", "relayed", "down", "idle"; wg may be NULL. */
const char *probe_state(const member_t *member, const struct netmap_peer *peer,
                        const struct actual_peer *wg);

/* What was observed of the network's interface, NULL if there is none. */
void probe_look(member_t *member, const struct actual_interface *interface);

/* The routes to peers that take less than the interface's MTU. */
void probe_desire(const member_t *member, struct desired *desired);

/* This device is somewhere else: paths may take less now, or more. */
void probe_roamed(member_t *member);

/* Asks the peer once; the call is answered with the round trip. */
void probe_ping(member_t *member, const char *peer_id, control_call_t *call);

/* Ends and frees all of the member's; calls that wait fail. */
void probe_stop(member_t *member);

#endif
