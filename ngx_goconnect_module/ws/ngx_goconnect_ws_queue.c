/*
 * Frames and the output queue of a connection.
 */

#include "ws/ngx_goconnect_ws_private.h"


#define NGX_GOCONNECT_WS_GATHER 16 /* frames in one system call */


ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_alloc(unsigned first, size_t len, u_char **payload)
{
    ngx_goconnect_ws_frame_t *frame;
    size_t size;

    size = gc_ws_header_size(len, 0);

    frame = ngx_alloc(sizeof(ngx_goconnect_ws_frame_t) + size + len,
                      ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    frame->refs = 1;
    frame->len = (uint32_t) (size + len);
    frame->snapshot = 0;
    *payload = frame->data + gc_ws_header(frame->data, first, len, NULL);

    return frame;
}


ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_text(const u_char *text, size_t len)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *payload;

    frame =
        ngx_goconnect_ws_frame_alloc(GC_WS_FIN | GC_WS_OP_TEXT, len, &payload);
    if (frame) {
        ngx_memcpy(payload, text, len);
    }

    return frame;
}


void
ngx_goconnect_ws_frame_unref(ngx_goconnect_ws_frame_t *frame)
{
    if (--frame->refs == 0) {
        ngx_free(frame);
    }
}


static void
ngx_goconnect_ws_queue_shift(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_ws_node_t *node;

    node = ws->head;
    ws->head = node->next;

    if (ws->head == NULL) {
        ws->tail = NULL;
    }

    ws->sent = 0;
    ws->queued -= node->frame->len;

    if (!node->frame->snapshot) {
        ws->counted -= node->frame->len;
    }

    ngx_goconnect_ws_frame_unref(node->frame);
    ngx_free(node);
}


void
ngx_goconnect_ws_queue_free(ngx_goconnect_ws_t *ws)
{
    while (ws->head) {
        ngx_goconnect_ws_queue_shift(ws);
    }
}


void
ngx_goconnect_ws_queue_drop(ngx_goconnect_ws_t *ws)
{
    ngx_goconnect_ws_node_t *first;
    uint32_t sent;

    if (ws->sent == 0) {
        ngx_goconnect_ws_queue_free(ws);
        return;
    }

    first = ws->head;
    sent = ws->sent;

    while (first->next) {
        ws->head = first->next;
        ngx_goconnect_ws_queue_shift(ws);
        first->next = ws->head;
    }

    ws->head = first;
    ws->tail = first;
    ws->sent = sent;
}


void
ngx_goconnect_ws_queue(ngx_goconnect_ws_t *ws, ngx_goconnect_ws_frame_t *frame)
{
    ngx_goconnect_ws_node_t *node;

    if (ws->state != NGX_GOCONNECT_WS_OPEN) {
        return;
    }

    if (!frame->snapshot &&
        ws->counted + frame->len > NGX_GOCONNECT_WS_QUEUE_MAX) {
        ngx_goconnect_ws_queue_drop(ws);
        ngx_goconnect_ws_stats.slow++;
        ngx_goconnect_ws_close(ws, NGX_GOCONNECT_WS_SLOW,
                               "too slow: come back and resume");
        return;
    }

    node = ngx_alloc(sizeof(ngx_goconnect_ws_node_t), ngx_cycle->log);
    if (node == NULL) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    node->next = NULL;
    node->frame = frame;
    frame->refs++;

    if (ws->tail) {
        ws->tail->next = node;

    } else {
        ws->head = node;
    }

    ws->tail = node;
    ws->queued += frame->len;
    ngx_goconnect_ws_stats.sent++;

    if (!frame->snapshot) {
        ws->counted += frame->len;
    }
}


/* several frames in one system call; the number of bytes, or as c->send() */
static ssize_t
ngx_goconnect_ws_gather(ngx_goconnect_ws_t *ws)
{
    ngx_chain_t chain[NGX_GOCONNECT_WS_GATHER], *rest;
    ngx_buf_t buf[NGX_GOCONNECT_WS_GATHER];
    ngx_connection_t *c;
    ngx_goconnect_ws_node_t *node;
    ngx_uint_t i;
    off_t before;

    ngx_memzero(buf, sizeof(buf));
    c = ws->connection;
    i = 0;

    for (node = ws->head; node && i < NGX_GOCONNECT_WS_GATHER; i++) {
        buf[i].pos = node->frame->data + (i == 0 ? ws->sent : 0);
        buf[i].last = node->frame->data + node->frame->len;
        buf[i].memory = 1;
        chain[i].buf = &buf[i];
        chain[i].next = NULL;

        if (i > 0) {
            chain[i - 1].next = &chain[i];
        }

        node = node->next;
    }

    before = c->sent;
    rest = c->send_chain(c, chain, 0);

    if (rest == NGX_CHAIN_ERROR) {
        return NGX_ERROR;
    }

    if (c->sent == before) {
        return NGX_AGAIN;
    }

    return (ssize_t) (c->sent - before);
}


static ssize_t
ngx_goconnect_ws_write(ngx_goconnect_ws_t *ws)
{
    ngx_connection_t *c;

    c = ws->connection;

#if (NGX_HTTP_SSL)
    /* the chain would bring back the 16 KB buffer that was freed */
    if (c->ssl) {
        return c->send(c, ws->head->frame->data + ws->sent,
                       ws->head->frame->len - ws->sent);
    }
#endif

    if (ws->head->next == NULL) {
        return c->send(c, ws->head->frame->data + ws->sent,
                       ws->head->frame->len - ws->sent);
    }

    return ngx_goconnect_ws_gather(ws);
}


static void
ngx_goconnect_ws_took(ngx_goconnect_ws_t *ws, size_t n)
{
    size_t left;

    while (n) {
        left = ws->head->frame->len - ws->sent;

        if (n < left) {
            ws->sent += (uint32_t) n;
            return;
        }

        n -= left;
        ngx_goconnect_ws_queue_shift(ws);
    }
}


/* has the peer sent more than was read? */
static ngx_uint_t
ngx_goconnect_ws_unread(ngx_connection_t *c)
{
    int n;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        return 0;
    }
#endif

    return ngx_socket_nread(c->fd, &n) == 0 && n > 0;
}


/* all is sent: does the closing handshake go on? */
static void
ngx_goconnect_ws_flushed(ngx_goconnect_ws_t *ws)
{
    ngx_connection_t *c;

    if (ws->state != NGX_GOCONNECT_WS_CLOSING || ws->half_closed) {
        return;
    }

    c = ws->connection;

    if (ws->peer_closed) {
        if (!ngx_goconnect_ws_unread(c)) {
            ngx_goconnect_ws_die(ws);
            return;
        }

        ws->failed = 1;
    }

    /* what still comes is thrown away, and a reset would take our close
     * frame with it: let the peer be the first to leave */
    if (ws->failed
#if (NGX_HTTP_SSL)
        && c->ssl == NULL
#endif
    ) {
        ws->half_closed = 1;
        (void) ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN);
    }
}


void
ngx_goconnect_ws_flush(ngx_goconnect_ws_t *ws)
{
    ngx_connection_t *c;
    ssize_t n;

    if (ws->state != NGX_GOCONNECT_WS_OPEN &&
        ws->state != NGX_GOCONNECT_WS_CLOSING) {
        return;
    }

    c = ws->connection;

    while (ws->head) {
        if (!c->write->ready) {
            n = NGX_AGAIN;

        } else {
            n = ngx_goconnect_ws_write(ws);
        }

        if (n == NGX_AGAIN) {
            ws->blocked = 1;

            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_goconnect_ws_die(ws);
            }

            return;
        }

        if (n == NGX_ERROR) {
            c->error = 1;
            ngx_goconnect_ws_die(ws);
            return;
        }

        ngx_goconnect_ws_took(ws, (size_t) n);
    }

    ngx_goconnect_ws_flushed(ws);
}


void
ngx_goconnect_ws_send(ngx_goconnect_ws_t *ws, ngx_goconnect_ws_frame_t *frame)
{
    ngx_goconnect_ws_queue(ws, frame);
    ngx_goconnect_ws_flush(ws);
}


void
ngx_goconnect_ws_send_text(ngx_goconnect_ws_t *ws, const u_char *text,
                           size_t len)
{
    ngx_goconnect_ws_frame_t *frame;

    frame = ngx_goconnect_ws_frame_text(text, len);
    if (frame == NULL) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    ngx_goconnect_ws_send(ws, frame);
    ngx_goconnect_ws_frame_unref(frame);
}


void
ngx_goconnect_ws_send_control(ngx_goconnect_ws_t *ws, unsigned opcode,
                              const u_char *payload, size_t len)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *p;

    frame = ngx_goconnect_ws_frame_alloc(GC_WS_FIN | opcode, len, &p);
    if (frame == NULL) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    if (len) {
        ngx_memcpy(p, payload, len);
    }

    ngx_goconnect_ws_send(ws, frame);
    ngx_goconnect_ws_frame_unref(frame);
}


size_t
ngx_goconnect_ws_queued(ngx_goconnect_ws_t *ws)
{
    return ws->queued;
}
