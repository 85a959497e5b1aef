#ifndef GC_DAEMON_MAPPER_PARTS_H
#define GC_DAEMON_MAPPER_PARTS_H

#include "daemon/mapper.h"
#include "link/upnp.h"

/* What the mapper's files share. */

struct mapper {
    daemon_t *daemon;
    loop_fd_t io; /* fd is -1: there is no gateway, or we need none */
    loop_timer_t timer;
    struct address gateway;
    struct address inner;
    work_t *work; /* UPnP, one network after the other */
    member_t *working;
};

/* Sends what is due, and comes back when something else is. */
void mapper_tick(void *arg);

/*
 * UPnP, where the gateway speaks nothing better: asks if it is time to, and
 * says when it will be next (UINT64_MAX: not by itself).
 */
uint64_t mapper_upnp_tick(struct mapper *mapper, member_t *member,
                          uint64_t now);

/* Closes what is open by UPnP, and waits for nothing more. */
void mapper_upnp_stop(struct mapper *mapper, member_t *member);

#endif
