/*
 * One WebSocket of the load client.
 */

#define _GNU_SOURCE

#include "socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>


#define SOCKET_READ_SIZE 65536
#define SOCKET_MESSAGE_MAX (1024 * 1024)
#define SOCKET_HEAD 200     /* bytes: topic and seq stand before the data */
#define SOCKET_RETRY 500000 /* us, and as much again by chance */


void
socket_init(socket_t *s, char *line)
{
    socket_topic_t *topic;
    char *rest, *name;

    memset(s, 0, sizeof(*s));
    s->fd = -1;
    s->path = strsep(&line, " ");
    rest = line;

    while ((name = strsep(&rest, ",")) != NULL && *name) {
        if (s->ntopics == SOCKET_TOPICS_MAX) {
            fprintf(stderr, "load: too many topics for a socket\n");
            exit(2);
        }

        topic = &s->topics[s->ntopics++];
        topic->map = *name == '*';
        topic->name = strsep(&name, "=") + topic->map;
        topic->seq = name ? strtoll(name, NULL, 10) : -1;
    }
}


static void
socket_arm(socket_net_t *net, socket_t *s, int add)
{
    struct epoll_event event;
    uint32_t events;

    events = EPOLLIN | (s->out ? EPOLLOUT : 0);

    if (!add && events == s->armed) {
        return;
    }

    s->armed = events;
    event.events = events;
    event.data.ptr = s;

    if (epoll_ctl(net->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, s->fd,
                  &event) != 0) {
        load_die("epoll");
    }
}


void
socket_drop(socket_net_t *net, socket_t *s)
{
    if (s->state == SOCKET_IN_STEP) {
        net->in_step--;
    }

    if (s->ssl) {
        SSL_free(s->ssl);
        s->ssl = NULL;
    }

    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }

    free(s->message);
    free(s->out);
    s->message = NULL;
    s->out = NULL;
    s->len = 0;
    s->state = SOCKET_CLOSED;
    s->due = 0;
}


/* what cannot be now is tried again, as a client would */
static void
socket_again(socket_net_t *net, socket_t *s, const char *why)
{
    snprintf(net->why, sizeof(net->why), "%s", why);
    socket_drop(net, s);
    net->failed++;
    s->due = load_now() + SOCKET_RETRY + random() % SOCKET_RETRY;
}


static void
socket_in_step(socket_net_t *net, socket_t *s)
{
    s->state = SOCKET_IN_STEP;
    net->in_step++;
}


void
socket_connect(socket_net_t *net, socket_t *s)
{
    s->due = 0;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (s->fd < 0) {
        load_die("a socket");
    }

    if (connect(s->fd, (struct sockaddr *) &net->address, net->address_len) !=
            0 &&
        errno != EINPROGRESS) {
        socket_again(net, s, strerror(errno));
        return;
    }

    if (net->tls) {
        s->ssl = SSL_new(net->tls);

        if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1) {
            load_die("TLS");
        }

        SSL_set_connect_state(s->ssl);
    }

    gc_ws_parser_init(&s->parser, 0, SOCKET_MESSAGE_MAX);
    s->state = SOCKET_UPGRADING;
    s->sent = 0;
    s->out_len = (size_t) asprintf(
        &s->out,
        "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        s->path);

    if (s->out == NULL) {
        load_die("memory");
    }

    if (s->raw) {
        s->out_len = 0;
    }

    socket_arm(net, s, 1);
}


/* like send() and recv(), TLS or not; -1 with EAGAIN: not now */
static ssize_t
socket_io(socket_t *s, void *data, size_t len, int out)
{
    int n;

    if (s->ssl == NULL) {
        return out ? send(s->fd, data, len, MSG_NOSIGNAL)
                   : recv(s->fd, data, len, 0);
    }

    n = out ? SSL_write(s->ssl, data, (int) len)
            : SSL_read(s->ssl, data, (int) len);

    if (n > 0) {
        return n;
    }

    switch (SSL_get_error(s->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;

    case SSL_ERROR_ZERO_RETURN:
        return 0;

    default:
        errno = ECONNRESET;
        return -1;
    }
}


static void
socket_flush(socket_net_t *net, socket_t *s)
{
    ssize_t n;

    while (s->out && s->sent < s->out_len) {
        n = socket_io(s, s->out + s->sent, s->out_len - s->sent, 1);

        if (n < 0) {
            if (errno != EAGAIN && errno != ENOTCONN) {
                socket_again(net, s, strerror(errno));
            }

            return;
        }

        s->sent += (size_t) n;
    }

    free(s->out);
    s->out = NULL;

    if (s->raw && s->state == SOCKET_UPGRADING) {
        socket_in_step(net, s);
    }
}


/* behind what waits to be sent */
static void
socket_say(socket_net_t *net, socket_t *s, unsigned opcode, const void *data,
           size_t len)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t header[GC_WS_HEADER_MAX], *payload;
    size_t n;

    if (s->out == NULL) {
        s->out_len = s->sent = 0;
    }

    n = gc_ws_header(header, GC_WS_FIN | opcode, len, mask);
    s->out = realloc(s->out, s->out_len + n + len);

    if (s->out == NULL) {
        load_die("memory");
    }

    payload = (uint8_t *) s->out + s->out_len + n;
    memcpy(s->out + s->out_len, header, n);
    memcpy(payload, data, len);
    gc_ws_mask(payload, len, mask, 0);
    s->out_len += n + len;
    socket_flush(net, s);
}


static void
socket_subscribe(socket_net_t *net, socket_t *s)
{
    char text[1024], seq[24];
    size_t i, n;

    n = (size_t) snprintf(text, sizeof(text),
                          "{\"type\":\"subscribe\",\"id\":\"s\",\"data\":"
                          "{\"topics\":[");

    for (i = 0; i < s->ntopics; i++) {
        snprintf(seq, sizeof(seq), "%lld", (long long) s->topics[i].seq);
        s->topics[i].map_due = s->topics[i].map && s->topics[i].seq < 0;
        n += (size_t) snprintf(text + n, sizeof(text) - n,
                               "%s{\"topic\":\"%s\",\"seq\":%s}", i ? "," : "",
                               s->topics[i].name,
                               s->topics[i].seq < 0 ? "null" : seq);
    }

    n += (size_t) snprintf(text + n, sizeof(text) - n, "]}}");
    s->state = SOCKET_CATCHING;
    socket_say(net, s, GC_WS_OP_TEXT, text, n);
}


/* what stands behind "name": and perhaps spaces; NULL: it is not there */
static const char *
socket_find(const char *text, size_t len, const char *name)
{
    const char *p, *end;

    end = text + len;
    p = memmem(text, len, name, strlen(name));

    if (p == NULL) {
        return NULL;
    }

    for (p += strlen(name); p < end && (*p == ' ' || *p == ':'); p++) {
        /* void */
    }

    return p < end ? p : NULL;
}


/* p: the topic's name as JSON text, with its quotes */
static socket_topic_t *
socket_topic(socket_t *s, const char *p, size_t len)
{
    size_t i, n;

    for (i = 0; i < s->ntopics; i++) {
        n = strlen(s->topics[i].name);

        if (len > n + 1 && memcmp(p + 1, s->topics[i].name, n) == 0 &&
            p[n + 1] == '"') {
            return &s->topics[i];
        }
    }

    return NULL;
}


/* {"type":"ok",...,"topics":[{"topic":T,"seq":N}...] */
static void
socket_answer(socket_t *s, const char *text, size_t len)
{
    const char *p, *seq;
    socket_topic_t *topic;
    size_t left;

    for (p = socket_find(text, len, "\"topic\""); p;
         p = socket_find(p, left, "\"topic\"")) {
        left = len - (size_t) (p - text);
        topic = socket_topic(s, p, left);
        seq = socket_find(p, left, "\"seq\"");

        if (topic && seq) {
            topic->told = strtoll(seq, NULL, 10);

            if (topic->seq < 0 && !topic->map) {
                topic->seq = topic->told;
            }
        }
    }
}


static void
socket_event(socket_net_t *net, socket_t *s, const char *text, size_t len)
{
    socket_topic_t *topic;
    const char *name, *seq;
    size_t head;

    head = len < SOCKET_HEAD ? len : SOCKET_HEAD;
    name = socket_find(text, head, "\"topic\"");
    seq = socket_find(text, head, "\"seq\"");
    topic = name && seq ? socket_topic(s, name, head - (size_t) (name - text))
                        : NULL;

    if (topic == NULL) {
        return;
    }

    if (topic->map_due && memmem(text, len, "\"last\":true", 11)) {
        topic->map_due = 0;
    }

    topic->seq = strtoll(seq, NULL, 10);

    if (net->watch.event) {
        net->watch.event(s, topic);
    }
}


static void
socket_message(socket_net_t *net, socket_t *s, const char *text, size_t len)
{
    size_t i;

    net->watch.frame(s, text, len);

    switch (s->state) {
    case SOCKET_HELLO:
        socket_subscribe(net, s);
        return;

    case SOCKET_CATCHING:
        if (memmem(text, len < 64 ? len : 64, "\"ok\"", 4)) {
            socket_answer(s, text, len);

        } else {
            socket_event(net, s, text, len);
        }

        for (i = 0; i < s->ntopics; i++) {
            if (s->topics[i].map_due || s->topics[i].seq < s->topics[i].told) {
                return;
            }
        }

        socket_in_step(net, s);
        return;

    case SOCKET_IN_STEP:
        socket_event(net, s, text, len);
        return;

    default:
        return;
    }
}


/* a piece of a message, or the whole */
static void
socket_piece(socket_net_t *net, socket_t *s, const gc_ws_event_t *event)
{
    char *message;
    size_t len;

    if (event->first && event->last) {
        socket_message(net, s, (char *) event->data, event->len);
        return;
    }

    message = realloc(s->message, s->len + event->len + 1);

    if (message == NULL) {
        load_die("memory");
    }

    memcpy(message + s->len, event->data, event->len);
    s->message = message;
    s->len += event->len;

    if (event->last) {
        len = s->len;
        s->message = NULL;
        s->len = 0;
        socket_message(net, s, message, len);
        free(message);
    }
}


static void
socket_frames(socket_net_t *net, socket_t *s, uint8_t *data, size_t len)
{
    gc_ws_event_t event;
    uint8_t *pos;
    char why[32];

    pos = data;

    for (;;) {
        switch (gc_ws_parse(&s->parser, &pos, data + len, &event)) {
        case GC_WS_DATA:
            socket_piece(net, s, &event);

            if (s->fd < 0) {
                return;
            }

            break;

        case GC_WS_PING:
            /* a server's has at most a few bytes, in one piece */
            socket_say(net, s, GC_WS_OP_PONG, event.data, event.len);
            break;

        case GC_WS_PONG:
            break;

        case GC_WS_MORE:
            return;

        default:
            snprintf(why, sizeof(why), "close code %u", event.code);
            socket_again(net, s, why);
            return;
        }
    }
}


/* the answer to the upgrade; what follows it are frames already */
static void
socket_head(socket_net_t *net, socket_t *s, char *data, size_t len)
{
    char *end;

    end = memmem(data, len, "\r\n\r\n", 4);

    if (end == NULL || strncmp(data, "HTTP/1.1 101", 12) != 0) {
        data[len < 40 ? len - 1 : 40] = '\0';
        socket_again(net, s, data);
        return;
    }

    if (s->ntopics == 0) {
        socket_in_step(net, s);

    } else {
        s->state = SOCKET_HELLO;
    }

    end += 4;
    socket_frames(net, s, (uint8_t *) end, len - (size_t) (end - data));
}


void
socket_ready(socket_net_t *net, socket_t *s, uint32_t events)
{
    static char data[SOCKET_READ_SIZE];
    ssize_t n;

    if (s->out) {
        socket_flush(net, s);
    }

    while (s->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        n = socket_io(s, data, sizeof(data), 0);

        if (n <= 0) {
            if (n == 0 || errno != EAGAIN) {
                socket_again(net, s, n ? strerror(errno) : "end of file");
            }

            break;
        }

        if (s->raw) {
            net->watch.frame(s, data, (size_t) n);

        } else if (s->state == SOCKET_UPGRADING) {
            socket_head(net, s, data, (size_t) n);

        } else {
            socket_frames(net, s, (uint8_t *) data, (size_t) n);
        }

        if (n < (ssize_t) sizeof(data) && s->ssl == NULL) {
            break;
        }
    }

    if (s->fd >= 0) {
        socket_arm(net, s, 0);
    }
}
