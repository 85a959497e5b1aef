/* What the local API answers: one text, head and all, then the end. */

#define _GNU_SOURCE /* explicit_bzero */

#include "daemon/local_parts.h"

#include "base/log.h"
#include "link/protocols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_HEAD_MAX 1024
#define LOCAL_CHUNK 16384
#define LOCAL_SEND_MS 30000
#define LOCAL_ANSWER_MAX (32 * 1024 * 1024)

static const struct {
    int status;
    const char *reason;
    const char *code;
    const char *detail;
    const char *more; /* of the head */
} local_refusals[] = {
    {400, "Bad Request", "bad_request", "a request is one JSON object", ""},
    {401, "Unauthorized", "unauthorized",
     "the token is missing or wrong: run \"goconnect local\" for the address "
     "to open",
     "www-authenticate: Bearer\r\n"},
    {403, "Forbidden", "wrong_origin", "another site may not ask this device",
     ""},
    {404, "Not Found", "not_found", "there is no such page or command", ""},
    {405, "Method Not Allowed", "wrong_method",
     "what reads is asked by GET, what changes by POST",
     "allow: GET, POST\r\n"},
    {411, "Length Required", "length_required",
     "a POST says its Content-Length", ""},
    {413, "Content Too Large", "too_large", "the request is too large", ""},
    {415, "Unsupported Media Type", "bad_type", "a POST is application/json",
     ""},
    {421, "Misdirected Request", "wrong_host",
     "this is asked as 127.0.0.1 or localhost, with the port", ""},
    {503, "Service Unavailable", "busy", "out of memory; try again", ""},
};

#define LOCAL_REFUSALS (sizeof(local_refusals) / sizeof(local_refusals[0]))

/* What commands answer, as HTTP has it; another code is 500. */
static const struct {
    const char *code;
    int status;
} local_codes[] = {
    {"bad_request", 400},     {"usage", 400},       {"unknown_network", 404},
    {"unknown_peer", 404},    {"not_found", 404},   {"not_logged_in", 409},
    {"address_overlap", 409}, {"not_allowed", 403}, {"busy", 503},
    {"timeout", 504},
};


static void
local_send(local_client_t *client, int status, const char *reason,
           const char *type, const char *more, const void *body, size_t len)
{
    char head[LOCAL_HEAD_MAX];
    int n;

    n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 %d %s\r\n"
        "content-type: %s\r\n"
        "content-length: %zu\r\n"
        "connection: close\r\n"
        "cache-control: no-store\r\n"
        "content-security-policy: default-src 'none'; script-src 'self'; "
        "style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'\r\n"
        "cross-origin-opener-policy: same-origin\r\n"
        "cross-origin-resource-policy: same-origin\r\n"
        "referrer-policy: no-referrer\r\n"
        "x-content-type-options: nosniff\r\n"
        "x-frame-options: DENY\r\n"
        "%s\r\n",
        status, reason, type, len, more);

    client->out = n > 0 && (size_t) n < sizeof(head) && client->out == NULL
                      ? malloc(LWS_PRE + (size_t) n + len)
                      : client->out;

    if (client->out == NULL) {
        log_error("the local API: out of memory");
        link_kill(client->wsi);
        return;
    }

    memcpy(client->out + LWS_PRE, head, (size_t) n);
    memcpy(client->out + LWS_PRE + n, body, len);
    client->out_len = (size_t) n + len;
    client->out_sent = 0;
    loop_timer_set(client->local->daemon->loop, &client->deadline,
                   LOCAL_SEND_MS);
    lws_callback_on_writable(client->wsi);
}


static int
local_status(const json_t *json)
{
    const char *code = daemon_text(json, "code");
    size_t i;

    if (json_is_true(json_object_get(json, "ok"))) {
        return 200;
    }

    for (i = 0; i < sizeof(local_codes) / sizeof(local_codes[0]); i++) {
        if (strcmp(local_codes[i].code, code) == 0) {
            return local_codes[i].status;
        }
    }

    return 500;
}


void
local_send_json(local_client_t *client, int status, const json_t *json)
{
    const char *reason = "Failed";
    char *text = json_dumps(json, JSON_COMPACT);
    size_t i, len;

    status = status != 0 ? status : local_status(json);

    for (i = 0; i < LOCAL_REFUSALS; i++) {
        if (local_refusals[i].status == status) {
            reason = local_refusals[i].reason;
        }
    }

    if (text == NULL || (len = strlen(text)) > LOCAL_ANSWER_MAX) {
        free(text);
        local_refuse(client, 503);
        return;
    }

    local_send(client, status, status == 200 ? "OK" : reason,
               "application/json", "", text, len);
    explicit_bzero(text, len);
    free(text);
}


void
local_send_file(local_client_t *client, const local_file_t *file)
{
    local_send(client, 200, "OK", file->type, "", file->data,
               (size_t) (file->end - file->data));
}


void
local_refuse(local_client_t *client, int status)
{
    char body[256];
    int n;
    size_t i;

    for (i = 0; i < LOCAL_REFUSALS - 1; i++) {
        if (local_refusals[i].status == status) {
            break;
        }
    }

    n = snprintf(body, sizeof(body),
                 "{\"ok\":false,\"code\":\"%s\",\"detail\":\"",
                 local_refusals[i].code);

    /* the only character in these texts that JSON minds */
    for (const char *p = local_refusals[i].detail;
         *p != '\0' && n < (int) sizeof(body) - 4; p++) {
        if (*p == '"') {
            body[n++] = '\\';
        }

        body[n++] = *p;
    }

    body[n++] = '"';
    body[n++] = '}';
    local_send(client, local_refusals[i].status, local_refusals[i].reason,
               "application/json", local_refusals[i].more, body, (size_t) n);
}


int
local_send_more(local_client_t *client)
{
    size_t n = client->out_len - client->out_sent;
    enum lws_write_protocol how = LWS_WRITE_HTTP_FINAL;

    if (client->out == NULL) {
        return 0;
    }

    if (n > LOCAL_CHUNK) {
        n = LOCAL_CHUNK;
        how = LWS_WRITE_HTTP;
    }

    if (lws_write(client->wsi, client->out + LWS_PRE + client->out_sent, n,
                  how) < (int) n) {
        return -1;
    }

    client->out_sent += n;

    if (client->out_sent == client->out_len) {
        return 1;
    }

    lws_callback_on_writable(client->wsi);
    return 0;
}
