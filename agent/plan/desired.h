/*
 * The wish: one network's interface as it should be, built from the netmap,
 * what is ours alone (keys, port, name) and the chosen endpoints.
 */

#ifndef PLAN_DESIRED_H
#define PLAN_DESIRED_H

#include "plan/actual.h"
#include "plan/netmap.h"
#include "plan/paths.h"

#define DESIRED_MTU 1420 /* 1500 less WireGuard over IPv6: 80 */
#define DESIRED_ADDRESSES_MAX 4
#define DESIRED_SUBNETS_MAX 64 /* behind peers */
#define DESIRED_ROUTES_MAX (4 + DESIRED_SUBNETS_MAX)

struct desired_peer {
    struct key public_key;
    struct endpoint endpoint; /* ADDRESS_NONE: leave as it is */
    uint16_t keepalive;
    struct prefix *allowed; /* sorted */
    size_t allowed_count;
};

struct desired {
    char network_id[NETMAP_ID_SIZE];
    char name[ACTUAL_NAME_SIZE];
    struct key private_key;
    struct key public_key; /* of private_key: os/keys.h */
    uint16_t listen_port;
    uint32_t mark; /* of WireGuard's own packets (plan/exit.h); 0: none */
    uint32_t mtu;
    struct prefix addresses[DESIRED_ADDRESSES_MAX];
    size_t address_count;
    struct prefix routes[DESIRED_ROUTES_MAX];
    size_t route_count;
    struct actual_narrow *narrow; /* paths that take less than mtu */
    size_t narrow_count;
    struct desired_peer *peers; /* sorted by key_compare */
    size_t peer_count;
};

/* What the device alone knows of its place in one network. */
struct desired_self {
    char peer_id[NETMAP_ID_SIZE];
    char name[ACTUAL_NAME_SIZE]; /* from desired_name(), kept in state */
    struct key private_key;
    struct key public_key;
    uint16_t listen_port;
    uint32_t mtu;               /* 0: the network's */
    struct address ip_address;  /* as `self` or `POST peers` told */
    struct address ip6_address; /* or ADDRESS_NONE */
};

/*
 * Builds the wish.  Addresses carry the network's prefix length; the route
 * to it is ours (protocol 201), not the kernel's.  paths may be NULL (no
 * endpoints).  Returns NULL with *error when the map contradicts itself or
 * memory is out.  The caller destroys it.
 */
struct desired *desired_create(const struct netmap *map,
                               const struct desired_self *self,
                               const struct paths *paths, struct error *error);

/*
 * Lets a peer carry all of a family: its allowed ips get 0.0.0.0/0 and ::/0,
 * without routes.  0, or -1 when memory is out.
 */
int desired_allow_all(struct desired *desired, const struct key *peer,
                      bool ipv4, bool ipv6);

/* Wipes the private key and frees everything.  NULL is fine. */
void desired_destroy(struct desired *desired);

/*
 * The interface's name: "gc-" and at most 8 characters of the slug; if taken
 * says that it is, "-" and 3 characters of the id behind it (15 in all, the
 * kernel's limit).  False if every such name is taken.
 */
bool desired_name(const char *slug, const char *network_id,
                  bool (*taken)(const char *name, void *data), void *data,
                  char name[ACTUAL_NAME_SIZE]);

/* "goconnect:UUID" of a network, and back (false: not such an alias). */
void desired_alias(const char *network_id, char alias[ACTUAL_ALIAS_SIZE]);
bool desired_alias_parse(const char *alias, char network_id[NETMAP_ID_SIZE]);

#endif
