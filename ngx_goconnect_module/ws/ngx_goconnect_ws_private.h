/*
 * What the files of ws/ share.
 */


#ifndef NGX_GOCONNECT_WS_PRIVATE_H
#define NGX_GOCONNECT_WS_PRIVATE_H


#include "ws/ngx_goconnect_ws.h"


typedef enum {
    NGX_GOCONNECT_WS_UPGRADING = 0, /* its HTTP request is still there */
    NGX_GOCONNECT_WS_OPEN,
    NGX_GOCONNECT_WS_CLOSING, /* the close frame is queued or sent */
    NGX_GOCONNECT_WS_DEAD     /* waits for the reaper */
} ngx_goconnect_ws_state_e;


typedef struct ngx_goconnect_ws_node_s ngx_goconnect_ws_node_t;
typedef struct ngx_goconnect_ws_kept_s ngx_goconnect_ws_kept_t;

struct ngx_goconnect_ws_node_s {
    ngx_goconnect_ws_node_t *next;
    ngx_goconnect_ws_frame_t *frame; /* one reference */
};


struct ngx_goconnect_ws_s {
    ngx_queue_t queue; /* in the list of its state */
    ngx_connection_t *connection;
    ngx_http_request_t *request; /* UPGRADING only */
    ngx_goconnect_ws_t **slot;   /* of the request's cleanup, as long */
    const ngx_goconnect_ws_handlers_t *handlers;
    void *data;                    /* the handlers' */
    ngx_goconnect_ws_kept_t *kept; /* NULL: the connection has its pool */

    u_char *message; /* of several pieces, so far */
    uint32_t message_len;
    uint32_t message_room;
    u_char *ping; /* payload that came in pieces, GC_WS_CONTROL_MAX */

    ngx_goconnect_ws_node_t *head; /* output queue */
    ngx_goconnect_ws_node_t *tail;
    uint32_t sent;    /* of the head's frame */
    uint32_t queued;  /* bytes, all */
    uint32_t counted; /* bytes that count against the limit */

    gc_ws_parser_t parser;
    uint32_t ping_at;  /* ngx_time() */
    uint16_t controls; /* pings and pongs since the last heartbeat */

    unsigned state : 3;
    unsigned missed : 3; /* heartbeats without an answer */
    unsigned ping_len : 7;
    unsigned failed : 1;      /* input is thrown away */
    unsigned peer_closed : 1; /* its close frame was read */
    unsigned restarting : 1;  /* waits for its turn to be told */
    unsigned half_closed : 1;
    unsigned blocked : 1; /* the socket took no more */
    unsigned deflate : 1; /* permessage-deflate was agreed on */
};


/* the one door between states */
void ngx_goconnect_ws_set_state(ngx_goconnect_ws_t *ws,
                                ngx_goconnect_ws_state_e state);

/* gives the connection up without another word; safe anywhere */
void ngx_goconnect_ws_die(ngx_goconnect_ws_t *ws);

/* says the last word, whatever is under way, and dies */
void ngx_goconnect_ws_end(ngx_goconnect_ws_t *ws, void *data);

/* frees the dead ones; for the end of a worker */
void ngx_goconnect_ws_reap_now(void);

/* the connection is ws' alone; `data` is what was read behind the request */
void ngx_goconnect_ws_start(ngx_goconnect_ws_t *ws, u_char *data, size_t len);

/* frees what only HTTP needs; the request is gone */
void ngx_goconnect_ws_slim(ngx_goconnect_ws_t *ws, ngx_http_connection_t *hc);

/* of a socket that was slimmed */
void ngx_goconnect_ws_close_connection(ngx_goconnect_ws_t *ws);

/* control frames */
void ngx_goconnect_ws_send_control(ngx_goconnect_ws_t *ws, unsigned opcode,
                                   const u_char *payload, size_t len);

/* forgets the queue but for a frame that is half sent */
void ngx_goconnect_ws_queue_drop(ngx_goconnect_ws_t *ws);
void ngx_goconnect_ws_queue_free(ngx_goconnect_ws_t *ws);

/* compression */
#define NGX_GOCONNECT_WS_STORED_HEAD 5 /* of a stored block */

typedef struct {
    u_char *data;
    size_t len;
    size_t room;
} ngx_goconnect_ws_inflated_t;

/*
 * A compressed message as it was; its data is the caller's to free.
 * NGX_DECLINED: that is none; NGX_BUSY: more than max bytes; NGX_ERROR.
 */
ngx_int_t ngx_goconnect_ws_inflate(u_char *data, size_t len, size_t max,
                                   ngx_goconnect_ws_inflated_t *to);
void ngx_goconnect_ws_deflate_exit(void);

/* heartbeat */
ngx_int_t ngx_goconnect_ws_wheel_init(ngx_cycle_t *cycle);
void ngx_goconnect_ws_wheel_add(ngx_goconnect_ws_t *ws);

/* sockets that are to come back, out of the heartbeat's list meanwhile */
void ngx_goconnect_ws_leave_init(ngx_cycle_t *cycle);
void ngx_goconnect_ws_leave_exit(void);
void ngx_goconnect_ws_leave_each(void (*fn)(ngx_goconnect_ws_t *ws, void *data),
                                 void *data);
void ngx_goconnect_ws_queue_each(ngx_queue_t *list,
                                 void (*fn)(ngx_goconnect_ws_t *ws, void *data),
                                 void *data);

/* upgrades that wait for their turn */
ngx_int_t ngx_goconnect_ws_upgrade_init(ngx_cycle_t *cycle);


#endif /* NGX_GOCONNECT_WS_PRIVATE_H */
