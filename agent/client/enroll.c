#include "client/enroll.h"

#include "client/api.h"
#include "client/ask.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* 1: enrolled for this user here. 0: for nobody. -1: for somebody else. */
static int
enroll_state(client_t *client, const json_t *status, err_t *err)
{
    const char *control, *server, *user, *name;

    server = json_string_value(json_object_get(status, "server"));
    user = json_string_value(
        json_object_get(json_object_get(status, "user"), "id"));
    name = json_string_value(
        json_object_get(json_object_get(status, "user"), "username"));

    if (server == NULL || user == NULL) {
        return 0;
    }

    if (strcmp(server, client->session.server.url.text) == 0 &&
        strcmp(user, client->session.user_id) == 0) {
        control = json_string_value(json_object_get(status, "control"));

        /* the server has forgotten the device: make it known again */
        return control == NULL || strcmp(control, "refused") != 0;
    }

    return err_set(err, "other_account",
                   "this device belongs to %s at %s; \"goconnect logout\" "
                   "frees it",
                   name != NULL ? name : user, server);
}


static const char *
enroll_name(client_t *client, char *host, size_t size)
{
    if (client->name != NULL) {
        return client->name;
    }

    if (gethostname(host, size) == -1 || host[0] == '\0') {
        return "device";
    }

    host[size - 1] = '\0';
    host[strcspn(host, ".")] = '\0';
    return host;
}


/* The networks of an answer as goconnectd wants to know them. */
static json_t *
enroll_networks(const json_t *answer)
{
    json_t *list = json_array(), *network;
    size_t i;

    json_array_foreach(json_object_get(answer, "networks"), i, network)
    {
        json_array_append_new(list,
                              json_pack("{s:O?, s:O?}", "id",
                                        json_object_get(network, "id"), "name",
                                        json_object_get(network, "name")));
    }

    return list;
}


/* The user of the answer, else that of the session. */
static json_t *
enroll_user(const session_t *session, const json_t *answer)
{
    json_t *user = json_object_get(answer, "user");

    return json_pack(
        "{s:s, s:s}", "id",
        user != NULL ? json_string_value(json_object_get(user, "id"))
                     : session->user_id,
        "username",
        user != NULL ? json_string_value(json_object_get(user, "username"))
                     : session->username);
}


int
enroll_hand_over(client_t *client, const json_t *answer, err_t *err)
{
    json_t *reply, *request, *user;
    session_t *session = &client->session;

    user = enroll_user(session, answer);
    request =
        user == NULL
            ? NULL
            : json_pack("{s:s, s:s, s:O?, s:O?, s:O?, s:O?, s:o, s:o}",
                        "command", "enroll", "server", session->server.url.text,
                        "access_token", json_object_get(answer, "access_token"),
                        "refresh_token",
                        json_object_get(answer, "refresh_token"), "expires_in",
                        json_object_get(answer, "expires_in"), "device",
                        json_object_get(answer, "device"), "user", user,
                        "networks", enroll_networks(answer));
    if (request == NULL) {
        return err_set(err, "bad_answer", "the server's answer is incomplete");
    }

    reply = ask_daemon(client, request, err);
    json_decref(reply);
    return reply != NULL ? 0 : -1;
}


int
enroll_is_free(client_t *client, char *whose, size_t size, err_t *err)
{
    const char *control, *server, *name;
    int rc = 0;
    json_t *status;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);
    if (status == NULL) {
        return -1;
    }

    server = json_string_value(json_object_get(status, "server"));
    control = json_string_value(json_object_get(status, "control"));
    name = json_string_value(
        json_object_get(json_object_get(status, "user"), "username"));
    snprintf(whose, size, "%s", name != NULL ? name : "somebody");

    if (server != NULL &&
        (control == NULL || strcmp(control, "refused") != 0)) {
        rc = 1;

        if (strcmp(server, client->session.server.url.text) != 0) {
            rc = err_set(err, "other_account",
                         "this device belongs to %s at %s; \"goconnect "
                         "logout\" frees it",
                         whose, server);
        }
    }

    json_decref(status);
    return rc;
}


json_t *
enroll_body(client_t *client, err_t *err)
{
    char host[64];
    const char *key;
    json_t *body, *identity;

    identity = ask_daemon(client,
                          json_pack("{s:s, s:s}", "command", "identity",
                                    "server", client->session.server.url.text),
                          err);
    if (identity == NULL) {
        return NULL;
    }

    key = json_string_value(json_object_get(identity, "public_key"));
    body = json_pack("{s:s, s:s, s:s}", "name",
                     enroll_name(client, host, sizeof(host)), "platform",
                     "linux", "public_key", key != NULL ? key : "");
    json_decref(identity);

    if (body == NULL) {
        err_set(err, "usage", "the device's name must be UTF-8");
    }

    return body;
}


int
enroll_device(client_t *client, err_t *err)
{
    int rc;
    json_t *status, *body, *answer = NULL;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);
    if (status == NULL) {
        return -1;
    }

    rc = enroll_state(client, status, err);
    json_decref(status);

    if (rc != 0) {
        return rc == 1 ? 0 : -1;
    }

    body = enroll_body(client, err);
    if (body == NULL) {
        return -1;
    }

    rc = api_call(client, "POST", "/v1/devices", body, &answer, err);
    json_decref(body);

    if (rc != 0) {
        return -1;
    }

    rc = enroll_hand_over(client, answer, err);
    json_decref(answer);
    return rc;
}
