#define _GNU_SOURCE /* explicit_bzero */

#include "client/account.h"
#include "client/api.h"
#include "client/ask.h"
#include "client/enroll.h"
#include "client/login.h"
#include "client/prompt.h"
#include "client/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


int
account_server(client_t *client, err_t *err)
{
    session_t *session = &client->session;

    if (client->operands == 0) {
        if (session_load(session, err) == -1) {
            return err_set(err, "usage",
                           "which server? goconnect login https://HOST");
        }

    } else if (url_parse(&session->server.url, client->operand[0], err) == -1) {
        return -1;
    }

    if (client->ca != NULL) {
        if (realpath(client->ca, session->ca) == NULL) {
            return err_errno(err, "usage", "cannot read %s", client->ca);
        }

    } else if (client->operands > 0) {
        session->ca[0] = '\0';
    }

    session->insecure = client->insecure || session->insecure;
    return url_check_secure(&session->server.url, session->insecure, err);
}


static int
account_username(client_t *client, char name[PROMPT_SIZE], err_t *err)
{
    if (client->username != NULL) {
        snprintf(name, PROMPT_SIZE, "%s", client->username);
        return 0;
    }

    return prompt_line("Username", name, err);
}


static int
account_password(client_t *client, int twice, char password[PROMPT_SIZE],
                 err_t *err)
{
    char again[PROMPT_SIZE];
    int rc;

    if (client->password_file != NULL) {
        return prompt_file(client->password_file, password, err);
    }

    if (prompt_secret("Password", password, err) == -1) {
        return -1;
    }

    if (!twice) {
        return 0;
    }

    rc = prompt_secret("Password again", again, err);

    if (rc == 0 && strcmp(password, again) != 0) {
        rc = err_set(err, "usage", "the two passwords differ");
    }

    explicit_bzero(again, sizeof(again));
    return rc;
}


static json_t *
account_request(client_t *client, int registering, err_t *err)
{
    char name[PROMPT_SIZE], password[PROMPT_SIZE];
    json_t *body = NULL;

    if (account_username(client, name, err) == 0 &&
        account_password(client, registering, password, err) == 0) {
        body = json_pack("{s:s, s:s}", "username", name, "password", password);

        if (body == NULL) {
            err_set(err, "usage", "username and password must be UTF-8");
        }
    }

    if (body != NULL && client->email != NULL) {
        json_object_set_new(body, "email", json_string(client->email));
    }

    explicit_bzero(password, sizeof(password));
    return body;
}


static int
account_done(client_t *client, int enrolled, const err_t *why)
{
    session_t *session = &client->session;
    json_t *document;

    document =
        json_pack("{s:s, s:{s:s, s:s}, s:b}", "server",
                  session->server.url.text, "user", "id", session->user_id,
                  "username", session->username, "device_enrolled", enrolled);
    if (!enrolled) {
        json_object_set_new(
            document, "device_error",
            json_pack("{s:s, s:s}", "code", why->code, "detail", why->text));
    }

    if (client_json(client, document)) {
        return CLIENT_OK;
    }

    printf("Logged in at %s as %s.\n", session->server.url.text,
           session->username);

    if (enrolled) {
        printf("This device is ready: goconnect join LINK\n");

    } else {
        fprintf(stderr, "goconnect: this device is not enrolled yet: %s\n",
                why->text);
    }

    return CLIENT_OK;
}


static int
account_enter(client_t *client, int registering, const char *path)
{
    err_t err;
    int rc;
    json_t *body, *answer = NULL;
    session_t *session = &client->session;

    if (account_server(client, &err) == -1) {
        return client_fail(client, &err);
    }

    body = account_request(client, registering, &err);
    if (body == NULL) {
        return client_fail(client, &err);
    }

    rc = api_send(client, &session->server, NULL, "POST", path, body, &answer,
                  &err);
    json_decref(body);

    if (rc != 0) {
        return client_fail(client, &err);
    }

    rc = session_take(session, answer, &err);
    json_decref(answer);

    if (rc == -1) {
        return client_fail(client, &err);
    }

    rc = enroll_device(client, &err);
    return account_done(client, rc == 0, &err);
}


int
account_login(client_t *client)
{
    err_t err;
    int key = client->key != NULL || client->key_file != NULL;
    int user = client->username != NULL || client->password_file != NULL;

    if ((client->key != NULL && client->key_file != NULL) || (key && user)) {
        err_set(&err, "usage",
                "log in by a key, or as a user, or by neither and a code");
        return client_fail(client, &err);
    }

    return key    ? login_by_key(client)
           : user ? account_enter(client, 0, "/v1/auth/login")
                  : login_by_code(client);
}


int
account_register(client_t *client)
{
    return account_enter(client, 1, "/v1/auth/register");
}


/* 1: the device is gone from the server, since it is this user's. */
static int
account_delete_device(client_t *client, const json_t *status)
{
    char path[80];
    const char *id, *server;
    err_t err;

    id = json_string_value(
        json_object_get(json_object_get(status, "device"), "id"));
    server = json_string_value(json_object_get(status, "server"));

    if (id == NULL || server == NULL ||
        session_load(&client->session, &err) == -1 ||
        strcmp(server, client->session.server.url.text) != 0) {
        return 0;
    }

    snprintf(path, sizeof(path), "/v1/devices/%.36s", id);

    return api_call(client, "DELETE", path, NULL, NULL, &err) == 0;
}


int
account_logout(client_t *client)
{
    err_t err;
    int daemon = 0, deleted, user = 0;
    json_t *status, *reply;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), &err);

    if (status != NULL) {
        deleted = account_delete_device(client, status) ||
                  json_is_null(json_object_get(status, "device"));
        json_decref(status);

        reply = ask_daemon(
            client,
            json_pack("{s:s, s:b}", "command", "forget", "delete", !deleted),
            &err);
        if (reply == NULL) {
            return client_fail(client, &err);
        }

        if (!deleted && !json_is_true(json_object_get(reply, "told"))) {
            fprintf(stderr, "goconnect: the server was not told and still "
                            "lists this device\n");
        }

        json_decref(reply);
        daemon = 1;

    } else if (strcmp(err.code, "no_daemon") != 0) {
        return client_fail(client, &err);
    }

    if (session_load(&client->session, &err) == 0) {
        user = 1;

        if (api_call(client, "POST", "/v1/auth/logout", NULL, NULL, &err) !=
            0) {
            fprintf(stderr, "goconnect: the server was not told: %s\n",
                    err.text);
        }
    }

    if (session_remove(&err) == -1) {
        return client_fail(client, &err);
    }

    if (!client_json(client,
                     json_pack("{s:b, s:b}", "device", daemon, "user", user))) {
        printf("Logged out.%s\n",
               daemon ? "" : " goconnectd is not running and was not told.");
    }

    return CLIENT_OK;
}
