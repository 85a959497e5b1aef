/*
 * Tells that links, addresses or routes of this machine changed (rtnetlink
 * notifications).  What changed is not told: observe.  One's own changes
 * come back too, and an IPv4 route that vanishes with its link sends none of
 * its own (the link's does).
 */

#ifndef OS_MONITOR_H
#define OS_MONITOR_H

#include <stdbool.h>

#include "plan/error.h"

struct monitor;

struct monitor *monitor_open(struct error *error);
void monitor_close(struct monitor *monitor);

/* Non-blocking; readable when there is something. */
int monitor_fd(const struct monitor *monitor);

struct monitor_news {
    bool changed; /* something did */
    bool room;    /* a route that is not ours may have gone */
};

/*
 * Reads all that is there.  Where notifications were lost, all may have
 * happened.  -1 when the socket is broken.
 */
int monitor_read(struct monitor *monitor, struct monitor_news *news,
                 struct error *error);

#endif
