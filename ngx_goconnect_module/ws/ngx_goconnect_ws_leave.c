/*
 * Sending sockets away when the worker leaves or history is another: so many
 * a tick, so that they come back one after another and not all at once.  A
 * socket in the middle of something goes to the end of the list, until the
 * patience with it is over.
 */

#include "core/gc_pace.h"
#include "ws/ngx_goconnect_ws_private.h"


/* ms for those who were in the middle of something when all were told */
#define NGX_GOCONNECT_WS_LEAVE_PATIENCE 10000


typedef struct {
    ngx_queue_t sockets;
    ngx_event_t timer; /* not cancelable: a worker stays until all are told */
    ngx_msec_t began;
    uint32_t within; /* ms for all of them */
    uint32_t number; /* of sockets since then */
} ngx_goconnect_ws_leaves_t;


static ngx_goconnect_ws_leaves_t ngx_goconnect_ws_leaves;

/* ngx_add_timer() of a debug build reads fd of what ev->data points at */
static ngx_connection_t ngx_goconnect_ws_leave_no_connection = {.fd = -1};


/* nginx cuts off whoever is still there at worker_shutdown_timeout */
static uint32_t
ngx_goconnect_ws_leave_within(void)
{
    ngx_core_conf_t *ccf;
    ngx_msec_t left;

    ccf =
        (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module);
    left = ccf->shutdown_timeout / 4 * 3;

    return left && left < GC_PACE_TELL_MAX ? (uint32_t) left : GC_PACE_TELL_MAX;
}


void
ngx_goconnect_ws_leave(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_ws_leaves_t *leaves;

    if (ws->state != NGX_GOCONNECT_WS_OPEN || ws->restarting) {
        return;
    }

    leaves = &ngx_goconnect_ws_leaves;

    if (ngx_queue_empty(&leaves->sockets)) {
        leaves->began = ngx_current_msec;
        leaves->within = ngx_goconnect_ws_leave_within();
        leaves->number = 0;
    }

    if (!leaves->timer.timer_set) {
        ngx_add_timer(&leaves->timer, GC_PACE_TICK);
    }

    ws->restarting = 1;
    leaves->number++;

    ngx_queue_remove(&ws->queue);
    ngx_queue_insert_tail(&leaves->sockets, &ws->queue);
}


static void
ngx_goconnect_ws_tell(ngx_goconnect_ws_t *ws, ngx_uint_t last)
{
    /* the close frame's answer is waited for in the usual place */
    ngx_queue_remove(&ws->queue);
    ngx_goconnect_ws_wheel_add(ws);
    ws->restarting = 0;

    if (ws->handlers->restart(ws, last) == NGX_AGAIN &&
        ws->state == NGX_GOCONNECT_WS_OPEN) {
        ws->restarting = 1;
        ngx_queue_remove(&ws->queue);
        ngx_queue_insert_tail(&ngx_goconnect_ws_leaves.sockets, &ws->queue);
    }
}


static void
ngx_goconnect_ws_leave_handler(ngx_event_t *ev)
{
    ngx_goconnect_ws_leaves_t *leaves;
    ngx_goconnect_ws_t *ws;
    ngx_queue_t *q;
    ngx_uint_t left, last;

    leaves = &ngx_goconnect_ws_leaves;
    last = ngx_current_msec - leaves->began >
           leaves->within + NGX_GOCONNECT_WS_LEAVE_PATIENCE;

    for (left = gc_pace_batch(leaves->number, leaves->within); left; left--) {
        if (ngx_queue_empty(&leaves->sockets)) {
            break;
        }

        q = ngx_queue_head(&leaves->sockets);
        ws = ngx_queue_data(q, ngx_goconnect_ws_t, queue);

        if (ws->state != NGX_GOCONNECT_WS_OPEN) {
            /* closed for another reason meanwhile */
            ngx_queue_remove(q);
            ngx_goconnect_ws_wheel_add(ws);
            continue;
        }

        ngx_goconnect_ws_tell(ws, last);
    }

    if (!ngx_queue_empty(&leaves->sockets)) {
        ngx_add_timer(ev, GC_PACE_TICK);
    }
}


void
ngx_goconnect_ws_leave_each(void (*fn)(ngx_goconnect_ws_t *ws, void *data),
                            void *data)
{
    ngx_goconnect_ws_queue_each(&ngx_goconnect_ws_leaves.sockets, fn, data);
}


void
ngx_goconnect_ws_leave_init(ngx_cycle_t *cycle)
{
    ngx_event_t *ev;

    ngx_queue_init(&ngx_goconnect_ws_leaves.sockets);

    ev = &ngx_goconnect_ws_leaves.timer;
    ev->handler = ngx_goconnect_ws_leave_handler;
    ev->data = &ngx_goconnect_ws_leave_no_connection;
    ev->log = cycle->log;
}


void
ngx_goconnect_ws_leave_exit(void)
{
    if (ngx_goconnect_ws_leaves.timer.timer_set) {
        ngx_del_timer(&ngx_goconnect_ws_leaves.timer);
    }
}
