/*
 * Sessions: one for each socket, from its upgrade until it is gone.
 */

#include "core/gc_pace.h"
#include "live/ngx_goconnect_live_private.h"


/* sockets are sent away in one go if less than this lies between them */
#define NGX_GOCONNECT_SESSION_LEAVE_PAUSE 10000 /* ms */


/* how far apart those who are sent away come back */
typedef struct {
    ngx_msec_t last; /* when one of them was told */
    uint32_t window; /* seconds, 0: none has begun */
} ngx_goconnect_session_leaving_t;


static void ngx_goconnect_session_open(ngx_goconnect_ws_t *ws);
static void ngx_goconnect_session_text(ngx_goconnect_ws_t *ws, u_char *data,
                                       size_t len);
static void ngx_goconnect_session_drained(ngx_goconnect_ws_t *ws);
static ngx_int_t ngx_goconnect_session_restart(ngx_goconnect_ws_t *ws,
                                               ngx_uint_t last);
static void ngx_goconnect_session_gone(ngx_goconnect_ws_t *ws);


const ngx_goconnect_ws_handlers_t ngx_goconnect_session_handlers = {
    ngx_goconnect_session_open,
    ngx_goconnect_session_text,
    NULL,
    ngx_goconnect_session_drained,
    ngx_goconnect_session_restart,
    ngx_goconnect_session_gone,
    NGX_GOCONNECT_WS_MESSAGE_MAX,
};


static ngx_goconnect_session_leaving_t ngx_goconnect_session_leaving;


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


static void
ngx_goconnect_session_open(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_session_t *s;

    s = ngx_goconnect_ws_data(ws);
    s->ws = ws;
    ngx_goconnect_limit_socket(1);

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
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_LIMIT_RATE, 1);
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


/* does it wait for answers, or for what it has missed? */
static ngx_uint_t
ngx_goconnect_session_is_busy(ngx_goconnect_session_t *s)
{
    return s->calls > 0 || s->pumping || !ngx_queue_empty(&s->catching);
}


/* of the node's number of sockets when the first one was told */
static uint32_t
ngx_goconnect_session_window(void)
{
    ngx_goconnect_session_leaving_t *leaving;

    leaving = &ngx_goconnect_session_leaving;

    if (leaving->window == 0 ||
        ngx_current_msec - leaving->last > NGX_GOCONNECT_SESSION_LEAVE_PAUSE) {
        leaving->window =
            gc_pace_window((uint32_t) ngx_goconnect_limit_sockets());
    }

    leaving->last = ngx_current_msec;

    return leaving->window;
}


static ngx_int_t
ngx_goconnect_session_restart(ngx_goconnect_ws_t *ws, ngx_uint_t last)
{
    ngx_goconnect_session_t *s;
    gc_slice_t body;
    uint32_t window;
    u_char buf[192], *p;

    s = ngx_goconnect_ws_data(ws);

    if (!last && ngx_goconnect_session_is_busy(s)) {
        return NGX_AGAIN;
    }

    window = ngx_goconnect_session_window();

    p = ngx_snprintf(buf, sizeof(buf),
                     "{\"detail\":\"The server restarts: come back.\","
                     "\"code\":\"server_restart\",\"retry_after\":%ui}",
                     (ngx_uint_t) ngx_random() % (window + 1));

    body = ngx_goconnect_slice(buf, (size_t) (p - buf));

    ngx_goconnect_presence_away(window);
    ngx_goconnect_session_problem(s, NULL, 503, body);
    ngx_goconnect_ws_close(ws, GC_WS_CLOSE_RESTART, "server restarts");

    return NGX_OK;
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
    ngx_goconnect_presence_offline(s);

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
        ngx_goconnect_figures_device(-1);
        ngx_queue_remove(&s->device_queue);
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

    if (s->ws) {
        ngx_goconnect_limit_socket(-1);
        s->ws = NULL;
    }

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
