#include "client/api.h"
#include "client/place.h"
#include "client/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVITE_USES_MAX 100000

static const show_column_t invite_columns[] = {
    {"ID", "id", 36},      {"ROLE", "role", 10},       {"USED", "uses", 6},
    {"OF", "max_uses", 6}, {"UNTIL", "expires_at", 0}, {NULL, NULL, 0},
};


int
invite_list(client_t *client)
{
    char path[96];
    err_t err;
    find_t found;
    json_t *list = NULL;

    if (api_session(client, &err) == 0 &&
        find_tenant(client, client->operand[0], &found, &err) == 0) {
        snprintf(path, sizeof(path), "/v1/tenants/%.36s/invites", found.id);
        list = api_list(client, path, &err);
    }

    return list == NULL ? client_fail(client, &err)
                        : show_list(client, "invites", list, invite_columns,
                                    "No invites.");
}


static json_t *
invite_body(client_t *client, const place_t *place, err_t *err)
{
    char *end;
    json_int_t seconds;
    json_t *body = json_object();
    long uses;

    if (place->network) {
        json_object_set_new(body, "network_id", json_string(place->found.id));
    }

    if (client->role != NULL) {
        json_object_set_new(body, "role", json_string(client->role));
    }

    if (client->uses != NULL) {
        uses = strtol(client->uses, &end, 10);

        if (*end != '\0' || uses < 1 || uses > INVITE_USES_MAX) {
            json_decref(body);
            err_set(err, "usage", "--uses is 1 to %d", INVITE_USES_MAX);
            return NULL;
        }

        json_object_set_new(body, "max_uses", json_integer(uses));
    }

    if (client->expires != NULL) {
        if (place_duration(client->expires, &seconds, err) == -1) {
            json_decref(body);
            return NULL;
        }

        json_object_set_new(body, "expires_in", json_integer(seconds));
    }

    return body;
}


int
invite_create(client_t *client)
{
    char path[96];
    err_t err;
    json_t *body = NULL, *invite = NULL;
    place_t place;
    int rc = -1;

    if (api_session(client, &err) == 0 &&
        place_find(client, client->operand[0], &place, &err) == 0) {
        body = invite_body(client, &place, &err);
    }

    if (body != NULL) {
        snprintf(path, sizeof(path), "/v1/tenants/%.36s/invites",
                 place.network ? place.found.tenant_id : place.found.id);
        rc = api_call(client, "POST", path, body, &invite, &err);
        json_decref(body);
    }

    return rc == 0 ? show_done(client, invite, "%s", show_field(invite, "url"))
                   : client_fail(client, &err);
}


int
invite_revoke(client_t *client)
{
    char path[96];
    err_t err;

    snprintf(path, sizeof(path), "/v1/invites/%.36s", client->operand[0]);

    return api_call(client, "DELETE", path, NULL, NULL, &err) == 0
               ? show_done(client, NULL, "The invite is no longer good.")
               : client_fail(client, &err);
}
