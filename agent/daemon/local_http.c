/*
 * A request to the local API: who asks, what, and the answer of the same
 * command as on the control socket.
 */

#define _GNU_SOURCE /* explicit_bzero */

#include "daemon/local_parts.h"

#include "base/log.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOCAL_CALL_MS 60000 /* longer than any command takes */
#define LOCAL_BEARER "Bearer "

/* Those that a page needs. What ends a membership, or tells secrets, is not. */
static const struct {
    const char *name;
    int post;
} local_commands[] = {
    {"status", 0}, {"peers", 0}, {"names", 0}, {"routes", 0}, {"doctor", 0},
    {"ping", 1},   {"up", 1},    {"down", 1},  {"set", 1},
};

#define LOCAL_COMMANDS (sizeof(local_commands) / sizeof(local_commands[0]))

#define LOCAL_API "/api/"


static int
local_header(struct lws *wsi, enum lws_token_indexes token, char *text,
             size_t size)
{
    int n = lws_hdr_copy(wsi, text, (int) size, token);

    if (n <= 0) {
        text[0] = '\0';
    }

    return n; /* 0: it is not there, -1: it is too long */
}


/* Host, as a browser sends it: a name that leads here by DNS is not ours. */
static int
local_is_host(const local_t *local, const char *host)
{
    char wanted[32];

    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", local->port);

    if (strcmp(host, wanted) == 0) {
        return 1;
    }

    snprintf(wanted, sizeof(wanted), "localhost:%u", local->port);
    return strcasecmp(host, wanted) == 0;
}


/* 0, or the status of a refusal. */
static int
local_check_site(local_client_t *client)
{
    char host[64], origin[80];
    static const char scheme[] = "http://";
    int n;

    n = local_header(client->wsi, WSI_TOKEN_HOST, host, sizeof(host));

    if (n <= 0 || !local_is_host(client->local, host)) {
        return 421;
    }

    n = local_header(client->wsi, WSI_TOKEN_ORIGIN, origin, sizeof(origin));

    if (lws_hdr_total_length(client->wsi, WSI_TOKEN_ORIGIN) == 0) {
        return 0;
    }

    if (n <= 0 || strncmp(origin, scheme, sizeof(scheme) - 1) != 0 ||
        strcasecmp(origin + sizeof(scheme) - 1, host) != 0) {
        return 403;
    }

    return 0;
}


static int
local_is_authorized(const local_client_t *client)
{
    char said[128];
    static const size_t skip = sizeof(LOCAL_BEARER) - 1;
    int n, rc;

    n = local_header(client->wsi, WSI_TOKEN_HTTP_AUTHORIZATION, said,
                     sizeof(said));
    rc = n == (int) (skip + LOCAL_TOKEN_SIZE - 1) &&
         strncasecmp(said, LOCAL_BEARER, skip) == 0 &&
         CRYPTO_memcmp(said + skip, client->local->token,
                       LOCAL_TOKEN_SIZE - 1) == 0;
    explicit_bzero(said, sizeof(said));
    return rc;
}


static void
local_answered(void *arg, json_t *reply)
{
    local_client_t *client = arg;

    client->call = NULL;
    local_send_json(client, 0, reply);
    json_decref(reply);
}


static void
local_run(local_client_t *client, json_t *request)
{
    json_object_set_new(request, "command", json_string(client->command));
    client->call = control_call_make(local_answered, client);

    if (client->call == NULL) {
        local_refuse(client, 503);
        return;
    }

    lws_set_timeout(client->wsi, NO_PENDING_TIMEOUT, 0);
    loop_timer_set(client->local->daemon->loop, &client->deadline,
                   LOCAL_CALL_MS);
    command_run(client->local->daemon, client->call, request);
}


static void
local_get(local_client_t *client)
{
    char id[64] = "";
    json_t *request = json_object();
    const char *found;

    found = lws_get_urlarg_by_name(client->wsi, "network_id", id, sizeof(id));

    if (found != NULL) {
        found += *found == '=';
        json_object_set_new(request, "network_id", json_string(found));
    }

    local_run(client, request);
    json_decref(request);
}


/* All of a POST is there. */
static void
local_post(local_client_t *client)
{
    json_t *request;
    json_error_t where;

    if (client->status != 0) {
        local_refuse(client, client->status);
        return;
    }

    request = client->in_len == 0 ? json_object()
                                  : json_loadb(client->in, client->in_len,
                                               JSON_REJECT_DUPLICATES, &where);

    if (json_is_object(request)) {
        local_run(client, request);

    } else {
        local_refuse(client, 400);
    }

    json_decref(request);
}


/* 0: a command that may be run by this method, else the refusal. */
static int
local_command(local_client_t *client, const char *name, int post)
{
    size_t i;

    for (i = 0; i < LOCAL_COMMANDS; i++) {
        if (strcmp(local_commands[i].name, name) != 0) {
            continue;
        }

        if (local_commands[i].post != post) {
            return 405;
        }

        client->command = local_commands[i].name;
        return 0;
    }

    return 404;
}


/* What is asked for; 0 if it may be. */
static int
local_check(local_client_t *client, const char *path, int post)
{
    int status = local_check_site(client);

    if (status != 0) {
        return status;
    }

    if (strncmp(path, LOCAL_API, sizeof(LOCAL_API) - 1) != 0) {
        return local_file(path) == NULL ? 404 : post ? 405 : 0;
    }

    if (!local_is_authorized(client)) {
        return 401;
    }

    return local_command(client, path + sizeof(LOCAL_API) - 1, post);
}


/* 0, or the refusal of a body that is not waited for. */
static int
local_check_length(local_client_t *client, int post)
{
    char text[24], *end;
    unsigned long n;

    if (lws_hdr_total_length(client->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) >
        0) {
        return 411;
    }

    if (lws_hdr_total_length(client->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) == 0) {
        return post ? 411 : 0;
    }

    if (local_header(client->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text,
                     sizeof(text)) <= 0 ||
        text[0] < '0' || text[0] > '9') {
        return 400;
    }

    n = strtoul(text, &end, 10);

    if (*end != '\0' || (!post && n > 0)) {
        return 400;
    }

    if (n > LOCAL_BODY_MAX) {
        return 413;
    }

    client->in_due = n;
    return 0;
}


static int
local_is_json(struct lws *wsi)
{
    char type[64];
    static const char json[] = "application/json";
    size_t n = sizeof(json) - 1;

    return local_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof(type)) >
               0 &&
           strncasecmp(type, json, n) == 0 &&
           (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}


static void
local_request(local_client_t *client, const char *path)
{
    struct lws *wsi = client->wsi;
    int post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    int status;

    if (!post && lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) == 0) {
        local_refuse(client, 405);
        return;
    }

    status = local_check_length(client, post);

    if (status != 0) {
        local_refuse(client, status);
        return;
    }

    status = local_check(client, path, post);

    if (status == 0 && post && client->in_due > 0 && !local_is_json(wsi)) {
        status = 415;
    }

    /* a body is read before it is refused: the client is still sending */
    client->status = status;

    if (client->in_due > 0) {
        return;
    }

    if (status != 0) {
        local_refuse(client, status);

    } else if (post) {
        local_post(client);

    } else if (client->command != NULL) {
        local_get(client);

    } else {
        local_send_file(client, local_file(path));
    }
}


static void
local_client_free(local_client_t *client)
{
    local_client_t **at = &client->local->clients;

    while (*at != client) {
        at = &(*at)->next;
    }

    *at = client->next;
    client->local->count--;
    loop_timer_cancel(&client->deadline);

    if (client->call != NULL) {
        control_call_abandon(client->call);
    }

    lws_set_opaque_user_data(client->wsi, NULL);
    explicit_bzero(client->in, sizeof(client->in));
    free(client->out);
    free(client);
}


int
local_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
               void *in, size_t len)
{
    local_client_t *client = lws_get_opaque_user_data(wsi);

    (void) user;

    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1;

    case LWS_CALLBACK_HTTP:
        if (client == NULL || client->out != NULL || client->call != NULL) {
            return -1;
        }

        local_request(client, in);
        return 0;

    case LWS_CALLBACK_HTTP_BODY:
        if (len == 0) {
            return 0; /* said of an empty body, which is answered already */
        }

        if (client == NULL || client->out != NULL ||
            len > LOCAL_BODY_MAX - client->in_len) {
            return -1;
        }

        memcpy(client->in + client->in_len, in, len);
        client->in_len += len;
        return 0;

    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        if (client == NULL) {
            return -1;
        }

        /* else it was empty, and is being answered already */
        if (client->out == NULL && client->call == NULL) {
            local_post(client);
        }

        return 0;

    case LWS_CALLBACK_HTTP_WRITEABLE:
        return client == NULL || local_send_more(client) != 0 ? -1 : 0;

    case LWS_CALLBACK_WSI_DESTROY:
        if (client != NULL) {
            local_client_free(client);
        }

        return 0;

    default:
        return 0;
    }
}
