/*
 * Subnets behind peers: which this device accepts, who carries each (of
 * several the nearest, plan/routing.h), and what stands against one.  Pure:
 * the netmap, what was accepted and what is around go in; allowed ips and
 * routes are added to the wish.
 */

#ifndef PLAN_ROUTES_H
#define PLAN_ROUTES_H

#include "plan/desired.h"
#include "plan/routing.h"

#define ROUTES_MAX DESIRED_SUBNETS_MAX
#define ROUTES_PROBLEM 320
#define ROUTES_FOREIGN_MS 300000 /* then the kernel is asked again */
#define ROUTES_QUIET 512         /* bytes: what a session costs by itself */
#define ROUTES_AGAIN_MS                                  \
    120000 /* a handshake is tried for 90 s: by then the \
              kernel sends for somebody again, or not */

/* One subnet that is accepted and that somebody offers. */
struct routes_subnet {
    struct prefix prefix;
    struct routing_choice choice;
    size_t offers;
    bool used;      /* its allowed ips and its route are in the wish */
    bool kept;      /* of this round */
    uint64_t bytes; /* of the one that carries it, when last looked at */
    uint64_t sent;  /* ... and by us alone */
    uint64_t asked_ms;
    uint64_t foreign_ms; /* until then this device has another route there */
    char problem[ROUTES_PROBLEM]; /* why it is not used */
};

struct routes {
    bool all; /* accepted, but for those refused */
    struct prefix accepted[ROUTES_MAX];
    size_t accepted_count;
    struct prefix refused[ROUTES_MAX];
    size_t refused_count;
    struct routes_subnet *subnets;
    size_t count;
};

/* Another network of this device. */
struct routes_network {
    const char *name;
    struct prefix cidr;
    struct prefix cidr6;
};

struct routes_around {
    const char *peer_id;        /* ours */
    const struct prefix *local; /* addresses with their subnets' lengths */
    size_t local_count;
    const struct routes_network *networks; /* the others */
    size_t network_count;
    const struct actual_interface *interface; /* as it is, or NULL */
    bool ipv6;
    uint64_t now_ms;
    /* how a peer is reached: whether it can be, and its round trip */
    bool (*alive)(void *arg, const struct netmap_peer *peer, uint32_t *rtt_us);
    void *arg;
};

/* Whether the prefix (of length above 0) is accepted. */
bool routes_accepted(const struct routes *routes, const struct prefix *prefix);

/* Accepts or refuses one; false: there are ROUTES_MAX already. */
bool routes_accept(struct routes *routes, const struct prefix *prefix, bool on);

/* All, or none. */
void routes_accept_all(struct routes *routes, bool on);

/*
 * Adds what is accepted to the wish, and notes in routes who carries it or why
 * not.  routes may have nothing accepted.  0, or -1 when memory is out.
 */
int routes_desire(struct routes *routes, const struct netmap *map,
                  const struct routes_around *around, struct desired *desired);

/*
 * What stands against using a prefix: text (size bytes) says so with both
 * names, and the result is true.
 */
bool routes_conflict(const struct netmap *map,
                     const struct routes_around *around,
                     const struct prefix *prefix, char *text, size_t size);

/*
 * Takes the counters of those who carry (interface may be NULL).  ask is
 * called for each peer that is to be asked for its round trip: those who offer
 * a subnet that is talked to now, and one that carries a subnet when we send
 * and there is no session.  now_s is UNIX time.  Whether anything is in use.
 */
bool routes_look(struct routes *routes, const struct netmap *map,
                 const struct actual_interface *interface, int64_t now_s,
                 uint64_t now_ms, void (*ask)(void *arg, const char *peer_id),
                 void *arg);

/* NULL: it is not accepted, or nobody offers it. */
const struct routes_subnet *routes_find(const struct routes *routes,
                                        const struct prefix *prefix);

/* The kernel has another route there.  False: it is no subnet of ours. */
bool routes_foreign(struct routes *routes, const struct prefix *prefix,
                    uint64_t now_ms);

/* It may not have any more: it is asked again. */
void routes_forget_foreign(struct routes *routes);

void routes_clear(struct routes *routes);

#endif
