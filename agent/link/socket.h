#ifndef GC_LINK_SOCKET_H
#define GC_LINK_SOCKET_H

#include "link/dial.h"

/*
 * One WebSocket connection to the server (RFC 6455), text frames of JSON.
 * Messages are put together from fragments; a dead peer is noticed by
 * protocol pings.
 */
typedef struct socket_link socket_link_t;

#define SOCKET_CONNECT_MS 20000
#define SOCKET_PING_S 15
#define SOCKET_DEAD_S 25
#define SOCKET_MESSAGE_MAX (4 * 1024 * 1024)
#define SOCKET_QUEUE_MAX 256 /* messages not yet written */

typedef struct {
    void (*opened)(void *arg);
    /* text is not terminated, and gone after the call */
    void (*message)(void *arg, const char *text, size_t len);
    /*
     * Once, and the last: the connection is closed or was never made. code
     * is the close code, 0 without one; err says it in words (dns, tls,
     * unreachable, timeout, closed, too_large).
     */
    void (*closed)(void *arg, unsigned code, const err_t *err);
} socket_callbacks_t;


/*
 * path (with the credential in its query) is copied, and wiped once sent.
 * No callback from inside this call. NULL if memory is short.
 */
socket_link_t *socket_open(loop_t *loop, dial_server_t *server,
                           const char *path, const socket_callbacks_t *calls,
                           void *arg);

/* Queues one message; -1 if the queue is full or the connection not open. */
int socket_send(socket_link_t *socket, const char *text);

/*
 * Whether the address at our end is not this machine's any more: nothing that
 * is sent arrives, and nobody tells.
 */
int socket_stranded(const socket_link_t *socket);

/* No callback any more. */
void socket_close(socket_link_t *socket);

#endif
