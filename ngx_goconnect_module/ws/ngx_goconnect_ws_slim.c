/*
 * What a connection needs no longer once it is a WebSocket.  Thousands stay
 * open for days and mostly say nothing: what each of them keeps is what a
 * server's memory is made of.
 */

#include "ws/ngx_goconnect_ws_private.h"


/* all that stays of a connection's pool: who it is, for logs and calls */
struct ngx_goconnect_ws_kept_s {
    ngx_log_t log;
    ngx_http_log_ctx_t ctx;
    u_char address[];
};


/* what HTTP keeps for a connection's next request; there will be none */
static void
ngx_goconnect_ws_free_buffers(ngx_connection_t *c, ngx_http_connection_t *hc)
{
    ngx_chain_t *cl;

    for (cl = hc->busy; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    for (cl = hc->free; cl; cl = cl->next) {
        ngx_pfree(c->pool, cl->buf->start);
    }

    hc->busy = NULL;
    hc->free = NULL;
    hc->nbusy = 0;

    if (c->buffer && ngx_pfree(c->pool, c->buffer->start) == NGX_OK) {
        c->buffer->start = NULL;
        c->buffer->pos = NULL;
        c->buffer->last = NULL;
        c->buffer->end = NULL;
    }

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


/*
 * Puts the pool's place on what is kept.  TLS lives in the pool, and needs it
 * for its buffers.
 */
static void
ngx_goconnect_ws_free_pool(ngx_goconnect_ws_t *ws, ngx_connection_t *c)
{
    ngx_goconnect_ws_kept_t *kept;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        return;
    }
#endif

    kept =
        ngx_alloc(sizeof(ngx_goconnect_ws_kept_t) + c->addr_text.len, c->log);
    if (kept == NULL) {
        return;
    }

    kept->log = *c->log;
    kept->log.data = &kept->ctx;
    kept->ctx.connection = c;
    kept->ctx.request = NULL;
    kept->ctx.current_request = NULL;
    ngx_memcpy(kept->address, c->addr_text.data, c->addr_text.len);

    ngx_destroy_pool(c->pool);

    c->pool = NULL;
    c->buffer = NULL;
    c->sockaddr = NULL;
    c->socklen = 0;
    c->local_sockaddr = NULL;
    c->local_socklen = 0;
    c->proxy_protocol = NULL;
    c->addr_text.data = kept->address;
    c->log = &kept->log;
    c->read->log = c->log;
    c->write->log = c->log;

    ws->kept = kept;
}


void
ngx_goconnect_ws_slim(ngx_goconnect_ws_t *ws, ngx_http_connection_t *hc)
{
    ngx_goconnect_ws_free_buffers(ws->connection, hc);
    ngx_goconnect_ws_free_pool(ws, ws->connection);
}


void
ngx_goconnect_ws_close_connection(ngx_goconnect_ws_t *ws)
{
    if (ws->kept == NULL) {
        ngx_http_close_connection(ws->connection);
        return;
    }

    /* the same, but for a pool */

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    ws->connection->destroyed = 1;
    ngx_close_connection(ws->connection);
    ngx_free(ws->kept);
}
