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


static int
enroll_hand_over(client_t *client, json_t *answer, err_t *err)
{
    json_t *reply, *request;
    session_t *session = &client->session;

    request =
        json_pack("{s:s, s:s, s:O?, s:O?, s:O?, s:O?, s:{s:s, s:s}}", "command",
                  "enroll", "server", session->server.url.text, "access_token",
                  json_object_get(answer, "access_token"), "refresh_token",
                  json_object_get(answer, "refresh_token"), "expires_in",
                  json_object_get(answer, "expires_in"), "device",
                  json_object_get(answer, "device"), "user", "id",
                  session->user_id, "username", session->username);
    if (request == NULL) {
        return err_set(err, "bad_answer", "the server's answer is incomplete");
    }

    reply = ask_daemon(client, request, err);
    json_decref(reply);
    return reply != NULL ? 0 : -1;
}


int
enroll_device(client_t *client, err_t *err)
{
    char host[64];
    const char *key;
    int rc;
    json_t *status, *identity, *body, *answer = NULL;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);
    if (status == NULL) {
        return -1;
    }

    rc = enroll_state(client, status, err);
    json_decref(status);

    if (rc != 0) {
        return rc == 1 ? 0 : -1;
    }

    identity = ask_daemon(client,
                          json_pack("{s:s, s:s}", "command", "identity",
                                    "server", client->session.server.url.text),
                          err);
    if (identity == NULL) {
        return -1;
    }

    key = json_string_value(json_object_get(identity, "public_key"));
    body = json_pack("{s:s, s:s, s:s}", "name",
                     enroll_name(client, host, sizeof(host)), "platform",
                     "linux", "public_key", key != NULL ? key : "");
    json_decref(identity);

    rc = api_call(client, "POST", "/v1/devices", body, &answer, err);
    json_decref(body);

    if (rc != 0) {
        return -1;
    }

    rc = enroll_hand_over(client, answer, err);
    json_decref(answer);
    return rc;
}
