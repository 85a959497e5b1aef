/*
 * systemd-resolved by D-Bus (org.freedesktop.resolve1), with libsystemd, which
 * is loaded only where it is wanted.  Nothing here blocks: what is sent and
 * what comes is done by resolved_process() when the descriptor is ready.
 */

#ifndef OS_RESOLVED_H
#define OS_RESOLVED_H

#include <stdbool.h>
#include <stdint.h>

#include "plan/address.h"
#include "plan/error.h"
#include "plan/names.h"

#define RESOLVED_FOLDER "/run/systemd/resolve" /* there once it has run */
#define RESOLVED_SERVERS_MAX 2

struct resolved; /* opaque */

/* One interface: who knows the names of which domains. */
struct resolved_link {
    int index;
    struct endpoint servers[RESOLVED_SERVERS_MAX];
    size_t server_count;
    const struct names_zone *zones;
    size_t zone_count;
};

/* Called from within resolved_process(). */
struct resolved_events {
    /* It came, came anew (all that it was told is gone), or went. */
    void (*present)(void *data, bool present);

    /* It has taken (problem: NULL), or refused, what it was told of a link. */
    void (*told)(void *data, int index, const char *problem);

    void *data;
};

/* Connects to the system's bus. */
struct resolved *resolved_open(const struct resolved_events *events,
                               struct error *error);

/* What was told stays told.  NULL is fine. */
void resolved_close(struct resolved *resolved);

int resolved_fd(const struct resolved *resolved);

/* What to wait for on the descriptor: POLLIN, POLLOUT. */
int resolved_wants(const struct resolved *resolved);

/* How long at most, in ms; -1: as long as it takes. */
int resolved_timeout(const struct resolved *resolved);

/* -1: the connection is lost, resolved_close() it. */
int resolved_process(struct resolved *resolved, struct error *error);

/*
 * Tells of a link: these servers for these domains and no others, and none of
 * what would go out to the whole network (LLMNR, mDNS).
 */
int resolved_tell(struct resolved *resolved, const struct resolved_link *link,
                  struct error *error);

/* It shall forget all about a link. */
void resolved_forget(struct resolved *resolved, int index);

/* An interface's index, 0: there is none of that name. */
int resolved_index(const char *name);

#endif
