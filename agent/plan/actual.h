/*
 * The facts: every interface of this machine that is ours, as a back end
 * observed it.  Ours is what carries our alias (`goconnect:UUID`) or, when
 * we were killed between making and naming it, our mark; nothing else is
 * ever listed here, so nothing else can be touched.
 */

#ifndef PLAN_ACTUAL_H
#define PLAN_ACTUAL_H

#include "plan/address.h"
#include "plan/key.h"
#include "plan/netmap.h"

#define ACTUAL_NAME_SIZE 16 /* IFNAMSIZ */
#define ACTUAL_ALIAS_PREFIX "goconnect:"
#define ACTUAL_ALIAS_SIZE 48 /* the prefix, a UUID and a NUL */

/* Our routes' rtm_protocol (RFC 3549, 3.1.1.2: above 4 is the users'). */
#define ACTUAL_ROUTE_PROTOCOL 201

/*
 * The interface group that the kernel sets in the same step in which it
 * makes the interface; the alias can only follow in a second one.
 */
#define ACTUAL_LINK_GROUP 0x6763U

struct actual_peer {
    struct key public_key;
    struct endpoint endpoint;
    uint16_t keepalive;     /* s, 0 = off */
    struct prefix *allowed; /* sorted by prefix_compare */
    size_t allowed_count;
    int64_t handshake_s; /* UNIX time of the last handshake, 0 = never */
    uint32_t handshake_ns;
    uint64_t rx_bytes;
    uint64_t tx_bytes;
};

/* A route to one peer, for packets smaller than its interface takes. */
struct actual_narrow {
    struct prefix prefix;
    uint32_t mtu;
};

struct actual_interface {
    char name[ACTUAL_NAME_SIZE];
    char network_id[NETMAP_ID_SIZE]; /* "" when the alias is still missing */
    bool device; /* WireGuard answers for it; false = must be made anew */
    bool up;
    uint32_t mtu;
    struct key public_key; /* all zero when no key is set */
    uint16_t listen_port;
    uint32_t mark; /* of the packets that WireGuard itself sends; 0: none */
    struct prefix *addresses; /* sorted; IPv6 link-local left out */
    size_t address_count;
    struct prefix *routes; /* sorted; those of our protocol only */
    size_t route_count;
    struct actual_narrow *narrow; /* our routes that have an MTU */
    size_t narrow_count;
    struct actual_peer *peers; /* sorted by key_compare */
    size_t peer_count;
};

struct actual {
    struct actual_interface *interfaces;
    size_t interface_count;
};

/* Frees all that hangs below, and the structure.  NULL is fine. */
void actual_destroy(struct actual *actual);

/* The interface of a network, or NULL. */
const struct actual_interface *actual_find(const struct actual *actual,
                                           const char *network_id);

/* A peer by its key, or NULL. */
const struct actual_peer *actual_peer(const struct actual_interface *interface,
                                      const struct key *public_key);

/* Sorts addresses, routes, peers and allowed ips: for back ends, once an
 * observation ends. */
void actual_sort(struct actual *actual);

#endif
