/* The parts of a netmap besides its peers; for agent/plan/netmap*.c alone. */

#ifndef PLAN_NETMAP_PARTS_H
#define PLAN_NETMAP_PARTS_H

#include "plan/netmap.h"

/*
 * Replaces in the map whatever of `network`, `relays`, `dns` and `rules` the
 * data of a frame holds; the rest stays.  On an error the map may be half
 * changed: it is to be thrown away.
 */
int netmap_parts_take(struct netmap *map, const json_t *data,
                      struct error *error);

/* The lists of `from` once more for `to`, whose own are not looked at. */
int netmap_parts_copy(struct netmap *to, const struct netmap *from,
                      struct error *error);

/* Frees the lists. */
void netmap_parts_clear(struct netmap *map);

#endif
