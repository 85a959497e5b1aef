#define _GNU_SOURCE /* explicit_bzero */

#include "link/socket.h"

#include "link/protocols.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct socket_out socket_out_t;

struct socket_out {
    socket_out_t *next;
    size_t len;
    unsigned char data[]; /* LWS_PRE bytes of room first */
};

/* Freed after closed was called, or by socket_close(). */
struct socket_link {
    link_owner_t owner; /* first */
    loop_t *loop;
    dial_t dial;
    struct lws *wsi;
    char *path;
    const socket_callbacks_t *calls;
    void *arg;
    loop_timer_t deadline;
    loop_timer_t finish;
    char *in;
    size_t in_len;
    size_t in_size;
    socket_out_t *out;
    socket_out_t **out_last;
    unsigned out_count;
    unsigned code;
    err_t why;
    unsigned established : 1;
    unsigned ended : 1;
};

static const uint32_t socket_retry_ms[] = {1000};

static const lws_retry_bo_t socket_policy = {
    .retry_ms_table = socket_retry_ms,
    .retry_ms_table_count = 1,
    .conceal_count = 0,
    .secs_since_valid_ping = SOCKET_PING_S,
    .secs_since_valid_hangup = SOCKET_DEAD_S,
    .jitter_percent = 20,
};


static void
socket_free(socket_link_t *socket)
{
    socket_out_t *out;

    dial_cancel(&socket->dial);
    loop_timer_cancel(&socket->deadline);
    loop_timer_cancel(&socket->finish);

    if (socket->wsi != NULL) {
        lws_set_opaque_user_data(socket->wsi, NULL);
        link_kill(socket->wsi);
    }

    while ((out = socket->out) != NULL) {
        socket->out = out->next;
        free(out);
    }

    if (socket->path != NULL) {
        explicit_bzero(socket->path, strlen(socket->path));
        free(socket->path);
    }

    free(socket->in);
    free(socket);
}


void
socket_close(socket_link_t *socket)
{
    socket_free(socket);
}


static void
socket_finish(void *arg)
{
    socket_link_t *socket = arg;
    const socket_callbacks_t *calls = socket->calls;
    void *calls_arg = socket->arg;
    unsigned code = socket->code;
    err_t why = socket->why;

    socket_free(socket);
    calls->closed(calls_arg, code, &why);
}


static void
socket_end(socket_link_t *socket)
{
    if (!socket->ended) {
        socket->ended = 1;
        loop_timer_cancel(&socket->deadline);
        loop_timer_set(socket->loop, &socket->finish, 0);
    }
}


static void
socket_fail(socket_link_t *socket, const char *code, const char *text)
{
    if (!socket->ended) {
        err_set(&socket->why, code, "%s: %s", socket->dial.server->url.text,
                text);
        socket_end(socket);
    }
}


static void
socket_expired(void *arg)
{
    socket_fail(arg, "timeout", "the connection was not made in time");
}


static void
socket_dial_failed(void *arg, const err_t *err)
{
    socket_link_t *socket = arg;

    socket->why = *err;
    socket_end(socket);
}


static void
socket_connect(void *arg, const char *address)
{
    socket_link_t *socket = arg;
    err_t err;
    struct lws_client_connect_info info;

    link_connect_info(&info, loop_context(socket->loop),
                      loop_vhost(socket->loop), &socket->dial.server->url,
                      address);
    info.path = socket->path;
    info.local_protocol_name = LINK_PROTOCOL_SOCKET;
    info.opaque_user_data = socket;
    info.pwsi = &socket->wsi;
    info.retry_and_idle_policy = &socket_policy;

    if (lws_client_connect_via_info(&info) == NULL && socket->wsi != NULL) {
        socket->wsi = NULL;
        link_error(&err, &socket->dial.server->url, address, NULL, 0);
        dial_refused(&socket->dial, &err);
    }
}


static void
socket_refused(socket_link_t *socket, const char *in, size_t len)
{
    err_t err;

    socket->wsi = NULL;

    if (socket->ended) {
        return;
    }

    link_error(&err, &socket->dial.server->url, socket->dial.current, in, len);
    dial_refused(&socket->dial, &err);
}


static void
socket_established(socket_link_t *socket)
{
    socket->established = 1;
    loop_timer_cancel(&socket->deadline);
    dial_succeeded(&socket->dial);

    explicit_bzero(socket->path, strlen(socket->path));
    free(socket->path);
    socket->path = NULL;

    socket->calls->opened(socket->arg);
}


static int
socket_append(socket_link_t *socket, const char *data, size_t len)
{
    char *in;
    size_t size = socket->in_size;

    if (len == 0) {
        return 0;
    }

    if (len > SOCKET_MESSAGE_MAX - socket->in_len) {
        socket_fail(socket, "too_large", "a message is too large");
        return -1;
    }

    while (size - socket->in_len < len) {
        size = size == 0 ? 4096 : size * 2;
    }

    if (size != socket->in_size) {
        in = realloc(socket->in, size);
        if (in == NULL) {
            socket_fail(socket, "no_memory", "out of memory");
            return -1;
        }

        socket->in = in;
        socket->in_size = size;
    }

    memcpy(socket->in + socket->in_len, data, len);
    socket->in_len += len;
    return 0;
}


/*
 * The message's handler may close this socket, which then is freed: nothing
 * of it is looked at afterwards.
 */
static int
socket_receive(struct lws *wsi, socket_link_t *socket, const char *data,
               size_t len)
{
    char *text;
    size_t text_len;

    if (socket->ended) {
        return 0;
    }

    if (lws_frame_is_binary(wsi)) {
        socket_fail(socket, "bad_answer", "a binary message came");
        return -1;
    }

    if (socket_append(socket, data, len) == -1) {
        return -1;
    }

    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0) {
        return 0;
    }

    text = socket->in;
    text_len = socket->in_len;
    socket->in = NULL;
    socket->in_len = socket->in_size = 0;

    if (text != NULL) {
        socket->calls->message(socket->arg, text, text_len);
    }

    free(text);
    return 0;
}


static void
socket_peer_close(socket_link_t *socket, const unsigned char *in, size_t len)
{
    if (len >= 2 && !socket->ended) {
        socket->code = (unsigned) (in[0] << 8 | in[1]);
        err_set(&socket->why, "closed", "%s closed the connection (%u%s%.*s)",
                socket->dial.server->url.text, socket->code, len > 2 ? " " : "",
                (int) (len - 2), in + 2);
    }
}


static void
socket_closed(socket_link_t *socket)
{
    socket->wsi = NULL;

    if (socket->why.code[0] == '\0') {
        socket_fail(socket, "closed", "the connection was lost");
    }

    socket_end(socket);
}


static int
socket_write(struct lws *wsi, socket_link_t *socket)
{
    int n;
    size_t len;
    socket_out_t *out = socket->out;

    if (out == NULL || socket->ended) {
        return 0;
    }

    len = out->len;
    n = lws_write(wsi, out->data + LWS_PRE, len, LWS_WRITE_TEXT);

    socket->out = out->next;
    if (socket->out == NULL) {
        socket->out_last = &socket->out;
    }

    socket->out_count--;
    free(out);

    if (n < (int) len) {
        return -1;
    }

    if (socket->out != NULL) {
        lws_callback_on_writable(wsi);
    }

    return 0;
}


int
socket_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                void *in, size_t len)
{
    socket_link_t *socket = lws_get_opaque_user_data(wsi);

    (void) user;

    if (socket == NULL) {
        return 0;
    }

    switch ((int) reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_opaque_user_data(wsi, NULL);
        socket_refused(socket, in, len);
        return 0;

    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        socket_established(socket);
        return 0;

    case LWS_CALLBACK_CLIENT_RECEIVE:
        return socket_receive(wsi, socket, in, len);

    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return socket_write(wsi, socket);

    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        socket_peer_close(socket, in, len);
        return 0;

    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY: /* its own timeouts end so alone */
        lws_set_opaque_user_data(wsi, NULL);
        socket_closed(socket);
        return 0;

    default:
        return 0;
    }
}


int
socket_send(socket_link_t *socket, const char *text)
{
    size_t len = strlen(text);
    socket_out_t *out;

    if (!socket->established || socket->ended || socket->wsi == NULL ||
        socket->out_count == SOCKET_QUEUE_MAX) {
        return -1;
    }

    out = malloc(sizeof(*out) + LWS_PRE + len);
    if (out == NULL) {
        return -1;
    }

    out->next = NULL;
    out->len = len;
    memcpy(out->data + LWS_PRE, text, len);

    *socket->out_last = out;
    socket->out_last = &out->next;
    socket->out_count++;

    lws_callback_on_writable(socket->wsi);
    return 0;
}


int
socket_stranded(const socket_link_t *link)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof(own);
    int fd, gone;

    if (link->wsi == NULL ||
        getsockname(lws_get_socket_fd(link->wsi), (struct sockaddr *) &own,
                    &size) == -1) {
        return 0;
    }

    fd = socket(own.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return 0;
    }

    /* the port is free for UDP, or the address is there all the same */
    gone = bind(fd, (struct sockaddr *) &own, size) == -1 &&
           errno == EADDRNOTAVAIL;
    close(fd);
    return gone;
}


socket_link_t *
socket_open(loop_t *loop, dial_server_t *server, const char *path,
            const socket_callbacks_t *calls, void *arg)
{
    socket_link_t *socket = calloc(1, sizeof(*socket));

    if (socket == NULL) {
        return NULL;
    }

    socket->owner.callback = socket_callback;
    socket->loop = loop;
    socket->calls = calls;
    socket->arg = arg;
    socket->out_last = &socket->out;
    socket->path = strdup(path);

    if (socket->path == NULL) {
        free(socket);
        return NULL;
    }

    socket->dial.loop = loop;
    socket->dial.server = server;
    socket->dial.connect = socket_connect;
    socket->dial.failed = socket_dial_failed;
    socket->dial.arg = socket;

    socket->deadline.fn = socket_expired;
    socket->deadline.arg = socket;
    socket->finish.fn = socket_finish;
    socket->finish.arg = socket;

    loop_timer_set(loop, &socket->deadline, SOCKET_CONNECT_MS);
    dial_start(&socket->dial);
    return socket;
}
