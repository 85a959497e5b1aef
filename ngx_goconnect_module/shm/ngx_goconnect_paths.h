/*
 * Reports of who reaches whom, for all workers of the node: never written to
 * the database, gone with the node.  Each function takes the zone's lock, which
 * nginx frees if a worker dies with it.
 */


#ifndef NGX_GOCONNECT_PATHS_H
#define NGX_GOCONNECT_PATHS_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_paths.h"


#define NGX_GOCONNECT_PATHS_NODE 16 /* characters of a node's id */


/* Asks for the zone, while the configuration is read. NULL: an error. */
ngx_shm_zone_t *ngx_goconnect_paths_zone(ngx_conf_t *cf, void *module);

/* What this worker uses from now on. */
void ngx_goconnect_paths_init_process(ngx_shm_zone_t *zone);

/* The node's id, the same for all its workers. */
const u_char *ngx_goconnect_paths_node(void);

/* Takes reports in; own: of devices of this node, `at` is set here then. */
void ngx_goconnect_paths_put(gc_path_t *paths, ngx_uint_t n, ngx_uint_t own);

/* A peer (ids of 36 characters) has left the network. */
void ngx_goconnect_paths_forget(const char *network, const char *peer);

/*
 * The living reports of a network, or with a peer those from it or to it (ids
 * of 36 characters; peer may be NULL): an array in `pool`, *n of them. NULL: no
 * memory.
 */
gc_path_t *ngx_goconnect_paths_find(ngx_pool_t *pool, const u_char *network,
                                    const u_char *peer, size_t *n);

/* how far somebody knows a network's reports; zeroed at first */
typedef struct {
    uint64_t version;
    uint64_t emptied;
    unsigned full : 1; /* what came is all there is, not what changed */
} ngx_goconnect_paths_mark_t;

/*
 * What has changed since the mark, which moves on: an array for ngx_free(), *n
 * of them; NULL if there is none.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_goconnect_paths_changed(const u_char *network,
                                      ngx_goconnect_paths_mark_t *mark,
                                      gc_path_t **out, size_t *n);

/* what a node's second calls for */
typedef struct {
    unsigned others : 1; /* other nodes have been heard: paths are for them */
    unsigned say : 1;    /* that this node is there */
    unsigned ask : 1;    /* ... and wants to hear all */
    size_t n;
} ngx_goconnect_paths_second_t;

/*
 * One worker of the node is called upon each second: NGX_OK, with at most max
 * reports that the other nodes are to be told of.  NGX_DECLINED: another was.
 */
ngx_int_t ngx_goconnect_paths_second(ngx_goconnect_paths_second_t *second,
                                     gc_path_t *out, size_t max);

/* Another node was heard; ask: it wants to hear all. */
void ngx_goconnect_paths_heard(ngx_uint_t ask);

/* What others say may have been missed. */
void ngx_goconnect_paths_ask(void);


#endif /* NGX_GOCONNECT_PATHS_H */
