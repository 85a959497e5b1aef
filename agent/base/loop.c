#include "base/loop.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define LOOP_FD_LIMIT 64 /* libwebsockets' own descriptors */
#define LOOP_BATCH 64    /* other events served in one turn */

struct loop {
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[LOOP_PROTOCOLS + 2];
    int epoll; /* libwebsockets closes it */
    int stop;
};

static int loop_epoll_callback(struct lws *wsi,
                               enum lws_callback_reasons reason, void *user,
                               void *in, size_t len);


static void
loop_lws_log(int level, const char *line)
{
    (void) level;
    log_write(LOG_LEVEL_DEBUG, "libwebsockets: %.*s", (int) strcspn(line, "\n"),
              line);
}


static int
loop_protocols(loop_t *loop, const struct lws_protocols *protocols)
{
    unsigned n;

    for (n = 0; protocols != NULL && protocols[n].name != NULL; n++) {
        if (n == LOOP_PROTOCOLS) {
            return -1;
        }

        loop->protocols[n] = protocols[n];
    }

    loop->protocols[n].name = "loop-epoll";
    loop->protocols[n].callback = loop_epoll_callback;
    return 0;
}


static int
loop_adopt_epoll(loop_t *loop)
{
    lws_sock_file_fd_type file;
    struct lws *wsi;

    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll == -1) {
        return -1;
    }

    file.filefd = loop->epoll;
    wsi = lws_adopt_descriptor_vhost(loop->vhost, LWS_ADOPT_RAW_FILE_DESC, file,
                                     "loop-epoll", NULL);
    return wsi == NULL ? -1 : 0;
}


loop_t *
loop_create(const struct lws_protocols *protocols, const char *ca_file,
            err_t *err)
{
    struct lws_context_creation_info info;
    loop_t *loop;

    if (ca_file != NULL && access(ca_file, R_OK) == -1) {
        err_errno(err, "bad_ca", "cannot read the certificates in %s", ca_file);
        return NULL;
    }

    loop = calloc(1, sizeof(*loop));
    if (loop == NULL || loop_protocols(loop, protocols) == -1) {
        free(loop);
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    lws_set_log_level(LLL_ERR | LLL_WARN, loop_lws_log);

    memset(&info, 0, sizeof(info));
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = loop->protocols;
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.user = loop;
    info.gid = -1;
    info.uid = -1;
    info.fd_limit_per_thread = LOOP_FD_LIMIT;

    if (ca_file != NULL) {
        info.client_ssl_ca_filepath = ca_file;
        info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
    }

    loop->context = lws_create_context(&info);
    if (loop->context == NULL) {
        free(loop);
        err_set(err, "no_loop", "cannot start the event loop%s%s",
                ca_file != NULL ? "; are there PEM certificates in " : "",
                ca_file != NULL ? ca_file : "");
        return NULL;
    }

    loop->vhost = lws_get_vhost_by_name(loop->context, "default");

    if (loop->vhost == NULL || loop_adopt_epoll(loop) == -1) {
        lws_context_destroy(loop->context);
        free(loop);
        err_set(err, "no_loop", "cannot start the event loop");
        return NULL;
    }

    return loop;
}


int
loop_run(loop_t *loop)
{
    loop->stop = 0;

    while (!loop->stop) {
        if (lws_service(loop->context, 0) < 0) {
            return -1;
        }
    }

    return 0;
}


void
loop_stop(loop_t *loop)
{
    loop->stop = 1;
    lws_cancel_service(loop->context);
}


void
loop_destroy(loop_t *loop)
{
    lws_context_destroy(loop->context);
    free(loop);
}


struct lws_context *
loop_context(loop_t *loop)
{
    return loop->context;
}


struct lws_vhost *
loop_vhost(loop_t *loop)
{
    return loop->vhost;
}


int64_t
loop_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static void
loop_timer_fire(lws_sorted_usec_list_t *sul)
{
    loop_timer_t *timer = lws_container_of(sul, loop_timer_t, sul);

    timer->fn(timer->arg);
}


void
loop_timer_set(loop_t *loop, loop_timer_t *timer, int64_t ms)
{
    timer->loop = loop;
    lws_sul_schedule(loop->context, 0, &timer->sul, loop_timer_fire,
                     ms > 0 ? ms * LWS_US_PER_MS : 1);
}


void
loop_timer_cancel(loop_timer_t *timer)
{
    if (timer->loop != NULL) {
        lws_sul_schedule(timer->loop->context, 0, &timer->sul, NULL,
                         LWS_SET_TIMER_USEC_CANCEL);
    }
}


int
loop_fd_add(loop_t *loop, loop_fd_t *fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = fd}};

    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd->fd, &event);
}


int
loop_fd_set(loop_t *loop, loop_fd_t *fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = fd}};

    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd->fd, &event);
}


void
loop_fd_remove(loop_t *loop, loop_fd_t *fd)
{
    (void) epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd->fd, NULL);
}


/*
 * One event at a time: a handler may remove and free any other descriptor,
 * which then cannot be among events that were fetched before.
 */
static int
loop_epoll_callback(struct lws *wsi, enum lws_callback_reasons reason,
                    void *user, void *in, size_t len)
{
    int i;
    loop_t *loop;
    loop_fd_t *fd;
    struct epoll_event event;

    (void) user;
    (void) in;
    (void) len;

    if (reason != LWS_CALLBACK_RAW_RX_FILE) {
        return 0;
    }

    loop = lws_context_user(lws_get_context(wsi));

    for (i = 0; i < LOOP_BATCH; i++) {
        if (epoll_wait(loop->epoll, &event, 1, 0) != 1) {
            break;
        }

        fd = event.data.ptr;
        fd->fn(fd->arg, event.events);
    }

    return 0;
}
