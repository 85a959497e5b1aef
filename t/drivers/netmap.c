/*
 * Says what the agent makes of netmap frames:
 *
 *   netmap < FRAMES
 *
 * Each line of FRAMES is a frame {"type": "netmap" or "netmap_delta", "data"};
 * for each one line is printed: done, more, stale, resync or invalid with the
 * reason, and after done the version, peers, rules, relays, MTU and domain.
 */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/netmap.h"


static const char *const results[] = {
    [NETMAP_DONE] = "done",       [NETMAP_MORE] = "more",
    [NETMAP_STALE] = "stale",     [NETMAP_RESYNC] = "resync",
    [NETMAP_INVALID] = "invalid",
};


static enum netmap_result
take(struct netmap **map, struct netmap **assembly, const json_t *frame,
     struct error *error)
{
    enum netmap_result result;
    const json_t *data;

    data = json_object_get(frame, "data");

    if (strcmp(json_string_value(json_object_get(frame, "type")), "netmap") !=
        0) {
        return *map != NULL ? netmap_delta(*map, data, error) : NETMAP_RESYNC;
    }

    result = netmap_part(assembly, data, error);

    if (result == NETMAP_DONE) {
        netmap_destroy(*map);
        *map = *assembly;
        *assembly = NULL;
    }

    return result;
}


static void
say(enum netmap_result result, const struct netmap *map,
    const struct error *error)
{
    struct netmap *again;
    struct error why;
    json_t *json;

    if (result != NETMAP_DONE) {
        (void) printf("%s%s%s\n", results[result],
                      result == NETMAP_INVALID ? " " : "",
                      result == NETMAP_INVALID ? error->text : "");
        return;
    }

    /* what is kept on disk is the same map */
    json = netmap_to_json(map);
    again = netmap_from_json(json, &why);
    json_decref(json);

    if (again == NULL) {
        (void) printf("not kept: %s\n", why.text);
        return;
    }

    (void) printf("done %lld %zu %zu %zu %u %s\n", (long long) again->version,
                  again->peer_count, again->rule_count, again->relay_count,
                  again->settings.mtu, again->domain);
    netmap_destroy(again);
}


int
main(void)
{
    struct netmap *map, *assembly;
    enum netmap_result result;
    struct error error;
    json_t *frame;
    char *line;
    size_t size;

    map = assembly = NULL;
    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {
        frame = json_loads(line, 0, NULL);

        if (!json_is_string(json_object_get(frame, "type"))) {
            (void) fprintf(stderr, "netmap: a line is no frame\n");
            return 1;
        }

        error.text[0] = '\0';
        result = take(&map, &assembly, frame, &error);
        say(result, map, &error);
        json_decref(frame);
    }

    free(line);
    netmap_destroy(map);
    netmap_destroy(assembly);

    return 0;
}
