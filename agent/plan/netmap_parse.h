/* From the JSON of docs/protocol.md to the structures of netmap.h; for
 * netmap*.c alone.  Every function checks before it fills. */

#ifndef PLAN_NETMAP_PARSE_H
#define PLAN_NETMAP_PARSE_H

#include "plan/netmap.h"

/*
 * The string member `name` of an object into size bytes.  Absent and null
 * give ""; false if it is of another type or too long.
 */
bool netmap_parse_text(const json_t *object, const char *name, char *text,
                       size_t size);

/* A UUID; "" if it is absent or null and not required. */
bool netmap_parse_id(const json_t *object, const char *name, char *id,
                     bool required);

/* An integer that is not negative. */
bool netmap_parse_integer(const json_t *object, const char *name,
                          int64_t *number);

/* The `network` of part 0 into the map. */
int netmap_parse_network(const json_t *json, struct netmap *map,
                         struct error *error);

/* Whether the peer's addresses are of the map's network. */
int netmap_parse_place(const struct netmap *map, const struct netmap_peer *peer,
                       struct error *error);

/*
 * One peer, whose addresses must be of the map's network; with a reference to
 * its lists (netmap_lists.h).
 */
int netmap_parse_peer(const struct netmap *map, const json_t *json,
                      struct netmap_peer *peer, struct error *error);

#endif
