/*
 * WireGuard on this machine, behind one table of functions.  Two exist: the
 * kernel (generic netlink) and wireguard-go (a process for each interface,
 * UAPI).  Links, addresses and routes are the same for both.
 *
 * All calls block, each bounded by a deadline: netlink by the kernel (under
 * 1 ms, with thousands of peers some 10 ms), the start of wireguard-go by
 * BACKEND_START_MS (30 ms is usual).
 */

#ifndef OS_BACKEND_H
#define OS_BACKEND_H

#include "plan/actual.h"
#include "plan/error.h"
#include "plan/reconcile.h"

#define BACKEND_START_MS 5000

struct backend;

struct backend_config {
    const char *name;      /* "kernel", "userspace"; NULL or "auto" */
    const char *state_dir; /* exists, ours, 0700: records of processes */
};

struct backend_table {
    const char *name;

    /* Whether this machine can: 0, or -1 and the reason in *error. */
    int (*probe)(struct error *error);

    /* Returns the back end's own data, or NULL. */
    void *(*open)(const struct backend_config *config, struct error *error);
    void (*close)(void *data);

    /* All that is ours: 0 and *actual, which the caller destroys. */
    int (*observe)(void *data, struct actual **actual, struct error *error);

    int (*apply)(void *data, const struct operation *operation,
                 struct error *error);
};

extern const struct backend_table backend_kernel;
extern const struct backend_table backend_userspace;

/*
 * Chooses and opens: the kernel if it knows WireGuard, else wireguard-go if
 * it is in PATH.  Interfaces stay up when it is closed.
 */
struct backend *backend_open(const struct backend_config *config,
                             struct error *error);
void backend_close(struct backend *backend);
const char *backend_name(const struct backend *backend);

int backend_observe(struct backend *backend, struct actual **actual,
                    struct error *error);

/*
 * Applies one operation.  ERROR_PORT_IN_USE: choose another port and
 * reconcile again; ERROR_GONE: observe and reconcile again.
 */
int backend_apply(struct backend *backend, const struct operation *operation,
                  struct error *error);

/* Whether an interface of this name exists (for desired_name(); data is
 * ignored). */
bool backend_name_taken(const char *name, void *data);

#endif
