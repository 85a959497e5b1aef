#include "plan/rotation.h"

#include <stdlib.h>
#include <string.h>


struct rotation_peer {
    char id[NETMAP_ID_SIZE];
    struct key old_key;
    struct key new_key;
    bool told;         /* that we are ready */
    bool committed;    /* the map has the new key ... */
    bool moved;        /* the allowed ips are the new key's */
    uint64_t since_ms; /* ... since then */
};

struct rotations {
    struct rotation_peer *peers; /* sorted by id; owned */
    size_t count;
    uint64_t now_ms; /* of the last observation */
};


struct rotations *
rotations_create(void)
{
    return calloc(1, sizeof(struct rotations));
}


void
rotations_destroy(struct rotations *rotations)
{
    if (rotations != NULL) {
        free(rotations->peers);
        free(rotations);
    }
}


static int
rotation_by_id(const void *a, const void *b)
{
    const struct rotation_peer *x = a, *y = b;

    return strcmp(x->id, y->id);
}


static struct rotation_peer *
rotation_find(const struct rotations *rotations, const char *id)
{
    struct rotation_peer wanted;

    if (rotations->count == 0) {
        return NULL;
    }

    memcpy(wanted.id, id, sizeof(wanted.id));

    return bsearch(&wanted, rotations->peers, rotations->count, sizeof(wanted),
                   rotation_by_id);
}


/* What becomes of a rotation that is known.  False: it is over. */
static bool
rotation_goes_on(const struct rotation_peer *known,
                 const struct netmap_peer *peer)
{
    if (key_compare(&peer->public_key, &known->new_key) == 0) {
        return !peer->has_next_key; /* else it is rotating once more */
    }

    return !known->committed &&
           key_compare(&peer->public_key, &known->old_key) == 0 &&
           peer->has_next_key &&
           key_compare(&peer->next_public_key, &known->new_key) == 0;
}


/* Fills *slot if the peer is rotating.  known is NULL if that is news. */
static bool
rotation_take(struct rotation_peer *slot, const struct rotation_peer *known,
              const struct netmap_peer *peer, uint64_t now_ms)
{
    if (known != NULL && rotation_goes_on(known, peer)) {
        *slot = *known;

        if (!slot->committed &&
            key_compare(&peer->public_key, &slot->new_key) == 0) {
            slot->committed = true;
            slot->since_ms = now_ms;
        }

        return true;
    }

    if (!peer->has_next_key ||
        key_compare(&peer->next_public_key, &peer->public_key) == 0) {
        return false;
    }

    memset(slot, 0, sizeof(*slot));
    memcpy(slot->id, peer->id, sizeof(slot->id));
    slot->old_key = peer->public_key;
    slot->new_key = peer->next_public_key;

    return true;
}


int
rotations_set_netmap(struct rotations *rotations, const struct netmap *map,
                     const char *self_id, struct paths *paths, uint64_t now_ms)
{
    const struct netmap_peer *peer;
    const struct rotation_peer *known;
    struct rotation_peer *peers;
    size_t i, count;
    bool news = false;

    for (i = 0, count = 0; i < map->peer_count; i++) {
        count += map->peers[i].has_next_key ? 1 : 0;
    }

    peers = calloc(count + rotations->count + 1, sizeof(*peers));

    if (peers == NULL) {
        return -1;
    }

    for (i = 0, count = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];
        known = rotation_find(rotations, peer->id);

        if (strcmp(peer->id, self_id) == 0 || peer->agentless ||
            !rotation_take(&peers[count], known, peer, now_ms)) {
            continue;
        }

        if (peers[count].committed && !known->committed) {
            paths_rekey(paths, &known->old_key, &known->new_key);
            news = true;
        }

        news |= known == NULL ||
                key_compare(&peers[count].new_key, &known->new_key) != 0;
        count++;
    }

    free(rotations->peers);
    rotations->peers = peers;
    rotations->count = count;
    rotations->now_ms = now_ms;

    return news;
}


void
rotations_observe(struct rotations *rotations,
                  const struct actual_interface *interface, uint64_t now_ms)
{
    const struct actual_peer *seen;
    struct rotation_peer *peer;
    size_t i, kept;

    rotations->now_ms = now_ms;

    for (i = 0, kept = 0; i < rotations->count; i++) {
        peer = &rotations->peers[i];
        seen =
            interface != NULL ? actual_peer(interface, &peer->new_key) : NULL;

        if ((seen != NULL && seen->handshake_s != 0) ||
            (peer->committed && now_ms - peer->since_ms >= ROTATION_MOVE_MS)) {
            peer->moved = true;
        }

        if (!peer->committed || now_ms - peer->since_ms < ROTATION_OLD_MS) {
            rotations->peers[kept++] = *peer;
        }
    }

    rotations->count = kept;
}


uint64_t
rotations_deadline(const struct rotations *rotations)
{
    const struct rotation_peer *peer;
    uint64_t at, next;
    size_t i;

    next = UINT64_MAX;

    for (i = 0; i < rotations->count; i++) {
        peer = &rotations->peers[i];

        if (peer->committed) {
            at = peer->moved ? peer->since_ms + ROTATION_OLD_MS
                             : rotations->now_ms + ROTATION_POLL_MS;
            next = at < next ? at : next;
        }
    }

    return next;
}


static int
rotation_by_key(const void *a, const void *b)
{
    const struct desired_peer *x = a, *y = b;

    return key_compare(&x->public_key, &y->public_key);
}


/* Among the first count, which are sorted. */
static struct desired_peer *
rotation_slot(const struct desired *desired, size_t count,
              const struct key *public_key)
{
    struct desired_peer wanted;

    if (count == 0) {
        return NULL;
    }

    wanted.public_key = *public_key;

    return bsearch(&wanted, desired->peers, count, sizeof(wanted),
                   rotation_by_key);
}


/* The peer that one rotation adds behind the others, if it adds one. */
static bool
rotation_add(const struct rotation_peer *rotation,
             const struct desired *desired, size_t count,
             struct desired_peer *added)
{
    const struct key *of_map, *other;
    struct desired_peer *slot;

    of_map = rotation->committed ? &rotation->new_key : &rotation->old_key;
    other = rotation->committed ? &rotation->old_key : &rotation->new_key;
    slot = rotation_slot(desired, count, of_map);

    if (slot == NULL || rotation_slot(desired, count, other) != NULL ||
        key_compare(other, &desired->public_key) == 0) {
        return false; /* it is not spoken to, or claims another's key */
    }

    memset(added, 0, sizeof(*added));
    added->public_key = *other;

    if (!rotation->committed) {
        added->endpoint = slot->endpoint;
    }

    /* the map's key has the allowed ips, as long as it is its turn */
    if (rotation->moved != rotation->committed) {
        added->allowed = slot->allowed;
        added->allowed_count = slot->allowed_count;
        slot->allowed = NULL;
        slot->allowed_count = 0;
    }

    return true;
}


int
rotations_desire(const struct rotations *rotations, struct desired *desired,
                 struct error *error)
{
    struct desired_peer *peers;
    size_t i, count;

    if (rotations->count == 0) {
        return 0;
    }

    count = desired->peer_count;
    peers =
        realloc(desired->peers, (count + rotations->count) * sizeof(*peers));

    if (peers == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    desired->peers = peers;

    for (i = 0; i < rotations->count; i++) {
        if (rotation_add(&rotations->peers[i], desired, count,
                         &peers[desired->peer_count])) {
            desired->peer_count++;
        }
    }

    if (desired->peer_count > count) {
        qsort(peers, desired->peer_count, sizeof(*peers), rotation_by_key);
    }

    return 0;
}


bool
rotations_ready(struct rotations *rotations,
                const struct actual_interface *interface,
                struct rotation_ready *ready)
{
    struct rotation_peer *peer;
    size_t i;

    for (i = 0; interface != NULL && i < rotations->count; i++) {
        peer = &rotations->peers[i];

        if (!peer->told && !peer->committed &&
            actual_peer(interface, &peer->new_key) != NULL) {
            peer->told = true;
            memcpy(ready->peer_id, peer->id, sizeof(ready->peer_id));
            ready->next_key = peer->new_key;
            return true;
        }
    }

    return false;
}
