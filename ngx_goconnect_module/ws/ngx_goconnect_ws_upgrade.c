/*
 * The opening handshake (RFC 6455, section 4.2), and how a connection leaves
 * its HTTP request.
 */

#include "ws/ngx_goconnect_ws_private.h"
#include "core/gc_status.h"
#include "core/gc_ws_deflate.h"

#include <openssl/evp.h>


#define NGX_GOCONNECT_WS_KEY_LEN 24 /* 16 bytes in base64 */
#define NGX_GOCONNECT_WS_SHA1_LEN 20
#define NGX_GOCONNECT_WS_SEND_TIMEOUT 10000

static const char ngx_goconnect_ws_guid[] =
    "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";


typedef struct {
    ngx_queue_t waiting; /* upgrades whose 101 is sent, or being sent */
    ngx_event_t event;
} ngx_goconnect_ws_upgrades_t;


static ngx_goconnect_ws_upgrades_t ngx_goconnect_ws_upgrades;


/* the next header of that name behind `after`, the first one if it is NULL */
static ngx_table_elt_t *
ngx_goconnect_ws_header(ngx_http_request_t *r, const char *name,
                        ngx_table_elt_t *after)
{
    ngx_list_part_t *part;
    ngx_table_elt_t *header;
    ngx_uint_t i, found;
    size_t len;

    len = ngx_strlen(name);
    found = after == NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (!found) {
                found = &header[i] == after;
                continue;
            }

            if (header[i].key.len == len &&
                ngx_strncasecmp(header[i].key.data, (u_char *) name, len) ==
                    0) {
                return &header[i];
            }
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_goconnect_ws_list_has(ngx_str_t *list, const char *token)
{
    u_char *p, *last, *start, *end;
    size_t len;

    len = ngx_strlen(token);
    last = list->data + list->len;

    for (p = list->data; p < last; p++) {
        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        start = p;

        while (p < last && *p != ',') {
            p++;
        }

        end = p;

        while (end > start && (end[-1] == ' ' || end[-1] == '\t')) {
            end--;
        }

        if ((size_t) (end - start) == len &&
            ngx_strncasecmp(start, (u_char *) token, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_goconnect_ws_header_has(ngx_http_request_t *r, const char *name,
                            const char *token)
{
    ngx_table_elt_t *header;

    header = NULL;

    while ((header = ngx_goconnect_ws_header(r, name, header)) != NULL) {
        if (ngx_goconnect_ws_list_has(&header->value, token)) {
            return 1;
        }
    }

    return 0;
}


/* one header, 16 bytes in base64 */
static ngx_str_t *
ngx_goconnect_ws_key(ngx_http_request_t *r)
{
    ngx_table_elt_t *header;
    ngx_str_t decoded;
    u_char buf[NGX_GOCONNECT_WS_KEY_LEN];

    header = ngx_goconnect_ws_header(r, "Sec-WebSocket-Key", NULL);

    if (header == NULL || header->value.len != NGX_GOCONNECT_WS_KEY_LEN ||
        ngx_goconnect_ws_header(r, "Sec-WebSocket-Key", header) != NULL) {
        return NULL;
    }

    decoded.data = buf;

    if (ngx_decode_base64(&decoded, &header->value) != NGX_OK ||
        decoded.len != 16) {
        return NULL;
    }

    return &header->value;
}


/* what of the client's offers is agreed on; a header may come in pieces */
static gc_ws_deflate_e
ngx_goconnect_ws_offer(ngx_http_request_t *r)
{
    ngx_table_elt_t *header;
    gc_ws_deflate_e agreed, one;

    header = NULL;
    agreed = GC_WS_DEFLATE_NONE;

    while ((header = ngx_goconnect_ws_header(r, "Sec-WebSocket-Extensions",
                                             header)) != NULL) {
        one =
            gc_ws_deflate_offer((char *) header->value.data, header->value.len);

        if (one == GC_WS_DEFLATE_WRONG) {
            return GC_WS_DEFLATE_WRONG;
        }

        if (agreed == GC_WS_DEFLATE_NONE) {
            agreed = one;
        }
    }

    return agreed;
}


static ngx_int_t
ngx_goconnect_ws_add_header(ngx_http_request_t *r, const char *name,
                            const char *value)
{
    ngx_table_elt_t *header;

    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->hash = 1;
    header->key.data = (u_char *) name;
    header->key.len = ngx_strlen(name);
    header->value.data = (u_char *) value;
    header->value.len = ngx_strlen(value);

    return NGX_OK;
}


/* a problem object (RFC 9457); all strings are constant */
static ngx_int_t
ngx_goconnect_ws_refuse(ngx_http_request_t *r, ngx_uint_t status,
                        const char *code, const char *detail)
{
    ngx_chain_t out;
    ngx_buf_t *b;
    ngx_int_t rc;
    const char *title;
    size_t size;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    title = gc_status_phrase((unsigned) status);
    size = sizeof("{\"type\":\"about:blank\",\"title\":\"\",\"status\":,"
                  "\"detail\":\"\",\"code\":\"\"}\n") +
           NGX_INT_T_LEN + ngx_strlen(title) + ngx_strlen(code) +
           ngx_strlen(detail);

    b = ngx_create_temp_buf(r->pool, size);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_sprintf(b->pos,
                          "{\"type\":\"about:blank\",\"title\":\"%s\","
                          "\"status\":%ui,\"detail\":\"%s\",\"code\":\"%s\"}\n",
                          title, status, detail, code);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    if (status == 426) {
        /* no phrase in nginx's table */
        ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_goconnect_ws_check(ngx_http_request_t *r)
{
    ngx_table_elt_t *version;

    if (r->method != NGX_HTTP_GET) {
        if (ngx_goconnect_ws_add_header(r, "Allow", "GET") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_goconnect_ws_refuse(r, NGX_HTTP_NOT_ALLOWED,
                                       "method_not_allowed",
                                       "A WebSocket begins with GET.");
    }

    if (r != r->main || r->http_version != NGX_HTTP_VERSION_11 ||
        !ngx_goconnect_ws_header_has(r, "Upgrade", "websocket")) {
        if (ngx_goconnect_ws_add_header(r, "Upgrade", "websocket") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_goconnect_ws_refuse(
            r, 426, "upgrade_required",
            "Only WebSocket over HTTP/1.1 is served here.");
    }

    if (!ngx_goconnect_ws_header_has(r, "Connection", "upgrade")) {
        return ngx_goconnect_ws_refuse(
            r, NGX_HTTP_BAD_REQUEST, "invalid_handshake",
            "The Connection header does not name Upgrade.");
    }

    version = ngx_goconnect_ws_header(r, "Sec-WebSocket-Version", NULL);

    if (version == NULL || version->value.len != 2 ||
        ngx_strncmp(version->value.data, "13", 2) != 0) {
        if (ngx_goconnect_ws_add_header(r, "Sec-WebSocket-Version", "13") !=
                NGX_OK ||
            ngx_goconnect_ws_add_header(r, "Upgrade", "websocket") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_goconnect_ws_refuse(
            r, 426, "unsupported_version",
            "Only version 13 of WebSocket is spoken here.");
    }

    if (ngx_goconnect_ws_key(r) == NULL) {
        return ngx_goconnect_ws_refuse(
            r, NGX_HTTP_BAD_REQUEST, "invalid_handshake",
            "Sec-WebSocket-Key is not 16 bytes in base64.");
    }

    if (ngx_goconnect_ws_offer(r) == GC_WS_DEFLATE_WRONG) {
        return ngx_goconnect_ws_refuse(
            r, NGX_HTTP_BAD_REQUEST, "invalid_handshake",
            "Sec-WebSocket-Extensions is not a list of extensions.");
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return ngx_goconnect_ws_refuse(r, NGX_HTTP_BAD_REQUEST,
                                       "invalid_handshake",
                                       "A handshake has no body.");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_goconnect_ws_accept(ngx_http_request_t *r, ngx_str_t *accept)
{
    u_char text[NGX_GOCONNECT_WS_KEY_LEN + sizeof(ngx_goconnect_ws_guid) - 1];
    u_char digest[NGX_GOCONNECT_WS_SHA1_LEN], *p;
    ngx_str_t *key, raw;

    key = ngx_goconnect_ws_key(r);
    if (key == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(text, key->data, key->len);
    ngx_memcpy(p, ngx_goconnect_ws_guid, sizeof(ngx_goconnect_ws_guid) - 1);

    if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha1(), NULL) != 1) {
        return NGX_ERROR;
    }

    raw.data = digest;
    raw.len = sizeof(digest);

    accept->data = ngx_pcalloc(r->pool, ngx_base64_encoded_length(raw.len) + 1);
    if (accept->data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(accept, &raw);

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_ws_send_101(ngx_http_request_t *r, gc_ws_deflate_e agreed)
{
    ngx_str_t accept;
    ngx_int_t rc;

    if (ngx_goconnect_ws_accept(r, &accept) != NGX_OK ||
        ngx_goconnect_ws_add_header(r, "Upgrade", "websocket") != NGX_OK ||
        ngx_goconnect_ws_add_header(r, "Sec-WebSocket-Accept",
                                    (char *) accept.data) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (agreed != GC_WS_DEFLATE_NONE &&
        ngx_goconnect_ws_add_header(r, "Sec-WebSocket-Extensions",
                                    gc_ws_deflate_answer(agreed)) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;
    r->keepalive = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc == NGX_ERROR ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
    }

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* nginx ends the request by itself, and the connection with it */
static void
ngx_goconnect_ws_orphan(void *data)
{
    ngx_goconnect_ws_t **slot, *ws;

    slot = data;
    ws = *slot;

    if (ws == NULL) {
        return;
    }

    ngx_queue_remove(&ws->queue);
    ws->handlers->gone(ws);
    ngx_free(ws);
}


ngx_int_t
ngx_goconnect_ws_upgrade(ngx_http_request_t *r,
                         const ngx_goconnect_ws_handlers_t *handlers,
                         void *data, ngx_uint_t deflate)
{
    ngx_http_cleanup_t *cln;
    ngx_goconnect_ws_t *ws;
    gc_ws_deflate_e agreed;
    ngx_int_t rc;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_goconnect_ws_t *));
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ws = ngx_calloc(sizeof(ngx_goconnect_ws_t), r->connection->log);
    if (ws == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    agreed = deflate ? ngx_goconnect_ws_offer(r) : GC_WS_DEFLATE_NONE;

    rc = ngx_goconnect_ws_send_101(r, agreed);

    if (rc != NGX_OK) {
        ngx_free(ws);
        return rc;
    }

    ws->connection = r->connection;
    ws->request = r;
    ws->handlers = handlers;
    ws->deflate = agreed != GC_WS_DEFLATE_NONE;
    ws->data = data;
    ws->slot = cln->data;
    *ws->slot = ws;
    cln->handler = ngx_goconnect_ws_orphan;

    /* what happens on the connection meanwhile waits in the socket */
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    /* never free r under the phase engine: it finalizes r with NGX_DONE */
    r->main->count++;
    ngx_queue_insert_tail(&ngx_goconnect_ws_upgrades.waiting, &ws->queue);
    ngx_post_event(&ngx_goconnect_ws_upgrades.event, &ngx_posted_events);

    return NGX_DONE;
}


/* frames that came in one packet with the request; they outlive it */
static ngx_int_t
ngx_goconnect_ws_rest(ngx_http_request_t *r, ngx_str_t *rest)
{
    ngx_buf_t *b;

    b = r->header_in;
    rest->len = (size_t) (b->last - b->pos);
    rest->data = NULL;

    if (rest->len == 0) {
        return NGX_OK;
    }

    rest->data = ngx_alloc(rest->len, r->connection->log);
    if (rest->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(rest->data, b->pos, rest->len);

    return NGX_OK;
}


static void
ngx_goconnect_ws_detach(ngx_goconnect_ws_t *ws)
{
    ngx_http_connection_t *hc;
    ngx_http_request_t *r;
    ngx_connection_t *c;
    ngx_str_t rest;

    r = ws->request;
    c = r->connection;
    hc = r->http_connection;

    if (c->error || ngx_goconnect_ws_rest(r, &rest) != NGX_OK) {
        ngx_goconnect_ws_die(ws);
        return;
    }

    ngx_queue_remove(&ws->queue);
    ws->request = NULL;
    *ws->slot = NULL;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    ngx_http_free_request(r, 0);
    c->destroyed = 0; /* ngx_http_free_request() has set it */

    ngx_goconnect_ws_slim(ws, hc);
    ngx_tcp_nodelay(c);

    ngx_goconnect_ws_start(ws, rest.data, rest.len);

    if (rest.data) {
        ngx_free(rest.data);
    }
}


/* goes on sending a 101 that the socket did not take at once */
static void
ngx_goconnect_ws_write_101(ngx_http_request_t *r)
{
    ngx_connection_t *c;

    c = r->connection;

    if (c->write->timedout) {
        c->timedout = 1;
        c->error = 1;

    } else if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        c->error = 1;
    }

    ngx_post_event(&ngx_goconnect_ws_upgrades.event, &ngx_posted_events);
}


static void
ngx_goconnect_ws_upgrade_one(ngx_goconnect_ws_t *ws)
{
    ngx_http_request_t *r;
    ngx_connection_t *c;

    r = ws->request;
    c = r->connection;

    if (c->error || !(c->buffered || r->out)) {
        ngx_goconnect_ws_detach(ws);
        return;
    }

    r->write_event_handler = ngx_goconnect_ws_write_101;

    if (!c->write->timer_set) {
        ngx_add_timer(c->write, NGX_GOCONNECT_WS_SEND_TIMEOUT);
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_goconnect_ws_die(ws);
    }
}


static void
ngx_goconnect_ws_upgrade_handler(ngx_event_t *ev)
{
    ngx_goconnect_ws_t *ws;
    ngx_queue_t *q, *next;

    for (q = ngx_queue_head(&ngx_goconnect_ws_upgrades.waiting);
         q != ngx_queue_sentinel(&ngx_goconnect_ws_upgrades.waiting);
         q = next) {
        next = ngx_queue_next(q);
        ws = ngx_queue_data(q, ngx_goconnect_ws_t, queue);
        ngx_goconnect_ws_upgrade_one(ws);
    }
}


ngx_int_t
ngx_goconnect_ws_upgrade_init(ngx_cycle_t *cycle)
{
    ngx_event_t *ev;

    ngx_queue_init(&ngx_goconnect_ws_upgrades.waiting);

    ev = &ngx_goconnect_ws_upgrades.event;
    ev->handler = ngx_goconnect_ws_upgrade_handler;
    ev->log = cycle->log;

    return NGX_OK;
}
