#ifndef GC_BASE_LOOP_H
#define GC_BASE_LOOP_H

#include "base/err.h"

#include <libwebsockets.h>
#include <stdint.h>

/*
 * The one event loop: libwebsockets' own, with timers on its sorted list and
 * every descriptor that is not a connection of its own in one epoll set
 * adopted into it.
 */
typedef struct loop loop_t;
typedef struct loop_timer loop_timer_t;
typedef struct loop_fd loop_fd_t;

/* Set fn and arg, zero the rest; the owner keeps it alive while it is armed. */
struct loop_timer {
    void (*fn)(void *arg);
    void *arg;
    loop_t *loop;
    lws_sorted_usec_list_t sul;
};

/* events is a mask of EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. */
struct loop_fd {
    void (*fn)(void *arg, uint32_t events);
    void *arg;
    int fd;
};


/*
 * protocols ends with an entry without a name; at most LOOP_PROTOCOLS.
 * ca_file is NULL (the system's authorities) or a PEM file that replaces
 * them. NULL on error.
 */
#define LOOP_PROTOCOLS 6

loop_t *loop_create(const struct lws_protocols *protocols, const char *ca_file,
                    err_t *err);

/* Until loop_stop(); 0, or -1 if the loop itself failed. */
int loop_run(loop_t *loop);
void loop_stop(loop_t *loop);
void loop_destroy(loop_t *loop);

struct lws_context *loop_context(loop_t *loop);
struct lws_vhost *loop_vhost(loop_t *loop);

/* Milliseconds of CLOCK_BOOTTIME: sleep counts. */
int64_t loop_now(void);

void loop_timer_set(loop_t *loop, loop_timer_t *timer, int64_t ms);
void loop_timer_cancel(loop_timer_t *timer);

/* The descriptor stays the caller's. 0 or -1 with errno. */
int loop_fd_add(loop_t *loop, loop_fd_t *fd, uint32_t events);
int loop_fd_set(loop_t *loop, loop_fd_t *fd, uint32_t events);
void loop_fd_remove(loop_t *loop, loop_fd_t *fd);

#endif
