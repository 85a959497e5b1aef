/* The local networks that this device sits in, told to the server. */

#ifndef GC_DAEMON_SUBNETS_H
#define GC_DAEMON_SUBNETS_H

#include "daemon/daemon.h"

/* A new list for `subnets`, or NULL when memory is out. */
json_t *subnets_list(daemon_t *daemon);

/* Tells them, if they are not those that were told. */
void subnets_tell(daemon_t *daemon);

/*
 * Text (borrowed) that names both, where the network's range overlaps one of
 * them; else NULL.
 */
const char *subnets_overlap(const member_t *member, char *text, size_t size);

#endif
