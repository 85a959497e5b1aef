/*
 * The life of a connection: reading, messages, closing.
 *
 * Nothing frees an ngx_goconnect_ws_t but the reaper, a posted event; so it
 * is good throughout any call chain that started from an event.
 */

#include "ws/ngx_goconnect_ws_private.h"


/* one turn of the event loop reads so many times; a socket must not hog it */
#define NGX_GOCONNECT_WS_READS 4

/* how long the peer may take for its part of the closing handshake */
#define NGX_GOCONNECT_WS_CLOSE_TIMEOUT 5000


typedef struct {
    ngx_queue_t dead;
    ngx_event_t reaper;
    ngx_uint_t count;
    u_char buffer[NGX_GOCONNECT_WS_MESSAGE_MAX]; /* every socket reads here */
} ngx_goconnect_ws_worker_t;


static void ngx_goconnect_ws_read_handler(ngx_event_t *ev);
static void ngx_goconnect_ws_write_handler(ngx_event_t *ev);


static ngx_goconnect_ws_worker_t ngx_goconnect_ws_worker;

ngx_goconnect_ws_stats_t ngx_goconnect_ws_stats;


static const char *ngx_goconnect_ws_actions[] = {
    "upgrading to websocket",
    "serving websocket",
    "closing websocket",
    "freeing websocket",
};


void
ngx_goconnect_ws_set_state(ngx_goconnect_ws_t *ws,
                           ngx_goconnect_ws_state_e state)
{
    ngx_connection_t *c;

    c = ws->connection;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0, "goconnect ws state %d -> %d",
                   ws->state, state);

    if (state == NGX_GOCONNECT_WS_OPEN) {
        ngx_goconnect_ws_worker.count++;
        ngx_goconnect_ws_stats.opened++;
    }

    if (state == NGX_GOCONNECT_WS_DEAD &&
        ws->state != NGX_GOCONNECT_WS_UPGRADING) {
        ngx_goconnect_ws_worker.count--;
        ngx_goconnect_ws_stats.closed++;
    }

    ws->state = state & 7;
    c->log->action = (char *) ngx_goconnect_ws_actions[state];
}


void
ngx_goconnect_ws_die(ngx_goconnect_ws_t *ws)
{
    if (ws->state == NGX_GOCONNECT_WS_DEAD) {
        return;
    }

    ngx_goconnect_ws_set_state(ws, NGX_GOCONNECT_WS_DEAD);

    ngx_queue_remove(&ws->queue);
    ngx_queue_insert_tail(&ngx_goconnect_ws_worker.dead, &ws->queue);

    ngx_post_event(&ngx_goconnect_ws_worker.reaper, &ngx_posted_events);
}


static void
ngx_goconnect_ws_free(ngx_goconnect_ws_t *ws)
{
    ngx_connection_t *c;

    ws->handlers->gone(ws);

    ngx_goconnect_ws_queue_free(ws);

    if (ws->message) {
        ngx_free(ws->message);
    }

    if (ws->ping) {
        ngx_free(ws->ping);
    }

    c = ws->connection;
    c->data = NULL;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;

        if (c->error) {
            c->ssl->no_send_shutdown = 1;
        }
    }
#endif

    if (ws->request) {
        *ws->slot = NULL;
        c->error = 1;
        c->data = ws->request;
        ngx_http_finalize_request(ws->request, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        ngx_http_run_posted_requests(c);

    } else {
        ngx_goconnect_ws_close_connection(ws);
    }

    ngx_free(ws);
}


void
ngx_goconnect_ws_reap_now(void)
{
    ngx_queue_t *q;

    while (!ngx_queue_empty(&ngx_goconnect_ws_worker.dead)) {
        q = ngx_queue_head(&ngx_goconnect_ws_worker.dead);
        ngx_queue_remove(q);
        ngx_goconnect_ws_free(ngx_queue_data(q, ngx_goconnect_ws_t, queue));
    }
}


static void
ngx_goconnect_ws_reap(ngx_event_t *ev)
{
    ngx_goconnect_ws_reap_now();
}


void
ngx_goconnect_ws_close(ngx_goconnect_ws_t *ws, unsigned code,
                       const char *reason)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char payload[GC_WS_CONTROL_MAX], *p;
    size_t len;

    if (ws->state != NGX_GOCONNECT_WS_OPEN) {
        return;
    }

    len = gc_ws_close_payload(payload, code, reason);

    frame = ngx_goconnect_ws_frame_alloc(GC_WS_FIN | GC_WS_OP_CLOSE, len, &p);
    if (frame == NULL) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    ngx_memcpy(p, payload, len);
    frame->snapshot = 1;

    ngx_goconnect_ws_queue(ws, frame);
    ngx_goconnect_ws_frame_unref(frame);

    if (ws->state != NGX_GOCONNECT_WS_OPEN) {
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ws->connection->log, 0,
                   "goconnect ws close: %ud", code);

    ngx_goconnect_ws_set_state(ws, NGX_GOCONNECT_WS_CLOSING);
    ws->restarting = 0;

    ngx_add_timer(ws->connection->read, NGX_GOCONNECT_WS_CLOSE_TIMEOUT);

    ngx_goconnect_ws_flush(ws);
}


/* the input cannot be trusted any more */
static void
ngx_goconnect_ws_fail(ngx_goconnect_ws_t *ws, unsigned code, const char *why)
{
    ngx_log_error(NGX_LOG_INFO, ws->connection->log, 0, "websocket client: %s",
                  why);

    ws->failed = 1;
    ngx_goconnect_ws_close(ws, code, why);
}


static ngx_int_t
ngx_goconnect_ws_grow(ngx_goconnect_ws_t *ws, size_t len)
{
    u_char *p;
    size_t room;

    room = ngx_max(ws->message_len + len, (size_t) ws->message_room * 2);
    room = ngx_max(room, 256);

    p = ngx_alloc(room, ws->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ws->message) {
        ngx_memcpy(p, ws->message, ws->message_len);
        ngx_free(ws->message);
    }

    ws->message = p;
    ws->message_room = (uint32_t) room;

    return NGX_OK;
}


static void
ngx_goconnect_ws_deliver(ngx_goconnect_ws_t *ws, unsigned opcode, u_char *data,
                         size_t len)
{
    ngx_goconnect_ws_stats.received++;

    if (opcode == GC_WS_OP_BINARY) {
        ws->handlers->binary(ws, data, len);

    } else {
        ws->handlers->text(ws, data, len);
    }
}


static void
ngx_goconnect_ws_message(ngx_goconnect_ws_t *ws, gc_ws_event_t *event,
                         u_char *data, size_t len)
{
    ngx_goconnect_ws_inflated_t out;
    ngx_int_t rc;

    if (!event->packed) {
        ngx_goconnect_ws_deliver(ws, event->opcode, data, len);
        return;
    }

    rc = ngx_goconnect_ws_inflate(data, len, ws->handlers->message_max, &out);

    if (rc == NGX_BUSY) {
        ngx_goconnect_ws_fail(ws, GC_WS_CLOSE_TOO_BIG,
                              "message above the limit");
        return;
    }

    if (rc == NGX_DECLINED) {
        ngx_goconnect_ws_fail(ws, GC_WS_CLOSE_INVALID,
                              "compressed message is broken");
        return;
    }

    if (rc != NGX_OK) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    if (event->opcode == GC_WS_OP_TEXT &&
        !gc_ws_text_valid(out.data, out.len)) {
        ngx_goconnect_ws_fail(ws, GC_WS_CLOSE_INVALID, "text is not UTF-8");

    } else {
        ngx_goconnect_ws_deliver(ws, event->opcode, out.data, out.len);
    }

    ngx_free(out.data);
}


static void
ngx_goconnect_ws_data_event(ngx_goconnect_ws_t *ws, gc_ws_event_t *event)
{
    u_char *message;
    size_t len;

    if (event->first && event->last) {
        ngx_goconnect_ws_message(ws, event, event->data, event->len);
        return;
    }

    if (event->len > ws->message_room - ws->message_len &&
        ngx_goconnect_ws_grow(ws, event->len) != NGX_OK) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    if (event->len) {
        ngx_memcpy(ws->message + ws->message_len, event->data, event->len);
        ws->message_len += (uint32_t) event->len;
    }

    if (!event->last) {
        return;
    }

    message = ws->message;
    len = ws->message_len;

    ws->message = NULL;
    ws->message_len = 0;
    ws->message_room = 0;

    ngx_goconnect_ws_message(ws, event, message ? message : (u_char *) "", len);

    if (message) {
        ngx_free(message);
    }
}


static void
ngx_goconnect_ws_ping_event(ngx_goconnect_ws_t *ws, gc_ws_event_t *event)
{
    if (event->first && event->last) {
        ngx_goconnect_ws_send_control(ws, GC_WS_OP_PONG, event->data,
                                      event->len);
        return;
    }

    if (ws->ping == NULL) {
        ws->ping = ngx_alloc(GC_WS_CONTROL_MAX, ws->connection->log);
        if (ws->ping == NULL) {
            ngx_goconnect_ws_die(ws);
            return;
        }

        ws->ping_len = 0;
    }

    if (event->len) {
        ngx_memcpy(ws->ping + ws->ping_len, event->data, event->len);
        ws->ping_len = (ws->ping_len + event->len) & 127;
    }

    if (event->last) {
        ngx_goconnect_ws_send_control(ws, GC_WS_OP_PONG, ws->ping,
                                      ws->ping_len);
        ngx_free(ws->ping);
        ws->ping = NULL;
    }
}


/* pings cost an answer each, and no other limit holds for them */
static ngx_int_t
ngx_goconnect_ws_control_event(ngx_goconnect_ws_t *ws, gc_ws_event_t *event)
{
    if (!event->last || ++ws->controls <= NGX_GOCONNECT_WS_CONTROL_MAX) {
        return NGX_OK;
    }

    ngx_goconnect_ws_fail(ws, GC_WS_CLOSE_POLICY, "too many control frames");

    return NGX_ERROR;
}


static void
ngx_goconnect_ws_close_event(ngx_goconnect_ws_t *ws, gc_ws_event_t *event)
{
    ws->peer_closed = 1;

    if (ws->state == NGX_GOCONNECT_WS_OPEN) {
        /* RFC 6455, section 5.5.1: its own code comes back */
        ngx_goconnect_ws_close(ws, event->code, NULL);

    } else if (ws->head == NULL) {
        ngx_goconnect_ws_die(ws);
    }
}


/* takes what was read; stops where the connection ends */
static void
ngx_goconnect_ws_input(ngx_goconnect_ws_t *ws, u_char *data, size_t len)
{
    gc_ws_event_t event;
    gc_ws_event_e type;
    u_char *pos;

    pos = data;

    while (!ws->failed && !ws->peer_closed &&
           ws->state != NGX_GOCONNECT_WS_DEAD) {
        type = gc_ws_parse(&ws->parser, &pos, data + len, &event);

        switch (type) {
        case GC_WS_MORE:
            return;

        case GC_WS_DATA:
            if (ws->state == NGX_GOCONNECT_WS_OPEN) {
                ngx_goconnect_ws_data_event(ws, &event);
            }
            break;

        case GC_WS_PING:
            if (ws->state == NGX_GOCONNECT_WS_OPEN &&
                ngx_goconnect_ws_control_event(ws, &event) == NGX_OK) {
                ngx_goconnect_ws_ping_event(ws, &event);
            }
            break;

        case GC_WS_PONG:
            (void) ngx_goconnect_ws_control_event(ws, &event);
            break;

        case GC_WS_CLOSE:
            ngx_goconnect_ws_close_event(ws, &event);
            return;

        case GC_WS_FAIL:
            ngx_goconnect_ws_fail(ws, event.code, event.why);
            return;
        }
    }
}


static void
ngx_goconnect_ws_read(ngx_goconnect_ws_t *ws)
{
    ngx_connection_t *c;
    ngx_uint_t i;
    ssize_t n;

    c = ws->connection;

    for (i = 0; i < NGX_GOCONNECT_WS_READS; i++) {
        n = c->recv(c, ngx_goconnect_ws_worker.buffer,
                    sizeof(ngx_goconnect_ws_worker.buffer));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                ngx_goconnect_ws_die(ws);
            }

            return;
        }

        if (n == NGX_ERROR || n == 0) {
            c->error = n == NGX_ERROR;
            ngx_goconnect_ws_die(ws);
            return;
        }

        ws->missed = 0;
        ngx_goconnect_ws_input(ws, ngx_goconnect_ws_worker.buffer, (size_t) n);

        if (ws->state == NGX_GOCONNECT_WS_DEAD) {
            return;
        }

        if (!c->read->ready) {
            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                ngx_goconnect_ws_die(ws);
            }

            return;
        }
    }

    /* the others' turn */
    ngx_post_event(c->read, &ngx_posted_next_events);
}


static void
ngx_goconnect_ws_read_handler(ngx_event_t *ev)
{
    ngx_connection_t *c;
    ngx_goconnect_ws_t *ws;

    c = ev->data;
    ws = c->data;

    if (ws->state == NGX_GOCONNECT_WS_DEAD) {
        return;
    }

    if (c->close) {
        /* the worker leaves; with an error, its time to do so is over */
        c->close = 0;

        if (c->error) {
            ngx_goconnect_ws_end(ws, NULL);

        } else {
            ngx_goconnect_ws_leave(ws);
        }

        return;
    }

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_goconnect_ws_die(ws);
        return;
    }

    ngx_goconnect_ws_read(ws);
}


static void
ngx_goconnect_ws_write_handler(ngx_event_t *ev)
{
    ngx_connection_t *c;
    ngx_goconnect_ws_t *ws;

    c = ev->data;
    ws = c->data;

    if (ws->state == NGX_GOCONNECT_WS_DEAD) {
        return;
    }

    ngx_goconnect_ws_flush(ws);

    if (ws->blocked && ws->head == NULL) {
        ws->blocked = 0;

        if (ws->state == NGX_GOCONNECT_WS_OPEN) {
            ws->handlers->drained(ws);
        }
    }
}


void
ngx_goconnect_ws_start(ngx_goconnect_ws_t *ws, u_char *data, size_t len)
{
    ngx_connection_t *c;

    c = ws->connection;
    c->data = ws;
    c->read->handler = ngx_goconnect_ws_read_handler;
    c->write->handler = ngx_goconnect_ws_write_handler;
    c->idle = 1;

    gc_ws_parser_init(&ws->parser,
                      GC_WS_SERVER |
                          (ws->handlers->binary ? 0 : GC_WS_TEXT_ONLY) |
                          (ws->deflate ? GC_WS_DEFLATE : 0),
                      ws->handlers->message_max);

    ngx_goconnect_ws_set_state(ws, NGX_GOCONNECT_WS_OPEN);
    ngx_goconnect_ws_wheel_add(ws);

    if (ngx_exiting) {
        ngx_goconnect_ws_leave(ws);
    }

    ws->handlers->open(ws);

    if (len) {
        ngx_goconnect_ws_input(ws, data, len);
    }

    if (ws->state != NGX_GOCONNECT_WS_DEAD) {
        ngx_goconnect_ws_read(ws);
    }
}


void *
ngx_goconnect_ws_data(ngx_goconnect_ws_t *ws)
{
    return ws->data;
}


ngx_connection_t *
ngx_goconnect_ws_connection(ngx_goconnect_ws_t *ws)
{
    return ws->connection;
}


ngx_uint_t
ngx_goconnect_ws_is_open(ngx_goconnect_ws_t *ws)
{
    return ws->state == NGX_GOCONNECT_WS_OPEN;
}


ngx_uint_t
ngx_goconnect_ws_deflates(ngx_goconnect_ws_t *ws)
{
    return ws->deflate;
}


ngx_uint_t
ngx_goconnect_ws_count(void)
{
    return ngx_goconnect_ws_worker.count;
}


ngx_int_t
ngx_goconnect_ws_init_process(ngx_cycle_t *cycle)
{
    ngx_event_t *ev;

    ngx_queue_init(&ngx_goconnect_ws_worker.dead);

    ev = &ngx_goconnect_ws_worker.reaper;
    ev->handler = ngx_goconnect_ws_reap;
    ev->log = cycle->log;

    if (ngx_goconnect_ws_upgrade_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_goconnect_ws_leave_init(cycle);

    return ngx_goconnect_ws_wheel_init(cycle);
}
