#ifndef GC_DAEMON_WIRE_ROUND_H
#define GC_DAEMON_WIRE_ROUND_H

#include "daemon/daemon.h"
#include "plan/desired.h"
#include "plan/reconcile.h"

/* One round of wire_sync_now(). */
typedef struct {
    daemon_t *daemon;
    struct actual *actual;
    struct desired *desired[DAEMON_MEMBERS_MAX];
    size_t count;
    int again; /* something was changed that another round takes up */
    int failed;
    char broken[ACTUAL_NAME_SIZE]; /* interface whose operation failed */
    err_t *err;
} wire_round_t;


/* Looks at this machine's interfaces. -1, logged, if it cannot. */
int wire_round_observe(wire_round_t *round);

/*
 * Observes, plans and applies. Returns how many operations were applied, -1 if
 * it could not begin.
 */
int wire_round_run(wire_round_t *round);

/* What the last observation says of each network. */
void wire_round_learn(wire_round_t *round);

/* Frees what was desired and observed. */
void wire_round_clear(wire_round_t *round);

#endif
