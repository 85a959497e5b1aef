/*
 * Which endpoint a peer is tried at: a candidate in a subnet that we share,
 * else the first; without a handshake after 5 s of traffic, the next.  What
 * works is left alone, and where the peer roams to is followed.  Pure: told
 * the counters and the time, it answers endpoints and the next deadline.
 */

#ifndef PLAN_PATHS_H
#define PLAN_PATHS_H

#include "plan/actual.h"
#include "plan/address.h"
#include "plan/netmap.h"

#define PATHS_SUBNETS_MAX 64

/* Traffic without a handshake: the next candidate. */
#define PATHS_TRY_MS 5000

/*
 * A path that did work is dead when nothing came back for so long: the
 * Keepalive-Timeout (10 s) and Rekey-Timeout (5 s) of the WireGuard paper,
 * section 6.5, after which WireGuard itself begins a new handshake.
 */
#define PATHS_DEAD_MS 15000

/* Where we are now, each candidate of a peer is given so long to answer. */
#define PATHS_ROAM_MS 1000

/* The interval that makes WireGuard say something at once; never waited. */
#define PATHS_WAKE_S 25

/* Counters are looked at so often: while a peer is being tried, else. */
#define PATHS_POLL_TRYING_MS 500
#define PATHS_POLL_IDLE_MS 2000

/* What is known of our own side. */
struct paths_local {
    struct address own[PATHS_SUBNETS_MAX]; /* all addresses of ours */
    size_t own_count;
    struct prefix subnets[PATHS_SUBNETS_MAX]; /* those shared with others */
    size_t subnet_count;
    bool default4; /* there is a default route */
    bool default6;
};

struct paths; /* of one network; opaque */

struct paths *paths_create(void);
void paths_destroy(struct paths *paths);

/* Own addresses changed (copied); untried candidates are ranked anew. */
void paths_set_local(struct paths *paths, const struct paths_local *local);

/*
 * We are somewhere else, or were asleep: peers with a session hear from us at
 * once, at one candidate after the other until they answer.
 */
void paths_roamed(struct paths *paths);

/* Peers with a session hear from us at once, where they are. */
void paths_wake(struct paths *paths);

/* The peer has another key; its path is the same. */
void paths_rekey(struct paths *paths, const struct key *old_key,
                 const struct key *new_key);

/* Whether there is a session with the peer. */
bool paths_active(const struct paths *paths, const struct key *public_key);

/*
 * Takes the candidates of all peers but self_id; peers that are gone are
 * forgotten.  0, or -1 when memory is out (nothing changed then).
 */
int paths_set_netmap(struct paths *paths, const struct netmap *map,
                     const char *self_id);

/*
 * Looks at the counters (interface may be NULL: nothing is up).  now_ms is
 * monotonic.  Returns how many peers got another endpoint: when it is not
 * 0, build the desired state again and reconcile.
 */
size_t paths_observe(struct paths *paths,
                     const struct actual_interface *interface, uint64_t now_ms);

/* When to observe next, in ms of the same clock. */
uint64_t paths_deadline(const struct paths *paths);

/* The endpoint that the peer shall have now; false: none is known. */
bool paths_endpoint(const struct paths *paths, const struct key *public_key,
                    struct endpoint *endpoint);

/* The peer's keep-alive interval in s; 0: it is only spoken to on demand. */
uint16_t paths_keepalive(const struct paths *paths,
                         const struct key *public_key);

#endif
