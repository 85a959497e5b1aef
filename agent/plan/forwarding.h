/*
 * What a gateway forwards: between the members of a network and its devices
 * without an agent, inside the network's interface, and nothing else.  Pure:
 * the netmap says whether we are the gateway and which devices there are; the
 * result is the rules as nftables reads them.
 */

#ifndef PLAN_FORWARDING_H
#define PLAN_FORWARDING_H

#include "plan/actual.h"
#include "plan/error.h"
#include "plan/netmap.h"

/* Our table, by which the rules are known as ours also after a crash. */
#define FORWARDING_TABLE "goconnect_gateway"

struct forwarding_network {
    char name[ACTUAL_NAME_SIZE]; /* the interface */
    struct address *devices;     /* of devices that go by us, sorted */
    size_t device_count;
};

struct forwarding {
    struct forwarding_network *networks;
    size_t count;
};

/* Whether the map says that the peer is the network's gateway. */
bool forwarding_is_gateway(const struct netmap *map, const char *peer_id);

/*
 * Adds the network, if the peer is its gateway; else nothing.  Returns 0, or
 * -1 with *error and *forwarding as it was.
 */
int forwarding_add(struct forwarding *forwarding, const struct netmap *map,
                   const char *peer_id, const char *name, struct error *error);

/*
 * The commands that replace our table by these rules in one transaction; with
 * no network, the ones that remove it.  A new text, or NULL: memory is out.
 */
char *forwarding_rules(const struct forwarding *forwarding);

/* Frees what hangs below, and forgets it. */
void forwarding_clear(struct forwarding *forwarding);

#endif
