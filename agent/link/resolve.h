#ifndef GC_LINK_RESOLVE_H
#define GC_LINK_RESOLVE_H

#include "base/loop.h"

/*
 * Names to addresses without blocking the loop: getaddrinfo() runs on a
 * helper thread (link/work.h).
 */
typedef struct resolve resolve_t;

#define RESOLVE_ADDRESSES 8
#define RESOLVE_ADDRESS_SIZE 48
#define RESOLVE_TIMEOUT_MS 10000

typedef struct {
    unsigned count; /* 0: err says why */
    char text[RESOLVE_ADDRESSES][RESOLVE_ADDRESS_SIZE];
    err_t err; /* code "dns" */
} resolve_result_t;


/*
 * Calls done once, from the loop, never from inside this call. NULL (and no
 * call) if memory or threads are short.
 */
resolve_t *resolve_start(loop_t *loop, const char *host,
                         void (*done)(void *arg, const resolve_result_t *),
                         void *arg, err_t *err);

/* done is not called any more. */
void resolve_cancel(resolve_t *resolve);

#endif
