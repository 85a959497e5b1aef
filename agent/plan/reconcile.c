#include "plan/reconcile.h"

#include <stdlib.h>
#include <string.h>


/*
 * Peer changes in one operation: few enough that applying it does not hold
 * up the caller's loop for long (adding 1,000 takes some 100 ms).
 */
#define RECONCILE_BATCH 256

/* More interfaces than any device has networks. */
#define RECONCILE_NETWORKS_MAX 1024


void
operations_clear(struct operations *operations)
{
    size_t i;

    for (i = 0; i < operations->count; i++) {
        if (operations->list[i].kind == OPERATION_PEERS) {
            free(operations->list[i].peers.changes);
        }
    }

    free(operations->list);
    memset(operations, 0, sizeof(*operations));
}


/* A new operation at the end of the list; NULL when memory is out. */
static struct operation *
reconcile_add(struct operations *operations, enum operation_kind kind,
              const char *name)
{
    struct operation *list, *operation;
    size_t room;

    if (operations->count == operations->room) {
        room = operations->room == 0 ? 16 : operations->room * 2;
        list = realloc(operations->list, room * sizeof(*list));

        if (list == NULL) {
            return NULL;
        }

        operations->list = list;
        operations->room = room;
    }

    operation = &operations->list[operations->count++];
    memset(operation, 0, sizeof(*operation));
    operation->kind = kind;
    memcpy(operation->name, name, strnlen(name, ACTUAL_NAME_SIZE - 1));

    return operation;
}


/* Room for one more change, in a new batch if the last one is full. */
static struct peer_change *
reconcile_change(struct operations *operations, const char *name, bool *begun)
{
    struct operation *batch;

    batch =
        operations->count > 0 ? &operations->list[operations->count - 1] : NULL;

    if (!*begun || batch->peers.count == RECONCILE_BATCH) {
        batch = reconcile_add(operations, OPERATION_PEERS, name);

        if (batch == NULL) {
            return NULL;
        }

        *begun = true;
        batch->peers.changes =
            calloc(RECONCILE_BATCH, sizeof(*batch->peers.changes));

        if (batch->peers.changes == NULL) {
            return NULL;
        }
    }

    return &batch->peers.changes[batch->peers.count++];
}


static bool
reconcile_same_prefixes(const struct prefix *a, size_t a_count,
                        const struct prefix *b, size_t b_count)
{
    size_t i;

    if (a_count != b_count) {
        return false;
    }

    for (i = 0; i < a_count; i++) {
        if (prefix_compare(&a[i], &b[i]) != 0) {
            return false;
        }
    }

    return true;
}


/* The flags of what differs; 0 if nothing does. */
static unsigned
reconcile_peer_flags(const struct desired_peer *want,
                     const struct actual_peer *have)
{
    unsigned flags;

    flags = 0;

    if (want->endpoint.address.family != ADDRESS_NONE &&
        endpoint_compare(&want->endpoint, &have->endpoint) != 0) {
        flags |= PEER_ENDPOINT;
    }

    if (want->keepalive != have->keepalive) {
        flags |= PEER_KEEPALIVE;
    }

    if (!reconcile_same_prefixes(want->allowed, want->allowed_count,
                                 have->allowed, have->allowed_count)) {
        flags |= PEER_ALLOWED;
    }

    return flags != 0 ? flags | PEER_UPDATE_ONLY : 0;
}


static int
reconcile_peer_set(struct operations *operations, const char *name,
                   const struct desired_peer *want, unsigned flags, bool *begun)
{
    struct peer_change *change;

    change = reconcile_change(operations, name, begun);

    if (change == NULL) {
        return -1;
    }

    change->public_key = want->public_key;
    change->flags = flags;
    change->endpoint = want->endpoint;
    change->keepalive = want->keepalive;
    change->allowed = want->allowed;
    change->allowed_count = want->allowed_count;

    return 0;
}


static int
reconcile_peer_remove(struct operations *operations, const char *name,
                      const struct actual_peer *have, bool *begun)
{
    struct peer_change *change;

    change = reconcile_change(operations, name, begun);

    if (change == NULL) {
        return -1;
    }

    change->public_key = have->public_key;
    change->flags = PEER_REMOVE;

    return 0;
}


/*
 * A peer that is on both sides.  One that never had a handshake and gets
 * another endpoint is made anew: there is no session to lose, and WireGuard
 * then tries at once instead of at the end of its Rekey-Timeout (5 s).
 */
static int
reconcile_peer_change(struct operations *operations, const char *name,
                      const struct desired_peer *want,
                      const struct actual_peer *have, bool *begun)
{
    unsigned flags;

    flags = reconcile_peer_flags(want, have);

    if (flags == 0) {
        return 0;
    }

    if ((flags & PEER_ENDPOINT) != 0 && have->handshake_s == 0 &&
        have->endpoint.address.family != ADDRESS_NONE) {
        if (reconcile_peer_remove(operations, name, have, begun) != 0) {
            return -1;
        }

        flags = PEER_ENDPOINT | PEER_KEEPALIVE | PEER_ALLOWED;
    }

    return reconcile_peer_set(operations, name, want, flags, begun);
}


/* The flags with which a peer is made. */
static unsigned
reconcile_peer_new(const struct desired_peer *want)
{
    unsigned flags;

    flags = PEER_ALLOWED | PEER_KEEPALIVE;

    if (want->endpoint.address.family != ADDRESS_NONE) {
        flags |= PEER_ENDPOINT;
    }

    return flags;
}


/* Both lists are sorted by key. */
static int
reconcile_peers(const struct desired *desired,
                const struct actual_interface *have,
                struct operations *operations)
{
    const struct desired_peer *want;
    size_t i, k, have_count;
    bool begun;
    int order, rc;

    begun = false;
    rc = 0;
    have_count = have != NULL ? have->peer_count : 0;

    for (i = 0, k = 0;
         rc == 0 && (i < desired->peer_count || k < have_count);) {
        want = i < desired->peer_count ? &desired->peers[i] : NULL;

        if (want == NULL) {
            order = 1;

        } else if (k == have_count) {
            order = -1;

        } else {
            order = key_compare(&want->public_key, &have->peers[k].public_key);
        }

        if (order > 0) {
            rc = reconcile_peer_remove(operations, desired->name,
                                       &have->peers[k++], &begun);

        } else if (order < 0) {
            rc = reconcile_peer_set(operations, desired->name, want,
                                    reconcile_peer_new(want), &begun);
            i++;

        } else {
            rc = reconcile_peer_change(operations, desired->name, want,
                                       &have->peers[k++], &begun);
            i++;
        }
    }

    return rc;
}


static bool
reconcile_has(const struct prefix *list, size_t count,
              const struct prefix *prefix)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (prefix_compare(&list[i], prefix) == 0) {
            return true;
        }
    }

    return false;
}


/* One operation of a kind for each prefix of `list` that `other` lacks. */
static int
reconcile_prefixes(struct operations *operations, const char *name,
                   enum operation_kind kind, const struct prefix *list,
                   size_t count, const struct prefix *other, size_t other_count)
{
    struct operation *operation;
    size_t i;

    for (i = 0; i < count; i++) {
        if (reconcile_has(other, other_count, &list[i])) {
            continue;
        }

        operation = reconcile_add(operations, kind, name);

        if (operation == NULL) {
            return -1;
        }

        operation->prefix = list[i];
    }

    return 0;
}


static bool
reconcile_has_narrow(const struct actual_narrow *list, size_t count,
                     const struct actual_narrow *wanted)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (list[i].mtu == wanted->mtu &&
            prefix_compare(&list[i].prefix, &wanted->prefix) == 0) {
            return true;
        }
    }

    return false;
}


static int
reconcile_narrow(struct operations *operations, const char *name,
                 enum operation_kind kind, const struct actual_narrow *list,
                 size_t count, const struct actual_narrow *other,
                 size_t other_count)
{
    struct operation *operation;
    size_t i;

    for (i = 0; i < count; i++) {
        if (reconcile_has_narrow(other, other_count, &list[i])) {
            continue;
        }

        operation = reconcile_add(operations, kind, name);

        if (operation == NULL) {
            return -1;
        }

        operation->narrow = list[i];
    }

    return 0;
}


static int
reconcile_create(struct operations *operations, const struct desired *desired)
{
    static const enum operation_kind kinds[] = {OPERATION_CREATE,
                                                OPERATION_ALIAS};
    struct operation *operation;
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        operation = reconcile_add(operations, kinds[i], desired->name);

        if (operation == NULL) {
            return -1;
        }

        memcpy(operation->network_id, desired->network_id,
               sizeof(operation->network_id));
    }

    return 0;
}


static int
reconcile_mtu(struct operations *operations, const struct desired *desired)
{
    struct operation *operation;

    operation = reconcile_add(operations, OPERATION_MTU, desired->name);

    if (operation == NULL) {
        return -1;
    }

    operation->mtu = desired->mtu;

    return 0;
}


static int
reconcile_device(struct operations *operations, const struct desired *desired,
                 const struct actual_interface *have)
{
    struct operation *operation;
    bool key, port, mark;

    key = key_compare(&have->public_key, &desired->public_key) != 0;
    port = have->listen_port != desired->listen_port;
    mark = have->mark != desired->mark;

    if (!key && !port && !mark) {
        return 0;
    }

    operation = reconcile_add(operations, OPERATION_DEVICE, desired->name);

    if (operation == NULL) {
        return -1;
    }

    operation->device.private_key = key ? &desired->private_key : NULL;
    operation->device.listen_port = port ? desired->listen_port : 0;
    operation->device.set_mark = mark;
    operation->device.mark = desired->mark;

    return 0;
}


/*
 * The order is the design: peers are known before the port answers, the
 * listener is there before anything is routed to it.  have is NULL if the
 * interface has yet to be made.
 */
static int
reconcile_interface(const struct desired *desired,
                    const struct actual_interface *have,
                    struct operations *operations)
{
    static const struct actual_interface nothing;
    const char *name;

    name = desired->name;

    if (have == NULL) {
        if (reconcile_create(operations, desired) != 0) {
            return -1;
        }

        have = &nothing;
    }

    if (reconcile_narrow(operations, name, OPERATION_NARROW_DELETE,
                         have->narrow, have->narrow_count, desired->narrow,
                         desired->narrow_count) != 0 ||
        reconcile_prefixes(operations, name, OPERATION_ROUTE_DELETE,
                           have->routes, have->route_count, desired->routes,
                           desired->route_count) != 0 ||
        reconcile_prefixes(operations, name, OPERATION_ADDRESS_DELETE,
                           have->addresses, have->address_count,
                           desired->addresses, desired->address_count) != 0) {
        return -1;
    }

    if (have->mtu != desired->mtu && reconcile_mtu(operations, desired) != 0) {
        return -1;
    }

    if (reconcile_device(operations, desired, have) != 0 ||
        reconcile_peers(desired, have, operations) != 0 ||
        reconcile_prefixes(operations, name, OPERATION_ADDRESS_ADD,
                           desired->addresses, desired->address_count,
                           have->addresses, have->address_count) != 0) {
        return -1;
    }

    if (!have->up && reconcile_add(operations, OPERATION_UP, name) == NULL) {
        return -1;
    }

    if (reconcile_prefixes(operations, name, OPERATION_ROUTE_ADD,
                           desired->routes, desired->route_count, have->routes,
                           have->route_count) != 0) {
        return -1;
    }

    return reconcile_narrow(operations, name, OPERATION_NARROW_ADD,
                            desired->narrow, desired->narrow_count,
                            have->narrow, have->narrow_count);
}


/* The wish that this interface fulfils, or NULL: it has to go. */
static const struct desired *
reconcile_match(const struct desired *const *desired, size_t count,
                const struct actual_interface *have)
{
    size_t i;

    if (!have->device || have->network_id[0] == '\0') {
        return NULL;
    }

    for (i = 0; i < count; i++) {
        if (strcmp(desired[i]->network_id, have->network_id) == 0 &&
            strcmp(desired[i]->name, have->name) == 0) {
            return desired[i];
        }
    }

    return NULL;
}


static int
reconcile_all(const struct desired *const *desired, size_t count,
              const struct actual *actual, struct operations *operations)
{
    const struct actual_interface *have;
    size_t i, k;

    /* what has to go goes first: it may hold a name, port or route */
    for (k = 0; k < actual->interface_count; k++) {
        have = &actual->interfaces[k];

        if (reconcile_match(desired, count, have) == NULL &&
            reconcile_add(operations, OPERATION_DELETE, have->name) == NULL) {
            return -1;
        }
    }

    for (i = 0; i < count; i++) {
        have = NULL;

        for (k = 0; k < actual->interface_count && have == NULL; k++) {
            if (reconcile_match(&desired[i], 1, &actual->interfaces[k])) {
                have = &actual->interfaces[k];
            }
        }

        if (reconcile_interface(desired[i], have, operations) != 0) {
            return -1;
        }
    }

    return 0;
}


int
reconcile(const struct desired *const *desired, size_t count,
          const struct actual *actual, struct operations *operations,
          struct error *error)
{
    size_t i, k;

    memset(operations, 0, sizeof(*operations));

    if (count > RECONCILE_NETWORKS_MAX) {
        return error_set(error, ERROR_TOO_BIG, "more than %d networks",
                         RECONCILE_NETWORKS_MAX);
    }

    for (i = 0; i < count; i++) {
        for (k = 0; k < i; k++) {
            if (strcmp(desired[i]->name, desired[k]->name) == 0) {
                return error_set(error, ERROR_INVALID,
                                 "two networks want the interface %s",
                                 desired[i]->name);
            }
        }
    }

    if (reconcile_all(desired, count, actual, operations) != 0) {
        operations_clear(operations);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    return 0;
}
