/*
 * Other members' changes of key: the next key is a peer without allowed ips
 * from its announcement on, the allowed ips move to it once it is in use, and
 * the old key stays for what is still on its way.  Pure: told the netmap, the
 * counters and the time, it alters the wish.
 */

#ifndef PLAN_ROTATION_H
#define PLAN_ROTATION_H

#include "plan/actual.h"
#include "plan/desired.h"
#include "plan/netmap.h"
#include "plan/paths.h"

/* So long after the commit the new key takes over, shaken hands or not. */
#define ROTATION_MOVE_MS 2000

/* Until then it is looked for its handshake so often. */
#define ROTATION_POLL_MS 100

/* The old key's sessions end for good: Reject-After-Time, WireGuard 6.1. */
#define ROTATION_OLD_MS 180000

struct rotations; /* of one network; opaque */

/* Whom to tell that we are ready for its next key. */
struct rotation_ready {
    char peer_id[NETMAP_ID_SIZE];
    struct key next_key;
};

struct rotations *rotations_create(void);
void rotations_destroy(struct rotations *rotations); /* NULL is fine */

/*
 * Takes what the map says of all peers but self_id.  A committed key takes
 * over its peer's path: call it before paths_set_netmap().  1 if a key is
 * announced or used since the map before, 0 if none is, or -1 when memory is
 * out (nothing changed then).
 */
int rotations_set_netmap(struct rotations *rotations, const struct netmap *map,
                         const char *self_id, struct paths *paths,
                         uint64_t now_ms);

/* Looks for handshakes (interface may be NULL: nothing is up). */
void rotations_observe(struct rotations *rotations,
                       const struct actual_interface *interface,
                       uint64_t now_ms);

/* When to observe next, in ms of the same clock; UINT64_MAX: never. */
uint64_t rotations_deadline(const struct rotations *rotations);

/*
 * Adds the second keys to the wish, as desired_create() made it.  0, or -1
 * with *error when memory is out (the wish is as it was).
 */
int rotations_desire(const struct rotations *rotations, struct desired *desired,
                     struct error *error);

/*
 * The next of those whose announced key is on the interface and who were not
 * told yet; false: there is none.  Each is given once.
 */
bool rotations_ready(struct rotations *rotations,
                     const struct actual_interface *interface,
                     struct rotation_ready *ready);

#endif
