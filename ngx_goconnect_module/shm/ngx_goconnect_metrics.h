/*
 * Counters in shared memory, for /metrics: requests of each route, the rows of
 * metrics.def. Whoever counts adds an atomic number; nobody takes a lock. They
 * survive a reload, unless the routes, the rows or the number of workers have
 * changed.
 */


#ifndef NGX_GOCONNECT_METRICS_H
#define NGX_GOCONNECT_METRICS_H


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
#define GC_COUNTER(id, ...) NGX_GOCONNECT_METRIC_##id,
#define GC_GAUGE(id, ...) NGX_GOCONNECT_METRIC_##id,
#define GC_FIGURE(id, ...) NGX_GOCONNECT_METRIC_##id,
#include "shm/metrics.def"
#undef GC_COUNTER
#undef GC_GAUGE
#undef GC_FIGURE
    NGX_GOCONNECT_METRICS
} ngx_goconnect_metric_e;


typedef struct ngx_goconnect_metrics_s ngx_goconnect_metrics_t;


/*
 * Asks for the zone, while the configuration is read. `routes` names what
 * requests are counted by; the last one is for requests that have none. The
 * array and its strings live as long as the configuration. NULL: an error.
 */
ngx_goconnect_metrics_t *ngx_goconnect_metrics_zone(ngx_conf_t *cf,
                                                    void *module,
                                                    const ngx_str_t *routes,
                                                    ngx_uint_t n);

/* What this worker counts in from now on; its own gauges begin anew. */
void ngx_goconnect_metrics_init_process(ngx_goconnect_metrics_t *metrics);

/* Adds to a counter. */
void ngx_goconnect_metric_add(ngx_uint_t metric, ngx_uint_t n);

/* Sets this worker's gauge, or a figure. */
void ngx_goconnect_metric_set(ngx_uint_t metric, uint64_t value);

/* Counts a request of routes[route] with its status and duration. */
void ngx_goconnect_metrics_request(ngx_uint_t route, ngx_uint_t status,
                                   uint64_t microseconds);

/*
 * The whole in Prometheus's text format 0.0.4, in `pool`. NGX_OK, NGX_ERROR.
 */
ngx_int_t ngx_goconnect_metrics_text(ngx_pool_t *pool, ngx_str_t *text);

/* Microseconds of a clock that never goes back. */
uint64_t ngx_goconnect_metrics_clock(void);


#endif /* NGX_GOCONNECT_METRICS_H */
