/*
 * Included before every file of a module that is built with sanitizers. Each
 * allocation from an nginx pool becomes a malloc() of its own (the pool's way
 * for large blocks), so that AddressSanitizer sees what runs over the end.
 */

#ifndef GOCONNECT_SAN_POOLS_H
#define GOCONNECT_SAN_POOLS_H

#include <ngx_config.h>
#include <ngx_core.h>


static inline void *
san_palloc(ngx_pool_t *pool, size_t size)
{
    void *p;
    size_t max;

    max = pool->max;
    pool->max = 0;
    p = ngx_palloc(pool, size);
    pool->max = max;

    return p;
}


static inline void *
san_pcalloc(ngx_pool_t *pool, size_t size)
{
    void *p;

    p = san_palloc(pool, size);
    if (p != NULL) {
        ngx_memzero(p, size);
    }

    return p;
}


#define ngx_palloc san_palloc
#define ngx_pnalloc san_palloc
#define ngx_pcalloc san_pcalloc

#endif /* GOCONNECT_SAN_POOLS_H */
