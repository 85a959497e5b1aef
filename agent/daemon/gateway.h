#ifndef GC_DAEMON_GATEWAY_H
#define GC_DAEMON_GATEWAY_H

#include "daemon/daemon.h"

/*
 * This device as the gateway of networks: the netmap says of which. Brings
 * what is forwarded in step with it; ours is what was observed last.
 */
void gateway_sync(daemon_t *daemon, const struct actual *ours);

/* When to look again whether all still stands; UINT64_MAX: never. */
uint64_t gateway_deadline(const daemon_t *daemon);

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
