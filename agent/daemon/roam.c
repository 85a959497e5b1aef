#include "daemon/roam.h"

#include "base/log.h"
#include "daemon/probe.h"
#include "daemon/subnets.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "os/asleep.h"

#include <stdlib.h>
#include <sys/epoll.h>

struct roam {
    daemon_t *daemon;
    struct asleep *asleep;
    loop_fd_t io;
};


static void
roam_restart(daemon_t *daemon)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        paths_roamed(member->paths);
        probe_roamed(member);
    }

    wire_sync(daemon);
}


void
roam_moved(daemon_t *daemon)
{
    log_info("this machine's addresses changed");
    uplink_nudge(daemon->uplink);
    subnets_tell(daemon);
    roam_restart(daemon);
}


void
roam_look(roam_t *roam)
{
    int64_t slept = asleep_ms(roam->asleep);

    if (slept == 0) {
        return;
    }

    log_info("this machine was asleep for %lld s", (long long) slept / 1000);
    uplink_woke(roam->daemon->uplink, slept);
    roam_restart(roam->daemon);
}


static void
roam_event(void *arg, uint32_t events)
{
    (void) events;
    roam_look(arg);
}


roam_t *
roam_create(daemon_t *daemon, err_t *err)
{
    struct error error;
    roam_t *roam = calloc(1, sizeof(*roam));

    if (roam == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    roam->daemon = daemon;
    roam->asleep = asleep_open(&error);

    if (roam->asleep == NULL) {
        daemon_error(err, "failed", &error);
        free(roam);
        return NULL;
    }

    roam->io.fd = asleep_fd(roam->asleep);
    roam->io.fn = roam_event;
    roam->io.arg = roam;

    if (loop_fd_add(daemon->loop, &roam->io, EPOLLIN) == -1) {
        err_errno(err, "failed", "cannot watch the clock");
        asleep_close(roam->asleep);
        free(roam);
        return NULL;
    }

    return roam;
}


void
roam_destroy(roam_t *roam)
{
    if (roam != NULL) {
        loop_fd_remove(roam->daemon->loop, &roam->io);
        asleep_close(roam->asleep);
        free(roam);
    }
}
