/*
 * From an HTTP request to a session that has said hello.
 */

#include "http/ngx_goconnect_conf.h"
#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_HELLO_TRY_LATER 1013 /* close code: IANA's registry */


static ngx_int_t
ngx_goconnect_hello_token(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char *p, *last;

    if (ngx_http_arg(r, (u_char *) "token", sizeof("token") - 1, token) !=
        NGX_OK) {
        return ngx_goconnect_auth_bearer(r, token);
    }

    p = ngx_pnalloc(r->pool, token->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p;
    ngx_unescape_uri(&last, &token->data, token->len, 0);

    token->data = p;
    token->len = (size_t) (last - p);

    return NGX_OK;
}


/* who is it?  Refused ones become a session too, to be closed with 4001 */
static ngx_int_t
ngx_goconnect_hello_credential(ngx_http_request_t *r,
                               ngx_goconnect_session_t *s)
{
    ngx_str_t text;
    ngx_int_t rc;

    s->claim = ngx_calloc(sizeof(ngx_goconnect_identity_t), ngx_cycle->log);
    if (s->claim == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_arg(r, (u_char *) "ticket", sizeof("ticket") - 1, &text) ==
        NGX_OK) {
        s->ticket = ngx_alloc(NGX_GOCONNECT_DIGEST_LEN, ngx_cycle->log);

        return s->ticket
                   ? ngx_goconnect_secret_digest(text.data, text.len, s->ticket)
                   : NGX_ERROR;
    }

    rc = ngx_goconnect_hello_token(r, &text);

    if (rc == NGX_OK) {
        rc = ngx_goconnect_auth_token(&text, s->claim);
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    s->token_refused = rc != NGX_OK;
    s->state = NGX_GOCONNECT_SESSION_HELLO;

    return NGX_OK;
}


/* of one worker always rising; between workers and nodes as their clocks are */
static uint64_t
ngx_goconnect_hello_number(ngx_connection_t *c)
{
    ngx_time_t *now;

    now = ngx_timeofday();

    return ((uint64_t) now->sec * 1000 + now->msec) << 20 |
           ((uint64_t) c->number & 0xfffff);
}


ngx_int_t
ngx_goconnect_live_handler(ngx_http_request_t *r)
{
    ngx_goconnect_session_t *s;
    ngx_int_t rc;

    rc = ngx_goconnect_ws_check(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    s = ngx_calloc(sizeof(ngx_goconnect_session_t), r->connection->log);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s->refs = 1;
    s->number = ngx_goconnect_hello_number(r->connection);
    ngx_queue_init(&s->catching);

    rc = ngx_goconnect_hello_credential(r, s) == NGX_OK
             ? ngx_goconnect_ws_upgrade(
                   r, &ngx_goconnect_session_handlers, s,
                   (ngx_uint_t) ngx_goconnect_main_conf()->compression)
             : NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (rc != NGX_DONE) {
        if (s->ticket) {
            ngx_free(s->ticket);
        }

        if (s->claim) {
            ngx_free(s->claim);
        }

        ngx_free(s);
    }

    return rc;
}


static void
ngx_goconnect_hello_refuse(ngx_goconnect_session_t *s)
{
    ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_WS_TOKEN_REFUSED,
                           "token refused");
}


/* the database did not answer: the client may try again */
static void
ngx_goconnect_hello_failed(ngx_goconnect_session_t *s,
                           ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_session_failed(s, NULL, call);
    ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_HELLO_TRY_LATER,
                           "try again later");
}


static ngx_goconnect_topic_t *
ngx_goconnect_hello_topic(const char *kind, const u_char *id)
{
    u_char name[NGX_GOCONNECT_TOPIC_MAX], *p;

    p = ngx_cpymem(name, kind, ngx_strlen(kind));
    p = ngx_cpymem(p, id, NGX_GOCONNECT_ID_LEN);

    return ngx_goconnect_topic_get(
        ngx_goconnect_slice(name, (size_t) (p - name)), 1);
}


/* from here on the session sees what concerns its user and its device */
static ngx_int_t
ngx_goconnect_hello_watch(ngx_goconnect_session_t *s)
{
    ngx_goconnect_identity_t *claim;
    ngx_goconnect_topic_t *topic;

    claim = s->claim;
    ngx_memcpy(s->id, claim->session, NGX_GOCONNECT_ID_LEN);

    /* a device counts by itself: it has one connection at most */
    if (claim->device[0] == '\0') {
        if (ngx_goconnect_limit_user(claim->user) >=
            NGX_GOCONNECT_SESSIONS_USER) {
            ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_LIMIT_SOCKETS, 1);
            return NGX_DECLINED;
        }

        ngx_goconnect_limit_enter(claim->user);
        s->counted = 1;
    }

    topic = ngx_goconnect_hello_topic("user:", claim->user);
    if (topic == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_insert_tail(&topic->watchers, &s->user_queue);
    s->user_topic = topic;

    if (claim->device[0] != '\0') {
        topic = ngx_goconnect_hello_topic("device:", claim->device);
        if (topic == NULL) {
            return NGX_ERROR;
        }

        ngx_queue_insert_tail(&topic->watchers, &s->device_queue);
        s->device_topic = topic;
        ngx_goconnect_figures_device(1);
    }

    ngx_free(s->claim);
    s->claim = NULL;

    return NGX_OK;
}


/* a device is not told of its user's topic */
static void
ngx_goconnect_hello_baseline(ngx_goconnect_topic_t *topic, gc_slice_t topics)
{
    gc_slice_t item, name;
    gc_json_iter_t it;
    int64_t seq;

    if (topic == NULL) {
        return;
    }

    if (gc_json_array(&it, topics) == 0) {
        while (gc_json_item(&it, &item)) {
            if (gc_json_find_plain(item, "topic", &name) &&
                name.len == topic->len &&
                ngx_memcmp(name.data, topic->name, topic->len) == 0 &&
                gc_json_find_integer(item, "seq", &seq)) {
                ngx_goconnect_topic_baseline(topic, seq);
                return;
            }
        }
    }

    ngx_goconnect_topic_baseline(topic, NGX_GOCONNECT_SEQ_UNKNOWN);
}


static void
ngx_goconnect_hello_say(ngx_goconnect_session_t *s, gc_slice_t body)
{
    gc_slice_t parts[2];
    gc_json_iter_t it;
    u_char head[192], *p;

    (void) gc_json_object(&it, body);

    p = ngx_snprintf(
        head, sizeof(head), "{\"node\":\"%s\",\"version\":1,\"heartbeat\":%d,",
        ngx_goconnect_live_worker.node, NGX_GOCONNECT_WS_HEARTBEAT);

    parts[0] = ngx_goconnect_slice(head, (size_t) (p - head));
    parts[1] = ngx_goconnect_slice(it.pos, (size_t) (it.end - it.pos));

    ngx_goconnect_session_say(s, "hello", NULL, parts, 2);
}


/* the older connections of the device go, here and on other workers */
static void
ngx_goconnect_hello_replace(ngx_goconnect_session_t *s)
{
    u_char buf[192], *p;

    p = ngx_snprintf(buf, sizeof(buf),
                     "{\"bus\":\"connected\",\"device\":\"%*s\","
                     "\"number\":%uL}",
                     (size_t) NGX_GOCONNECT_ID_LEN,
                     ngx_goconnect_session_device(s), s->number);

    ngx_goconnect_event_ephemeral(ngx_goconnect_slice(buf, (size_t) (p - buf)));
}


static void
ngx_goconnect_hello_granted(ngx_goconnect_session_t *s, gc_slice_t body)
{
    gc_slice_t value;

    (void) ngx_goconnect_epoch_check(body);

    (void) gc_json_find(body, "topics", &value);
    ngx_goconnect_hello_baseline(s->user_topic, value);
    ngx_goconnect_hello_baseline(s->device_topic, value);

    /* what has just come on these topics may have ended the session */
    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    if (s->device_topic) {
        (void) gc_json_find(body, "peers", &value);
        ngx_goconnect_session_peers(s, value);
        ngx_goconnect_hello_replace(s);
    }

    ngx_goconnect_hello_say(s, body);
    ngx_goconnect_session_ready(s);

    ngx_goconnect_presence_online(s);
}


static void
ngx_goconnect_hello_done(ngx_goconnect_request_t *rq,
                         ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_session_t *s;
    ngx_goconnect_reply_t reply;

    s = rq->session;

    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    if (ngx_goconnect_live_reply(call, &reply) != NGX_OK) {
        ngx_goconnect_hello_failed(s, call);

    } else if (reply.status >= 400) {
        ngx_goconnect_hello_refuse(s);

    } else {
        ngx_goconnect_hello_granted(s, reply.body);
    }
}


static void
ngx_goconnect_hello_ask(ngx_goconnect_session_t *s)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;

    s->state = NGX_GOCONNECT_SESSION_HELLO;

    switch (ngx_goconnect_hello_watch(s)) {
    case NGX_OK:
        break;

    case NGX_DECLINED:
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_POLICY,
                               "too many connections of this user");
        return;

    default:
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_INTERNAL, "out of memory");
        return;
    }

    rq = ngx_goconnect_request_create(s, NULL);
    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_HELLO);

    if (call && ngx_goconnect_request_ctx(s, call, NULL) != NGX_OK) {
        ngx_goconnect_pg_call_destroy(call);
        call = NULL;
    }

    if (ngx_goconnect_request_send(rq, call, ngx_goconnect_hello_done) !=
        NGX_OK) {
        ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_HELLO_TRY_LATER,
                               "try again later");
    }
}


static ngx_int_t
ngx_goconnect_hello_id(gc_slice_t body, const char *name, u_char *id)
{
    gc_slice_t value;

    if (!gc_json_find_plain(body, name, &value) ||
        value.len != NGX_GOCONNECT_ID_LEN) {
        id[0] = '\0';
        return NGX_DECLINED;
    }

    ngx_memcpy(id, value.data, NGX_GOCONNECT_ID_LEN);
    id[NGX_GOCONNECT_ID_LEN] = '\0';

    return NGX_OK;
}


static void
ngx_goconnect_hello_ticket_done(ngx_goconnect_request_t *rq,
                                ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_session_t *s;
    ngx_goconnect_reply_t reply;

    s = rq->session;

    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    if (ngx_goconnect_live_reply(call, &reply) != NGX_OK) {
        ngx_goconnect_hello_failed(s, call);
        return;
    }

    if (reply.status >= 400 ||
        ngx_goconnect_hello_id(reply.body, "user_id", s->claim->user) !=
            NGX_OK ||
        ngx_goconnect_hello_id(reply.body, "session_id", s->claim->session) !=
            NGX_OK) {
        ngx_goconnect_hello_refuse(s);
        return;
    }

    (void) ngx_goconnect_hello_id(reply.body, "device_id", s->claim->device);

    ngx_goconnect_hello_ask(s);
}


void
ngx_goconnect_hello_begin(ngx_goconnect_session_t *s)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_request_t *rq;

    if (s->token_refused) {
        ngx_goconnect_hello_refuse(s);
        return;
    }

    if (s->ticket == NULL) {
        ngx_goconnect_hello_ask(s);
        return;
    }

    rq = ngx_goconnect_request_create(s, NULL);
    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_TICKET_TAKE);

    if (call && ngx_goconnect_pg_call_param(
                    call, s->ticket, NGX_GOCONNECT_DIGEST_LEN) != NGX_OK) {
        ngx_goconnect_pg_call_destroy(call);
        call = NULL;
    }

    if (ngx_goconnect_request_send(rq, call, ngx_goconnect_hello_ticket_done) !=
        NGX_OK) {
        ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_HELLO_TRY_LATER,
                               "try again later");
    }

    ngx_free(s->ticket);
    s->ticket = NULL;
}
