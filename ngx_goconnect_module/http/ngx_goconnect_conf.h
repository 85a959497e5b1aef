/*
 * The module's configuration, as the http and live parts see it.  The root
 * file fills it; it is constant after start.
 */


#ifndef NGX_GOCONNECT_CONF_H
#define NGX_GOCONNECT_CONF_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_thread_pool.h>

#include "core/gc_keys.h"
#include "pg/ngx_goconnect_pg.h"
#include "shm/ngx_goconnect_metrics.h"


/* live/ngx_goconnect_live_bus_conf.h */
struct ngx_goconnect_bus_conf_s;

/* relay/ngx_goconnect_relay.h */
struct ngx_goconnect_relay_conf_s;


typedef struct {
    ngx_goconnect_pg_conf_t pg;
    ngx_str_t keys_file;
    gc_keys_t *keys;
    ngx_str_t public_url;      /* no slash at its end; empty: not configured */
    ngx_array_t *cors_origins; /* of ngx_str_t; NULL: none */
    ngx_thread_pool_t *thread_pool;
    ngx_goconnect_metrics_t *metrics;
    ngx_shm_zone_t *cache;                    /* NULL: there is none */
    ngx_shm_zone_t *paths;                    /* ngx_goconnect_paths.h */
    struct ngx_goconnect_bus_conf_s *bus;     /* NULL: LISTEN/NOTIFY */
    struct ngx_goconnect_relay_conf_s *relay; /* NULL: this is none */

    unsigned used : 1;      /* some location needs the database */
    unsigned counting : 1;  /* goconnect_metrics was there */
    unsigned cache_set : 1; /* goconnect_cache was there */
    unsigned bus_set : 1;   /* likewise goconnect_bus */

    ngx_flag_t compression; /* of full netmaps */
} ngx_goconnect_main_conf_t;


extern ngx_module_t ngx_http_goconnect_module;

/* the worker's configuration; NULL without an http block */
ngx_goconnect_main_conf_t *ngx_goconnect_main_conf(void);


#endif /* NGX_GOCONNECT_CONF_H */
