/*
 * WebSocket connections of a worker: upgrade, frames, heartbeat, closing.
 * Knows nothing of what is said over them: that is its handlers'.
 *
 * After the 101 a connection is detached from its HTTP request, whose memory
 * goes back; what stays is an ngx_goconnect_ws_t, owned here from a successful
 * _upgrade() until its `gone` handler has returned.
 */


#ifndef NGX_GOCONNECT_WS_H
#define NGX_GOCONNECT_WS_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/gc_ws_frame.h"


#define NGX_GOCONNECT_WS_MESSAGE_MAX 65536
#define NGX_GOCONNECT_WS_QUEUE_MAX (1024 * 1024)
#ifndef NGX_GOCONNECT_WS_HEARTBEAT
#define NGX_GOCONNECT_WS_HEARTBEAT 30 /* seconds; tests have less */
#endif
#define NGX_GOCONNECT_WS_MISSED_MAX 2     /* heartbeats */
#define NGX_GOCONNECT_WS_CONTROL_MAX 1000 /* pings and pongs in a heartbeat */

/* close codes of our own, RFC 6455 section 7.4.2 */
#define NGX_GOCONNECT_WS_TOKEN_REFUSED 4001
#define NGX_GOCONNECT_WS_REVOKED 4003
#define NGX_GOCONNECT_WS_SLOW 4008
#define NGX_GOCONNECT_WS_REPLACED 4009


typedef struct ngx_goconnect_ws_s ngx_goconnect_ws_t;


/* header and payload; one serialisation, shared by every queue it stands in */
typedef struct {
    uint32_t refs;
    uint32_t len;
    unsigned snapshot : 1; /* does not count against a queue's limit */
    u_char data[];
} ngx_goconnect_ws_frame_t;


/* none may free ws; all but `gone` may send and close */
typedef struct {
    /* the connection is detached and can be written to */
    void (*open)(ngx_goconnect_ws_t *ws);
    /* a whole text message, UTF-8, good until the call returns */
    void (*text)(ngx_goconnect_ws_t *ws, u_char *data, size_t len);
    /* a whole binary message, likewise; NULL: they are refused with 1003 */
    void (*binary)(ngx_goconnect_ws_t *ws, u_char *data, size_t len);
    /* the output queue has become empty */
    void (*drained)(ngx_goconnect_ws_t *ws);
    /*
     * The client is to come back: say so, then close with 1012.  NGX_AGAIN:
     * it is in the middle of something, ask once more; not with `last`.
     */
    ngx_int_t (*restart)(ngx_goconnect_ws_t *ws, ngx_uint_t last);
    /* the last word; runs for each successful _upgrade(), open or not */
    void (*gone)(ngx_goconnect_ws_t *ws);
    /* the longest message that may come, in bytes */
    uint32_t message_max;
} ngx_goconnect_ws_handlers_t;


ngx_int_t ngx_goconnect_ws_init_process(ngx_cycle_t *cycle);

/* says 1012 to whoever is still there and closes */
void ngx_goconnect_ws_exit_process(ngx_cycle_t *cycle);


/*
 * Whether r asks for a WebSocket in a way that can be granted: NGX_DECLINED,
 * there is nothing to refuse.  Else the refusal (400, 405, 426) is sent, and
 * the content handler returns the same.
 */
ngx_int_t ngx_goconnect_ws_check(ngx_http_request_t *r);

/*
 * Sends the 101 and detaches the connection in a later turn.  NGX_DONE: the
 * content handler returns it, and `data` is the handlers' from now on.  Else
 * the handler returns the code and `data` is still the caller's.
 * deflate: whether compression is agreed to if the client offers it.
 */
ngx_int_t ngx_goconnect_ws_upgrade(ngx_http_request_t *r,
                                   const ngx_goconnect_ws_handlers_t *handlers,
                                   void *data, ngx_uint_t deflate);


void *ngx_goconnect_ws_data(ngx_goconnect_ws_t *ws);
ngx_connection_t *ngx_goconnect_ws_connection(ngx_goconnect_ws_t *ws);

/* 1 until the close frame is queued */
ngx_uint_t ngx_goconnect_ws_is_open(ngx_goconnect_ws_t *ws);

/* whether compressed messages may be sent: permessage-deflate was agreed on */
ngx_uint_t ngx_goconnect_ws_deflates(ngx_goconnect_ws_t *ws);

/* bytes in the output queue */
size_t ngx_goconnect_ws_queued(ngx_goconnect_ws_t *ws);

/*
 * Queues a frame with a reference of its own and sends what the socket takes.
 * Beyond the queue's limit the connection is closed with 4008.  A connection
 * that is closing takes nothing.  Never calls a handler.
 */
void ngx_goconnect_ws_send(ngx_goconnect_ws_t *ws,
                           ngx_goconnect_ws_frame_t *frame);

/* _send() of a text frame made for this connection alone */
void ngx_goconnect_ws_send_text(ngx_goconnect_ws_t *ws, const u_char *text,
                                size_t len);

/* the same in two steps: queue several, then send */
void ngx_goconnect_ws_queue(ngx_goconnect_ws_t *ws,
                            ngx_goconnect_ws_frame_t *frame);
void ngx_goconnect_ws_flush(ngx_goconnect_ws_t *ws);

/*
 * Starts the closing handshake behind what is queued; reason may be NULL.
 * Does nothing on a connection that is closing already.  Never calls a
 * handler.
 */
void ngx_goconnect_ws_close(ngx_goconnect_ws_t *ws, unsigned code,
                            const char *reason);

/*
 * Has the `restart` handler run when it is this connection's turn: a worker
 * tells so many a second.  A connection is told once.
 */
void ngx_goconnect_ws_leave(ngx_goconnect_ws_t *ws);

/* fn on each; it may send and close */
void ngx_goconnect_ws_each(void (*fn)(ngx_goconnect_ws_t *ws, void *data),
                           void *data);

/* of this worker, since it began */
typedef struct {
    ngx_uint_t opened;
    ngx_uint_t closed;
    ngx_uint_t received; /* messages */
    ngx_uint_t sent;     /* frames that were queued */
    ngx_uint_t slow;     /* connections closed with 4008 for their queue */
} ngx_goconnect_ws_stats_t;

extern ngx_goconnect_ws_stats_t ngx_goconnect_ws_stats;

/* WebSockets of this worker */
ngx_uint_t ngx_goconnect_ws_count(void);


/*
 * A frame with room for len bytes of payload, which *payload points at, and
 * one reference, the caller's.  `first`: opcode, or-ed with GC_WS_FIN.
 * NULL: no memory.
 */
ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_alloc(unsigned first, size_t len, u_char **payload);

/* a whole text message */
ngx_goconnect_ws_frame_t *ngx_goconnect_ws_frame_text(const u_char *text,
                                                      size_t len);

/*
 * A frame of compressed bytes, to be the whole of a message (then with
 * GC_WS_RSV1 in `first`) or to follow a frame of the next function.
 */
ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_deflate(unsigned first, const u_char *data, size_t len);

/*
 * The first frame of a compressed message with bytes that are not, at most
 * 65,535: what differs between the sockets that share the rest.
 */
ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_stored(unsigned first, const u_char *data, size_t len);

void ngx_goconnect_ws_frame_unref(ngx_goconnect_ws_frame_t *frame);


#endif /* NGX_GOCONNECT_WS_H */
