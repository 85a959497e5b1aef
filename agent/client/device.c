#include "client/api.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const show_column_t device_columns[] = {
    {"DEVICE", "name", 28},  {"PLATFORM", "platform", 8},
    {"ONLINE", "online", 6}, {"SEEN", "last_seen", 16},
    {"ID", "id", 0},         {NULL, NULL, 0},
};


int
device_list(client_t *client)
{
    err_t err;
    json_t *list;

    list = api_list(client, "/v1/devices", &err);

    return list == NULL ? client_fail(client, &err)
                        : show_list(client, "devices", list, device_columns,
                                    "No devices: goconnect login URL");
}


/* The one of this name or id: its place in the list, or -1. */
static int
device_find(const json_t *list, const char *text, err_t *err)
{
    json_t *device;
    size_t i;
    int count = 0, place = -1;

    json_array_foreach(list, i, device)
    {
        if (strcmp(show_field(device, "id"), text) == 0 ||
            strcmp(show_field(device, "name"), text) == 0) {
            place = (int) i;
            count++;
        }
    }

    if (count == 1) {
        return place;
    }

    return count == 0 ? err_set(err, "usage",
                                "no device of yours is called \"%.64s\"", text)
                      : err_set(err, "ambiguous",
                                "%d devices are called \"%.64s\": use the id",
                                count, text);
}


int
device_delete(client_t *client)
{
    char path[80];
    err_t err;
    json_t *list;
    int place, rc = -1;

    list = api_list(client, "/v1/devices", &err);
    if (list == NULL) {
        return client_fail(client, &err);
    }

    place = device_find(list, client->operand[0], &err);

    if (place != -1) {
        snprintf(path, sizeof(path), "/v1/devices/%.36s",
                 show_field(json_array_get(list, (size_t) place), "id"));
        rc = api_call(client, "DELETE", path, NULL, NULL, &err);
    }

    json_decref(list);

    return rc == 0 ? show_done(client, NULL,
                               "%s is deleted; it has left its networks.",
                               client->operand[0])
                   : client_fail(client, &err);
}
