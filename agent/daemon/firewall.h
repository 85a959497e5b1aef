#ifndef GC_DAEMON_FIREWALL_H
#define GC_DAEMON_FIREWALL_H

#include "daemon/daemon.h"
#include "plan/firewall.h"

/*
 * Networks' rules on this host, and what it forwards: brought in step with the
 * netmaps and with what this device offers.
 */

/* Begins to notice who else changes our rules. -1 with err. */
int firewall_open(wire_t *wire, err_t *err);
void firewall_close(wire_t *wire); /* rules stay */

/* Rules alone, before interfaces are made or taken away. */
void firewall_lay(daemon_t *daemon);

/* Rules and forwarding, after; ours is what was observed last. */
void firewall_sync(daemon_t *daemon, const struct actual *ours);

/* When to try again what could not be done; UINT64_MAX: all is done. */
uint64_t firewall_deadline(const daemon_t *daemon);

/*
 * What this device forwards from a network to subnets, or (length 0) to the
 * internet, from the next round on: only what it offers and an admin has
 * approved. A route names the interface that leads there; where that one does
 * not forward yet it does so for our sake alone. Copied; 0: nothing. -1: memory
 * is out.
 */
int firewall_set_routes(member_t *member, const struct firewall_route *routes,
                        size_t count);

/* "on", "off" (nothing is up) or "failed": member->firewall.problem */
const char *firewall_state(const member_t *member);

/* A network is forgotten. */
void firewall_stop(member_t *member);

#endif
