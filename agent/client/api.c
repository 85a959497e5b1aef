#define _GNU_SOURCE /* getrandom */

#include "client/api.h"

#include "client/session.h"
#include "link/http.h"
#include "link/protocols.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define API_EARLY_S 60 /* a token is renewed so long before its end */
#define API_LIST_MAX 10000

typedef struct {
    loop_t *loop;
    int status;
    json_t *json;
    err_t err;
} api_wait_t;


int
api_loop(client_t *client, err_t *err)
{
    const char *ca = client->ca;

    if (client->loop != NULL) {
        return 0;
    }

    if (ca == NULL && client->session.ca[0] != '\0') {
        ca = client->session.ca;
    }

    client->loop = loop_create(link_protocols, ca, err);
    return client->loop != NULL ? 0 : -1;
}


static void
api_done(void *arg, const http_answer_t *answer)
{
    api_wait_t *wait = arg;

    wait->status = answer->status;
    wait->json = json_incref(answer->json);
    wait->err = answer->err;
    loop_stop(wait->loop);
}


int
api_send(client_t *client, dial_server_t *server, const char *token,
         const char *method, const char *path, const json_t *body,
         json_t **answer, err_t *err)
{
    char key[37];
    api_wait_t wait = {.status = 0};
    http_request_t request = {
        .method = method, .path = path, .token = token, .body = body};

    if (api_loop(client, err) == -1) {
        return -1;
    }

    if (token != NULL && strcmp(method, "POST") == 0) {
        api_uuid(key);
        request.key = key;
    }

    wait.loop = client->loop;

    if (http_start(client->loop, server, &request, api_done, &wait, err) ==
        NULL) {
        return -1;
    }

    if (loop_run(client->loop) == -1) {
        return err_set(err, "failed", "the event loop failed");
    }

    if (wait.status < 200 || wait.status > 299) {
        *err = wait.err;
        json_decref(wait.json);
        return wait.status == 401 ? -401 : -1;
    }

    if (answer != NULL) {
        *answer = wait.json;

    } else {
        json_decref(wait.json);
    }

    return 0;
}


/* Under the lock: another program may have refreshed meanwhile. */
static int
api_refresh_locked(client_t *client, const char *refused, err_t *err)
{
    int rc;
    json_t *body, *answer = NULL;
    session_t *session = &client->session;

    session_wipe(session);

    if (session_load(session, err) == -1) {
        return -1;
    }

    if (refused != NULL ? strcmp(refused, session->access_token) != 0
                        : session->expires_at - API_EARLY_S > time(NULL)) {
        return 0;
    }

    body = json_pack("{s:s}", "refresh_token", session->refresh_token);
    rc = api_send(client, &session->server, NULL, "POST", "/v1/auth/refresh",
                  body, &answer, err);
    json_decref(body);

    if (rc == -401) {
        return err_set(err, "not_logged_in",
                       "your session has ended: goconnect login %s",
                       session->server.url.text);
    }

    if (rc != 0) {
        return -1;
    }

    rc = session_take(session, answer, err);
    json_decref(answer);
    return rc;
}


static int
api_refresh(client_t *client, const char *refused, err_t *err)
{
    int lock, rc;

    lock = session_lock(err);
    if (lock == -1) {
        return -1;
    }

    rc = api_refresh_locked(client, refused, err);
    close(lock);
    return rc;
}


int
api_session(client_t *client, err_t *err)
{
    session_t *session = &client->session;

    if (session->access_token == NULL && session_load(session, err) == -1) {
        return -1;
    }

    if (url_check_secure(&session->server.url,
                         session->insecure || client->insecure, err) == -1) {
        return -1;
    }

    if (session->expires_at - API_EARLY_S > time(NULL)) {
        return 0;
    }

    return api_refresh(client, NULL, err);
}


int
api_call(client_t *client, const char *method, const char *path,
         const json_t *body, json_t **answer, err_t *err)
{
    char *refused;
    int rc;
    session_t *session = &client->session;

    if (api_session(client, err) == -1) {
        return -1;
    }

    rc = api_send(client, &session->server, session->access_token, method, path,
                  body, answer, err);
    if (rc != -401) {
        return rc;
    }

    refused = strdup(session->access_token);
    rc = api_refresh(client, refused, err);
    free(refused);

    if (rc != 0) {
        return -1;
    }

    rc = api_send(client, &session->server, session->access_token, method, path,
                  body, answer, err);
    return rc == 0 ? 0 : -1;
}


json_t *
api_list(client_t *client, const char *path, err_t *err)
{
    char page[512];
    const char *cursor = NULL;
    json_t *all = json_array(), *answer = NULL;

    do {
        snprintf(page, sizeof(page), "%s%climit=100%s%s", path,
                 strchr(path, '?') == NULL ? '?' : '&',
                 cursor != NULL ? "&cursor=" : "",
                 cursor != NULL ? cursor : "");
        json_decref(answer);
        answer = NULL;

        if (api_call(client, "GET", page, NULL, &answer, err) != 0) {
            json_decref(all);
            return NULL;
        }

        json_array_extend(all, json_object_get(answer, "items"));
        cursor = json_string_value(json_object_get(answer, "next_cursor"));
    } while (cursor != NULL && json_array_size(all) < API_LIST_MAX);

    json_decref(answer);
    return all;
}


void
api_uuid(char uuid[37])
{
    unsigned char b[16];

    if (getrandom(b, sizeof(b), 0) != (ssize_t) sizeof(b)) {
        memset(b, 0, sizeof(b));
    }

    b[6] = (unsigned char) ((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char) ((b[8] & 0x3f) | 0x80);

    snprintf(uuid, 37,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
             "%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10],
             b[11], b[12], b[13], b[14], b[15]);
}
