#define _GNU_SOURCE /* EAI_* of glibc */

#include "link/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Shared by the loop's side and the thread; the last one frees it. */
typedef struct {
    atomic_int holders;
    int event; /* eventfd: the thread has finished */
    char host[256];
    resolve_result_t result;
} resolve_job_t;

struct resolve {
    loop_t *loop;
    loop_fd_t io;
    loop_timer_t deadline;
    resolve_job_t *job;
    void (*done)(void *arg, const resolve_result_t *result);
    void *arg;
};

static atomic_int resolve_threads;


static void
resolve_job_release(resolve_job_t *job)
{
    if (atomic_fetch_sub(&job->holders, 1) == 1) {
        close(job->event);
        free(job);
    }
}


static void
resolve_collect(resolve_result_t *result, const struct addrinfo *list)
{
    const struct addrinfo *ai;

    for (ai = list; ai != NULL && result->count < RESOLVE_ADDRESSES;
         ai = ai->ai_next) {
        if (getnameinfo(ai->ai_addr, ai->ai_addrlen,
                        result->text[result->count], RESOLVE_ADDRESS_SIZE, NULL,
                        0, NI_NUMERICHOST) == 0) {
            result->count++;
        }
    }
}


static void *
resolve_thread(void *data)
{
    int rc;
    uint64_t one = 1;
    resolve_job_t *job = data;
    struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};

    rc = getaddrinfo(job->host, NULL, &hints, &list);

    if (rc == 0) {
        resolve_collect(&job->result, list);
        freeaddrinfo(list);
    }

    if (job->result.count == 0) {
        err_set(&job->result.err, "dns",
                "cannot find the address of %.200s: %s", job->host,
                rc != 0 ? gai_strerror(rc) : "it has none");
    }

    if (write(job->event, &one, sizeof(one)) == -1) {
        /* the deadline on the other side ends it */
    }

    atomic_fetch_sub(&resolve_threads, 1);
    resolve_job_release(job);
    return NULL;
}


static void
resolve_end(resolve_t *resolve)
{
    loop_timer_cancel(&resolve->deadline);
    loop_fd_remove(resolve->loop, &resolve->io);
    resolve_job_release(resolve->job);
    free(resolve);
}


void
resolve_cancel(resolve_t *resolve)
{
    resolve_end(resolve);
}


static void
resolve_finished(void *arg, uint32_t events)
{
    resolve_t *resolve = arg;
    resolve_result_t result = resolve->job->result;
    void (*done)(void *, const resolve_result_t *) = resolve->done;
    void *done_arg = resolve->arg;

    (void) events;

    resolve_end(resolve);
    done(done_arg, &result);
}


static void
resolve_expired(void *arg)
{
    resolve_t *resolve = arg;
    resolve_result_t result;
    void (*done)(void *, const resolve_result_t *) = resolve->done;
    void *done_arg = resolve->arg;

    memset(&result, 0, sizeof(result));
    err_set(&result.err, "dns",
            "cannot find the address of %.200s: no answer within %d s",
            resolve->job->host, RESOLVE_TIMEOUT_MS / 1000);

    resolve_end(resolve);
    done(done_arg, &result);
}


static int
resolve_spawn(resolve_job_t *job)
{
    int rc;
    pthread_t thread;
    pthread_attr_t attr;

    if (atomic_fetch_add(&resolve_threads, 1) >= RESOLVE_THREADS) {
        atomic_fetch_sub(&resolve_threads, 1);
        return -1;
    }

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, 256 * 1024);

    atomic_fetch_add(&job->holders, 1);
    rc = pthread_create(&thread, &attr, resolve_thread, job);
    pthread_attr_destroy(&attr);

    if (rc != 0) {
        atomic_fetch_sub(&job->holders, 1);
        atomic_fetch_sub(&resolve_threads, 1);
        return -1;
    }

    return 0;
}


resolve_t *
resolve_start(loop_t *loop, const char *host,
              void (*done)(void *arg, const resolve_result_t *), void *arg,
              err_t *err)
{
    resolve_t *resolve = calloc(1, sizeof(*resolve));
    resolve_job_t *job = calloc(1, sizeof(*job));

    if (resolve == NULL || job == NULL) {
        free(resolve);
        free(job);
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    atomic_init(&job->holders, 1);
    snprintf(job->host, sizeof(job->host), "%s", host);
    job->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    resolve->loop = loop;
    resolve->job = job;
    resolve->done = done;
    resolve->arg = arg;
    resolve->io.fd = job->event;
    resolve->io.fn = resolve_finished;
    resolve->io.arg = resolve;
    resolve->deadline.fn = resolve_expired;
    resolve->deadline.arg = resolve;

    if (job->event == -1 || loop_fd_add(loop, &resolve->io, EPOLLIN) == -1) {
        err_errno(err, "dns", "cannot look names up");
        resolve_job_release(job);
        free(resolve);
        return NULL;
    }

    loop_timer_set(loop, &resolve->deadline, RESOLVE_TIMEOUT_MS);

    if (resolve_spawn(job) == -1) {
        err_set(err, "dns", "cannot look %.200s up: earlier look-ups hang",
                host);
        resolve_end(resolve);
        return NULL;
    }

    return resolve;
}
