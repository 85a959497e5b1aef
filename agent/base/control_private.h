#ifndef GC_BASE_CONTROL_PRIVATE_H
#define GC_BASE_CONTROL_PRIVATE_H

#include "base/control.h"

#include <sys/types.h>
#include <sys/un.h>

/*
 * What control.c, which listens, and control_client.c, which talks, know of
 * each other.
 */
typedef struct control_client control_client_t;

struct control {
    loop_t *loop;
    control_handler_pt handler;
    void *arg;
    control_client_t *clients;
    unsigned count;
    loop_fd_t io;
    gid_t group;
    unsigned has_group : 1;
    struct sockaddr_un address;
};


/* Takes the socket; it is closed when memory is out. */
void control_client_add(control_t *control, int fd);
void control_client_close(control_client_t *client);

/* One answer to somebody who is no client (any more), if there is room. */
void control_refuse(int fd, const char *code, const char *detail);

#endif
