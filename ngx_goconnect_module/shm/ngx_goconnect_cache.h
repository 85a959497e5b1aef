/*
 * The response cache: answers that all workers of a node share.  A hit costs
 * no question to the database.
 *
 * Whoever reads takes a mark before he asks and keeps the answer under it,
 * with the topics that it depends on.  The answer holds until one of them
 * changes.  Changes are told of by whoever hears of them: the worker that made
 * one, before it answers its client; the bus; the sweep.
 *
 * All of it is trusted only as long as some worker's sweep has looked for
 * changes lately: a node that is cut off from its database stops answering.
 * And nothing is kept for longer than a few seconds, for what changes with
 * time alone.
 */


#ifndef NGX_GOCONNECT_CACHE_H
#define NGX_GOCONNECT_CACHE_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_cache.h"


#define NGX_GOCONNECT_CACHE_MIN 262144 /* bytes */


/* When a question was asked */
typedef struct {
    uint64_t since;
    ngx_msec_t at;
} ngx_goconnect_cache_mark_t;

typedef struct {
    uint32_t place[GC_CACHE_PLACES_MAX];
    ngx_uint_t n; /* more than GC_CACHE_PLACES_MAX: too many to keep */
} ngx_goconnect_cache_topics_t;

typedef struct {
    ngx_str_t etag;
    ngx_str_t body;
} ngx_goconnect_cache_answer_t;


/*
 * Declares the zone, of at least NGX_GOCONNECT_CACHE_MIN bytes, while the
 * configuration is read.  It survives a reload that leaves its size.  NULL is
 * logged.
 */
ngx_shm_zone_t *ngx_goconnect_cache_zone(ngx_conf_t *cf, size_t size);

/* in each worker; NULL: there is no cache, and all of the below does nothing */
void ngx_goconnect_cache_init_process(ngx_shm_zone_t *zone);


/* A topic has changed, by event seq or (0) otherwise. */
void ngx_goconnect_cache_advance(gc_slice_t topic, int64_t seq);

/* The same of KIND:ID, such as "user" and an id of `len` bytes. */
void ngx_goconnect_cache_advance_id(const char *kind, const u_char *id,
                                    size_t len);

/* Changes may have been missed. */
void ngx_goconnect_cache_flush(void);

/* All changes that were committed by then have been told of. */
void ngx_goconnect_cache_swept(ngx_msec_t then);


/* NGX_DECLINED: there is no cache. */
ngx_int_t ngx_goconnect_cache_mark(ngx_goconnect_cache_mark_t *mark);

/* Adds KIND:ID to what an answer depends on. */
void ngx_goconnect_cache_depend(ngx_goconnect_cache_topics_t *topics,
                                const char *kind, const u_char *id, size_t len);

/*
 * NGX_OK if something is there under every key and holds; *answer is the one
 * under the last, copied into pool.  Else NGX_DECLINED.
 */
ngx_int_t ngx_goconnect_cache_get(ngx_pool_t *pool, const gc_slice_t *keys,
                                  ngx_uint_t n,
                                  ngx_goconnect_cache_answer_t *answer);

/* answer NULL: that there is something under the key says it all */
void ngx_goconnect_cache_put(const ngx_goconnect_cache_mark_t *mark,
                             gc_slice_t key,
                             const ngx_goconnect_cache_topics_t *topics,
                             const ngx_goconnect_cache_answer_t *answer);


#endif /* NGX_GOCONNECT_CACHE_H */
