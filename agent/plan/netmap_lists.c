#include "plan/netmap_lists.h"

#include <stdlib.h>
#include <string.h>

struct netmap_lists {
    unsigned references;
    size_t tag_count;
    size_t route_count;
    char (*tags)[NETMAP_LABEL_SIZE]; /* behind the routes */
    struct prefix routes[];
};


/* How many there are; false unless it is a list of at most `most`. */
static bool
netmap_lists_count(const json_t *list, size_t most, size_t *count)
{
    *count = json_array_size(list);

    return list == NULL || json_is_null(list) ||
           (json_is_array(list) && *count <= most);
}


static bool
netmap_lists_tag(const json_t *value, char tag[NETMAP_LABEL_SIZE])
{
    size_t length = json_string_length(value);

    if (length == 0 || length >= NETMAP_LABEL_SIZE ||
        strlen(json_string_value(value)) != length) {
        return false;
    }

    memcpy(tag, json_string_value(value), length + 1);

    return true;
}


static bool
netmap_lists_route(const json_t *value, struct prefix *route)
{
    struct prefix masked;

    if (!json_is_string(value) ||
        !prefix_parse(json_string_value(value), route)) {
        return false;
    }

    masked = prefix_masked(route);

    return prefix_compare(route, &masked) == 0;
}


int
netmap_lists_parse(const json_t *json, struct netmap_peer *peer,
                   struct error *error)
{
    const json_t *tags = json_object_get(json, "tags");
    const json_t *routes = json_object_get(json, "routes");
    struct netmap_lists *lists;
    size_t i, tag_count, route_count;

    peer->lists = NULL;

    if (!netmap_lists_count(tags, NETMAP_TAGS_MAX, &tag_count) ||
        !netmap_lists_count(routes, NETMAP_ROUTES_MAX, &route_count)) {
        return error_set(error, ERROR_INVALID,
                         "peer %s: invalid tags or routes", peer->id);
    }

    if (tag_count == 0 && route_count == 0) {
        return 0;
    }

    lists = calloc(1, sizeof(*lists) + route_count * sizeof(lists->routes[0]) +
                          tag_count * sizeof(lists->tags[0]));

    if (lists == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    lists->references = 1;
    lists->tag_count = tag_count;
    lists->route_count = route_count;
    lists->tags = (char(*)[NETMAP_LABEL_SIZE]) & lists->routes[route_count];
    peer->lists = lists;

    for (i = 0; i < tag_count; i++) {
        if (!netmap_lists_tag(json_array_get(tags, i), lists->tags[i])) {
            break;
        }
    }

    if (i == tag_count) {
        for (i = 0; i < route_count; i++) {
            if (!netmap_lists_route(json_array_get(routes, i),
                                    &lists->routes[i])) {
                break;
            }
        }

        if (i == route_count) {
            return 0;
        }
    }

    netmap_lists_release(lists);
    peer->lists = NULL;

    return error_set(error, ERROR_INVALID, "peer %s: invalid tags or routes",
                     peer->id);
}


struct netmap_lists *
netmap_lists_share(struct netmap_lists *lists)
{
    if (lists != NULL) {
        lists->references++;
    }

    return lists;
}


void
netmap_lists_release(struct netmap_lists *lists)
{
    if (lists != NULL && --lists->references == 0) {
        free(lists);
    }
}


bool
netmap_tagged(const struct netmap_peer *peer, const char *tag)
{
    size_t i;

    for (i = 0; peer->lists != NULL && i < peer->lists->tag_count; i++) {
        if (strcmp(peer->lists->tags[i], tag) == 0) {
            return true;
        }
    }

    return false;
}


const struct prefix *
netmap_routes(const struct netmap_peer *peer, size_t *count)
{
    *count = peer->lists != NULL ? peer->lists->route_count : 0;

    return *count != 0 ? peer->lists->routes : NULL;
}


json_t *
netmap_lists_tags(const struct netmap_peer *peer)
{
    json_t *list = json_array();
    size_t i;

    for (i = 0; peer->lists != NULL && i < peer->lists->tag_count; i++) {
        if (json_array_append_new(list, json_string(peer->lists->tags[i])) !=
            0) {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}


json_t *
netmap_lists_routes(const struct netmap_peer *peer)
{
    char text[ADDRESS_TEXT];
    const struct prefix *routes;
    json_t *list = json_array();
    size_t i, count;

    routes = netmap_routes(peer, &count);

    for (i = 0; i < count; i++) {
        if (json_array_append_new(
                list, json_string(prefix_format(&routes[i], text))) != 0) {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}
