#define _GNU_SOURCE /* explicit_bzero */

#include "link/http.h"

#include "base/version.h"
#include "core/gc_json.h"
#include "link/protocols.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HTTP_CHUNK 4096
#define HTTP_JSON_DEPTH 32
#define HTTP_RETRY_AFTER_MAX 600
#define HTTP_AGENT "goconnect/" GOCONNECT_VERSION

/* Owned by whoever started it until done or cancelled. */
struct http {
    link_owner_t owner; /* first */
    loop_t *loop;
    dial_t dial;
    struct lws *wsi; /* libwebsockets'; NULL: none now */
    const char *method;
    char *path;
    char *token;
    char *key;
    unsigned char *body; /* LWS_PRE bytes of room before it */
    size_t body_len;
    char *in;
    size_t in_len;
    size_t in_size;
    http_answer_t answer;
    loop_timer_t deadline;
    loop_timer_t finish;
    http_done_pt done;
    void *arg;
    unsigned established : 1;
    unsigned ended : 1; /* the outcome is known, finish is armed */
};


static void
http_wipe(void *secret, size_t len)
{
    if (secret != NULL) {
        explicit_bzero(secret, len);
        free(secret);
    }
}


static void
http_free(http_t *http)
{
    dial_cancel(&http->dial);
    loop_timer_cancel(&http->deadline);
    loop_timer_cancel(&http->finish);

    if (http->wsi != NULL) {
        lws_set_opaque_user_data(http->wsi, NULL);
        link_kill(http->wsi);
    }

    http_wipe(http->body, LWS_PRE + http->body_len);
    http_wipe(http->in, http->in_size);
    http_wipe(http->token, http->token ? strlen(http->token) : 0);
    free(http->path);
    free(http->key);
    json_decref(http->answer.json);
    free(http);
}


void
http_cancel(http_t *http)
{
    http_free(http);
}


static void
http_finish(void *arg)
{
    http_t *http = arg;
    http_done_pt done = http->done;
    void *done_arg = http->arg;
    http_answer_t answer = http->answer;

    http->answer.json = NULL;
    http_free(http);

    done(done_arg, &answer);
    json_decref(answer.json);
}


/* The outcome is known: tell it from the loop. */
static void
http_end(http_t *http)
{
    if (!http->ended) {
        http->ended = 1;
        loop_timer_set(http->loop, &http->finish, 0);
    }
}


static void
http_fail(http_t *http, const char *code, const char *text)
{
    if (http->ended) {
        return;
    }

    http->answer.status = 0;
    err_set(&http->answer.err, code, "%s: %.200s", http->dial.server->url.text,
            text);
    http_end(http);
}


static void
http_expired(void *arg)
{
    http_fail(arg, "timeout", "no answer in time");
}


static void
http_dial_failed(void *arg, const err_t *err)
{
    http_t *http = arg;

    http->answer.status = 0;
    http->answer.err = *err;
    http_end(http);
}


static void
http_connect(void *arg, const char *address)
{
    http_t *http = arg;
    err_t err;
    struct lws_client_connect_info info;

    link_connect_info(&info, loop_context(http->loop), loop_vhost(http->loop),
                      &http->dial.server->url, address);
    info.ssl_connection |= LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
    info.path = http->path;
    info.method = http->method;
    info.local_protocol_name = LINK_PROTOCOL_HTTP;
    info.opaque_user_data = http;
    info.pwsi = &http->wsi;

    /* with NULL the callback has usually told why, and taken http->wsi */
    if (lws_client_connect_via_info(&info) == NULL && http->wsi != NULL) {
        http->wsi = NULL;
        link_error(&err, &http->dial.server->url, address, NULL, 0);
        dial_refused(&http->dial, &err);
    }
}


static int
http_header(struct lws *wsi, const char *name, const char *value,
            unsigned char **at, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *) name,
                                       (const unsigned char *) value,
                                       (int) strlen(value), at, end);
}


static int
http_headers(http_t *http, struct lws *wsi, unsigned char **at, size_t room)
{
    char text[24];
    char bearer[2048];
    unsigned char *end = *at + room;

    if (http_header(wsi, "User-Agent:", HTTP_AGENT, at, end) ||
        http_header(wsi, "Accept:",
                    "application/json, application/problem+json", at, end)) {
        return -1;
    }

    if (http->token != NULL) {
        snprintf(bearer, sizeof(bearer), "Bearer %s", http->token);
        if (http_header(wsi, "Authorization:", bearer, at, end)) {
            return -1;
        }
    }

    if (http->key != NULL &&
        http_header(wsi, "Idempotency-Key:", http->key, at, end)) {
        return -1;
    }

    if (http->body == NULL) {
        return strcmp(http->method, "GET") == 0 ||
                       http_header(wsi, "Content-Length:", "0", at, end) == 0
                   ? 0
                   : -1;
    }

    snprintf(text, sizeof(text), "%zu", http->body_len);

    if (http_header(wsi, "Content-Type:", "application/json", at, end) ||
        http_header(wsi, "Content-Length:", text, at, end)) {
        return -1;
    }

    lws_client_http_body_pending(wsi, 1);
    lws_callback_on_writable(wsi);
    return 0;
}


static int
http_send_body(http_t *http, struct lws *wsi)
{
    int n;

    if (http->body == NULL) {
        return 0;
    }

    lws_client_http_body_pending(wsi, 0);
    n = lws_write(wsi, http->body + LWS_PRE, http->body_len,
                  LWS_WRITE_HTTP_FINAL);

    return n < (int) http->body_len ? -1 : 0;
}


/* RFC 9110, 10.2.3: the delay in seconds; the form with a date is not used. */
static int
http_retry_after(const char *text)
{
    char *end;
    long seconds = strtol(text, &end, 10);

    return *end == '\0' && seconds > 0 && seconds <= HTTP_RETRY_AFTER_MAX
               ? (int) seconds
               : 0;
}


/* RFC 9110, 5.6.7, as every server writes it today; 0: it is not that. */
static int64_t
http_date(const char *text)
{
    const char *end;
    struct tm tm;

    memset(&tm, 0, sizeof(tm));
    end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);

    return end != NULL && *end == '\0' ? timegm(&tm) : 0;
}


static void
http_established(http_t *http, struct lws *wsi)
{
    char text[16], date[40];

    http->established = 1;
    http->answer.status = (int) lws_http_client_http_response(wsi);
    dial_succeeded(&http->dial);

    if (lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_RETRY_AFTER) > 0) {
        http->answer.retry_after_s = http_retry_after(text);
    }

    if (lws_hdr_copy(wsi, date, sizeof(date), WSI_TOKEN_HTTP_DATE) > 0) {
        http->answer.date = http_date(date);
    }
}


static int
http_append(http_t *http, const char *data, size_t len)
{
    char *in;
    size_t size = http->in_size;

    if (len == 0) {
        return 0;
    }

    if (len > HTTP_ANSWER_MAX - http->in_len) {
        http_fail(http, "too_large", "the answer is too large");
        return -1;
    }

    while (size - http->in_len < len) {
        size = size == 0 ? HTTP_CHUNK : size * 2;
    }

    if (size != http->in_size) {
        in = realloc(http->in, size);
        if (in == NULL) {
            http_fail(http, "no_memory", "out of memory");
            return -1;
        }

        http->in = in;
        http->in_size = size;
    }

    memcpy(http->in + http->in_len, data, len);
    http->in_len += len;
    return 0;
}


static int
http_receive(struct lws *wsi)
{
    char buffer[LWS_PRE + HTTP_CHUNK];
    char *at = buffer + LWS_PRE;
    int len = HTTP_CHUNK;

    return lws_http_client_read(wsi, &at, &len) < 0 ? -1 : 0;
}


/* RFC 9457: code and detail if it is a problem, else the bare status. */
static void
http_problem(http_answer_t *answer)
{
    const char *code, *detail;

    code = json_string_value(json_object_get(answer->json, "code"));
    detail = json_string_value(json_object_get(answer->json, "detail"));

    if (detail == NULL) {
        detail = json_string_value(json_object_get(answer->json, "title"));
    }

    if (code == NULL) {
        err_set(&answer->err, "http_error",
                "the server answered %d without saying why: is this a "
                "GoConnect server?",
                answer->status);
        return;
    }

    err_set(&answer->err, code, "%s", detail != NULL ? detail : code);
}


static void
http_field_errors(http_answer_t *answer)
{
    const char *field, *detail;
    json_t *list, *entry;
    size_t i, used;

    list = json_object_get(answer->json, "errors");

    json_array_foreach(list, i, entry)
    {
        field = json_string_value(json_object_get(entry, "field"));
        detail = json_string_value(json_object_get(entry, "detail"));
        used = strlen(answer->err.text);

        if (field != NULL && detail != NULL) {
            snprintf(answer->err.text + used, sizeof(answer->err.text) - used,
                     "%s%s: %s", i == 0 ? "; " : ", ", field, detail);
        }
    }
}


static void
http_completed(http_t *http)
{
    http_answer_t *answer = &http->answer;

    if (http->ended) {
        return;
    }

    if (http->in_len > 0 &&
        gc_json_depth(http->in, http->in_len) <= HTTP_JSON_DEPTH) {
        answer->json = json_loadb(http->in, http->in_len, 0, NULL);
    }

    if (answer->status >= 300) {
        http_problem(answer);
        http_field_errors(answer);

    } else if (http->in_len > 0 && answer->json == NULL) {
        http_fail(http, "bad_answer",
                  "the answer is not JSON: is this a GoConnect server?");
    }

    http_end(http);
}


static void
http_closed(http_t *http)
{
    http->wsi = NULL;

    if (!http->ended) {
        http_fail(http, "closed", "the connection was closed");
    }
}


static void
http_refused(http_t *http, const char *in, size_t len)
{
    err_t err;

    http->wsi = NULL;

    if (http->ended) {
        return;
    }

    if (http->established) {
        http_fail(http, "closed", "the connection was closed");
        return;
    }

    link_error(&err, &http->dial.server->url, http->dial.current, in, len);
    dial_refused(&http->dial, &err);
}


int
http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
              void *in, size_t len)
{
    http_t *http = lws_get_opaque_user_data(wsi);

    if (http == NULL) {
        return 0;
    }

    if (http->owner.callback != http_callback) {
        return http->owner.callback(wsi, reason, user, in, len);
    }

    switch ((int) reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_opaque_user_data(wsi, NULL);
        http_refused(http, in, len);
        return 0;

    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return http_headers(http, wsi, (unsigned char **) in, len);

    case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
        return http_send_body(http, wsi);

    case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
        http_established(http, wsi);
        return 0;

    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
        return http_receive(wsi);

    case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
        return http_append(http, in, len);

    case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
        http_completed(http);
        return -1;

    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_WSI_DESTROY: /* its own timeouts end so alone */
        lws_set_opaque_user_data(wsi, NULL);
        http_closed(http);
        return 0;

    default:
        return 0;
    }
}


static int
http_take_body(http_t *http, const json_t *body, err_t *err)
{
    char *text;

    if (body == NULL) {
        return 0;
    }

    text = json_dumps(body, JSON_COMPACT);
    if (text == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    http->body_len = strlen(text);

    if (http->body_len > HTTP_BODY_MAX) {
        free(text);
        return err_set(err, "too_large", "the request is over %d bytes",
                       HTTP_BODY_MAX);
    }

    http->body = malloc(LWS_PRE + http->body_len);
    if (http->body != NULL) {
        memcpy(http->body + LWS_PRE, text, http->body_len);
    }

    http_wipe(text, http->body_len);

    return http->body != NULL ? 0 : err_set(err, "no_memory", "out of memory");
}


http_t *
http_start(loop_t *loop, dial_server_t *server, const http_request_t *request,
           http_done_pt done, void *arg, err_t *err)
{
    http_t *http = calloc(1, sizeof(*http));

    if (http == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    http->owner.callback = http_callback;
    http->loop = loop;
    http->done = done;
    http->arg = arg;
    http->method = request->method;
    http->path = strdup(request->path);
    http->token = request->token ? strdup(request->token) : NULL;
    http->key = request->key ? strdup(request->key) : NULL;

    http->dial.loop = loop;
    http->dial.server = server;
    http->dial.connect = http_connect;
    http->dial.failed = http_dial_failed;
    http->dial.arg = http;

    http->deadline.fn = http_expired;
    http->deadline.arg = http;
    http->finish.fn = http_finish;
    http->finish.arg = http;

    if (http->path == NULL || http_take_body(http, request->body, err) == -1) {
        http_free(http);
        return NULL;
    }

    loop_timer_set(loop, &http->deadline,
                   request->timeout_ms ? request->timeout_ms : HTTP_TIMEOUT_MS);
    dial_start(&http->dial);
    return http;
}
