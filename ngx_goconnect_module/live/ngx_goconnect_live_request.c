/*
 * What a client may ask for.
 */

#include "live/ngx_goconnect_live_request.h"


#define NGX_GOCONNECT_REQUEST_DEPTH 32 /* of arrays and objects */
#define NGX_GOCONNECT_REQUEST_ID 64    /* bytes */


typedef void (*ngx_goconnect_request_pt)(ngx_goconnect_session_t *s, json_t *id,
                                         json_t *data);

typedef struct {
    const char *type;
    ngx_goconnect_request_pt handler;
    const ngx_goconnect_field_t *fields; /* NULL: they are not looked at */
} ngx_goconnect_request_row_t;


static void ngx_goconnect_request_ping(ngx_goconnect_session_t *s, json_t *id,
                                       json_t *data);


#define GC_FIELD(name, type, min, max, presence)                              \
    {                                                                         \
        name, NGX_GOCONNECT_FIELD_##type, min, max, NGX_GOCONNECT_##presence, \
            ""                                                                \
    }
#define GC_FIELDS(...)                                                         \
    (const ngx_goconnect_field_t[])                                            \
    {                                                                          \
        __VA_ARGS__,                                                           \
        {                                                                      \
            NULL, NGX_GOCONNECT_FIELD_TEXT, 0, 0, NGX_GOCONNECT_OPTIONAL, NULL \
        }                                                                      \
    }

/* items of an ARRAY are looked at by the handler */
static const ngx_goconnect_request_row_t ngx_goconnect_request_table[] = {
    {"subscribe", ngx_goconnect_subscribe,
     GC_FIELDS(
         GC_FIELD("topics", ARRAY, 1, NGX_GOCONNECT_SUBSCRIBE_MAX, REQUIRED))},
    {"unsubscribe", ngx_goconnect_unsubscribe,
     GC_FIELDS(
         GC_FIELD("topics", ARRAY, 0, NGX_GOCONNECT_SUBSCRIBE_MAX, REQUIRED))},
    {"chat_send", ngx_goconnect_request_chat, NULL},
    {"typing", ngx_goconnect_request_typing, NULL},
    {"endpoints", ngx_goconnect_request_endpoints,
     GC_FIELDS(GC_FIELD("network_id", UUID, 0, 0, REQUIRED),
               GC_FIELD("endpoints", ENDPOINTS, 0, 8, REQUIRED),
               GC_FIELD("home_relay", UUID, 0, 0, NULLABLE))},
    {"signal", ngx_goconnect_request_signal,
     GC_FIELDS(GC_FIELD("network_id", UUID, 0, 0, REQUIRED),
               GC_FIELD("to_peer_id", UUID, 0, 0, REQUIRED),
               GC_FIELD("data", OBJECT, 0, INT64_MAX, REQUIRED))},
    {"rotation_ack", ngx_goconnect_request_rotation_ack,
     GC_FIELDS(GC_FIELD("peer_id", UUID, 0, 0, REQUIRED),
               GC_FIELD("next_public_key", KEY, 0, 0, REQUIRED))},
    {"path_status", ngx_goconnect_request_paths,
     GC_FIELDS(GC_FIELD("network_id", UUID, 0, 0, REQUIRED),
               GC_FIELD("paths", ARRAY, 0, NGX_GOCONNECT_PATHS_MAX, REQUIRED))},
    {"ping", ngx_goconnect_request_ping, NULL},
};


/*
 * Calls
 */

ngx_goconnect_request_t *
ngx_goconnect_request_create(ngx_goconnect_session_t *s, json_t *id)
{
    ngx_goconnect_request_t *rq;

    rq = ngx_calloc(sizeof(ngx_goconnect_request_t), ngx_cycle->log);
    if (rq == NULL) {
        return NULL;
    }

    rq->session = s;
    rq->id = json_incref(id);
    s->refs++;
    s->calls++;

    return rq;
}


void
ngx_goconnect_request_free(ngx_goconnect_request_t *rq)
{
    rq->session->calls--;
    json_decref(rq->id);
    ngx_goconnect_session_unref(rq->session);
    ngx_free(rq);
}


static void
ngx_goconnect_request_call_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_request_t *rq;

    rq = call->data;

    rq->done(rq, call);

    ngx_goconnect_request_free(rq);
    ngx_goconnect_pg_call_destroy(call);
}


ngx_int_t
ngx_goconnect_request_ctx(ngx_goconnect_session_t *s,
                          ngx_goconnect_pg_call_t *call, const ngx_str_t *key)
{
    ngx_goconnect_identity_t identity;
    ngx_goconnect_ctx_t ctx;
    ngx_str_t address, text, number;
    ngx_pool_t *pool;
    ngx_int_t rc;
    u_char buf[NGX_INT64_LEN + 1];

    if (call == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ctx, sizeof(ctx));
    ngx_goconnect_session_identity(s, &identity);
    ctx.identity = &identity;
    ctx.idempotency_key = key;

    number.data = buf;
    number.len = (size_t) (ngx_sprintf(buf, "ws%xL", s->number) - buf);
    ctx.request_id = &number;

    if (s->ws) {
        address = ngx_goconnect_ws_connection(s->ws)->addr_text;

        if (ngx_strncmp(address.data, "unix:", 5) != 0) {
            ctx.address = &address;
        }
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_ctx_param(pool, &ctx, &text);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_pg_call_param(call, text.data, text.len);
    }

    ngx_destroy_pool(pool);

    return rc;
}


ngx_int_t
ngx_goconnect_request_param(ngx_goconnect_pg_call_t *call, const char *text)
{
    return ngx_goconnect_pg_call_param(call, (const u_char *) text,
                                       text ? strlen(text) : 0);
}


ngx_int_t
ngx_goconnect_request_json(ngx_goconnect_pg_call_t *call, json_t *json)
{
    ngx_int_t rc;
    char *text;

    text = json_dumps(json, JSON_COMPACT);
    if (text == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_request_param(call, text);
    free(text);

    return rc;
}


ngx_int_t
ngx_goconnect_request_send(ngx_goconnect_request_t *rq,
                           ngx_goconnect_pg_call_t *call,
                           ngx_goconnect_request_done_pt done)
{
    ngx_goconnect_session_t *s;

    if (rq == NULL || call == NULL) {
        if (rq) {
            ngx_goconnect_session_error(rq->session, rq->id, 500, "internal",
                                        "Out of memory.");
            ngx_goconnect_request_free(rq);
        }

        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        return NGX_DECLINED;
    }

    s = rq->session;
    rq->done = done;

    if (s->calls > NGX_GOCONNECT_CALLS_MAX) {
        ngx_goconnect_session_error(s, rq->id, 429, "too_many_requests",
                                    "Too many requests wait for an answer.");

    } else if (ngx_goconnect_pg_call_send(call, ngx_goconnect_request_call_done,
                                          rq, NGX_GOCONNECT_CALL_TIMEOUT) ==
               NGX_OK) {
        return NGX_OK;

    } else {
        ngx_goconnect_session_failed(s, rq->id, call);
    }

    ngx_goconnect_request_free(rq);
    ngx_goconnect_pg_call_destroy(call);

    return NGX_DECLINED;
}


void
ngx_goconnect_request_broken(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    if (call) {
        ngx_goconnect_pg_call_destroy(call);
    }

    ngx_goconnect_session_error(s, id, 500, "internal", "Out of memory.");
}


ngx_int_t
ngx_goconnect_request_row(ngx_goconnect_request_t *rq,
                          ngx_goconnect_pg_call_t *call,
                          ngx_goconnect_reply_t *reply)
{
    if (ngx_goconnect_live_reply(call, reply) != NGX_OK) {
        ngx_goconnect_session_failed(rq->session, rq->id, call);
        return NGX_DECLINED;
    }

    if (reply->events.len) {
        ngx_goconnect_live_publish(reply->events.data, reply->events.len);
    }

    if (reply->status >= 400) {
        ngx_goconnect_session_problem(rq->session, rq->id, reply->status,
                                      reply->body);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_goconnect_request_answer(ngx_goconnect_request_t *rq,
                             ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;

    if (ngx_goconnect_request_row(rq, call, &reply) == NGX_OK) {
        ngx_goconnect_session_ok(rq->session, rq->id, reply.body);
    }
}


/*
 * Checks
 */

const char *
ngx_goconnect_request_string(json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}


/* errors is released */
static void
ngx_goconnect_request_refuse(ngx_goconnect_session_t *s, json_t *id,
                             json_t *errors)
{
    json_t *body;
    char *text;

    body = ngx_goconnect_check_refusal(errors);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);

    if (text == NULL) {
        ngx_goconnect_request_broken(s, id, NULL);
        return;
    }

    ngx_goconnect_session_problem(s, id, 422,
                                  ngx_goconnect_slice(text, strlen(text)));
    free(text);
}


ngx_int_t
ngx_goconnect_request_check(ngx_goconnect_session_t *s, json_t *id,
                            const ngx_goconnect_field_t *fields, json_t *data)
{
    json_t *errors;

    errors = ngx_goconnect_check_members(fields, data);

    if (errors == NULL) {
        ngx_goconnect_request_broken(s, id, NULL);
        return NGX_DECLINED;
    }

    if (json_array_size(errors) > 0) {
        ngx_goconnect_request_refuse(s, id, errors);
        return NGX_DECLINED;
    }

    json_decref(errors);

    return NGX_OK;
}


void
ngx_goconnect_request_wrong(ngx_goconnect_session_t *s, json_t *id,
                            const char *field, const char *code,
                            const char *detail)
{
    ngx_goconnect_request_refuse(s, id,
                                 json_pack("[{ssssss}]", "field", field, "code",
                                           code, "detail", detail));
}


/*
 * Dispatch
 */

static void
ngx_goconnect_request_ping(ngx_goconnect_session_t *s, json_t *id, json_t *data)
{
    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}


static void
ngx_goconnect_request_dispatch(ngx_goconnect_session_t *s, json_t *id,
                               const char *type, json_t *data)
{
    const ngx_goconnect_request_row_t *row;
    size_t i;

    for (i = 0; i < sizeof(ngx_goconnect_request_table) /
                        sizeof(ngx_goconnect_request_table[0]);
         i++) {
        row = &ngx_goconnect_request_table[i];

        if (strcmp(row->type, type) != 0) {
            continue;
        }

        if (row->fields == NULL ||
            ngx_goconnect_request_check(s, id, row->fields, data) == NGX_OK) {
            row->handler(s, id, data);
        }

        return;
    }

    ngx_goconnect_session_error(s, id, 422, "unknown_type",
                                "There is no request of that type.");
}


static void
ngx_goconnect_request_object(ngx_goconnect_session_t *s, json_t *root)
{
    json_t *id, *type, *data, *empty;

    id = json_object_get(root, "id");

    if (json_is_null(id)) {
        id = NULL;
    }

    if (id && (!json_is_string(id) ||
               json_string_length(id) > NGX_GOCONNECT_REQUEST_ID)) {
        ngx_goconnect_request_wrong(s, NULL, "id", "invalid_format",
                                    "An id is a string of at most 64 bytes.");
        return;
    }

    type = json_object_get(root, "type");

    if (!json_is_string(type)) {
        ngx_goconnect_request_wrong(s, id, "type", "invalid_type",
                                    "A type is a string.");
        return;
    }

    data = json_object_get(root, "data");

    if (data && !json_is_object(data)) {
        ngx_goconnect_request_wrong(s, id, "data", "invalid_type",
                                    "The data must be an object.");
        return;
    }

    empty = NULL;

    if (data == NULL) {
        data = empty = json_object();
    }

    ngx_goconnect_request_dispatch(s, id, json_string_value(type), data);
    json_decref(empty);
}


/* the id of what could not be read, as far as it can be guessed, or NULL */
static json_t *
ngx_goconnect_request_guess(const u_char *text, size_t len)
{
    gc_slice_t id;

    return gc_json_find_plain(ngx_goconnect_slice(text, len), "id", &id) &&
                   id.len <= NGX_GOCONNECT_REQUEST_ID
               ? json_stringn(id.data, id.len)
               : NULL;
}


void
ngx_goconnect_request_text(ngx_goconnect_session_t *s, u_char *text, size_t len)
{
    ngx_goconnect_verdict_t verdict;
    json_t *root, *id;

    verdict =
        ngx_goconnect_check_json(text, len, NGX_GOCONNECT_REQUEST_DEPTH, &root);

    if (verdict.code) {
        id = ngx_goconnect_request_guess(text, len);
        ngx_goconnect_session_error(s, id, 400, verdict.code, verdict.detail);
        json_decref(id);

    } else if (!json_is_object(root)) {
        ngx_goconnect_session_error(s, NULL, 400, "malformed_json",
                                    "A message is one JSON object.");

    } else {
        ngx_goconnect_request_object(s, root);
    }

    json_decref(root);
}
