#ifndef PLAN_NETMAP_LISTS_H
#define PLAN_NETMAP_LISTS_H

#include "plan/netmap.h"

/*
 * The peer's `tags` and `routes` into peer->lists: one reference, which
 * netmap_lists_release() gives back.
 */
int netmap_lists_parse(const json_t *json, struct netmap_peer *peer,
                       struct error *error);

/* NULL is fine for both. */
struct netmap_lists *netmap_lists_share(struct netmap_lists *lists);
void netmap_lists_release(struct netmap_lists *lists);

/* New references; NULL when memory is out. */
json_t *netmap_lists_tags(const struct netmap_peer *peer);
json_t *netmap_lists_routes(const struct netmap_peer *peer);

#endif
