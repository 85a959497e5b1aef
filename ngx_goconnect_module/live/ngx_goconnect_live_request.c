/*
 * What a client may ask for.
 */

#include "live/ngx_goconnect_live_private.h"
#include "core/gc_json.h"
#include "core/gc_uuid.h"


#define NGX_GOCONNECT_REQUEST_DEPTH 32 /* of arrays and objects */
#define NGX_GOCONNECT_REQUEST_ID 64    /* bytes */


/* data is an object */
typedef void (*ngx_goconnect_request_pt)(ngx_goconnect_session_t *s, json_t *id,
                                         json_t *data);

typedef struct {
    const char *type;
    ngx_goconnect_request_pt handler;
} ngx_goconnect_request_row_t;


static void ngx_goconnect_request_ping(ngx_goconnect_session_t *s, json_t *id,
                                       json_t *data);
static void ngx_goconnect_request_chat(ngx_goconnect_session_t *s, json_t *id,
                                       json_t *data);
static void ngx_goconnect_request_endpoints(ngx_goconnect_session_t *s,
                                            json_t *id, json_t *data);
static void ngx_goconnect_request_signal(ngx_goconnect_session_t *s, json_t *id,
                                         json_t *data);


static const ngx_goconnect_request_row_t ngx_goconnect_request_table[] = {
    {"subscribe", ngx_goconnect_subscribe},
    {"unsubscribe", ngx_goconnect_unsubscribe},
    {"chat_send", ngx_goconnect_request_chat},
    {"endpoints", ngx_goconnect_request_endpoints},
    {"signal", ngx_goconnect_request_signal},
    {"path_status", ngx_goconnect_request_paths},
    {"ping", ngx_goconnect_request_ping},
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


static ngx_int_t
ngx_goconnect_request_param(ngx_goconnect_pg_call_t *call, const char *text)
{
    return ngx_goconnect_pg_call_param(call, (const u_char *) text,
                                       strlen(text));
}


static ngx_int_t
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


/* a call that could not be made up for want of memory */
static void
ngx_goconnect_request_broken(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    if (call) {
        ngx_goconnect_pg_call_destroy(call);
    }

    ngx_goconnect_session_error(s, id, 500, "internal", "Out of memory.");
}


/* the answer is the function's body; what it published goes out first */
static void
ngx_goconnect_request_answer(ngx_goconnect_request_t *rq,
                             ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;

    if (ngx_goconnect_live_reply(call, &reply) != NGX_OK) {
        ngx_goconnect_session_failed(rq->session, rq->id, call);
        return;
    }

    if (reply.events.len) {
        ngx_goconnect_live_publish(reply.events.data, reply.events.len);
    }

    if (reply.status >= 400) {
        ngx_goconnect_session_problem(rq->session, rq->id, reply.status,
                                      reply.body);
        return;
    }

    ngx_goconnect_session_ok(rq->session, rq->id, reply.body);
}


/*
 * Requests
 */

/* a member that is a UUID, or NULL */
static const char *
ngx_goconnect_request_uuid(json_t *data, const char *name)
{
    json_t *value;

    value = json_object_get(data, name);

    return json_is_string(value) && gc_uuid_valid(json_string_value(value),
                                                  json_string_length(value))
               ? json_string_value(value)
               : NULL;
}


static void
ngx_goconnect_request_invalid(ngx_goconnect_session_t *s, json_t *id,
                              const char *detail)
{
    ngx_goconnect_session_error(s, id, 422, "invalid_fields", detail);
}


static void
ngx_goconnect_request_ping(ngx_goconnect_session_t *s, json_t *id, json_t *data)
{
    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}


static void
ngx_goconnect_request_chat(ngx_goconnect_session_t *s, json_t *id, json_t *data)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;
    const char *tenant, *network, *key, *channel;
    ngx_str_t idempotency;
    json_t *content, *body;
    ngx_int_t rc;

    tenant = ngx_goconnect_request_uuid(data, "tenant_id");
    network = ngx_goconnect_request_uuid(data, "network_id");
    key = ngx_goconnect_request_uuid(data, "key");
    content = json_object_get(data, "content");

    /* a message object names both for a network's channel */
    channel = network ? network : tenant;

    if (channel == NULL || !json_is_string(content)) {
        ngx_goconnect_request_invalid(
            s, id, "tenant_id or network_id, content and key are expected.");
        return;
    }

    if (key == NULL) {
        ngx_goconnect_request_invalid(s, id, "key must be a UUID.");
        return;
    }

    idempotency.data = (u_char *) key;
    idempotency.len = strlen(key);

    call = ngx_goconnect_live_call(network ? NGX_GOCONNECT_LIVE_NETWORK_CHAT
                                           : NGX_GOCONNECT_LIVE_TENANT_CHAT);
    body = json_pack("{sO}", "content", content);

    rc = ngx_goconnect_request_ctx(s, call, &idempotency);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(call, channel);
    }

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_json(call, body);
    }

    json_decref(body);

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(s, id, call);
        return;
    }

    ngx_goconnect_pg_call_group(call, (const u_char *) channel,
                                strlen(channel));

    rq = ngx_goconnect_request_create(s, id);
    (void) ngx_goconnect_request_send(rq, call, ngx_goconnect_request_answer);
}


static void
ngx_goconnect_request_endpoints(ngx_goconnect_session_t *s, json_t *id,
                                json_t *data)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;
    const char *network;
    json_t *endpoints, *body;
    ngx_int_t rc;

    network = ngx_goconnect_request_uuid(data, "network_id");
    endpoints = json_object_get(data, "endpoints");

    if (network == NULL || !json_is_array(endpoints)) {
        ngx_goconnect_request_invalid(
            s, id, "network_id and an array of endpoints are expected.");
        return;
    }

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_ENDPOINTS);
    body = json_pack("{sO}", "endpoints", endpoints);

    rc = ngx_goconnect_request_ctx(s, call, NULL);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_param(call, network);
    }

    if (rc == NGX_OK) {
        rc = ngx_goconnect_request_json(call, body);
    }

    json_decref(body);

    if (rc != NGX_OK) {
        ngx_goconnect_request_broken(s, id, call);
        return;
    }

    rq = ngx_goconnect_request_create(s, id);
    (void) ngx_goconnect_request_send(rq, call, ngx_goconnect_request_answer);
}


/* {"bus":"signal","to":PEER,"frame":{...}} */
static ngx_int_t
ngx_goconnect_request_signal_send(ngx_goconnect_peer_t *from, const char *to,
                                  json_t *data)
{
    json_t *envelope;
    char *text;

    envelope = json_pack("{ss ss s{ss s{ss# ss# sO}}}", "bus", "signal", "to",
                         to, "frame", "type", "signal", "data", "network_id",
                         (const char *) from->network, NGX_GOCONNECT_ID_LEN,
                         "from_peer_id", (const char *) from->id,
                         NGX_GOCONNECT_ID_LEN, "data", data);

    text = json_dumps(envelope, JSON_COMPACT);
    json_decref(envelope);

    if (text == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_event_ephemeral(ngx_goconnect_slice(text, strlen(text)));
    free(text);

    return NGX_OK;
}


static void
ngx_goconnect_request_signal(ngx_goconnect_session_t *s, json_t *id,
                             json_t *data)
{
    ngx_goconnect_peer_t *from;
    const char *network, *to;
    json_t *inner;

    network = ngx_goconnect_request_uuid(data, "network_id");
    to = ngx_goconnect_request_uuid(data, "to_peer_id");
    inner = json_object_get(data, "data");

    if (network == NULL || to == NULL || !json_is_object(inner)) {
        ngx_goconnect_request_invalid(
            s, id, "network_id, to_peer_id and an object data are expected.");
        return;
    }

    if (json_dumpb(inner, NULL, 0, JSON_COMPACT) > NGX_GOCONNECT_SIGNAL_MAX) {
        ngx_goconnect_session_error(s, id, 413, "signal_too_large",
                                    "A signal has at most 4,000 bytes.");
        return;
    }

    from = ngx_goconnect_session_peer(
        s, ngx_goconnect_slice(network, strlen(network)));

    if (from == NULL) {
        ngx_goconnect_session_error(s, id, 403, "not_a_peer",
                                    "This is no peer of that network.");
        return;
    }

    if (ngx_goconnect_request_signal_send(from, to, inner) != NGX_OK) {
        ngx_goconnect_session_error(s, id, 500, "internal", "Out of memory.");
        return;
    }

    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}


/*
 * Dispatch
 */

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

        if (strcmp(row->type, type) == 0) {
            row->handler(s, id, data);
            return;
        }
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
        ngx_goconnect_request_invalid(
            s, NULL, "id must be a string of at most 64 bytes.");
        return;
    }

    type = json_object_get(root, "type");

    if (!json_is_string(type)) {
        ngx_goconnect_request_invalid(s, id, "type must be a string.");
        return;
    }

    data = json_object_get(root, "data");

    if (data && !json_is_object(data)) {
        ngx_goconnect_request_invalid(s, id, "data must be an object.");
        return;
    }

    empty = NULL;

    if (data == NULL) {
        data = empty = json_object();
    }

    ngx_goconnect_request_dispatch(s, id, json_string_value(type), data);
    json_decref(empty);
}


void
ngx_goconnect_request_text(ngx_goconnect_session_t *s, u_char *text, size_t len)
{
    json_error_t error;
    json_t *root;

    /* before a parser that recurses sees it */
    root = gc_json_depth(text, len) > NGX_GOCONNECT_REQUEST_DEPTH
               ? NULL
               : json_loadb((const char *) text, len, JSON_REJECT_DUPLICATES,
                            &error);

    if (!json_is_object(root)) {
        ngx_goconnect_session_error(s, NULL, 400, "invalid_json",
                                    "A message is one JSON object.");

    } else {
        ngx_goconnect_request_object(s, root);
    }

    json_decref(root);
}
