/*
 * Interfaces, addresses and routes by rtnetlink (RFC 3549), for both back
 * ends.
 */

#ifndef OS_LINKS_H
#define OS_LINKS_H

#include <stdbool.h>

#include "os/netlink.h"
#include "plan/actual.h"
#include "plan/error.h"
#include "plan/reconcile.h"

#define LINKS_KIND_SIZE 16

/* What the kernel tells of one interface. */
struct links_link {
    int index;
    unsigned flags; /* IFF_ */
    unsigned group;
    uint32_t mtu;
    char name[ACTUAL_NAME_SIZE];
    char kind[LINKS_KIND_SIZE];      /* "wireguard", "tun", ..., "" */
    char network_id[NETMAP_ID_SIZE]; /* from our alias, or "" */
    bool alias;                      /* it has some alias */
};

struct links_list {
    struct links_link *links; /* owned: free() */
    size_t count;
    size_t room;
};

/* All interfaces of this network namespace. */
int links_all(struct links_list *list, struct error *error);

/* Whether the alias or the mark says that it is ours. */
bool links_ours(const struct links_link *link);

/* Whether it can be a tunnel; else it is a LAN on one (os/vxlan.h). */
bool links_tunnel(const struct links_link *link);

/*
 * Appends an interface with up, mtu and network_id filled; NULL when memory
 * is out.
 */
struct actual_interface *links_append(struct actual *actual,
                                      const struct links_link *link);

/* Fills addresses and routes of the interfaces listed; indices[i] belongs
 * to actual->interfaces[i], 0 is skipped. */
int links_places(struct actual *actual, const int *indices,
                 struct error *error);

/* Makes a marked interface of the kind. */
int links_create(struct nl_sock *rtnl, const char *name, const char *kind,
                 struct error *error);

/*
 * Gives an interface a queue, as those of other kinds have one. Without it the
 * kernel's WireGuard fails a program's send() where no peer is meant, with
 * ENOKEY: games broadcast to all of the network, and give up by that.
 */
void links_queue(struct nl_sock *rtnl, const char *name);

/* Marks an interface that another program has just made for us. */
int links_mark(struct nl_sock *rtnl, const char *name, struct error *error);

/* Looks again whether it is ours: others' are left, and what is not there
 * counts as deleted. */
int links_delete(struct nl_sock *rtnl, const char *name, struct error *error);

/*
 * ALIAS, MTU, UP, ADDRESS_* and ROUTE_*; others are ERROR_INVALID.
 */
int links_apply(struct nl_sock *rtnl, const struct operation *operation,
                struct error *error);

#endif
