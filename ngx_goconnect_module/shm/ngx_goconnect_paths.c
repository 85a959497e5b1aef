#include "shm/ngx_goconnect_paths.h"

#include <openssl/rand.h>


/* some fifty thousand pairs; only what is used takes memory */
#define NGX_GOCONNECT_PATHS_SIZE (24 * 1024 * 1024)
#define NGX_GOCONNECT_PATHS_SAY 20    /* seconds between signs of life */
#define NGX_GOCONNECT_PATHS_HEARD 90  /* ... that count for so long */
#define NGX_GOCONNECT_PATHS_REPEAT 60 /* seconds in which all is repeated */
#define NGX_GOCONNECT_PATHS_HURRY 5   /* ... if somebody has asked */
#define NGX_GOCONNECT_PATHS_SLACK 64


typedef struct {
    gc_paths_t *table;
    time_t second; /* the last one that a worker was called upon */
    time_t said;
    time_t heard;
    time_t hurry; /* until then */
    time_t asked; /* by others */
    ngx_uint_t ask;
    u_char node[NGX_GOCONNECT_PATHS_NODE];
} ngx_goconnect_paths_shared_t;


static ngx_goconnect_paths_shared_t *ngx_goconnect_paths;
static ngx_slab_pool_t *ngx_goconnect_paths_slab;


static ngx_int_t
ngx_goconnect_paths_init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_goconnect_paths_shared_t *shared;
    ngx_slab_pool_t *slab;
    u_char key[GC_SIPHASH_KEY], node[NGX_GOCONNECT_PATHS_NODE / 2];
    void *memory;

    slab = (ngx_slab_pool_t *) zone->shm.addr;

    if (old) {
        zone->data = old;
        return NGX_OK;
    }

    shared = ngx_slab_calloc(slab, sizeof(ngx_goconnect_paths_shared_t));

    /* the rest is the slab's own */
    memory = ngx_slab_alloc(slab, NGX_GOCONNECT_PATHS_SIZE);

    if (shared == NULL || memory == NULL || RAND_bytes(key, sizeof(key)) != 1 ||
        RAND_bytes(node, sizeof(node)) != 1) {
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(shared->node, node, sizeof(node));
    shared->table = gc_paths_init(memory, NGX_GOCONNECT_PATHS_SIZE, key);
    zone->data = shared;

    return shared->table ? NGX_OK : NGX_ERROR;
}


ngx_shm_zone_t *
ngx_goconnect_paths_zone(ngx_conf_t *cf, void *module)
{
    ngx_str_t name = ngx_string("goconnect_paths");
    ngx_shm_zone_t *zone;

    zone = ngx_shared_memory_add(
        cf, &name, NGX_GOCONNECT_PATHS_SIZE + NGX_GOCONNECT_PATHS_SIZE / 16,
        module);

    if (zone) {
        zone->init = ngx_goconnect_paths_init_zone;
    }

    return zone;
}


void
ngx_goconnect_paths_init_process(ngx_shm_zone_t *zone)
{
    ngx_goconnect_paths = zone->data;
    ngx_goconnect_paths_slab = (ngx_slab_pool_t *) zone->shm.addr;
}


const u_char *
ngx_goconnect_paths_node(void)
{
    return ngx_goconnect_paths->node;
}


static gc_paths_t *
ngx_goconnect_paths_enter(void)
{
    ngx_goconnect_paths_shared_t *shared;

    shared = ngx_goconnect_paths;
    ngx_shmtx_lock(&ngx_goconnect_paths_slab->mutex);

    if (gc_paths_enter(shared->table)) {
        shared->ask = 1;
        ngx_log_error(
            NGX_LOG_NOTICE, ngx_cycle->log, 0,
            "goconnect: the paths are emptied: a worker died in them");
    }

    gc_paths_expire(shared->table, ngx_time());

    return shared->table;
}


static void
ngx_goconnect_paths_leave(void)
{
    gc_paths_leave(ngx_goconnect_paths->table);
    ngx_shmtx_unlock(&ngx_goconnect_paths_slab->mutex);
}


void
ngx_goconnect_paths_put(gc_path_t *paths, ngx_uint_t n, ngx_uint_t own)
{
    gc_paths_t *table;
    ngx_uint_t i;

    table = ngx_goconnect_paths_enter();

    for (i = 0; i < n; i++) {
        if (own) {
            paths[i].at = ngx_time();
        }

        gc_paths_put(table, &paths[i], (int) own);
    }

    ngx_goconnect_paths_leave();
}


void
ngx_goconnect_paths_forget(const char *network, const char *peer)
{
    gc_paths_forget(ngx_goconnect_paths_enter(), network, peer, ngx_time());
    ngx_goconnect_paths_leave();
}


static size_t
ngx_goconnect_paths_copy(const u_char *network, const u_char *peer,
                         gc_path_t *out, size_t max)
{
    size_t n;

    n = gc_paths_find(ngx_goconnect_paths_enter(), (const char *) network,
                      (const char *) peer, out, max);
    ngx_goconnect_paths_leave();

    return n;
}


/* counted, then copied: what comes in between waits for the next question */
gc_path_t *
ngx_goconnect_paths_find(ngx_pool_t *pool, const u_char *network,
                         const u_char *peer, size_t *n)
{
    gc_path_t *paths;
    size_t max;

    max = ngx_goconnect_paths_copy(network, peer, NULL, 0);

    paths = ngx_palloc(pool, (max + 1) * sizeof(gc_path_t));
    if (paths == NULL) {
        return NULL;
    }

    *n = ngx_min(ngx_goconnect_paths_copy(network, peer, paths, max), max);

    return paths;
}


/* the number of them; the mark is at what was copied if they have room */
static size_t
ngx_goconnect_paths_since(const u_char *network,
                          const ngx_goconnect_paths_mark_t *old,
                          ngx_goconnect_paths_mark_t *mark, gc_path_t *out,
                          size_t max)
{
    gc_paths_t *table;
    size_t n;

    table = ngx_goconnect_paths_enter();

    mark->version = gc_paths_version(table);
    mark->emptied = gc_paths_emptied(table);
    mark->full = old->version == 0 || old->emptied != mark->emptied;

    n = mark->full
            ? gc_paths_find(table, (const char *) network, NULL, out, max)
            : gc_paths_changed(table, (const char *) network, old->version, out,
                               max);
    ngx_goconnect_paths_leave();

    return n;
}


ngx_int_t
ngx_goconnect_paths_changed(const u_char *network,
                            ngx_goconnect_paths_mark_t *mark, gc_path_t **out,
                            size_t *n)
{
    ngx_goconnect_paths_mark_t to;
    gc_path_t *paths;
    size_t max;

    paths = NULL;
    max = 0;

    for (;;) {
        *n = ngx_goconnect_paths_since(network, mark, &to, paths, max);

        if (*n <= max) {
            break;
        }

        if (paths) {
            ngx_free(paths);
        }

        max = *n + NGX_GOCONNECT_PATHS_SLACK;

        paths = ngx_alloc(max * sizeof(gc_path_t), ngx_cycle->log);
        if (paths == NULL) {
            return NGX_ERROR;
        }
    }

    *mark = to;
    *out = paths;

    return NGX_OK;
}


/*
 * The other nodes
 */

/* workers do not read the clock at the same moment; it may have been set */
static ngx_uint_t
ngx_goconnect_paths_due(time_t now)
{
    return now > ngx_goconnect_paths->second ||
           ngx_goconnect_paths->second - now > NGX_GOCONNECT_PATHS_SAY;
}


ngx_int_t
ngx_goconnect_paths_second(ngx_goconnect_paths_second_t *second, gc_path_t *out,
                           size_t max)
{
    ngx_goconnect_paths_shared_t *shared;
    gc_paths_t *table;
    time_t now;

    shared = ngx_goconnect_paths;
    ngx_memzero(second, sizeof(*second));
    now = ngx_time();

    if (!ngx_goconnect_paths_due(now)) {
        return NGX_DECLINED;
    }

    table = ngx_goconnect_paths_enter();

    if (!ngx_goconnect_paths_due(now)) {
        ngx_goconnect_paths_leave();
        return NGX_DECLINED;
    }

    shared->second = now;
    second->others = now - shared->heard < NGX_GOCONNECT_PATHS_HEARD;
    second->ask = shared->said == 0 || shared->ask;
    second->say = second->ask || now - shared->said >= NGX_GOCONNECT_PATHS_SAY;

    if (second->say) {
        shared->said = now;
        shared->ask = 0;
    }

    if (second->others) {
        gc_paths_repeat(table, now < shared->hurry
                                   ? NGX_GOCONNECT_PATHS_HURRY
                                   : NGX_GOCONNECT_PATHS_REPEAT);
        second->n = gc_paths_take(table, out, max);
    }

    ngx_goconnect_paths_leave();

    return NGX_OK;
}


/* whoever asks often is not told more often for that */
void
ngx_goconnect_paths_heard(ngx_uint_t ask)
{
    ngx_goconnect_paths_shared_t *shared;
    time_t now;

    shared = ngx_goconnect_paths;
    now = ngx_time();

    ngx_shmtx_lock(&ngx_goconnect_paths_slab->mutex);

    if (now - shared->heard >= NGX_GOCONNECT_PATHS_HEARD) {
        ask = 1;
    }

    shared->heard = now;

    if (ask && now - shared->asked >= 2 * NGX_GOCONNECT_PATHS_HURRY) {
        shared->asked = now;
        shared->hurry = now + NGX_GOCONNECT_PATHS_HURRY + 1;
    }

    ngx_shmtx_unlock(&ngx_goconnect_paths_slab->mutex);
}


void
ngx_goconnect_paths_ask(void)
{
    ngx_shmtx_lock(&ngx_goconnect_paths_slab->mutex);
    ngx_goconnect_paths->ask = 1;
    ngx_shmtx_unlock(&ngx_goconnect_paths_slab->mutex);
}
