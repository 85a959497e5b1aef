#include "daemon/subnets.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBNETS_MAX 32 /* html/openapi.yaml: Prefixes */


static int
subnets_compare(const void *a, const void *b)
{
    return prefix_compare(a, b);
}


/* Each once, in order, so that the same networks give the same text. */
json_t *
subnets_list(daemon_t *daemon)
{
    const struct local_addresses *local = &daemon->wire->local;
    struct prefix subnets[LOCAL_ADDRESSES_MAX];
    char text[ADDRESS_TEXT];
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < local->count; i++) {
        subnets[i] = prefix_masked(&local->addresses[i]);
    }

    if (local->count > 1) {
        qsort(subnets, local->count, sizeof(subnets[0]), subnets_compare);
    }

    for (i = 0; i < local->count && json_array_size(list) < SUBNETS_MAX; i++) {
        if (subnets[i].length > 0 &&
            (i == 0 || prefix_compare(&subnets[i - 1], &subnets[i]) != 0)) {
            json_array_append_new(
                list, json_string(prefix_format(&subnets[i], text)));
        }
    }

    return list;
}


const char *
subnets_overlap(const member_t *member, char *text, size_t size)
{
    char range[ADDRESS_TEXT], here[ADDRESS_TEXT];
    const struct local_addresses *local;
    const struct netmap *map = member->map;
    size_t i;
    struct prefix subnet;

    if (map == NULL || member->daemon->wire == NULL) {
        return NULL;
    }

    local = &member->daemon->wire->local;

    for (i = 0; i < local->count; i++) {
        subnet = prefix_masked(&local->addresses[i]);

        if (subnet.length == 0 || (!prefix_overlaps(&subnet, &map->cidr) &&
                                   !prefix_overlaps(&subnet, &map->cidr6))) {
            continue;
        }

        snprintf(text, size,
                 "its range %s overlaps %s, a local network of this device: "
                 "what is in both is reached in one of them only",
                 prefix_format(subnet.address.family == ADDRESS_IPV4
                                   ? &map->cidr
                                   : &map->cidr6,
                               range),
                 prefix_format(&subnet, here));
        return text;
    }

    return NULL;
}


static void
subnets_told(void *arg, const http_answer_t *answer)
{
    daemon_t *daemon = arg;
    json_t *warning;
    size_t i;

    if (answer->status != 200) {
        log_warn("cannot tell this device's local networks: %s",
                 answer->err.text);
        daemon->device.subnets[0] = '\0';
        return;
    }

    json_array_foreach(json_object_get(answer->json, "warnings"), i, warning)
    {
        log_warn("%s", daemon_text(warning, "detail"));
    }
}


void
subnets_tell(daemon_t *daemon)
{
    device_t *device = &daemon->device;
    char path[64], *text;
    json_t *list;

    if (!device->enrolled || daemon->wire == NULL) {
        return;
    }

    list = subnets_list(daemon);
    text = json_dumps(list, JSON_COMPACT);

    if (text == NULL || strlen(text) >= sizeof(device->subnets) ||
        strcmp(text, device->subnets) == 0) {
        free(text);
        json_decref(list);
        return;
    }

    snprintf(device->subnets, sizeof(device->subnets), "%s", text);
    free(text);
    snprintf(path, sizeof(path), "/v1/devices/%s", device->id);

    if (device_call(daemon, "PATCH", path, json_pack("{s:o}", "subnets", list),
                    subnets_told, daemon) == NULL) {
        device->subnets[0] = '\0';
    }
}
