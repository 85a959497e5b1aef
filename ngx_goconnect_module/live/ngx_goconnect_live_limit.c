/*
 * How many sockets a user has on this node, over all of its workers.
 *
 * Each worker counts its own in a region of shared memory that it alone
 * writes; the sum of the regions is the node's.  A worker that was killed
 * leaves nothing behind: its successor begins with a clean region.  Users
 * share counters by hash, in two rows: the lesser of the two is at most a
 * little too high.
 */

#include "live/ngx_goconnect_live_private.h"

#include <sys/mman.h>


#define NGX_GOCONNECT_LIMIT_ROWS 2
#define NGX_GOCONNECT_LIMIT_COLUMNS 65536 /* a power of 2 */


typedef struct {
    uint16_t count[NGX_GOCONNECT_LIMIT_ROWS][NGX_GOCONNECT_LIMIT_COLUMNS];
} ngx_goconnect_limit_region_t;


/* made by the master for the workers of one configuration */
typedef struct {
    ngx_goconnect_limit_region_t *regions;
    ngx_uint_t n;
} ngx_goconnect_limit_t;


static ngx_goconnect_limit_t ngx_goconnect_limit;


ngx_int_t
ngx_goconnect_live_init_module(ngx_cycle_t *cycle)
{
    ngx_core_conf_t *ccf;
    ngx_goconnect_limit_t *limit;
    void *p;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);
    limit = &ngx_goconnect_limit;

    /* workers of the former configuration keep their own mapping */
    if (limit->regions) {
        (void) munmap(limit->regions,
                      limit->n * sizeof(ngx_goconnect_limit_region_t));
        limit->regions = NULL;
    }

    limit->n =
        ccf->worker_processes > 0 ? (ngx_uint_t) ccf->worker_processes : 1;

    p = mmap(NULL, limit->n * sizeof(ngx_goconnect_limit_region_t),
             PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "mmap() of the connection counters failed");
        return NGX_ERROR;
    }

    limit->regions = p;

    return NGX_OK;
}


static ngx_uint_t
ngx_goconnect_limit_column(const u_char *user, ngx_uint_t row)
{
    uint32_t hash;
    ngx_uint_t i;

    hash = row ? 2166136261U : 3735928559U;

    for (i = 0; i < NGX_GOCONNECT_ID_LEN; i++) {
        hash = (hash ^ user[i]) * 16777619;
    }

    return (hash ^ (hash >> 16)) & (NGX_GOCONNECT_LIMIT_COLUMNS - 1);
}


ngx_uint_t
ngx_goconnect_limit_user(const u_char *user)
{
    ngx_uint_t row, column, i, sum, least;

    least = NGX_MAX_UINT32_VALUE;

    for (row = 0; row < NGX_GOCONNECT_LIMIT_ROWS; row++) {
        column = ngx_goconnect_limit_column(user, row);
        sum = 0;

        for (i = 0; i < ngx_goconnect_limit.n; i++) {
            sum += ngx_goconnect_limit.regions[i].count[row][column];
        }

        least = ngx_min(least, sum);
    }

    return least;
}


static void
ngx_goconnect_limit_add(const u_char *user, int change)
{
    ngx_goconnect_limit_region_t *region;
    ngx_uint_t row;
    uint16_t *count;

    region = &ngx_goconnect_limit.regions[ngx_worker];

    for (row = 0; row < NGX_GOCONNECT_LIMIT_ROWS; row++) {
        count = &region->count[row][ngx_goconnect_limit_column(user, row)];
        *count = (uint16_t) (*count + change);
    }
}


void
ngx_goconnect_limit_enter(const u_char *user)
{
    ngx_goconnect_limit_add(user, 1);
}


void
ngx_goconnect_limit_leave(const u_char *user)
{
    ngx_goconnect_limit_add(user, -1);
}


ngx_int_t
ngx_goconnect_limit_init(ngx_cycle_t *cycle)
{
    if (ngx_goconnect_limit.regions == NULL ||
        ngx_worker >= ngx_goconnect_limit.n) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "goconnect: no connection counters for worker %ui",
                      ngx_worker);
        return NGX_ERROR;
    }

    /* of one that was killed */
    ngx_memzero(&ngx_goconnect_limit.regions[ngx_worker],
                sizeof(ngx_goconnect_limit_region_t));

    return NGX_OK;
}
