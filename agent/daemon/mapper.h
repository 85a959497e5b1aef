#ifndef GC_DAEMON_MAPPER_H
#define GC_DAEMON_MAPPER_H

#include "daemon/daemon.h"

/*
 * The ports of our networks opened at this machine's router, where it has a
 * private address: PCP or NAT-PMP, spoken with the default gateway, or UPnP.
 */

struct mapper;

/* NULL with err. */
struct mapper *mapper_create(daemon_t *daemon, err_t *err);

/* The ports stay open: interfaces outlive us. */
void mapper_destroy(struct mapper *mapper);

/* After a round of wire: which networks are up, and where we are. */
void mapper_sync(struct mapper *mapper);

/* Gives the port back and forgets it. */
void mapper_stop(member_t *member);

/* Where the router lets others in to this network; NULL: nowhere. */
const struct endpoint *mapper_endpoint(const member_t *member);

/* {"protocol", "endpoint", "error"}, for status. */
json_t *mapper_describe(const member_t *member);

#endif
