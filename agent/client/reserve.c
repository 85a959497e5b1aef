#include "client/api.h"
#include "client/place.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const show_column_t reserve_columns[] = {
    {"ADDRESS", "ip_address", 15},
    {"NAME", "name", 24},
    {"USER", "user_id", 36},
    {"DEVICE", "device_id", 0},
    {NULL, NULL, 0},
};


static json_t *
reserve_items(client_t *client, place_t *place, err_t *err)
{
    char path[96];

    if (api_session(client, err) == -1 ||
        find_network(client, client->operand[0], &place->found, err) == -1) {
        return NULL;
    }

    snprintf(place->path, sizeof(place->path), "/v1/networks/%.36s",
             place->found.id);
    snprintf(path, sizeof(path), "%s/reservations", place->path);

    return api_list(client, path, err);
}


int
reserve_list(client_t *client)
{
    err_t err;
    json_t *list;
    place_t place;

    list = reserve_items(client, &place, &err);

    return list == NULL ? client_fail(client, &err)
                        : show_list(client, "reservations", list,
                                    reserve_columns, "Nothing is reserved.");
}


/* device_id of the device that the network knows by this name */
static int
reserve_device(client_t *client, const place_t *place, char id[40], err_t *err)
{
    char path[96];
    json_t *list, *peer;
    size_t i;

    id[0] = '\0';
    snprintf(path, sizeof(path), "%s/peers", place->path);

    list = api_list(client, path, err);
    if (list == NULL) {
        return -1;
    }

    json_array_foreach(list, i, peer)
    {
        if (strcmp(show_field(peer, "name"), client->device) == 0 ||
            strcmp(show_field(peer, "device_id"), client->device) == 0) {
            snprintf(id, 40, "%.36s", show_field(peer, "device_id"));
        }
    }

    json_decref(list);

    return id[0] != '\0' ? 0
                         : err_set(err, "usage",
                                   "the network has no device called \"%.64s\"",
                                   client->device);
}


/* NULL: err says why */
static json_t *
reserve_body(client_t *client, const place_t *place, err_t *err)
{
    char id[40];
    json_t *body = json_object();
    int rc = 0;

    if (client->operands > 1) {
        json_object_set_new(body, "ip_address",
                            json_string(client->operand[1]));
    }

    if (client->name != NULL) {
        json_object_set_new(body, "name", json_string(client->name));
    }

    if (client->user != NULL) {
        rc = place_user(client, place, "members", client->user, id, err);
        json_object_set_new(body, "user_id", json_string(id));
    }

    if (rc == 0 && client->device != NULL) {
        rc = reserve_device(client, place, id, err);
        json_object_set_new(body, "device_id", json_string(id));
    }

    if (rc == 0) {
        return body;
    }

    json_decref(body);
    return NULL;
}


int
reserve_make(client_t *client)
{
    char path[96];
    err_t err;
    json_t *body, *made = NULL;
    place_t place = {.network = 1};
    int rc;

    if (api_session(client, &err) == -1 ||
        find_network(client, client->operand[0], &place.found, &err) == -1) {
        return client_fail(client, &err);
    }

    snprintf(place.path, sizeof(place.path), "/v1/networks/%.36s",
             place.found.id);

    body = reserve_body(client, &place, &err);
    if (body == NULL) {
        return client_fail(client, &err);
    }

    snprintf(path, sizeof(path), "%s/reservations", place.path);
    rc = api_call(client, "POST", path, body, &made, &err);
    json_decref(body);

    return rc == 0 ? show_done(client, made, "Reserved %s in %s.",
                               show_field(made, "ip_address"), place.found.name)
                   : client_fail(client, &err);
}


int
reserve_drop(client_t *client)
{
    char path[80] = "";
    const char *text = client->operand[1];
    err_t err;
    json_t *list, *one;
    place_t place;
    size_t i;

    list = reserve_items(client, &place, &err);
    if (list == NULL) {
        return client_fail(client, &err);
    }

    json_array_foreach(list, i, one)
    {
        if (strcmp(show_field(one, "id"), text) == 0 ||
            strcmp(show_field(one, "ip_address"), text) == 0 ||
            strcmp(show_field(one, "name"), text) == 0) {
            snprintf(path, sizeof(path), "/v1/reservations/%.36s",
                     show_field(one, "id"));
        }
    }

    json_decref(list);

    if (path[0] == '\0') {
        err_set(&err, "usage", "nothing called \"%.64s\" is reserved", text);
        return client_fail(client, &err);
    }

    return api_call(client, "DELETE", path, NULL, NULL, &err) == 0
               ? show_done(client, NULL, "%s is free again.", text)
               : client_fail(client, &err);
}
