#define _GNU_SOURCE /* EAI_* of glibc */

#include "link/resolve.h"

#include "link/work.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char host[256];
    resolve_result_t result;
} resolve_data_t;

struct resolve {
    work_t *work;
    char host[256];
    void (*done)(void *arg, const resolve_result_t *result);
    void *arg;
};

static void resolve_run(void *data);

static const work_kind_t resolve_kind = {sizeof(resolve_data_t), resolve_run};


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


static void
resolve_run(void *data)
{
    int rc;
    resolve_data_t *job = data;
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
}


void
resolve_cancel(resolve_t *resolve)
{
    work_cancel(resolve->work);
    free(resolve);
}


static void
resolve_done(void *arg, const void *data)
{
    resolve_t *resolve = arg;
    resolve_result_t result;
    void (*done)(void *, const resolve_result_t *) = resolve->done;
    void *done_arg = resolve->arg;

    if (data != NULL) {
        result = ((const resolve_data_t *) data)->result;

    } else {
        memset(&result, 0, sizeof(result));
        err_set(&result.err, "dns",
                "cannot find the address of %.200s: no answer within %d s",
                resolve->host, RESOLVE_TIMEOUT_MS / 1000);
    }

    free(resolve);
    done(done_arg, &result);
}


resolve_t *
resolve_start(loop_t *loop, const char *host,
              void (*done)(void *arg, const resolve_result_t *), void *arg,
              err_t *err)
{
    err_t why;
    resolve_data_t data;
    resolve_t *resolve = calloc(1, sizeof(*resolve));

    if (resolve == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    memset(&data, 0, sizeof(data));
    snprintf(data.host, sizeof(data.host), "%s", host);
    memcpy(resolve->host, data.host, sizeof(resolve->host));
    resolve->done = done;
    resolve->arg = arg;
    resolve->work = work_start(loop, &resolve_kind, &data, RESOLVE_TIMEOUT_MS,
                               resolve_done, resolve, err);

    if (resolve->work == NULL) {
        memcpy(&why, err, sizeof(why));
        err_set(err, "dns", "cannot look %.200s up: %.100s", host, why.text);
        free(resolve);
        return NULL;
    }

    return resolve;
}
