/*
 * An echo server over the product's WebSocket layer, for tests of the
 * protocol: what Autobahn's test suite asks of the server that it tests.
 *
 *   ws_echo;            in a location: every message comes back as it was,
 *                       binary ones uncounted by the queue's limit
 *   ws_echo bytewise;   the same, and whatever the client sends is read one
 *                       byte at a time
 *   ws_echo resting;    says nothing and is never ready to be sent away:
 *                       "free" as a message makes it so, "leave" has the
 *                       worker send all of its sockets away
 *   ws_echo deflate;    agrees to compression, and sends each message
 *                       compressed behind a first byte that is not
 */

#include "ws/ngx_goconnect_ws.h"


#define NGX_HTTP_WS_ECHO_MAX (16 * 1024 * 1024)


typedef enum {
    NGX_HTTP_WS_ECHO_OFF = 0,
    NGX_HTTP_WS_ECHO_WHOLE,
    NGX_HTTP_WS_ECHO_BYTEWISE,
    NGX_HTTP_WS_ECHO_RESTING,
    NGX_HTTP_WS_ECHO_DEFLATE
} ngx_http_ws_echo_e;


typedef struct {
    ngx_uint_t mode;
} ngx_http_ws_echo_loc_conf_t;


/* of one connection */
typedef struct {
    ngx_uint_t mode;
    ngx_uint_t busy;
    ngx_recv_pt recv; /* nginx's own */
} ngx_http_ws_echo_t;


static void ngx_http_ws_echo_open(ngx_goconnect_ws_t *ws);
static void ngx_http_ws_echo_text(ngx_goconnect_ws_t *ws, u_char *data,
                                  size_t len);
static void ngx_http_ws_echo_binary(ngx_goconnect_ws_t *ws, u_char *data,
                                    size_t len);
static void ngx_http_ws_echo_drained(ngx_goconnect_ws_t *ws);
static ngx_int_t ngx_http_ws_echo_restart(ngx_goconnect_ws_t *ws,
                                          ngx_uint_t last);
static void ngx_http_ws_echo_gone(ngx_goconnect_ws_t *ws);

static void *ngx_http_ws_echo_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_ws_echo(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_ws_echo_init_process(ngx_cycle_t *cycle);
static void ngx_http_ws_echo_exit_process(ngx_cycle_t *cycle);


static const ngx_goconnect_ws_handlers_t ngx_http_ws_echo_handlers = {
    ngx_http_ws_echo_open,    ngx_http_ws_echo_text,    ngx_http_ws_echo_binary,
    ngx_http_ws_echo_drained, ngx_http_ws_echo_restart, ngx_http_ws_echo_gone,
    NGX_HTTP_WS_ECHO_MAX,
};


static ngx_command_t ngx_http_ws_echo_commands[] = {

    {ngx_string("ws_echo"),
     NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1, ngx_http_ws_echo,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},

    ngx_null_command};


static ngx_http_module_t ngx_http_ws_echo_module_ctx = {
    NULL, /* preconfiguration */
    NULL, /* postconfiguration */

    NULL, /* create main configuration */
    NULL, /* init main configuration */

    NULL, /* create server configuration */
    NULL, /* merge server configuration */

    ngx_http_ws_echo_create_loc_conf, /* create location configuration */
    NULL                              /* merge location configuration */
};


ngx_module_t ngx_http_ws_echo_module = {
    NGX_MODULE_V1,
    &ngx_http_ws_echo_module_ctx,  /* module context */
    ngx_http_ws_echo_commands,     /* module directives */
    NGX_HTTP_MODULE,               /* module type */
    NULL,                          /* init master */
    NULL,                          /* init module */
    ngx_http_ws_echo_init_process, /* init process */
    NULL,                          /* init thread */
    NULL,                          /* exit thread */
    ngx_http_ws_echo_exit_process, /* exit process */
    NULL,                          /* exit master */
    NGX_MODULE_V1_PADDING};


static ssize_t
ngx_http_ws_echo_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ngx_http_ws_echo_t *echo;

    echo = ngx_goconnect_ws_data(c->data);

    return echo->recv(c, buf, ngx_min(size, 1));
}


static void
ngx_http_ws_echo_open(ngx_goconnect_ws_t *ws)
{
    ngx_http_ws_echo_t *echo;
    ngx_connection_t *c;

    echo = ngx_goconnect_ws_data(ws);
    c = ngx_goconnect_ws_connection(ws);

    if (echo->mode == NGX_HTTP_WS_ECHO_BYTEWISE) {
        echo->recv = c->recv;
        c->recv = ngx_http_ws_echo_recv;
    }
}


static void ngx_http_ws_echo_pack(ngx_goconnect_ws_t *ws, unsigned opcode,
                                  u_char *data, size_t len);


static void
ngx_http_ws_echo_send(ngx_goconnect_ws_t *ws, unsigned opcode, u_char *data,
                      size_t len)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *payload;

    if (ngx_goconnect_ws_deflates(ws)) {
        ngx_http_ws_echo_pack(ws, opcode, data, len);
        return;
    }

    frame = ngx_goconnect_ws_frame_alloc(GC_WS_FIN | opcode, len, &payload);
    if (frame == NULL) {
        ngx_goconnect_ws_close(ws, GC_WS_CLOSE_INTERNAL, "out of memory");
        return;
    }

    if (len) {
        ngx_memcpy(payload, data, len);
    }

    frame->snapshot = opcode == GC_WS_OP_BINARY;

    ngx_goconnect_ws_send(ws, frame);
    ngx_goconnect_ws_frame_unref(frame);
}


/* as a netmap's part goes: what is one socket's own, then what all share */
static void
ngx_http_ws_echo_pack(ngx_goconnect_ws_t *ws, unsigned opcode, u_char *data,
                      size_t len)
{
    ngx_goconnect_ws_frame_t *head, *rest;
    size_t own;

    own = len ? 1 : 0;
    head = ngx_goconnect_ws_frame_stored(opcode, data, own);
    rest = ngx_goconnect_ws_frame_deflate(GC_WS_FIN | GC_WS_OP_CONTINUATION,
                                          data + own, len - own);

    if (head && rest) {
        head->snapshot = 1;
        rest->snapshot = 1;
        ngx_goconnect_ws_queue(ws, head);
        ngx_goconnect_ws_send(ws, rest);

    } else {
        ngx_goconnect_ws_close(ws, GC_WS_CLOSE_INTERNAL, "out of memory");
    }

    if (head) {
        ngx_goconnect_ws_frame_unref(head);
    }

    if (rest) {
        ngx_goconnect_ws_frame_unref(rest);
    }
}


static void
ngx_http_ws_echo_leave(ngx_goconnect_ws_t *ws, void *data)
{
    ngx_goconnect_ws_leave(ws);
}


static void
ngx_http_ws_echo_text(ngx_goconnect_ws_t *ws, u_char *data, size_t len)
{
    ngx_http_ws_echo_t *echo;

    echo = ngx_goconnect_ws_data(ws);

    if (echo->mode != NGX_HTTP_WS_ECHO_RESTING) {
        ngx_http_ws_echo_send(ws, GC_WS_OP_TEXT, data, len);

    } else if (len == 4 && ngx_strncmp(data, "free", 4) == 0) {
        echo->busy = 0;

    } else if (len == 5 && ngx_strncmp(data, "leave", 5) == 0) {
        ngx_goconnect_ws_each(ngx_http_ws_echo_leave, NULL);
    }
}


static void
ngx_http_ws_echo_binary(ngx_goconnect_ws_t *ws, u_char *data, size_t len)
{
    ngx_http_ws_echo_send(ws, GC_WS_OP_BINARY, data, len);
}


static void
ngx_http_ws_echo_drained(ngx_goconnect_ws_t *ws)
{
    /* nothing waits */
}


static ngx_int_t
ngx_http_ws_echo_restart(ngx_goconnect_ws_t *ws, ngx_uint_t last)
{
    ngx_http_ws_echo_t *echo;

    echo = ngx_goconnect_ws_data(ws);

    if (echo->busy && !last) {
        return NGX_AGAIN;
    }

    ngx_goconnect_ws_close(ws, GC_WS_CLOSE_RESTART, "server restarts");

    return NGX_OK;
}


static void
ngx_http_ws_echo_gone(ngx_goconnect_ws_t *ws)
{
    ngx_free(ngx_goconnect_ws_data(ws));
}


static ngx_int_t
ngx_http_ws_echo_handler(ngx_http_request_t *r)
{
    ngx_http_ws_echo_loc_conf_t *elcf;
    ngx_http_ws_echo_t *echo;
    ngx_int_t rc;

    rc = ngx_goconnect_ws_check(r);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_ws_echo_module);

    echo = ngx_calloc(sizeof(ngx_http_ws_echo_t), r->connection->log);
    if (echo == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    echo->mode = elcf->mode;
    echo->busy = elcf->mode == NGX_HTTP_WS_ECHO_RESTING;

    rc = ngx_goconnect_ws_upgrade(r, &ngx_http_ws_echo_handlers, echo,
                                  elcf->mode == NGX_HTTP_WS_ECHO_DEFLATE);

    if (rc != NGX_DONE) {
        ngx_free(echo);
    }

    return rc;
}


static void *
ngx_http_ws_echo_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_ws_echo_loc_conf_t));
}


static char *
ngx_http_ws_echo(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_ws_echo_loc_conf_t *elcf = conf;

    ngx_http_core_loc_conf_t *clcf;
    ngx_str_t *value;

    value = cf->args->elts;

    if (elcf->mode != NGX_HTTP_WS_ECHO_OFF) {
        return "is duplicate";
    }

    if (cf->args->nelts == 1) {
        elcf->mode = NGX_HTTP_WS_ECHO_WHOLE;

    } else if (ngx_strcmp(value[1].data, "bytewise") == 0) {
        elcf->mode = NGX_HTTP_WS_ECHO_BYTEWISE;

    } else if (ngx_strcmp(value[1].data, "resting") == 0) {
        elcf->mode = NGX_HTTP_WS_ECHO_RESTING;

    } else if (ngx_strcmp(value[1].data, "deflate") == 0) {
        elcf->mode = NGX_HTTP_WS_ECHO_DEFLATE;

    } else {
        return "takes nothing, \"bytewise\", \"resting\" or \"deflate\"";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_ws_echo_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_ws_echo_init_process(ngx_cycle_t *cycle)
{
    return ngx_goconnect_ws_init_process(cycle);
}


static void
ngx_http_ws_echo_exit_process(ngx_cycle_t *cycle)
{
    ngx_goconnect_ws_exit_process(cycle);
}
