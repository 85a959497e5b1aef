#include "client/api.h"
#include "client/place.h"
#include "client/show.h"

#include <stdio.h>

static const show_column_t key_columns[] = {
    {"ID", "id", 36},
    {"NAME", "name", 20},
    {"REUSABLE", "reusable", 8},
    {"EPHEMERAL", "ephemeral", 9},
    {"USED", "uses", 6},
    {"UNTIL", "expires_at", 0},
    {NULL, NULL, 0},
};


int
key_list(client_t *client)
{
    char path[96];
    err_t err;
    find_t found;
    json_t *list = NULL;

    if (api_session(client, &err) == 0 &&
        find_tenant(client, client->operand[0], &found, &err) == 0) {
        snprintf(path, sizeof(path), "/v1/tenants/%.36s/enrollment-keys",
                 found.id);
        list = api_list(client, path, &err);
    }

    return list == NULL ? client_fail(client, &err)
                        : show_list(client, "keys", list, key_columns,
                                    "No enrolment keys.");
}


/* Takes the body; NULL: err says why. */
static json_t *
key_networks(client_t *client, json_t *body, err_t *err)
{
    find_t found;
    json_t *ids = json_array();
    size_t i;

    for (i = 0; i < CLIENT_NETWORKS_MAX && client->network[i] != NULL; i++) {
        if (find_network(client, client->network[i], &found, err) == -1) {
            json_decref(ids);
            json_decref(body);
            return NULL;
        }

        json_array_append_new(ids, json_string(found.id));
    }

    json_object_set_new(body, "networks", ids);
    return body;
}


int
key_create(client_t *client)
{
    char path[96];
    err_t err;
    find_t found;
    json_int_t seconds;
    json_t *body, *key = NULL;
    int rc;

    if (api_session(client, &err) == -1 ||
        find_tenant(client, client->operand[0], &found, &err) == -1 ||
        (client->expires != NULL &&
         place_duration(client->expires, &seconds, &err) == -1)) {
        return client_fail(client, &err);
    }

    body = json_pack("{s:s, s:b, s:b}", "name", client->operand[1], "reusable",
                     client->reusable, "ephemeral", client->ephemeral);

    if (client->expires != NULL) {
        json_object_set_new(body, "expires_in", json_integer(seconds));
    }

    body = key_networks(client, body, &err);
    if (body == NULL) {
        return client_fail(client, &err);
    }

    snprintf(path, sizeof(path), "/v1/tenants/%.36s/enrollment-keys", found.id);
    rc = api_call(client, "POST", path, body, &key, &err);
    json_decref(body);

    return rc == 0 ? show_done(client, key, "%s", show_field(key, "key"))
                   : client_fail(client, &err);
}


int
key_delete(client_t *client)
{
    char path[96];
    err_t err;

    snprintf(path, sizeof(path), "/v1/enrollment-keys/%.36s",
             client->operand[0]);

    return api_call(client, "DELETE", path, NULL, NULL, &err) == 0
               ? show_done(client, NULL,
                           "The key is no longer good; devices that it "
                           "enrolled stay.")
               : client_fail(client, &err);
}
