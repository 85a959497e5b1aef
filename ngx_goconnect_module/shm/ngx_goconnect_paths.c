#include "shm/ngx_goconnect_paths.h"


/* some twenty-five thousand pairs */
#define NGX_GOCONNECT_PATHS_SIZE (4 * 1024 * 1024)


static ngx_shm_zone_t *ngx_goconnect_paths;


static ngx_int_t
ngx_goconnect_paths_init_zone(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *slab;
    size_t size;
    void *memory;

    slab = (ngx_slab_pool_t *) zone->shm.addr;

    if (old) {
        zone->data = old;
        return NGX_OK;
    }

    /* the rest is the slab's own */
    size = NGX_GOCONNECT_PATHS_SIZE;
    memory = ngx_slab_alloc(slab, size);

    zone->data = memory ? gc_paths_init(memory, size) : NULL;

    return zone->data ? NGX_OK : NGX_ERROR;
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
    ngx_goconnect_paths = zone;
}


void
ngx_goconnect_paths_put(gc_path_t *path)
{
    ngx_slab_pool_t *slab;

    slab = (ngx_slab_pool_t *) ngx_goconnect_paths->shm.addr;
    path->at = ngx_time();

    ngx_shmtx_lock(&slab->mutex);
    gc_paths_put(ngx_goconnect_paths->data, path);
    ngx_shmtx_unlock(&slab->mutex);
}


static size_t
ngx_goconnect_paths_copy(const u_char *network, const u_char *peer,
                         gc_path_t *out, size_t max)
{
    ngx_slab_pool_t *slab;
    size_t n;

    slab = (ngx_slab_pool_t *) ngx_goconnect_paths->shm.addr;

    ngx_shmtx_lock(&slab->mutex);
    n = gc_paths_find(ngx_goconnect_paths->data, (const char *) network,
                      (const char *) peer,
                      ngx_time() - NGX_GOCONNECT_PATHS_LIFE, out, max);
    ngx_shmtx_unlock(&slab->mutex);

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
