/*
 * Answers from the cache, for the routes whose row says CACHED.
 *
 * An answer that is the same for all who may read it is kept once, and beside
 * it for each session that it may read: what the database has said of this
 * session, user and role, and holds as long as nothing of the user, the device
 * or the network has changed.  Other answers are kept for each session.
 *
 * Only what the database itself answered with 200 is kept.
 */

#include "http/ngx_goconnect_http_request.h"

#include "core/gc_json_slice.h"
#include "shm/ngx_goconnect_cache.h"
#include "shm/ngx_goconnect_metrics.h"


typedef enum {
    NGX_GOCONNECT_HTTP_CACHE_LEAVE = 'l', /* may read; the answer is apart */
    NGX_GOCONNECT_HTTP_CACHE_COMMON = 'c',
    NGX_GOCONNECT_HTTP_CACHE_OWN = 'o'
} ngx_goconnect_http_cache_kind_e;


typedef struct {
    u_char text[GC_CACHE_KEY_MAX];
    size_t len; /* GC_CACHE_KEY_MAX + 1: does not fit */
} ngx_goconnect_http_cache_key_t;


struct ngx_goconnect_http_cache_s {
    ngx_goconnect_cache_mark_t mark;
    ngx_goconnect_http_cache_key_t keys[2]; /* the answer's is the last */
    ngx_uint_t nkeys;
};


/* with its length before it: no two lists of values make the same key */
static void
ngx_goconnect_http_cache_add(ngx_goconnect_http_cache_key_t *key,
                             const u_char *data, size_t len)
{
    if (key->len + 1 + len > GC_CACHE_KEY_MAX || len > 255) {
        key->len = GC_CACHE_KEY_MAX + 1;
        return;
    }

    key->text[key->len++] = (u_char) len;

    /* what is absent is no memory at all */
    if (len > 0) {
        ngx_memcpy(key->text + key->len, data, len);
        key->len += len;
    }
}


static void
ngx_goconnect_http_cache_key(ngx_goconnect_http_ctx_t *ctx,
                             ngx_goconnect_http_cache_kind_e kind)
{
    ngx_goconnect_http_cache_key_t *key;
    const ngx_goconnect_field_t *field;
    ngx_goconnect_identity_t *id;
    ngx_uint_t i;
    u_char first;

    key = &ctx->cache->keys[ctx->cache->nkeys++];
    key->len = 0;
    first = (u_char) kind;
    id = &ctx->identity;
    field = ctx->route->query;

    ngx_goconnect_http_cache_add(key, &first, 1);
    ngx_goconnect_http_cache_add(key, ctx->route->name.data,
                                 ctx->route->name.len);

    for (i = 0; i < ctx->nparams; i++) {
        ngx_goconnect_http_cache_add(key, ctx->params[i].data,
                                     ctx->params[i].len);
    }

    if (kind != NGX_GOCONNECT_HTTP_CACHE_LEAVE) {
        for (i = 0; field && field[i].name; i++) {
            ngx_goconnect_http_cache_add(key, ctx->query[i].data,
                                         ctx->query[i].len);
        }
    }

    if (kind != NGX_GOCONNECT_HTTP_CACHE_COMMON) {
        ngx_goconnect_http_cache_add(key, id->user, ngx_strlen(id->user));
        ngx_goconnect_http_cache_add(key, id->session, ngx_strlen(id->session));
        ngx_goconnect_http_cache_add(key, id->device, ngx_strlen(id->device));
    }
}


static ngx_int_t
ngx_goconnect_http_cache_begin(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_cache_mark_t mark;

    if (ngx_goconnect_cache_mark(&mark) != NGX_OK) {
        return NGX_DECLINED;
    }

    ctx->cache =
        ngx_palloc(ctx->request->pool, sizeof(ngx_goconnect_http_cache_t));
    if (ctx->cache == NULL) {
        return NGX_DECLINED;
    }

    ctx->cache->mark = mark;
    ctx->cache->nkeys = 0;

    if (ctx->route->flags & NGX_GOCONNECT_ROUTE_CACHED_COMMON) {
        ngx_goconnect_http_cache_key(ctx, NGX_GOCONNECT_HTTP_CACHE_LEAVE);
        ngx_goconnect_http_cache_key(ctx, NGX_GOCONNECT_HTTP_CACHE_COMMON);

    } else {
        ngx_goconnect_http_cache_key(ctx, NGX_GOCONNECT_HTTP_CACHE_OWN);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_cache_slices(ngx_goconnect_http_cache_t *cache,
                                gc_slice_t *keys)
{
    ngx_uint_t i;

    for (i = 0; i < cache->nkeys; i++) {
        if (cache->keys[i].len > GC_CACHE_KEY_MAX) {
            return NGX_DECLINED;
        }

        keys[i].data = (const char *) cache->keys[i].text;
        keys[i].len = cache->keys[i].len;
    }

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_http_cache_get(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_cache_answer_t answer;
    gc_slice_t keys[2];

    if (ngx_goconnect_http_cache_begin(ctx) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_goconnect_http_cache_slices(ctx->cache, keys) != NGX_OK) {
        ctx->cache = NULL;
        return NGX_DECLINED;
    }

    if (ngx_goconnect_cache_get(ctx->request->pool, keys, ctx->cache->nkeys,
                                &answer) != NGX_OK) {
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_CACHE_MISSES, 1);
        return NGX_DECLINED;
    }

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_CACHE_HITS, 1);

    ctx->cache = NULL;
    ctx->cached = 1;
    ctx->answer.status = NGX_HTTP_OK;
    ctx->answer.etag = answer.etag;
    ctx->answer.body = answer.body;

    return NGX_OK;
}


/* what a netmap is made of besides the device: its networks and tenants */
static void
ngx_goconnect_http_cache_maps(ngx_goconnect_cache_topics_t *topics,
                              const ngx_str_t *body)
{
    gc_slice_t text, maps, map, network, id;
    gc_json_iter_t it;

    text.data = (const char *) body->data;
    text.len = body->len;

    if (!gc_json_find(text, "networks", &maps) ||
        gc_json_array(&it, maps) != 0) {
        topics->n = GC_CACHE_PLACES_MAX + 1;
        return;
    }

    while (gc_json_item(&it, &map)) {
        (void) gc_json_find_plain(map, "network_id", &id);
        ngx_goconnect_cache_depend(topics, "network", (const u_char *) id.data,
                                   id.len);

        (void) gc_json_find(map, "network", &network);
        (void) gc_json_find_plain(network, "tenant_id", &id);
        ngx_goconnect_cache_depend(topics, "tenant", (const u_char *) id.data,
                                   id.len);
    }
}


/* what the answer is about; the same for all who read it */
static void
ngx_goconnect_http_cache_subject(ngx_goconnect_http_ctx_t *ctx,
                                 ngx_goconnect_cache_topics_t *topics)
{
    unsigned flags;

    flags = ctx->route->flags;

    if (flags & NGX_GOCONNECT_ROUTE_CACHED_NETWORK) {
        ngx_goconnect_cache_depend(topics, "network", ctx->params[0].data,
                                   ctx->params[0].len);
    }

    if (flags & NGX_GOCONNECT_ROUTE_CACHED_NETMAP) {
        ngx_goconnect_cache_depend(topics, "device", ctx->params[0].data,
                                   ctx->params[0].len);
        ngx_goconnect_http_cache_maps(topics, &ctx->answer.body);
    }
}


/* who reads it */
static void
ngx_goconnect_http_cache_reader(ngx_goconnect_http_ctx_t *ctx,
                                ngx_goconnect_cache_topics_t *topics)
{
    ngx_goconnect_cache_depend(topics, "user", ctx->identity.user,
                               NGX_GOCONNECT_ID_LEN);

    if (ctx->identity.device[0] != '\0') {
        ngx_goconnect_cache_depend(topics, "device", ctx->identity.device,
                                   NGX_GOCONNECT_ID_LEN);
    }
}


void
ngx_goconnect_http_cache_put(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_cache_topics_t subject, reader;
    ngx_goconnect_cache_answer_t answer;
    ngx_goconnect_http_cache_t *cache;
    gc_slice_t keys[2];

    cache = ctx->cache;

    if (cache == NULL || ctx->answer.status != NGX_HTTP_OK ||
        ngx_goconnect_http_cache_slices(cache, keys) != NGX_OK) {
        return;
    }

    subject.n = 0;
    ngx_goconnect_http_cache_subject(ctx, &subject);

    reader = subject;
    ngx_goconnect_http_cache_reader(ctx, &reader);

    answer.etag = ctx->answer.etag;
    answer.body = ctx->answer.body;

    if (cache->nkeys == 1) {
        ngx_goconnect_cache_put(&cache->mark, keys[0], &reader, &answer);
        return;
    }

    ngx_goconnect_cache_put(&cache->mark, keys[0], &reader, NULL);
    ngx_goconnect_cache_put(&cache->mark, keys[1], &subject, &answer);
}


/*
 * Events tell what a write has changed; what it has changed of its own caller
 * is read anew in any case, and what an unknown outcome has changed is unknown.
 */
void
ngx_goconnect_http_cache_written(ngx_goconnect_http_ctx_t *ctx,
                                 ngx_uint_t known)
{
    if (ctx->route->lane != NGX_GOCONNECT_PG_WRITE) {
        return;
    }

    if (!known) {
        ngx_goconnect_cache_flush();
        return;
    }

    /* a message changes nothing that is kept */
    if (ctx->route->limit == NGX_GOCONNECT_LIMIT_CHAT) {
        return;
    }

    if (ctx->identity.user[0] != '\0') {
        ngx_goconnect_cache_advance_id("user", ctx->identity.user,
                                       NGX_GOCONNECT_ID_LEN);
    }

    if (ctx->identity.device[0] != '\0') {
        ngx_goconnect_cache_advance_id("device", ctx->identity.device,
                                       NGX_GOCONNECT_ID_LEN);
    }
}
