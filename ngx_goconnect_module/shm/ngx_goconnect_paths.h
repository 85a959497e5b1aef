/*
 * Reports of who reaches whom, for all workers of the node: never written to
 * the database, gone with the node. Each function takes the zone's lock, which
 * nginx frees if a worker dies with it.
 */


#ifndef NGX_GOCONNECT_PATHS_H
#define NGX_GOCONNECT_PATHS_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_paths.h"


/* a report counts for so many seconds; devices repeat theirs in half of that */
#define NGX_GOCONNECT_PATHS_LIFE 90


/* Asks for the zone, while the configuration is read. NULL: an error. */
ngx_shm_zone_t *ngx_goconnect_paths_zone(ngx_conf_t *cf, void *module);

/* What this worker uses from now on. */
void ngx_goconnect_paths_init_process(ngx_shm_zone_t *zone);

/* Takes a report in; `at` is set here. */
void ngx_goconnect_paths_put(gc_path_t *path);

/*
 * The living reports of a network, or with a peer those from it or to it (ids
 * of 36 characters; peer may be NULL): an array in `pool`, *n of them. NULL: no
 * memory.
 */
gc_path_t *ngx_goconnect_paths_find(ngx_pool_t *pool, const u_char *network,
                                    const u_char *peer, size_t *n);


#endif /* NGX_GOCONNECT_PATHS_H */
