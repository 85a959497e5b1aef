/*
 * The zone is one allocation of nginx's slab: the clock, and behind it the
 * store.  The slab's own mutex guards the store, because the master unlocks it
 * when a worker dies with it; the clock needs none.
 */

#include "shm/ngx_goconnect_cache.h"

#include <openssl/rand.h>

#include "core/gc_clock.h"
#include "shm/ngx_goconnect_metrics.h"


#define NGX_GOCONNECT_CACHE_LIFE 10000 /* ms that an answer is kept at most */
#define NGX_GOCONNECT_CACHE_TRUST 3000 /* ms without a sweep */
#define NGX_GOCONNECT_CACHE_PART 16    /* of the zone, for the clock */
#define NGX_GOCONNECT_CACHE_PLACE 16   /* bytes of the clock for a topic */
#define NGX_GOCONNECT_CACHE_TOPIC_MAX 64


typedef struct {
    gc_clock_t *clock;
    gc_cache_t *store;
    ngx_atomic_t swept; /* ms */
} ngx_goconnect_cache_shared_t;


static ngx_goconnect_cache_shared_t *ngx_goconnect_cache;
static ngx_slab_pool_t *ngx_goconnect_cache_slab;


/*
 * The zone
 */

static ngx_int_t
ngx_goconnect_cache_format(ngx_goconnect_cache_shared_t *shared, u_char *memory,
                           size_t size)
{
    u_char keys[2][GC_SIPHASH_KEY];
    uint32_t places;
    size_t clock;

    if (RAND_bytes(keys[0], sizeof(keys)) != 1) {
        return NGX_ERROR;
    }

    for (places = 1; places * NGX_GOCONNECT_CACHE_PLACE * 2 <=
                     size / NGX_GOCONNECT_CACHE_PART;
         places *= 2) {
        /* void */
    }

    clock = gc_clock_size(places);

    ngx_memzero(shared, sizeof(ngx_goconnect_cache_shared_t));
    shared->clock = gc_clock_init(memory, places, keys[0]);
    shared->store = gc_cache_init(memory + clock, size - clock, keys[1]);

    return shared->store ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_goconnect_cache_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_goconnect_cache_shared_t *shared;
    ngx_slab_pool_t *slab;
    u_char *memory;
    size_t size;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    slab = (ngx_slab_pool_t *) zone->shm.addr;

    shared = ngx_slab_alloc(slab, sizeof(ngx_goconnect_cache_shared_t));
    size = slab->pfree * ngx_pagesize;
    memory = shared ? ngx_slab_alloc(slab, size) : NULL;

    if (memory == NULL ||
        ngx_goconnect_cache_format(shared, memory, size) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "goconnect: the cache's zone of %uz bytes cannot be used",
                      zone->shm.size);
        return NGX_ERROR;
    }

    zone->data = shared;

    return NGX_OK;
}


ngx_shm_zone_t *
ngx_goconnect_cache_zone(ngx_conf_t *cf, size_t size)
{
    static ngx_str_t name = ngx_string("goconnect_cache");
    ngx_shm_zone_t *zone;

    zone = ngx_shared_memory_add(cf, &name, size, &ngx_goconnect_cache);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = ngx_goconnect_cache_zone_init;

    return zone;
}


void
ngx_goconnect_cache_init_process(ngx_shm_zone_t *zone)
{
    ngx_goconnect_cache = zone ? zone->data : NULL;
    ngx_goconnect_cache_slab = zone ? (ngx_slab_pool_t *) zone->shm.addr : NULL;
}


static void
ngx_goconnect_cache_enter(void)
{
    ngx_shmtx_lock(&ngx_goconnect_cache_slab->mutex);

    if (gc_cache_enter(ngx_goconnect_cache->store)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "goconnect: the cache is emptied: a worker died in it");
    }
}


static void
ngx_goconnect_cache_leave(void)
{
    gc_cache_leave(ngx_goconnect_cache->store);
    ngx_shmtx_unlock(&ngx_goconnect_cache_slab->mutex);
}


/*
 * Changes
 */

void
ngx_goconnect_cache_advance(gc_slice_t topic, int64_t seq)
{
    if (ngx_goconnect_cache) {
        gc_clock_advance(ngx_goconnect_cache->clock, topic.data, topic.len,
                         seq);
    }
}


static gc_slice_t
ngx_goconnect_cache_topic(u_char *buf, const char *kind, const u_char *id,
                          size_t len)
{
    gc_slice_t topic;
    u_char *p;

    p = ngx_snprintf(buf, NGX_GOCONNECT_CACHE_TOPIC_MAX, "%s:%*s", kind, len,
                     id);

    topic.data = (const char *) buf;
    topic.len = (size_t) (p - buf);

    return topic;
}


void
ngx_goconnect_cache_advance_id(const char *kind, const u_char *id, size_t len)
{
    u_char buf[NGX_GOCONNECT_CACHE_TOPIC_MAX];

    if (ngx_goconnect_cache) {
        ngx_goconnect_cache_advance(
            ngx_goconnect_cache_topic(buf, kind, id, len), 0);
    }
}


void
ngx_goconnect_cache_flush(void)
{
    if (ngx_goconnect_cache) {
        gc_clock_advance_all(ngx_goconnect_cache->clock);
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_CACHE_FLUSHED, 1);
    }
}


void
ngx_goconnect_cache_swept(ngx_msec_t then)
{
    if (ngx_goconnect_cache) {
        /* an older one may come later: that only makes us trust less */
        ngx_goconnect_cache->swept = then;
    }
}


/*
 * Answers
 */

ngx_int_t
ngx_goconnect_cache_mark(ngx_goconnect_cache_mark_t *mark)
{
    if (ngx_goconnect_cache == NULL) {
        return NGX_DECLINED;
    }

    mark->since = gc_clock_now(ngx_goconnect_cache->clock);
    mark->at = ngx_current_msec;

    return NGX_OK;
}


void
ngx_goconnect_cache_depend(ngx_goconnect_cache_topics_t *topics,
                           const char *kind, const u_char *id, size_t len)
{
    u_char buf[NGX_GOCONNECT_CACHE_TOPIC_MAX];
    gc_slice_t topic;

    if (ngx_goconnect_cache == NULL || topics->n >= GC_CACHE_PLACES_MAX) {
        topics->n = GC_CACHE_PLACES_MAX + 1;
        return;
    }

    topic = ngx_goconnect_cache_topic(buf, kind, id, len);

    topics->place[topics->n++] =
        gc_clock_place(ngx_goconnect_cache->clock, topic.data, topic.len);
}


static ngx_uint_t
ngx_goconnect_cache_trusted(void)
{
    return (ngx_msec_int_t) (ngx_current_msec - ngx_goconnect_cache->swept) <
           NGX_GOCONNECT_CACHE_TRUST;
}


/* what is there and holds; what does not hold is dropped */
static ngx_uint_t
ngx_goconnect_cache_find(gc_slice_t key, gc_cache_found_t *found)
{
    ngx_goconnect_cache_shared_t *shared;

    shared = ngx_goconnect_cache;

    if (!gc_cache_find(shared->store, key, found)) {
        return 0;
    }

    if ((ngx_msec_int_t) ((ngx_msec_t) found->expires - ngx_current_msec) > 0 &&
        gc_clock_holds(shared->clock, found->since, found->places,
                       found->nplaces)) {
        return 1;
    }

    gc_cache_drop(shared->store, found->entry);

    return 0;
}


static ngx_int_t
ngx_goconnect_cache_copy(ngx_pool_t *pool, const gc_cache_found_t *found,
                         ngx_goconnect_cache_answer_t *answer)
{
    u_char *p;

    p = ngx_pnalloc(pool, found->tag + found->body);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    gc_cache_copy(ngx_goconnect_cache->store, found, p);

    answer->etag.data = p;
    answer->etag.len = found->tag;
    answer->body.data = p + found->tag;
    answer->body.len = found->body;

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_cache_get(ngx_pool_t *pool, const gc_slice_t *keys, ngx_uint_t n,
                        ngx_goconnect_cache_answer_t *answer)
{
    gc_cache_found_t found;
    ngx_int_t rc;
    ngx_uint_t i;

    if (ngx_goconnect_cache == NULL || !ngx_goconnect_cache_trusted()) {
        return NGX_DECLINED;
    }

    ngx_goconnect_cache_enter();

    for (i = 0; i < n && ngx_goconnect_cache_find(keys[i], &found); i++) {
        /* void */
    }

    rc = i == n ? ngx_goconnect_cache_copy(pool, &found, answer) : NGX_DECLINED;

    ngx_goconnect_cache_leave();

    return rc;
}


static gc_slice_t
ngx_goconnect_cache_slice(const ngx_str_t *text)
{
    gc_slice_t slice;

    slice.data = (const char *) text->data;
    slice.len = text->len;

    return slice;
}


void
ngx_goconnect_cache_put(const ngx_goconnect_cache_mark_t *mark, gc_slice_t key,
                        const ngx_goconnect_cache_topics_t *topics,
                        const ngx_goconnect_cache_answer_t *answer)
{
    static const ngx_goconnect_cache_answer_t nothing;
    gc_cache_value_t value;
    gc_cache_stats_t before, after;

    /* what has changed since would only push out what holds */
    if (ngx_goconnect_cache == NULL || topics->n > GC_CACHE_PLACES_MAX ||
        !gc_clock_holds(ngx_goconnect_cache->clock, mark->since, topics->place,
                        topics->n)) {
        return;
    }

    answer = answer ? answer : &nothing;

    value.since = mark->since;
    value.expires = mark->at + NGX_GOCONNECT_CACHE_LIFE;
    value.places = topics->place;
    value.nplaces = topics->n;
    value.tag = ngx_goconnect_cache_slice(&answer->etag);
    value.body = ngx_goconnect_cache_slice(&answer->body);

    ngx_goconnect_cache_enter();
    gc_cache_stats(ngx_goconnect_cache->store, &before);
    (void) gc_cache_store(ngx_goconnect_cache->store, key, &value);
    gc_cache_stats(ngx_goconnect_cache->store, &after);
    ngx_goconnect_cache_leave();

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_CACHE_EVICTED,
                             after.evicted - before.evicted);
}
