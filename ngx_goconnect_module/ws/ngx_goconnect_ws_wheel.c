/*
 * Heartbeat: one timer for all sockets of a worker.  The list is in order of
 * the next ping, since all of them have the same interval.
 */

#include "ws/ngx_goconnect_ws_private.h"


#define NGX_GOCONNECT_WS_TICK 1000 /* ms */
#define NGX_GOCONNECT_WS_BATCH 100 /* pings in a turn of the event loop */
#define NGX_GOCONNECT_WS_AGAIN 10  /* ms until the next batch */


typedef struct {
    ngx_queue_t sockets;
    ngx_event_t timer;
    ngx_goconnect_ws_frame_t *ping;
} ngx_goconnect_ws_wheel_t;


static ngx_goconnect_ws_wheel_t ngx_goconnect_ws_wheel;

/* ngx_add_timer() of a debug build reads fd of what ev->data points at */
static ngx_connection_t ngx_goconnect_ws_no_connection = {.fd = -1};


void
ngx_goconnect_ws_wheel_add(ngx_goconnect_ws_t *ws)
{
    ws->ping_at = (uint32_t) ngx_time() + NGX_GOCONNECT_WS_HEARTBEAT;
    ngx_queue_insert_tail(&ngx_goconnect_ws_wheel.sockets, &ws->queue);
}


static void
ngx_goconnect_ws_beat(ngx_goconnect_ws_t *ws)
{
    ngx_queue_remove(&ws->queue);
    ngx_goconnect_ws_wheel_add(ws);

    if (ws->state != NGX_GOCONNECT_WS_OPEN) {
        return;
    }

    if (ws->missed >= NGX_GOCONNECT_WS_MISSED_MAX) {
        ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0,
                      "websocket client misses heartbeats");
        ngx_goconnect_ws_die(ws);
        return;
    }

    ws->missed = (ws->missed + 1) & 7;
    ws->controls = 0;
    ngx_goconnect_ws_send(ws, ngx_goconnect_ws_wheel.ping);
}


static void
ngx_goconnect_ws_wheel_handler(ngx_event_t *ev)
{
    ngx_goconnect_ws_t *ws;
    ngx_queue_t *q;
    ngx_uint_t left;
    ngx_msec_t next;

    next = NGX_GOCONNECT_WS_TICK;

    for (left = NGX_GOCONNECT_WS_BATCH;; left--) {
        if (ngx_queue_empty(&ngx_goconnect_ws_wheel.sockets)) {
            break;
        }

        q = ngx_queue_head(&ngx_goconnect_ws_wheel.sockets);
        ws = ngx_queue_data(q, ngx_goconnect_ws_t, queue);

        if ((int32_t) (ws->ping_at - (uint32_t) ngx_time()) > 0) {
            break;
        }

        if (left == 0) {
            next = NGX_GOCONNECT_WS_AGAIN;
            break;
        }

        ngx_goconnect_ws_beat(ws);
    }

    ngx_add_timer(ev, next);
}


ngx_int_t
ngx_goconnect_ws_wheel_init(ngx_cycle_t *cycle)
{
    ngx_event_t *ev;
    u_char *payload;

    ngx_queue_init(&ngx_goconnect_ws_wheel.sockets);

    ngx_goconnect_ws_wheel.ping =
        ngx_goconnect_ws_frame_alloc(GC_WS_FIN | GC_WS_OP_PING, 0, &payload);
    if (ngx_goconnect_ws_wheel.ping == NULL) {
        return NGX_ERROR;
    }

    ev = &ngx_goconnect_ws_wheel.timer;
    ev->handler = ngx_goconnect_ws_wheel_handler;
    ev->data = &ngx_goconnect_ws_no_connection;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_GOCONNECT_WS_TICK);

    return NGX_OK;
}


void
ngx_goconnect_ws_queue_each(ngx_queue_t *list,
                            void (*fn)(ngx_goconnect_ws_t *ws, void *data),
                            void *data)
{
    ngx_queue_t *q, *next;

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = next) {
        next = ngx_queue_next(q);
        fn(ngx_queue_data(q, ngx_goconnect_ws_t, queue), data);
    }
}


void
ngx_goconnect_ws_each(void (*fn)(ngx_goconnect_ws_t *ws, void *data),
                      void *data)
{
    /* the leaving ones first: fn may send more of them there */
    ngx_goconnect_ws_leave_each(fn, data);
    ngx_goconnect_ws_queue_each(&ngx_goconnect_ws_wheel.sockets, fn, data);
}


void
ngx_goconnect_ws_end(ngx_goconnect_ws_t *ws, void *data)
{
    if (ws->state == NGX_GOCONNECT_WS_OPEN) {
        (void) ws->handlers->restart(ws, 1);
    }

    ngx_goconnect_ws_die(ws);
}


void
ngx_goconnect_ws_exit_process(ngx_cycle_t *cycle)
{
    ngx_goconnect_ws_each(ngx_goconnect_ws_end, NULL);
    ngx_goconnect_ws_reap_now();
    ngx_goconnect_ws_leave_exit();
    ngx_goconnect_ws_deflate_exit();

    if (ngx_goconnect_ws_wheel.timer.timer_set) {
        ngx_del_timer(&ngx_goconnect_ws_wheel.timer);
    }

    ngx_goconnect_ws_frame_unref(ngx_goconnect_ws_wheel.ping);
}
