#include "client/api.h"
#include "client/place.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const show_column_t member_columns[] = {
    {"USER", "username", 32},  {"ROLE", "role", 10},
    {"STATUS", "status", 8},   {"ONLINE", "online", 6},
    {"SINCE", "joined_at", 0}, {NULL, NULL, 0},
};

static const show_column_t member_request_columns[] = {
    {"USER", "username", 32},
    {"NOTE", "note", 0},
    {NULL, NULL, 0},
};

static const show_column_t member_ban_columns[] = {
    {"USER", "username", 32},
    {"UNTIL", "until", 16},
    {"REASON", "reason", 0},
    {NULL, NULL, 0},
};


static int
member_place(client_t *client, place_t *place, err_t *err)
{
    return api_session(client, err) == -1
               ? -1
               : place_find(client, client->operand[0], place, err);
}


/* Likewise, for what only networks have. */
static int
member_network(client_t *client, place_t *place, err_t *err)
{
    if (member_place(client, place, err) == -1) {
        return -1;
    }

    return place->network
               ? 0
               : err_set(err, "usage", "\"%.64s\" is a tenant; name a network",
                         place->found.name);
}


static int
member_show(client_t *client, const place_t *place, const char *what,
            const show_column_t *columns, const char *empty)
{
    char path[96];
    err_t err;
    json_t *list;

    snprintf(path, sizeof(path), "%s/%s", place->path, what);

    list = api_list(client, path, &err);
    if (list == NULL) {
        return client_fail(client, &err);
    }

    return show_list(client, what, list, columns, empty);
}


int
member_list(client_t *client)
{
    err_t err;
    place_t place;

    if (member_place(client, &place, &err) == -1) {
        return client_fail(client, &err);
    }

    return member_show(client, &place, "members", member_columns, "Nobody.");
}


int
member_requests(client_t *client)
{
    err_t err;
    place_t place;

    if (member_network(client, &place, &err) == -1) {
        return client_fail(client, &err);
    }

    return member_show(client, &place, "requests", member_request_columns,
                       "Nobody asks to join.");
}


int
member_bans(client_t *client)
{
    err_t err;
    place_t place;

    if (member_place(client, &place, &err) == -1) {
        return client_fail(client, &err);
    }

    return member_show(client, &place, "bans", member_ban_columns,
                       "Nobody is banned.");
}


/* reason and expires_in, as the options say */
static int
member_body(client_t *client, json_t *body, err_t *err)
{
    json_int_t seconds;

    if (client->reason != NULL &&
        json_object_set_new(body, "reason", json_string(client->reason)) != 0) {
        return err_set(err, "usage", "a reason must be UTF-8");
    }

    if (client->expires == NULL) {
        return 0;
    }

    if (place_duration(client->expires, &seconds, err) == -1) {
        return -1;
    }

    json_object_set_new(body, "expires_in", json_integer(seconds));
    return 0;
}


/* Takes the body. */
static int
member_send(client_t *client, const char *method, const char *path,
            json_t *body, const char *done, const char *user, const char *place)
{
    err_t err;
    json_t *answer = NULL;
    int rc = -1;

    if (member_body(client, body, &err) == 0) {
        rc = api_call(client, method, path,
                      strcmp(method, "DELETE") == 0 ? NULL : body, &answer,
                      &err);
    }

    json_decref(body);

    return rc == 0 ? show_done(client, answer, "%s: %s, %s.", done, user, place)
                   : client_fail(client, &err);
}


/* POST networks/ID/VERB with the user whom the second operand names */
static int
member_act(client_t *client, const char *verb, const char *list,
           const char *done)
{
    char id[40], path[96];
    err_t err;
    place_t place;

    if (member_network(client, &place, &err) == -1 ||
        place_user(client, &place, list, client->operand[1], id, &err) == -1) {
        return client_fail(client, &err);
    }

    snprintf(path, sizeof(path), "%s/%s", place.path, verb);

    return member_send(client, "POST", path, json_pack("{s:s}", "user_id", id),
                       done, client->operand[1], place.found.name);
}


int
member_approve(client_t *client)
{
    return member_act(client, "approve", "requests", "Approved");
}


int
member_deny(client_t *client)
{
    return member_act(client, "deny", "requests", "Denied");
}


/* The same where a tenant has a route of its own, below PATH. */
static int
member_act_below(client_t *client, const char *verb, const char *list,
                 const char *method, const char *below, const char *done)
{
    char id[40], path[160];
    err_t err;
    place_t place;

    if (member_place(client, &place, &err) == -1 ||
        place_user(client, &place, list, client->operand[1], id, &err) == -1) {
        return client_fail(client, &err);
    }

    if (place.network) {
        snprintf(path, sizeof(path), "%s/%s", place.path, verb);
        return member_send(client, "POST", path,
                           json_pack("{s:s}", "user_id", id), done,
                           client->operand[1], place.found.name);
    }

    snprintf(path, sizeof(path), "%s/%s/%.36s", place.path, below, id);

    return member_send(client, method, path, json_object(), done,
                       client->operand[1], place.found.name);
}


int
member_kick(client_t *client)
{
    return member_act_below(client, "kick", "members", "DELETE", "members",
                            "Kicked");
}


int
member_ban(client_t *client)
{
    return member_act_below(client, "ban", "members", "POST", "bans", "Banned");
}


int
member_unban(client_t *client)
{
    return member_act_below(client, "unban", "bans", "DELETE", "bans",
                            "May come back");
}


int
member_role(client_t *client)
{
    char id[40], path[160];
    err_t err;
    place_t place;

    if (member_place(client, &place, &err) == -1 ||
        place_user(client, &place, "members", client->operand[1], id, &err) ==
            -1) {
        return client_fail(client, &err);
    }

    snprintf(path, sizeof(path), "%s/members/%.36s", place.path, id);

    return member_send(
        client, "PATCH", path, json_pack("{s:s}", "role", client->operand[2]),
        client->operand[2], client->operand[1], place.found.name);
}
