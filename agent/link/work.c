#include "link/work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORK_STACK (256 * 1024)

/* Shared by the loop's side and the thread; the last one frees it. */
typedef struct {
    atomic_int holders;
    int event; /* eventfd: the thread has finished; or -1 */
    const work_kind_t *kind;
    max_align_t data[];
} work_job_t;

struct work {
    loop_t *loop;
    loop_fd_t io;
    loop_timer_t deadline;
    work_job_t *job;
    work_done_pt done;
    void *arg;
};

static atomic_int work_threads;


static work_job_t *
work_job_create(const work_kind_t *kind, const void *data)
{
    work_job_t *job = malloc(sizeof(*job) + kind->size);

    if (job != NULL) {
        atomic_init(&job->holders, 1);
        job->event = -1;
        job->kind = kind;
        memcpy(job->data, data, kind->size);
    }

    return job;
}


static void
work_job_release(work_job_t *job)
{
    if (atomic_fetch_sub(&job->holders, 1) == 1) {
        if (job->event != -1) {
            close(job->event);
        }

        free(job);
    }
}


static void *
work_thread(void *data)
{
    uint64_t one = 1;
    work_job_t *job = data;

    job->kind->run(job->data);

    if (job->event != -1 && write(job->event, &one, sizeof(one)) == -1) {
        /* the deadline on the other side ends it */
    }

    atomic_fetch_sub(&work_threads, 1);
    work_job_release(job);
    return NULL;
}


static int
work_spawn(work_job_t *job)
{
    int rc;
    pthread_t thread;
    pthread_attr_t attr;

    if (atomic_fetch_add(&work_threads, 1) >= WORK_THREADS) {
        atomic_fetch_sub(&work_threads, 1);
        return -1;
    }

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, WORK_STACK);

    atomic_fetch_add(&job->holders, 1);
    rc = pthread_create(&thread, &attr, work_thread, job);
    pthread_attr_destroy(&attr);

    if (rc != 0) {
        atomic_fetch_sub(&job->holders, 1);
        atomic_fetch_sub(&work_threads, 1);
        return -1;
    }

    return 0;
}


static void
work_end(work_t *work)
{
    loop_timer_cancel(&work->deadline);
    loop_fd_remove(work->loop, &work->io);
    work_job_release(work->job);
    free(work);
}


void
work_cancel(work_t *work)
{
    work_end(work);
}


/* done may start another one, or free what arg is: we are gone before. */
static void
work_finished(void *arg, uint32_t events)
{
    work_t *work = arg;
    work_job_t *job = work->job;
    work_done_pt done = work->done;
    void *done_arg = work->arg;

    (void) events;

    atomic_fetch_add(&job->holders, 1);
    work_end(work);
    done(done_arg, job->data);
    work_job_release(job);
}


static void
work_expired(void *arg)
{
    work_t *work = arg;
    work_done_pt done = work->done;
    void *done_arg = work->arg;

    work_end(work);
    done(done_arg, NULL);
}


work_t *
work_start(loop_t *loop, const work_kind_t *kind, const void *data,
           int64_t deadline_ms, work_done_pt done, void *arg, err_t *err)
{
    work_t *work = calloc(1, sizeof(*work));
    work_job_t *job = work_job_create(kind, data);

    if (work == NULL || job == NULL) {
        free(work);
        free(job);
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    job->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    work->loop = loop;
    work->job = job;
    work->done = done;
    work->arg = arg;
    work->io.fd = job->event;
    work->io.fn = work_finished;
    work->io.arg = work;
    work->deadline.fn = work_expired;
    work->deadline.arg = work;

    if (job->event == -1 || loop_fd_add(loop, &work->io, EPOLLIN) == -1) {
        err_errno(err, "failed", "cannot start a helper thread");
        work_job_release(job);
        free(work);
        return NULL;
    }

    loop_timer_set(loop, &work->deadline, deadline_ms);

    if (work_spawn(job) == -1) {
        err_set(err, "busy", "earlier look-ups hang");
        work_end(work);
        return NULL;
    }

    return work;
}


int
work_detach(const work_kind_t *kind, const void *data)
{
    int rc;
    work_job_t *job = work_job_create(kind, data);

    if (job == NULL) {
        return -1;
    }

    rc = work_spawn(job);
    work_job_release(job);

    return rc;
}
