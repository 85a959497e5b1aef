/*
 * reconcile(desired, actual) -> operations.  Pure, ordered and idempotent:
 * reconciling again after all were applied gives none, and after any number
 * of them were applied gives the rest.
 */

#ifndef PLAN_RECONCILE_H
#define PLAN_RECONCILE_H

#include "plan/actual.h"
#include "plan/desired.h"
#include "plan/error.h"

enum operation_kind {
    OPERATION_DELETE,         /* interface */
    OPERATION_CREATE,         /* interface, marked as ours, down */
    OPERATION_ALIAS,          /* network_id */
    OPERATION_MTU,            /* mtu */
    OPERATION_DEVICE,         /* private key, listen port, mark */
    OPERATION_PEERS,          /* a batch of peer changes */
    OPERATION_ADDRESS_ADD,    /* prefix */
    OPERATION_ADDRESS_DELETE, /* prefix */
    OPERATION_UP,
    OPERATION_ROUTE_ADD,    /* prefix */
    OPERATION_ROUTE_DELETE, /* prefix */
    OPERATION_NARROW_ADD,   /* narrow: a route with an MTU */
    OPERATION_NARROW_DELETE /* narrow */
};

enum peer_change_flags {
    PEER_REMOVE = 1,      /* and nothing else */
    PEER_UPDATE_ONLY = 2, /* it is there: never make it anew */
    PEER_ENDPOINT = 4,
    PEER_KEEPALIVE = 8,
    PEER_ALLOWED = 16 /* allowed replaces what the peer has */
};

struct peer_change {
    struct key public_key;
    unsigned flags; /* enum peer_change_flags */
    struct endpoint endpoint;
    uint16_t keepalive;
    const struct prefix *allowed; /* belongs to the desired state */
    size_t allowed_count;
};

struct operation {
    enum operation_kind kind;
    char name[ACTUAL_NAME_SIZE]; /* the interface */
    union {
        char network_id[NETMAP_ID_SIZE]; /* ALIAS, CREATE */
        uint32_t mtu;
        struct {
            const struct key *private_key; /* NULL: leave; of the desired */
            uint16_t listen_port;          /* 0: leave */
            bool set_mark;
            uint32_t mark;
        } device;
        struct {
            struct peer_change *changes; /* belongs to the operation */
            size_t count;
        } peers;
        struct prefix prefix;
        struct actual_narrow narrow;
    };
};

struct operations {
    struct operation *list;
    size_t count;
    size_t room;
};

/*
 * What leads from actual to the desired states of all networks (count may
 * be 0: everything of ours goes).  The operations point into desired: use
 * them before it is destroyed.  Returns 0; on an error -1, and *operations
 * is empty.  The caller ends it with operations_clear().
 */
int reconcile(const struct desired *const *desired, size_t count,
              const struct actual *actual, struct operations *operations,
              struct error *error);

void operations_clear(struct operations *operations);

/* One line for the log, without secrets: "gc-lan: peers +3 -1 ~2".  Returns
 * text, which has size bytes. */
const char *operation_describe(const struct operation *operation, char *text,
                               size_t size);

#endif
