#include "client/api.h"
#include "client/ask.h"
#include "client/enroll.h"
#include "client/find.h"
#include "client/session.h"
#include "core/gc_uuid.h"

#include <stdio.h>
#include <string.h>


static const char *
network_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


/* A link's server must be the one that the user is logged in at. */
static int
network_check_server(client_t *client, const url_t *url, err_t *err)
{
    if (strcmp(url->text, client->session.server.url.text) == 0) {
        return 0;
    }

    return err_set(err, "not_logged_in",
                   "this invite is of %s, you are logged in at %s: "
                   "goconnect login %s",
                   url->text, client->session.server.url.text, url->text);
}


static void
network_take_id(find_t *found, const json_t *network)
{
    snprintf(found->id, sizeof(found->id), "%s", network_field(network, "id"));
    snprintf(found->name, sizeof(found->name), "%s",
             network_field(network, "name"));
}


static int
network_accept(client_t *client, const char *code, find_t *found, err_t *err)
{
    char path[64];
    int rc = 0;
    json_t *answer = NULL, *network;

    snprintf(path, sizeof(path), "/v1/invites/%s/accept", code);

    if (api_call(client, "POST", path, NULL, &answer, err) != 0) {
        return -1;
    }

    network = json_object_get(answer, "network");

    if (json_is_object(network)) {
        network_take_id(found, network);

    } else {
        rc = err_set(
            err, "tenant_joined",
            "you are now in %s; the invite names no network: choose one of "
            "\"goconnect networks\" and goconnect join it",
            network_field(json_object_get(answer, "tenant"), "name"));
    }

    json_decref(answer);
    return rc;
}


static int
network_join_named(client_t *client, const char *text, find_t *found,
                   err_t *err)
{
    char path[80];
    int rc;
    json_t *body, *answer = NULL;

    if (find_network(client, text, found, err) == -1) {
        return -1;
    }

    snprintf(path, sizeof(path), "/v1/networks/%s/join", found->id);
    body = json_object();
    rc = api_call(client, "POST", path, body, &answer, err);
    json_decref(body);
    json_decref(answer);
    return rc;
}


/* The user becomes a member: by link, by code, else by the network's name. */
static int
network_enter(client_t *client, const char *text, find_t *found, err_t *err)
{
    char code[URL_CODE_SIZE];
    int linked;
    url_t url;

    memset(found, 0, sizeof(*found));

    if (strstr(text, "://") != NULL && strstr(text, "/i/") == NULL) {
        return err_set(err, "usage",
                       "an invite link looks like https://HOST/i/CODE");
    }

    if (gc_uuid_valid(text, strlen(text)) ||
        !url_invite(text, &url, &linked, code)) {
        return network_join_named(client, text, found, err);
    }

    if (linked && network_check_server(client, &url, err) == -1) {
        return -1;
    }

    if (network_accept(client, code, found, err) == 0) {
        return 0;
    }

    /* ten letters may as well be a network's name */
    if (!linked && strcmp(err->code, "not_found") == 0) {
        err_t other;

        if (network_join_named(client, text, found, &other) == 0) {
            return 0;
        }

        if (strcmp(other.code, "unknown_network") != 0) {
            *err = other;

        } else {
            err_set(err, "not_found",
                    "\"%.64s\" is neither a valid invite nor a network of "
                    "yours",
                    text);
        }
    }

    return -1;
}


static json_t *
network_tell_daemon(client_t *client, const char *command, const find_t *found,
                    err_t *err)
{
    return ask_daemon(client,
                      json_pack("{s:s, s:s, s:s}", "command", command,
                                "network_id", found->id, "name", found->name),
                      err);
}


int
network_join(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply;

    /* before the server learns of it: is there anybody to join? */
    if (api_session(client, &err) == -1 || enroll_device(client, &err) == -1 ||
        network_enter(client, client->operand[0], &found, &err) != 0) {
        return client_fail(client, &err);
    }

    reply = network_tell_daemon(client, "join", &found, &err);
    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (client_json(client, json_incref(reply))) {
        json_decref(reply);
        return CLIENT_OK;
    }

    printf("Joined ");
    client_print(network_field(reply, "name"));
    printf(". This device is %s", network_field(reply, "ip_address"));

    if (*network_field(reply, "interface") != '\0') {
        printf(" on %s", network_field(reply, "interface"));
    }

    printf(".\n");
    json_decref(reply);
    return CLIENT_OK;
}


int
network_leave(client_t *client)
{
    char path[80];
    err_t err;
    find_t found;
    int rc = -1;
    json_t *status, *reply;

    if (api_session(client, &err) == -1) {
        return client_fail(client, &err);
    }

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), &err);

    if (status != NULL) {
        rc = find_joined(status, client->operand[0], &found, &err);
        json_decref(status);
    }

    if (rc == -1 &&
        find_network(client, client->operand[0], &found, &err) == -1) {
        return client_fail(client, &err);
    }

    snprintf(path, sizeof(path), "/v1/networks/%s/leave", found.id);

    /* what the server does not know any more is left all the same */
    if (api_call(client, "POST", path, NULL, NULL, &err) != 0 &&
        strcmp(err.code, "not_found") != 0) {
        return client_fail(client, &err);
    }

    reply = network_tell_daemon(client, "leave", &found, &err);

    if (reply == NULL && strcmp(err.code, "no_daemon") != 0 &&
        strcmp(err.code, "unknown_network") != 0) {
        return client_fail(client, &err);
    }

    json_decref(reply);

    if (!client_json(client, json_pack("{s:s, s:s}", "network_id", found.id,
                                       "name", found.name))) {
        printf("Left ");
        client_print(found.name);
        printf(".\n");
    }

    return CLIENT_OK;
}


static void
network_print(const json_t *network)
{
    char label[200];

    snprintf(label, sizeof(label), "%.63s/%.63s",
             network_field(json_object_get(network, "tenant"), "slug"),
             network_field(network, "slug"));

    printf(
        "%-32s %-18s %-8s %5lld  %s\n", label, network_field(network, "cidr"),
        network_field(network, "join_policy"),
        (long long) json_integer_value(json_object_get(network, "peer_count")),
        json_is_true(json_object_get(network, "joined")) ? "member" : "");
}


int
network_list(client_t *client)
{
    err_t err;
    json_t *all, *network;
    size_t i;

    if (api_session(client, &err) == -1 ||
        (all = find_networks(client, &err)) == NULL) {
        return client_fail(client, &err);
    }

    if (client_json(client, json_pack("{s:O}", "networks", all))) {
        json_decref(all);
        return CLIENT_OK;
    }

    if (json_array_size(all) == 0) {
        printf("No networks yet: goconnect join LINK\n");

    } else {
        printf("%-32s %-18s %-8s %5s\n", "NETWORK", "RANGE", "POLICY", "PEERS");
    }

    json_array_foreach(all, i, network)
    {
        network_print(network);
    }

    json_decref(all);
    return CLIENT_OK;
}
