/*
 * Sessions: one for each socket, from its upgrade until it is gone.
 */

#include "live/ngx_goconnect_live_private.h"
#include "core/gc_status.h"


#define NGX_GOCONNECT_PEER_BUCKETS 1024
#define NGX_GOCONNECT_RETRY_AFTER_MAX 5 /* seconds, when the worker leaves */


typedef struct {
    ngx_goconnect_peer_t *peers[NGX_GOCONNECT_PEER_BUCKETS];
    uint32_t seed;
} ngx_goconnect_sessions_t;


static ngx_goconnect_sessions_t ngx_goconnect_sessions;


static void ngx_goconnect_session_open(ngx_goconnect_ws_t *ws);
static void ngx_goconnect_session_text(ngx_goconnect_ws_t *ws, u_char *data,
                                       size_t len);
static void ngx_goconnect_session_drained(ngx_goconnect_ws_t *ws);
static void ngx_goconnect_session_restart(ngx_goconnect_ws_t *ws);
static void ngx_goconnect_session_gone(ngx_goconnect_ws_t *ws);


const ngx_goconnect_ws_handlers_t ngx_goconnect_session_handlers = {
    ngx_goconnect_session_open,    ngx_goconnect_session_text,
    ngx_goconnect_session_drained, ngx_goconnect_session_restart,
    ngx_goconnect_session_gone,
};


ngx_uint_t
ngx_goconnect_session_is_open(ngx_goconnect_session_t *s)
{
    return s->ws != NULL && ngx_goconnect_ws_is_open(s->ws);
}


const u_char *
ngx_goconnect_session_device(ngx_goconnect_session_t *s)
{
    return s->device_topic ? s->device_topic->name + sizeof("device:") - 1
                           : NULL;
}


void
ngx_goconnect_session_identity(ngx_goconnect_session_t *s,
                               ngx_goconnect_identity_t *identity)
{
    ngx_memzero(identity, sizeof(*identity));

    ngx_memcpy(identity->user, s->user_topic->name + sizeof("user:") - 1,
               NGX_GOCONNECT_ID_LEN);
    ngx_memcpy(identity->session, s->id, NGX_GOCONNECT_ID_LEN);

    if (s->device_topic) {
        ngx_memcpy(identity->device, ngx_goconnect_session_device(s),
                   NGX_GOCONNECT_ID_LEN);
    }
}


void
ngx_goconnect_session_unref(ngx_goconnect_session_t *s)
{
    if (--s->refs == 0) {
        ngx_free(s);
    }
}


/*
 * Peers: who gets a signal
 */

static ngx_goconnect_peer_t **
ngx_goconnect_peer_bucket(const u_char *id)
{
    uint32_t hash;
    ngx_uint_t i;

    hash = ngx_goconnect_sessions.seed;

    for (i = 0; i < NGX_GOCONNECT_ID_LEN; i++) {
        hash = (hash ^ id[i]) * 16777619;
    }

    return &ngx_goconnect_sessions
                .peers[(hash ^ (hash >> 15)) % NGX_GOCONNECT_PEER_BUCKETS];
}


ngx_goconnect_peer_t *
ngx_goconnect_peer_find(gc_slice_t id)
{
    ngx_goconnect_peer_t *peer;

    if (id.len != NGX_GOCONNECT_ID_LEN) {
        return NULL;
    }

    peer = *ngx_goconnect_peer_bucket((const u_char *) id.data);

    while (peer && ngx_memcmp(peer->id, id.data, NGX_GOCONNECT_ID_LEN) != 0) {
        peer = peer->next;
    }

    return peer;
}


ngx_goconnect_peer_t *
ngx_goconnect_session_peer(ngx_goconnect_session_t *s, gc_slice_t network)
{
    ngx_uint_t i;

    if (network.len != NGX_GOCONNECT_ID_LEN) {
        return NULL;
    }

    for (i = 0; i < s->npeers; i++) {
        if (ngx_memcmp(s->peers[i].network, network.data,
                       NGX_GOCONNECT_ID_LEN) == 0) {
            return &s->peers[i];
        }
    }

    return NULL;
}


static void
ngx_goconnect_session_peers_free(ngx_goconnect_session_t *s)
{
    ngx_goconnect_peer_t **p;
    ngx_uint_t i;

    for (i = 0; i < s->npeers; i++) {
        p = ngx_goconnect_peer_bucket(s->peers[i].id);

        while (*p != &s->peers[i]) {
            p = &(*p)->next;
        }

        *p = s->peers[i].next;
    }

    if (s->peers) {
        ngx_free(s->peers);
    }

    s->peers = NULL;
    s->npeers = 0;
}


static ngx_int_t
ngx_goconnect_session_peer_ids(gc_slice_t item, gc_slice_t *network,
                               gc_slice_t *id)
{
    return gc_json_find_plain(item, "network_id", network) &&
                   gc_json_find_plain(item, "peer_id", id) &&
                   network->len == NGX_GOCONNECT_ID_LEN &&
                   id->len == NGX_GOCONNECT_ID_LEN
               ? NGX_OK
               : NGX_DECLINED;
}


void
ngx_goconnect_session_peers(ngx_goconnect_session_t *s, gc_slice_t peers)
{
    ngx_goconnect_peer_t *peer, **bucket;
    gc_slice_t item, network, id;
    gc_json_iter_t it;
    ngx_uint_t n;

    ngx_goconnect_session_peers_free(s);

    if (gc_json_array(&it, peers) != 0) {
        return;
    }

    for (n = 0; gc_json_item(&it, &item) && n < UINT16_MAX; n++) {
        /* void */
    }

    if (n == 0) {
        return;
    }

    s->peers = ngx_alloc(n * sizeof(ngx_goconnect_peer_t), ngx_cycle->log);
    if (s->peers == NULL) {
        return;
    }

    (void) gc_json_array(&it, peers);

    while (s->npeers < n && gc_json_item(&it, &item)) {
        if (ngx_goconnect_session_peer_ids(item, &network, &id) != NGX_OK) {
            continue;
        }

        peer = &s->peers[s->npeers++];
        peer->session = s;
        ngx_memcpy(peer->network, network.data, NGX_GOCONNECT_ID_LEN);
        ngx_memcpy(peer->id, id.data, NGX_GOCONNECT_ID_LEN);

        bucket = ngx_goconnect_peer_bucket(peer->id);
        peer->next = *bucket;
        *bucket = peer;
    }
}


/*
 * What is said to a client
 */

void
ngx_goconnect_session_say(ngx_goconnect_session_t *s, const char *type,
                          json_t *id, const gc_slice_t *parts, ngx_uint_t n)
{
    static const char head[] = "{\"type\":\"";
    static const char id_head[] = "\",\"id\":";
    static const char data_head[] = ",\"data\":";
    ngx_goconnect_ws_frame_t *frame;
    size_t type_len, id_len, len;
    u_char *p, *payload;
    ngx_uint_t i;

    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    type_len = ngx_strlen(type);
    id_len = id ? json_dumpb(id, NULL, 0, JSON_ENCODE_ANY) : 0;

    len = sizeof(head) - 1 + type_len + 1 + sizeof(data_head) - 1 + 1;

    if (id_len) {
        len += sizeof(id_head) - 2 + id_len;
    }

    for (i = 0; i < n; i++) {
        len += parts[i].len;
    }

    frame =
        ngx_goconnect_ws_frame_alloc(GC_WS_FIN | GC_WS_OP_TEXT, len, &payload);
    if (frame == NULL) {
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_INTERNAL, "out of memory");
        return;
    }

    p = ngx_cpymem(payload, head, sizeof(head) - 1);
    p = ngx_cpymem(p, type, type_len);

    if (id_len) {
        p = ngx_cpymem(p, id_head, sizeof(id_head) - 1);
        p += json_dumpb(id, (char *) p, id_len, JSON_ENCODE_ANY);

    } else {
        *p++ = '"';
    }

    p = ngx_cpymem(p, data_head, sizeof(data_head) - 1);

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, parts[i].data, parts[i].len);
    }

    *p = '}';

    ngx_goconnect_ws_send(s->ws, frame);
    ngx_goconnect_ws_frame_unref(frame);
}


void
ngx_goconnect_session_ok(ngx_goconnect_session_t *s, json_t *id,
                         gc_slice_t data)
{
    if (data.len == 0) {
        data = ngx_goconnect_slice("{}", 2);
    }

    ngx_goconnect_session_say(s, "ok", id, &data, 1);
}


void
ngx_goconnect_session_problem(ngx_goconnect_session_t *s, json_t *id,
                              ngx_uint_t status, gc_slice_t body)
{
    gc_slice_t parts[2];
    gc_json_iter_t it;
    u_char head[128], *p;

    if (gc_json_object(&it, body) != 0) {
        ngx_goconnect_session_error(s, id, status, "refused", "");
        return;
    }

    p = ngx_snprintf(head, sizeof(head),
                     "{\"type\":\"about:blank\",\"title\":\"%s\","
                     "\"status\":%ui,",
                     gc_status_phrase((unsigned) status), status);

    parts[0] = ngx_goconnect_slice(head, (size_t) (p - head));
    parts[1] = ngx_goconnect_slice(it.pos, (size_t) (it.end - it.pos));

    ngx_goconnect_session_say(s, "error", id, parts, 2);
}


void
ngx_goconnect_session_error(ngx_goconnect_session_t *s, json_t *id,
                            ngx_uint_t status, const char *code,
                            const char *detail)
{
    u_char body[512], *p;

    p = ngx_snprintf(body, sizeof(body), "{\"detail\":\"%s\",\"code\":\"%s\"}",
                     detail, code);

    ngx_goconnect_session_problem(
        s, id, status, ngx_goconnect_slice(body, (size_t) (p - body)));
}


/* GCsss raised by a function; NGX_DECLINED: something else */
static ngx_int_t
ngx_goconnect_session_raised(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    const char *state, *code, *detail;
    json_t *body;
    ngx_int_t status;
    char *text;

    state = ngx_goconnect_pg_call_sqlstate(call);
    status = ngx_strncmp(state, "GC", 2) == 0
                 ? ngx_atoi((u_char *) state + 2, 3)
                 : NGX_ERROR;

    if (status < 400 || status > 599) {
        return NGX_DECLINED;
    }

    code = PQresultErrorField(call->res, PG_DIAG_MESSAGE_PRIMARY);
    detail = PQresultErrorField(call->res, PG_DIAG_MESSAGE_DETAIL);

    body = json_pack("{ssss}", "detail", detail ? detail : "", "code",
                     code ? code : "refused");
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);

    if (text == NULL) {
        return NGX_DECLINED;
    }

    ngx_goconnect_session_problem(s, id, (ngx_uint_t) status,
                                  ngx_goconnect_slice(text, strlen(text)));
    free(text);

    return NGX_OK;
}


/* an error of the database that a function did not raise itself */
static void
ngx_goconnect_session_sql_error(ngx_goconnect_session_t *s, json_t *id,
                                ngx_goconnect_pg_call_t *call)
{
    static const char *passing[] = {"40", "53", "55P03", "57", "25006"};
    const char *state;
    size_t i;

    state = ngx_goconnect_pg_call_sqlstate(call);

    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (strncmp(state, passing[i], strlen(passing[i])) == 0) {
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "goconnect: %V: the database said %s",
                          &call->statement->name, state);
            ngx_goconnect_session_error(s, id, 503, "busy",
                                        "Nothing was changed; try again.");
            return;
        }
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "goconnect: %V: the database said %s: %s",
                  &call->statement->name, state,
                  PQresultErrorField(call->res, PG_DIAG_MESSAGE_PRIMARY));
    ngx_goconnect_session_error(s, id, 500, "internal",
                                "The server failed; it is in its log.");
}


void
ngx_goconnect_session_failed(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    switch (call->rc) {
    case NGX_GOCONNECT_PG_OK:
        /* a row that made no sense: logged */
        ngx_goconnect_session_error(s, id, 500, "internal",
                                    "The server failed; it is in its log.");
        break;

    case NGX_GOCONNECT_PG_ERROR:
        if (ngx_goconnect_session_raised(s, id, call) != NGX_OK) {
            ngx_goconnect_session_sql_error(s, id, call);
        }
        break;

    case NGX_GOCONNECT_PG_UNKNOWN:
        ngx_goconnect_session_error(s, id, 503, "outcome_unknown",
                                    "The database was lost before it answered: "
                                    "the change may have been made.");
        break;

    case NGX_GOCONNECT_PG_UNAVAILABLE:
        ngx_goconnect_session_error(s, id, 503, "database_unavailable",
                                    "The database is away for a moment.");
        break;

    case NGX_GOCONNECT_PG_TIMEOUT:
        ngx_goconnect_session_error(
            s, id, 503, "timeout",
            "The database took too long; nothing was changed.");
        break;

    case NGX_GOCONNECT_PG_BUSY:
        ngx_goconnect_session_error(s, id, 503, "busy",
                                    "The server is overloaded.");
        break;
    }
}


/*
 * Life
 */

static void
ngx_goconnect_session_open(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_session_t *s;

    s = ngx_goconnect_ws_data(ws);
    s->ws = ws;

    ngx_goconnect_hello_begin(s);
}


/* credit: the time in ms at which the bucket is full again */
ngx_int_t
ngx_goconnect_session_rate(ngx_goconnect_session_t *s)
{
    ngx_msec_t now;
    ngx_msec_int_t debt;

    now = ngx_current_msec;
    debt = (ngx_msec_int_t) (s->credit - now);

    if (debt <= 0) {
        s->credit = now;
        debt = 0;
    }

    if (debt >
        (NGX_GOCONNECT_MESSAGE_BURST - 1) * NGX_GOCONNECT_MESSAGE_EVERY) {
        ngx_log_error(NGX_LOG_INFO, ngx_goconnect_ws_connection(s->ws)->log, 0,
                      "websocket client sends too many messages");
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_POLICY, "too many messages");
        return NGX_ERROR;
    }

    s->credit += NGX_GOCONNECT_MESSAGE_EVERY;

    return NGX_OK;
}


/* what comes before hello is kept until then */
static void
ngx_goconnect_session_early(ngx_goconnect_session_t *s, u_char *data,
                            size_t len)
{
    ngx_goconnect_early_t *early, **p;
    size_t total;

    total = len;

    for (p = &s->early; *p; p = &(*p)->next) {
        total += (*p)->len;
    }

    early =
        total > NGX_GOCONNECT_EARLY_MAX
            ? NULL
            : ngx_alloc(sizeof(ngx_goconnect_early_t) + len, ngx_cycle->log);

    if (early == NULL) {
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_POLICY,
                               "too much before hello");
        return;
    }

    early->next = NULL;
    early->len = len;
    ngx_memcpy(early->text, data, len);
    *p = early;
}


static void
ngx_goconnect_session_text(ngx_goconnect_ws_t *ws, u_char *data, size_t len)
{
    ngx_goconnect_session_t *s;

    s = ngx_goconnect_ws_data(ws);

    if (ngx_goconnect_session_rate(s) != NGX_OK) {
        return;
    }

    if (s->state != NGX_GOCONNECT_SESSION_READY) {
        ngx_goconnect_session_early(s, data, len);
        return;
    }

    ngx_goconnect_request_text(s, data, len);
}


static ngx_goconnect_early_t *
ngx_goconnect_session_early_shift(ngx_goconnect_session_t *s)
{
    ngx_goconnect_early_t *early;

    early = s->early;

    if (early) {
        s->early = early->next;
    }

    return early;
}


void
ngx_goconnect_session_ready(ngx_goconnect_session_t *s)
{
    ngx_goconnect_early_t *early;

    s->state = NGX_GOCONNECT_SESSION_READY;

    while ((early = ngx_goconnect_session_early_shift(s)) != NULL) {
        if (ngx_goconnect_session_is_open(s)) {
            ngx_goconnect_request_text(s, early->text, early->len);
        }

        ngx_free(early);
    }
}


static void
ngx_goconnect_session_drained(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_pump(ngx_goconnect_ws_data(ws));
}


static void
ngx_goconnect_session_restart(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_session_t *s;
    gc_slice_t body;
    u_char buf[192], *p;

    s = ngx_goconnect_ws_data(ws);

    p = ngx_snprintf(buf, sizeof(buf),
                     "{\"detail\":\"The server restarts: come back.\","
                     "\"code\":\"server_restart\",\"retry_after\":%ui}",
                     (ngx_uint_t) ngx_random() %
                         (NGX_GOCONNECT_RETRY_AFTER_MAX + 1));

    body = ngx_goconnect_slice(buf, (size_t) (p - buf));

    ngx_goconnect_session_problem(s, NULL, 503, body);
    ngx_goconnect_ws_close(ws, GC_WS_CLOSE_RESTART, "server restarts");
}


static void
ngx_goconnect_session_leave(ngx_goconnect_ws_t *ws, void *data)
{
    ngx_goconnect_ws_leave(ws);
}


void
ngx_goconnect_session_restart_all(void)
{
    ngx_goconnect_ws_each(ngx_goconnect_session_leave, NULL);
}


static void
ngx_goconnect_session_unwatch(ngx_goconnect_session_t *s)
{
    if (s->counted) {
        ngx_goconnect_limit_leave(s->user_topic ? s->user_topic->name +
                                                      sizeof("user:") - 1
                                                : s->claim->user);
        s->counted = 0;
    }

    if (s->user_topic) {
        ngx_queue_remove(&s->user_queue);
        ngx_goconnect_topic_release(s->user_topic);
        s->user_topic = NULL;
    }

    if (s->device_topic) {
        ngx_queue_remove(&s->device_queue);
        ngx_goconnect_presence_offline(s);
        ngx_goconnect_topic_release(s->device_topic);
        s->device_topic = NULL;
    }
}


static void
ngx_goconnect_session_gone(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_session_t *s;
    ngx_goconnect_early_t *early;

    s = ngx_goconnect_ws_data(ws);
    s->ws = NULL;

    while (s->subs) {
        ngx_goconnect_sub_remove(s->subs);
    }

    ngx_goconnect_pump_forget(s);
    ngx_goconnect_session_peers_free(s);
    ngx_goconnect_session_unwatch(s);

    while ((early = ngx_goconnect_session_early_shift(s)) != NULL) {
        ngx_free(early);
    }

    if (s->ticket) {
        ngx_free(s->ticket);
        s->ticket = NULL;
    }

    if (s->claim) {
        ngx_free(s->claim);
        s->claim = NULL;
    }

    ngx_goconnect_session_unref(s);
}


void
ngx_goconnect_session_replaced(gc_slice_t device, uint64_t number)
{
    ngx_goconnect_session_t *s;
    ngx_goconnect_topic_t *topic;
    ngx_queue_t *q;
    u_char name[sizeof("device:") - 1 + NGX_GOCONNECT_ID_LEN], *p;

    if (device.len != NGX_GOCONNECT_ID_LEN) {
        return;
    }

    p = ngx_cpymem(name, "device:", sizeof("device:") - 1);
    ngx_memcpy(p, device.data, device.len);

    topic = ngx_goconnect_topic_get(ngx_goconnect_slice(name, sizeof(name)), 0);
    if (topic == NULL) {
        return;
    }

    for (q = ngx_queue_head(&topic->watchers);
         q != ngx_queue_sentinel(&topic->watchers); q = ngx_queue_next(q)) {
        s = ngx_queue_data(q, ngx_goconnect_session_t, device_queue);

        if (s->number < number && s->ws) {
            ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_WS_REPLACED,
                                   "replaced by a newer connection");
        }
    }
}


ngx_int_t
ngx_goconnect_session_init(ngx_cycle_t *cycle)
{
    return ngx_goconnect_live_random(&ngx_goconnect_sessions.seed,
                                     sizeof(ngx_goconnect_sessions.seed));
}
