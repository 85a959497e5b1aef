#include "shm/ngx_goconnect_metrics.h"

#include <time.h>

#include "core/gc_version.h"


#define NGX_GOCONNECT_METRICS_BUCKETS 13
#define NGX_GOCONNECT_METRICS_LINE 256 /* bytes; no line is longer */


typedef enum {
    NGX_GOCONNECT_METRICS_COUNTER = 0,
    NGX_GOCONNECT_METRICS_GAUGE,
    NGX_GOCONNECT_METRICS_FIGURE
} ngx_goconnect_metrics_kind_e;


typedef struct {
    ngx_goconnect_metrics_kind_e kind;
    const char *name;
    const char *labels;
    uint64_t scale;
    const char *help;
} ngx_goconnect_metrics_row_t;


static const ngx_goconnect_metrics_row_t ngx_goconnect_metrics_rows[] = {
#define GC_COUNTER(id, ...) {NGX_GOCONNECT_METRICS_COUNTER, __VA_ARGS__},
#define GC_GAUGE(id, ...) {NGX_GOCONNECT_METRICS_GAUGE, __VA_ARGS__},
#define GC_FIGURE(id, ...) {NGX_GOCONNECT_METRICS_FIGURE, __VA_ARGS__},
#include "shm/metrics.def"
#undef GC_COUNTER
#undef GC_GAUGE
#undef GC_FIGURE
};


/* what the API answers; the last one is for whatever else */
static const ngx_uint_t ngx_goconnect_metrics_statuses[] = {
    101, 200, 201, 202, 204, 304, 400, 401, 403, 404, 405,
    408, 409, 412, 413, 415, 422, 429, 499, 500, 503, 0};

#define NGX_GOCONNECT_METRICS_STATUSES \
    (sizeof(ngx_goconnect_metrics_statuses) / sizeof(ngx_uint_t))


/* upper ends in microseconds; beyond the last is +Inf */
static const uint64_t ngx_goconnect_metrics_ends[] = {
    1000,   2500,   5000,    10000,   25000,   50000,   100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000};


typedef struct {
    ngx_atomic_t status[NGX_GOCONNECT_METRICS_STATUSES];
    ngx_atomic_t bucket[NGX_GOCONNECT_METRICS_BUCKETS + 1];
    ngx_atomic_t sum;
} ngx_goconnect_metrics_route_t;


typedef struct {
    ngx_atomic_t pid; /* 0: never used */
    ngx_atomic_t value[NGX_GOCONNECT_METRICS];
} ngx_goconnect_metrics_worker_t;


/* in shared memory: routes and workers follow */
typedef struct {
    uint32_t layout;
    ngx_atomic_t value[NGX_GOCONNECT_METRICS];
} ngx_goconnect_metrics_shared_t;


/* of one configuration */
struct ngx_goconnect_metrics_s {
    ngx_goconnect_metrics_shared_t *shared;
    ngx_goconnect_metrics_route_t *routes;
    ngx_goconnect_metrics_worker_t *workers;
    const ngx_str_t *names;
    ngx_uint_t nroutes;
    ngx_uint_t nworkers;
};


/* this worker's; NULL before it has begun */
static ngx_goconnect_metrics_t *ngx_goconnect_metrics;


static size_t
ngx_goconnect_metrics_size(const ngx_goconnect_metrics_t *m)
{
    return sizeof(ngx_goconnect_metrics_shared_t) +
           m->nroutes * sizeof(ngx_goconnect_metrics_route_t) +
           m->nworkers * sizeof(ngx_goconnect_metrics_worker_t);
}


/* of what the numbers mean, so that a new release does not go on with them */
static uint32_t
ngx_goconnect_metrics_layout(const ngx_goconnect_metrics_t *m)
{
    const ngx_goconnect_metrics_row_t *row;
    uint32_t crc;
    size_t i;

    ngx_crc32_init(crc);

    for (i = 0; i < m->nroutes; i++) {
        ngx_crc32_update(&crc, m->names[i].data, m->names[i].len);
    }

    for (i = 0; i < NGX_GOCONNECT_METRICS; i++) {
        row = &ngx_goconnect_metrics_rows[i];
        ngx_crc32_update(&crc, (u_char *) row->name, ngx_strlen(row->name));
        ngx_crc32_update(&crc, (u_char *) row->labels, ngx_strlen(row->labels));
    }

    ngx_crc32_final(crc);

    return crc;
}


/* nginx gives us the old zone if name and size are the same */
static ngx_int_t
ngx_goconnect_metrics_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_goconnect_metrics_t *m = zone->data, *old = data;

    uint32_t layout;

    layout = ngx_goconnect_metrics_layout(m);

    m->shared = old ? old->shared
                    : ngx_slab_calloc((ngx_slab_pool_t *) zone->shm.addr,
                                      ngx_goconnect_metrics_size(m));
    if (m->shared == NULL) {
        return NGX_ERROR;
    }

    if (m->shared->layout != layout) {
        ngx_memzero(m->shared, ngx_goconnect_metrics_size(m));
        m->shared->layout = layout;
    }

    m->routes = (ngx_goconnect_metrics_route_t *) (m->shared + 1);
    m->workers = (ngx_goconnect_metrics_worker_t *) (m->routes + m->nroutes);

    return NGX_OK;
}


ngx_goconnect_metrics_t *
ngx_goconnect_metrics_zone(ngx_conf_t *cf, void *module,
                           const ngx_str_t *routes, ngx_uint_t n)
{
    ngx_str_t name = ngx_string("goconnect_metrics");
    ngx_goconnect_metrics_t *m;
    ngx_core_conf_t *ccf;
    ngx_shm_zone_t *zone;
    size_t size;

    m = ngx_pcalloc(cf->pool, sizeof(ngx_goconnect_metrics_t));
    if (m == NULL) {
        return NULL;
    }

    ccf =
        (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx, ngx_core_module);

    m->names = routes;
    m->nroutes = n;
    m->nworkers =
        ccf->worker_processes > 0 ? (ngx_uint_t) ccf->worker_processes : 1;

    /* the slab keeps some pages for itself */
    size = ngx_align(ngx_goconnect_metrics_size(m), ngx_pagesize);
    size += size / 8 + 8 * ngx_pagesize;

    zone = ngx_shared_memory_add(cf, &name, size, module);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = ngx_goconnect_metrics_init_zone;
    zone->data = m;

    return m;
}


uint64_t
ngx_goconnect_metrics_clock(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


void
ngx_goconnect_metrics_init_process(ngx_goconnect_metrics_t *metrics)
{
    ngx_goconnect_metrics_worker_t *worker;

    ngx_goconnect_metrics = metrics;

    if (ngx_worker >= metrics->nworkers) {
        return;
    }

    worker = &metrics->workers[ngx_worker];
    ngx_memzero(worker, sizeof(*worker));
    worker->pid = (ngx_atomic_uint_t) ngx_pid;

    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_STARTED,
                             (uint64_t) ngx_time());
}


void
ngx_goconnect_metric_add(ngx_uint_t metric, ngx_uint_t n)
{
    if (ngx_goconnect_metrics) {
        (void) ngx_atomic_fetch_add(
            &ngx_goconnect_metrics->shared->value[metric],
            (ngx_atomic_int_t) n);
    }
}


void
ngx_goconnect_metric_set(ngx_uint_t metric, uint64_t value)
{
    ngx_goconnect_metrics_worker_t *worker;

    if (ngx_goconnect_metrics == NULL) {
        return;
    }

    if (ngx_goconnect_metrics_rows[metric].kind ==
        NGX_GOCONNECT_METRICS_FIGURE) {
        ngx_goconnect_metrics->shared->value[metric] = value;
        return;
    }

    if (ngx_worker >= ngx_goconnect_metrics->nworkers) {
        return;
    }

    worker = &ngx_goconnect_metrics->workers[ngx_worker];

    /* after a reload the number is the new worker's */
    if (worker->pid == (ngx_atomic_uint_t) ngx_pid) {
        worker->value[metric] = value;
    }
}


void
ngx_goconnect_metrics_request(ngx_uint_t route, ngx_uint_t status,
                              uint64_t microseconds)
{
    ngx_goconnect_metrics_route_t *r;
    ngx_uint_t i;

    if (ngx_goconnect_metrics == NULL ||
        route >= ngx_goconnect_metrics->nroutes) {
        return;
    }

    r = &ngx_goconnect_metrics->routes[route];

    for (i = 0; i < NGX_GOCONNECT_METRICS_STATUSES - 1; i++) {
        if (ngx_goconnect_metrics_statuses[i] == status) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&r->status[i], 1);

    for (i = 0; i < NGX_GOCONNECT_METRICS_BUCKETS; i++) {
        if (microseconds <= ngx_goconnect_metrics_ends[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&r->bucket[i], 1);
    (void) ngx_atomic_fetch_add(&r->sum, (ngx_atomic_int_t) microseconds);
}


/*
 * The text
 */

static u_char *
ngx_goconnect_metrics_head(u_char *p, const char *name, const char *type,
                           const char *help)
{
    return ngx_sprintf(p,
                       "# HELP goconnect_%s %s\n"
                       "# TYPE goconnect_%s %s\n",
                       name, help, name, type);
}


/* a number of millionths, or of ones */
static u_char *
ngx_goconnect_metrics_value(u_char *p, uint64_t value, uint64_t scale)
{
    if (scale == 1) {
        return ngx_sprintf(p, " %uL\n", value);
    }

    return ngx_sprintf(p, " %uL.%06uL\n", value / scale, value % scale);
}


static u_char *
ngx_goconnect_metrics_line(u_char *p, const ngx_goconnect_metrics_row_t *row,
                           ngx_int_t worker, uint64_t value)
{
    const char *comma;

    p = ngx_sprintf(p, "goconnect_%s", row->name);
    comma = row->labels[0] ? "," : "";

    if (worker >= 0) {
        p = ngx_sprintf(p, "{%s%sworker=\"%i\"}", row->labels, comma, worker);

    } else if (row->labels[0]) {
        p = ngx_sprintf(p, "{%s}", row->labels);
    }

    return ngx_goconnect_metrics_value(p, value, row->scale);
}


static u_char *
ngx_goconnect_metrics_rows_text(u_char *p)
{
    const ngx_goconnect_metrics_row_t *row;
    ngx_goconnect_metrics_t *m;
    ngx_uint_t i, w;
    size_t total;

    m = ngx_goconnect_metrics;

    for (i = 0; i < NGX_GOCONNECT_METRICS; i++) {
        row = &ngx_goconnect_metrics_rows[i];
        total = ngx_strlen(row->name);

        if (row->help[0]) {
            /* a counter of each worker is one all the same */
            p = ngx_goconnect_metrics_head(
                p, row->name,
                total > 6 && ngx_strcmp(row->name + total - 6, "_total") == 0
                    ? "counter"
                    : "gauge",
                row->help);
        }

        if (row->kind != NGX_GOCONNECT_METRICS_GAUGE) {
            p = ngx_goconnect_metrics_line(p, row, -1, m->shared->value[i]);
            continue;
        }

        for (w = 0; w < m->nworkers; w++) {
            if (m->workers[w].pid) {
                p = ngx_goconnect_metrics_line(p, row, (ngx_int_t) w,
                                               m->workers[w].value[i]);
            }
        }
    }

    return p;
}


static u_char *
ngx_goconnect_metrics_statuses_text(u_char *p)
{
    ngx_goconnect_metrics_t *m;
    ngx_uint_t i, k, n, status;

    m = ngx_goconnect_metrics;

    p = ngx_goconnect_metrics_head(p, "http_requests_total", "counter",
                                   "Requests by route and status.");

    for (i = 0; i < m->nroutes; i++) {
        for (k = 0; k < NGX_GOCONNECT_METRICS_STATUSES; k++) {
            n = m->routes[i].status[k];
            status = ngx_goconnect_metrics_statuses[k];

            if (n == 0) {
                continue;
            }

            p = ngx_sprintf(p, "goconnect_http_requests_total{route=\"%V\",",
                            &m->names[i]);
            p = status ? ngx_sprintf(p, "status=\"%ui\"} %ui\n", status, n)
                       : ngx_sprintf(p, "status=\"other\"} %ui\n", n);
        }
    }

    return p;
}


static u_char *
ngx_goconnect_metrics_durations_text(u_char *p)
{
    static const char name[] = "http_request_duration_seconds";
    ngx_goconnect_metrics_t *m;
    ngx_goconnect_metrics_route_t *r;
    ngx_uint_t i, k, n;
    uint64_t end;

    m = ngx_goconnect_metrics;

    p = ngx_goconnect_metrics_head(
        p, name, "histogram",
        "Time from the first byte of a request to the end of its answer.");

    for (i = 0; i < m->nroutes; i++) {
        r = &m->routes[i];
        n = 0;

        for (k = 0; k <= NGX_GOCONNECT_METRICS_BUCKETS; k++) {
            n += r->bucket[k];
        }

        if (n == 0) {
            continue;
        }

        n = 0;

        for (k = 0; k < NGX_GOCONNECT_METRICS_BUCKETS; k++) {
            n += r->bucket[k];
            end = ngx_goconnect_metrics_ends[k];
            p = ngx_sprintf(p,
                            "goconnect_%s_bucket{route=\"%V\","
                            "le=\"%uL.%04uL\"} %ui\n",
                            name, &m->names[i], end / 1000000,
                            end % 1000000 / 100, n);
        }

        n += r->bucket[k];
        p = ngx_sprintf(p,
                        "goconnect_%s_bucket{route=\"%V\",le=\"+Inf\"} %ui\n"
                        "goconnect_%s_count{route=\"%V\"} %ui\n"
                        "goconnect_%s_sum{route=\"%V\"}",
                        name, &m->names[i], n, name, &m->names[i], n, name,
                        &m->names[i]);
        p = ngx_goconnect_metrics_value(p, r->sum, 1000000);
    }

    return p;
}


ngx_int_t
ngx_goconnect_metrics_text(ngx_pool_t *pool, ngx_str_t *text)
{
    ngx_goconnect_metrics_t *m;
    ngx_uint_t lines;
    u_char *p;

    m = ngx_goconnect_metrics;

    if (m == NULL) {
        return NGX_ERROR;
    }

    lines = 16 + NGX_GOCONNECT_METRICS * (m->nworkers + 2) +
            m->nroutes * (NGX_GOCONNECT_METRICS_STATUSES +
                          NGX_GOCONNECT_METRICS_BUCKETS + 4);

    p = ngx_palloc(pool, lines * NGX_GOCONNECT_METRICS_LINE);
    if (p == NULL) {
        return NGX_ERROR;
    }

    text->data = p;

    p = ngx_goconnect_metrics_head(p, "build_info", "gauge",
                                   "1; what runs is in the labels.");
    p = ngx_sprintf(p, "goconnect_build_info{version=\"%s\"} 1\n", GC_VERSION);
    p = ngx_goconnect_metrics_rows_text(p);
    p = ngx_goconnect_metrics_statuses_text(p);
    p = ngx_goconnect_metrics_durations_text(p);

    text->len = (size_t) (p - text->data);

    return NGX_OK;
}
