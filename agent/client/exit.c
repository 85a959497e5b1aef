/* The internet by way of a member. */

#include "client/ask.h"
#include "client/find.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const char *const exit_all[] = {"0.0.0.0/0", "::/0", NULL};

static const show_column_t exit_columns[] = {
    {"DEVICE", "peer", 24}, {"NETWORK", "network", 24}, {"IPV4", "ipv4", 4},
    {"IPV6", "ipv6", 4},    {"IN USE", "in_use", 0},    {NULL, NULL, 0},
};


/* Takes the request. */
static json_t *
exit_ask(client_t *client, json_t *request, err_t *err)
{
    json_t *reply = ask_daemon(client, request, err);

    if (reply != NULL) {
        json_object_del(reply, "ok");
    }

    return reply;
}


int
exit_show(client_t *client)
{
    err_t err;
    json_t *list, *reply, *used;

    reply = exit_ask(
        client, json_pack("{s:s, s:s}", "command", "exit", "action", "show"),
        &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    if (client_json(client, json_incref(reply))) {
        json_decref(reply);
        return CLIENT_OK;
    }

    used = json_object_get(reply, "exit");

    if (*show_field(used, "error") != '\0') {
        printf("problem: ");
        client_print(show_field(used, "error"));
        printf("\n");
    }

    list = json_incref(json_object_get(reply, "exits"));
    json_decref(reply);

    return show_list(client, "exits", list, exit_columns,
                     "No device offers itself as an exit.");
}


/* The peer's id by its name, its address or its id. */
static int
exit_peer(client_t *client, const find_t *found, const char *name, char id[40],
          err_t *err)
{
    json_t *peer, *reply;
    size_t i;

    id[0] = '\0';
    reply = exit_ask(
        client,
        json_pack("{s:s, s:s}", "command", "peers", "network_id", found->id),
        err);

    if (reply == NULL) {
        return -1;
    }

    json_array_foreach(json_object_get(reply, "peers"), i, peer)
    {
        if (strcmp(show_field(peer, "name"), name) == 0 ||
            strcmp(show_field(peer, "ip_address"), name) == 0 ||
            strcmp(show_field(peer, "peer_id"), name) == 0) {
            snprintf(id, 40, "%.36s", show_field(peer, "peer_id"));
        }
    }

    json_decref(reply);

    return id[0] != '\0'
               ? 0
               : err_set(err, "usage", "%.64s has no device called \"%.64s\"",
                         found->name, name);
}


int
exit_use(client_t *client)
{
    char id[40];
    const char *problem;
    err_t err;
    find_t found;
    json_t *reply;

    if (mesh_find(client, client->operand[0], &found, &err) == -1 ||
        exit_peer(client, &found, client->operand[1], id, &err) == -1 ||
        (reply = exit_ask(client,
                          json_pack("{s:s, s:s, s:s, s:s}", "command", "exit",
                                    "action", "use", "network_id", found.id,
                                    "peer_id", id),
                          &err)) == NULL) {
        return client_fail(client, &err);
    }

    problem = show_field(json_object_get(reply, "exit"), "error");

    return *problem != '\0'
               ? show_done(client, reply, "Chosen, but %s.", problem)
               : show_done(client, reply,
                           "The internet is reached by %s of %s.",
                           client->operand[1], found.name);
}


int
exit_off(client_t *client)
{
    err_t err;
    json_t *reply;

    reply = exit_ask(
        client, json_pack("{s:s, s:s}", "command", "exit", "action", "off"),
        &err);

    return reply == NULL ? client_fail(client, &err)
                         : show_done(client, reply, "No exit is in use.");
}


static json_t *
exit_change(client_t *client, const char *action, find_t *found, err_t *err)
{
    if (mesh_find(client, client->operand[0], found, err) == -1) {
        return NULL;
    }

    return exit_ask(client,
                    json_pack("{s:s, s:s, s:s}", "command", "exit", "action",
                              action, "network_id", found->id),
                    err);
}


int
exit_offer(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply = exit_change(client, "offer", &found, &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    if (!client->json && !json_is_true(json_object_get(reply, "forwarded"))) {
        printf("This device forwards no IPv6 yet: sysctl -w "
               "net.ipv6.conf.all.forwarding=1\n");
    }

    return json_is_true(json_object_get(reply, "approved"))
               ? show_done(client, reply,
                           "Members of %s can reach the internet by this "
                           "device.",
                           found.name)
               : show_done(client, reply,
                           "Offered. An admin of %s has to approve it: "
                           "goconnect exit approve.",
                           found.name);
}


int
exit_withdraw(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply = exit_change(client, "withdraw", &found, &err);

    return reply == NULL ? client_fail(client, &err)
                         : show_done(client, reply,
                                     "This device is no exit of %s any more.",
                                     found.name);
}


int
exit_approve(client_t *client)
{
    return route_judge(client, exit_all, "the internet", 1);
}


int
exit_deny(client_t *client)
{
    return route_judge(client, exit_all, "the internet", 0);
}
