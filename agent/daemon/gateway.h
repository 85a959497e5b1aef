#ifndef GC_DAEMON_GATEWAY_H
#define GC_DAEMON_GATEWAY_H

#include "daemon/daemon.h"

/*
 * This device as the gateway of a network: the netmap says so, and
 * daemon/firewall.c made it so or (problem) could not.
 */
void gateway_learn(member_t *member, const char *problem);

/*
 * Offers this device to the network, or takes the offer back. The call is
 * answered when what the server says is so here too. announced is where a
 * router forwards to this device, told before its own addresses; NULL leaves
 * it as it was.
 */
void gateway_offer(member_t *member, control_call_t *call, int on,
                   const struct endpoint *announced);

/* Answers the call that waits, if there is one. */
void gateway_fail(member_t *member, const err_t *err);

/* Ends what is under way, the call unanswered. */
void gateway_stop(member_t *member);

/* "off", "on" or "failed" */
const char *gateway_state(const member_t *member);

#endif
