/*
 * How many sockets a user has on this node, over all of its workers, and how
 * many there are.
 *
 * Each worker counts its own in a region of shared memory that it alone
 * writes; the sum of the regions is the node's.  A worker that was killed
 * leaves nothing behind: its successor begins with a clean region.  Users
 * share counters by hash, in four rows that know nothing of each other: the
 * least of the four is too high for one user in 2,500 while 10,000 are there.
 */

#include "live/ngx_goconnect_live_private.h"

#include <sys/mman.h>

#include "core/gc_siphash.h"


#define NGX_GOCONNECT_LIMIT_ROWS 4
#define NGX_GOCONNECT_LIMIT_BITS 16 /* of a user's hash for each row */
#define NGX_GOCONNECT_LIMIT_COLUMNS (1 << NGX_GOCONNECT_LIMIT_BITS)


typedef struct {
    uint32_t sockets;
    uint16_t count[NGX_GOCONNECT_LIMIT_ROWS][NGX_GOCONNECT_LIMIT_COLUMNS];
} ngx_goconnect_limit_region_t;


/* made by the master for the workers of one configuration */
typedef struct {
    ngx_goconnect_limit_region_t *regions;
    ngx_uint_t n;
    u_char key[GC_SIPHASH_KEY];
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

    return ngx_goconnect_live_random(limit->key, sizeof(limit->key));
}


/* the user's counter of each row */
static void
ngx_goconnect_limit_columns(const u_char *user, uint16_t *columns)
{
    uint64_t hash;
    ngx_uint_t row;

    hash = gc_siphash(ngx_goconnect_limit.key, user, NGX_GOCONNECT_ID_LEN);

    for (row = 0; row < NGX_GOCONNECT_LIMIT_ROWS; row++) {
        columns[row] = (uint16_t) (hash >> (row * NGX_GOCONNECT_LIMIT_BITS));
    }
}


ngx_uint_t
ngx_goconnect_limit_user(const u_char *user)
{
    ngx_uint_t row, i, sum, least;
    uint16_t columns[NGX_GOCONNECT_LIMIT_ROWS];

    least = NGX_MAX_UINT32_VALUE;
    ngx_goconnect_limit_columns(user, columns);

    for (row = 0; row < NGX_GOCONNECT_LIMIT_ROWS; row++) {
        sum = 0;

        for (i = 0; i < ngx_goconnect_limit.n; i++) {
            sum += ngx_goconnect_limit.regions[i].count[row][columns[row]];
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
    uint16_t columns[NGX_GOCONNECT_LIMIT_ROWS], *count;

    region = &ngx_goconnect_limit.regions[ngx_worker];
    ngx_goconnect_limit_columns(user, columns);

    for (row = 0; row < NGX_GOCONNECT_LIMIT_ROWS; row++) {
        count = &region->count[row][columns[row]];
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


void
ngx_goconnect_limit_socket(int change)
{
    uint32_t *sockets;

    sockets = &ngx_goconnect_limit.regions[ngx_worker].sockets;
    *sockets = (uint32_t) ((int) *sockets + change);
}


ngx_uint_t
ngx_goconnect_limit_sockets(void)
{
    ngx_uint_t i, sum;

    sum = 0;

    for (i = 0; i < ngx_goconnect_limit.n; i++) {
        sum += ngx_goconnect_limit.regions[i].sockets;
    }

    return sum;
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
