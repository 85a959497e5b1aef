/*
 * The epoch of the database: another one means another history, after a
 * failover or when a copy was restored.  Nobody's seq means what it meant.
 *
 * Every answer of the sweep says it, so that a worker learns of it within a
 * second, and every hello.  Whoever has said hello before is told to come
 * back; nothing of the new history goes to him until he has done so.
 */

#include "live/ngx_goconnect_live_private.h"


typedef struct {
    u_char text[64]; /* as the database says it */
    size_t len;
} ngx_goconnect_epoch_t;


static ngx_goconnect_epoch_t ngx_goconnect_epoch;


static void
ngx_goconnect_epoch_end(ngx_goconnect_ws_t *ws, void *data)
{
    ngx_goconnect_session_t *s;

    s = ngx_goconnect_ws_data(ws);

    if (s->state != NGX_GOCONNECT_SESSION_READY) {
        /* it will be told of the new one */
        return;
    }

    s->stale = 1;

    while (s->subs) {
        ngx_goconnect_sub_remove(s->subs);
    }

    ngx_goconnect_ws_leave(ws);
}


void
ngx_goconnect_epoch_over(void)
{
    ngx_goconnect_ws_each(ngx_goconnect_epoch_end, NULL);
    ngx_goconnect_topic_forget();
    ngx_goconnect_netmap_forget();
    ngx_goconnect_cache_flush();
    ngx_goconnect_sweep_forget();
}


ngx_int_t
ngx_goconnect_epoch_check(gc_slice_t body)
{
    ngx_goconnect_epoch_t *e;
    gc_slice_t epoch;
    ngx_uint_t first;

    e = &ngx_goconnect_epoch;

    if (!gc_json_find(body, "epoch", &epoch) || epoch.len > sizeof(e->text) ||
        (epoch.len == e->len && ngx_memcmp(epoch.data, e->text, e->len) == 0)) {
        return NGX_OK;
    }

    first = e->len == 0;

    ngx_memcpy(e->text, epoch.data, epoch.len);
    e->len = epoch.len;

    if (first) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "goconnect: the database has a new epoch, %*s", e->len,
                  e->text);

    ngx_goconnect_epoch_over();

    return NGX_DECLINED;
}
