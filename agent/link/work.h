#ifndef GC_LINK_WORK_H
#define GC_LINK_WORK_H

#include "base/loop.h"

/*
 * What blocks, on a helper thread, its end told in the loop. The caller's
 * deadline does not wait for the thread, which ends by itself; at most
 * WORK_THREADS are out at once.
 */
typedef struct work work_t;

#define WORK_THREADS 8

typedef struct {
    size_t size;             /* of the data, which is copied */
    void (*run)(void *data); /* on the thread; nothing of the loop's */
} work_kind_t;

/* What run made of the data; NULL when the deadline has passed. */
typedef void (*work_done_pt)(void *arg, const void *data);


/*
 * Calls done once, from the loop, never from inside this call. NULL (and no
 * call) if memory or threads are short.
 */
work_t *work_start(loop_t *loop, const work_kind_t *kind, const void *data,
                   int64_t deadline_ms, work_done_pt done, void *arg,
                   err_t *err);

/* done is not called any more. */
void work_cancel(work_t *work);

/* Nobody waits for it. 0 or -1. */
int work_detach(const work_kind_t *kind, const void *data);

#endif
