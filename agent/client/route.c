/* Subnets behind devices: offered, approved by an admin, accepted here. */

#include "client/api.h"
#include "client/ask.h"
#include "client/find.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const show_column_t route_columns[] = {
    {"SUBNET", "prefix", 24},    {"BEHIND", "peer", 20},
    {"APPROVED", "approved", 8}, {"ACCEPTED", "accepted", 8},
    {"IN USE", "in_use", 6},     {"RTT US", "rtt", 8},
    {"PROBLEM", "problem", 0},   {NULL, NULL, 0},
};


static const char *
route_text(const json_t *item)
{
    const char *text = json_string_value(item);

    return text != NULL ? text : "";
}


/* What goconnectd answers, or NULL. */
static json_t *
route_ask(client_t *client, const char *action, find_t *found, err_t *err)
{
    json_t *reply, *request;

    if (mesh_find(client, client->operand[0], found, err) == -1) {
        return NULL;
    }

    request =
        json_pack("{s:s, s:s, s:s, s:s, s:b}", "command", "route", "network_id",
                  found->id, "action", action, "prefix", client->operand[1],
                  "masquerade", !client->no_masquerade);

    if (request == NULL) {
        err_set(err, "usage", "a subnet must be UTF-8");
        return NULL;
    }

    reply = ask_daemon(client, request, err);

    if (reply != NULL) {
        json_object_del(reply, "ok");
    }

    return reply;
}


static int
route_is(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}


int
route_offer(client_t *client)
{
    const char *subnet = client->operand[1];
    err_t err;
    find_t found;
    json_t *reply = route_ask(client, "offer", &found, &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    if (!client->json && !route_is(reply, "forwarded")) {
        printf("This device forwards no IPv6 yet: sysctl -w "
               "net.ipv6.conf.all.forwarding=1\n");
    }

    return route_is(reply, "approved")
               ? show_done(client, reply,
                           "Members of %s can reach %s by this "
                           "device.",
                           found.name, subnet)
               : show_done(client, reply,
                           "Offered. An admin of %s has to approve it: "
                           "goconnect route approve.",
                           found.name);
}


int
route_withdraw(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply = route_ask(client, "withdraw", &found, &err);

    return reply == NULL
               ? client_fail(client, &err)
               : show_done(client, reply,
                           "This device does not offer %s to %s any more.",
                           client->operand[1], found.name);
}


/* How many rows of the answer have the subnet in use, and what hinders. */
static const char *
route_state(const json_t *reply, const char *subnet, const char **by,
            int *offered)
{
    const char *problem = NULL;
    const json_t *row;
    size_t i;

    *by = NULL;
    *offered = 0;

    json_array_foreach(json_object_get(reply, "routes"), i, row)
    {
        if (strcmp(show_field(row, "prefix"), subnet) != 0 ||
            route_is(row, "self")) {
            continue;
        }

        *offered = 1;

        if (*show_field(row, "problem") != '\0') {
            problem = show_field(row, "problem");
        }

        if (route_is(row, "in_use")) {
            *by = show_field(row, "peer");
        }
    }

    return problem;
}


int
route_accept(client_t *client)
{
    const char *by, *problem, *subnet = client->operand[1];
    err_t err;
    find_t found;
    int offered;
    json_t *reply = route_ask(client, "accept", &found, &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    problem = route_state(reply, subnet, &by, &offered);

    if (strcmp(subnet, "all") == 0) {
        return show_done(client, reply,
                         "Every subnet that %s has or will have is accepted: "
                         "goconnect routes.",
                         found.name);
    }

    if (by != NULL) {
        return show_done(client, reply, "%s is reached by %s.", subnet, by);
    }

    if (problem != NULL) {
        return show_done(client, reply, "Accepted, but not used: %s.", problem);
    }

    return show_done(client, reply,
                     offered ? "%s is accepted; the network is down."
                             : "%s is accepted, but nobody offers it yet.",
                     subnet);
}


int
route_refuse(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply = route_ask(client, "refuse", &found, &err);

    return reply == NULL ? client_fail(client, &err)
                         : show_done(client, reply,
                                     "%s: not used by this "
                                     "device.",
                                     client->operand[1]);
}


/* ------------------------------------------------------------- by an admin */


/* The network's peer that is called so (a new reference), or NULL. */
static json_t *
route_peer(client_t *client, const find_t *found, const char *name, err_t *err)
{
    char path[80];
    json_t *list, *peer, *match = NULL;
    size_t i;

    snprintf(path, sizeof(path), "/v1/networks/%.36s/peers", found->id);
    list = api_list(client, path, err);

    json_array_foreach(list, i, peer)
    {
        if (match == NULL && (strcmp(show_field(peer, "name"), name) == 0 ||
                              strcmp(show_field(peer, "id"), name) == 0)) {
            match = json_incref(peer);
        }
    }

    if (list != NULL && match == NULL) {
        err_set(err, "usage", "%.64s has no device called \"%.64s\"",
                found->name, name);
    }

    json_decref(list);

    return match;
}


/* routes with or without the subnet, as approved_routes */
static json_t *
route_approved(const json_t *peer, const char *const *subnets, int approve)
{
    json_t *item, *list = json_array();
    size_t i, k;

    json_array_foreach(json_object_get(peer, "routes"), i, item)
    {
        for (k = 0; subnets[k] != NULL; k++) {
            if (strcmp(subnets[k], route_text(item)) == 0) {
                break;
            }
        }

        if (subnets[k] == NULL) {
            json_array_append(list, item);
        }
    }

    json_array_foreach(json_object_get(peer, "offered_routes"), i, item)
    {
        for (k = 0; approve && subnets[k] != NULL; k++) {
            if (strcmp(subnets[k], route_text(item)) == 0) {
                json_array_append(list, item);
            }
        }
    }

    return json_pack("{s:o}", "approved_routes", list);
}


static int
route_offered(const json_t *peer, const char *const *subnets)
{
    const json_t *item;
    size_t i, k;

    json_array_foreach(json_object_get(peer, "offered_routes"), i, item)
    {
        for (k = 0; subnets[k] != NULL; k++) {
            if (strcmp(subnets[k], route_text(item)) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


int
route_judge(client_t *client, const char *const *subnets, const char *what,
            int approve)
{
    char path[80];
    const char *name = client->operand[1];
    err_t err;
    find_t found;
    int rc = -1;
    json_t *answer = NULL, *body, *peer = NULL;

    if (api_session(client, &err) == -1 ||
        find_network(client, client->operand[0], &found, &err) == -1 ||
        (peer = route_peer(client, &found, name, &err)) == NULL) {
        return client_fail(client, &err);
    }

    if (!route_offered(peer, subnets)) {
        err_set(&err, "usage", "%.64s does not offer %.64s", name, what);

    } else {
        snprintf(path, sizeof(path), "/v1/peers/%.36s", show_field(peer, "id"));
        body = route_approved(peer, subnets, approve);
        rc = api_call(client, "PATCH", path, body, &answer, &err);
        json_decref(body);
    }

    json_decref(peer);

    return rc == 0 ? show_done(client, answer,
                               approve ? "Approved: %s by %s, in %s."
                                       : "Not approved: %s by %s, in %s.",
                               what, name, found.name)
                   : client_fail(client, &err);
}


int
route_approve(client_t *client)
{
    const char *subnets[] = {client->operand[2], NULL};

    return route_judge(client, subnets, subnets[0], 1);
}


int
route_deny(client_t *client)
{
    const char *subnets[] = {client->operand[2], NULL};

    return route_judge(client, subnets, subnets[0], 0);
}


/* ----------------------------------------------------------------- the list */


/* What waits for an approval: the server alone knows, if we may ask it. */
static void
route_pending(client_t *client, const find_t *found, json_t *rows)
{
    char path[80];
    const char *text;
    err_t err;
    json_t *approved, *item, *list, *peer;
    size_t i, k, n;

    snprintf(path, sizeof(path), "/v1/networks/%.36s/peers", found->id);

    if (api_session(client, &err) == -1) {
        return;
    }

    list = api_list(client, path, &err);

    json_array_foreach(list, i, peer)
    {
        json_array_foreach(json_object_get(peer, "offered_routes"), k, item)
        {
            text = route_text(item);
            n = 0;

            json_array_foreach(json_object_get(peer, "routes"), n, approved)
            {
                if (strcmp(route_text(approved), text) == 0) {
                    break;
                }
            }

            if (n == json_array_size(json_object_get(peer, "routes")) &&
                strcmp(text, "0.0.0.0/0") != 0 && strcmp(text, "::/0") != 0) {
                json_array_append_new(
                    rows,
                    json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:n, "
                              "s:n}",
                              "prefix", text, "peer_id", show_field(peer, "id"),
                              "peer", show_field(peer, "name"), "self", 0,
                              "approved", 0, "accepted", 0, "in_use", 0, "rtt",
                              "problem"));
            }
        }
    }

    json_decref(list);
}


int
route_list(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply, *rows;

    if (mesh_find(client, client->operands > 0 ? client->operand[0] : NULL,
                  &found, &err) == -1) {
        return client_fail(client, &err);
    }

    reply = ask_daemon(
        client,
        json_pack("{s:s, s:s}", "command", "routes", "network_id", found.id),
        &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    rows = json_incref(json_object_get(reply, "routes"));
    json_decref(reply);
    route_pending(client, &found, rows);

    return show_list(client, "routes", rows, route_columns,
                     "Nobody offers a subnet.");
}
