#include "base/control_private.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct control_call {
    control_client_t *client; /* NULL: went away, or it has another asker */
    control_done_pt done;
    void *arg;
};

/* Owned by its control; in is grown to CONTROL_REQUEST_MAX at most. */
struct control_client {
    control_t *control;
    control_client_t *next;
    control_call_t *call; /* the one under way; no other is read meanwhile */
    loop_fd_t io;
    loop_timer_t idle;
    char *in;
    size_t in_len;
    size_t in_size;
    char *out;
    size_t out_len;
    size_t out_sent;
    unsigned eof : 1;
};

static void control_client_process(control_client_t *client);


void
control_client_close(control_client_t *client)
{
    control_client_t **at = &client->control->clients;

    while (*at != client) {
        at = &(*at)->next;
    }

    *at = client->next;
    client->control->count--;

    if (client->call != NULL) {
        client->call->client = NULL;
    }

    loop_timer_cancel(&client->idle);
    loop_fd_remove(client->control->loop, &client->io);
    close(client->io.fd);

    if (client->in != NULL) {
        explicit_bzero(client->in, client->in_size);
        free(client->in);
    }

    if (client->out != NULL) {
        explicit_bzero(client->out, client->out_len);
        free(client->out);
    }

    free(client);
}


static void
control_client_watch(control_client_t *client)
{
    uint32_t events = 0;

    if (client->out_len > client->out_sent) {
        events = EPOLLOUT;

    } else if (!client->eof && client->in_len < CONTROL_REQUEST_MAX) {
        events = EPOLLIN;
    }

    (void) loop_fd_set(client->control->loop, &client->io, events);
    loop_timer_set(client->control->loop, &client->idle, CONTROL_IDLE_MS);
}


/* 0 if all is sent, 1 if the rest waits, -1 if the client is gone. */
static int
control_client_flush(control_client_t *client)
{
    ssize_t n;

    while (client->out_sent < client->out_len) {
        n = send(client->io.fd, client->out + client->out_sent,
                 client->out_len - client->out_sent, MSG_NOSIGNAL);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return errno == EAGAIN ? 1 : -1;
        }

        client->out_sent += (size_t) n;
    }

    free(client->out);
    client->out = NULL;
    client->out_len = client->out_sent = 0;
    return 0;
}


static void
control_answer(control_call_t *call, json_t *reply)
{
    char *text;
    size_t len;
    control_client_t *client = call->client;
    control_call_t was = *call;

    free(call);

    if (was.done != NULL) {
        was.done(was.arg, reply);
        return;
    }

    if (client == NULL) {
        json_decref(reply);
        return;
    }

    client->call = NULL;
    text = json_dumps(reply, JSON_COMPACT);
    json_decref(reply);

    if (text == NULL || (len = strlen(text)) > CONTROL_REPLY_MAX) {
        log_error(text == NULL
                      ? "no memory for an answer on the control socket"
                      : "an answer on the control socket is too large");
        free(text);
        control_client_close(client);
        return;
    }

    /* the terminating NUL's place takes the newline: len bytes + 1 */
    text[len] = '\n';
    client->out = text;
    client->out_len = len + 1;
    client->out_sent = 0;

    switch (control_client_flush(client)) {
    case -1:
        control_client_close(client);
        break;

    case 0:
        if (client->eof && client->in_len == 0) {
            control_client_close(client);
            break;
        }

        /* the next request, from the loop: not from inside this one's call */
        /* fall through */
    default:
        (void) loop_fd_set(client->control->loop, &client->io, EPOLLOUT);
    }
}


void
control_reply(control_call_t *call, json_t *reply)
{
    json_object_set_new(reply, "ok", json_true());
    control_answer(call, reply);
}


void
control_fail(control_call_t *call, const err_t *err)
{
    control_answer(call, json_pack("{s:b, s:s, s:s}", "ok", 0, "code",
                                   err->code, "detail", err->text));
}


control_call_t *
control_call_make(control_done_pt done, void *arg)
{
    control_call_t *call = calloc(1, sizeof(*call));

    if (call != NULL) {
        call->done = done;
        call->arg = arg;
    }

    return call;
}


void
control_call_abandon(control_call_t *call)
{
    call->done = NULL;
}


static void
control_client_request(control_client_t *client, const char *line, size_t len)
{
    err_t err;
    json_t *request;
    json_error_t where;
    control_call_t *call;

    call = calloc(1, sizeof(*call));
    if (call == NULL) {
        return;
    }

    call->client = client;
    client->call = call;

    request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);

    if (!json_is_object(request)) {
        err_set(&err, "bad_request", "a request is one JSON object on a line");
        control_fail(call, &err);

    } else {
        client->control->handler(client->control->arg, call, request);
    }

    json_decref(request);
}


/* One request, if a whole one is there and none is under way. */
static void
control_client_process(control_client_t *client)
{
    char *line, *end;
    size_t len, rest;

    if (client->call != NULL || client->out != NULL || client->in_len == 0) {
        return;
    }

    end = memchr(client->in, '\n', client->in_len);
    if (end == NULL) {
        return;
    }

    len = (size_t) (end - client->in);
    line = malloc(len + 1);
    if (line == NULL) {
        return;
    }

    memcpy(line, client->in, len);

    rest = client->in_len - len - 1;
    memmove(client->in, end + 1, rest);
    client->in_len = rest;

    control_client_request(client, line, len);

    explicit_bzero(line, len);
    free(line);
}


static int
control_client_read(control_client_t *client)
{
    char *in;
    size_t size;
    ssize_t n;

    if (client->in_len == client->in_size) {
        size = client->in_size == 0 ? 4096 : client->in_size * 2;

        if (size > CONTROL_REQUEST_MAX) {
            return -1;
        }

        in = realloc(client->in, size);
        if (in == NULL) {
            return -1;
        }

        client->in = in;
        client->in_size = size;
    }

    n = recv(client->io.fd, client->in + client->in_len,
             client->in_size - client->in_len, 0);

    if (n == -1) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }

    if (n == 0) {
        client->eof = 1;

        return client->call != NULL || client->out != NULL ? 0 : -1;
    }

    client->in_len += (size_t) n;
    return 0;
}


void
control_refuse(int fd, const char *code, const char *detail)
{
    char line[256];
    int n;

    n = snprintf(line, sizeof(line),
                 "{\"ok\":false,\"code\":\"%s\",\"detail\":\"%s\"}\n", code,
                 detail);
    (void) send(fd, line, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT);
}


static void
control_client_event(void *arg, uint32_t events)
{
    control_client_t *client = arg;
    control_t *control = client->control;
    control_client_t *alive;

    if ((events & EPOLLERR) ||
        ((events & EPOLLOUT) && control_client_flush(client) == -1) ||
        ((events & EPOLLIN) && control_client_read(client) == -1) ||
        ((events & EPOLLHUP) && !(events & EPOLLIN))) {
        control_client_close(client);
        return;
    }

    if (client->in != NULL && client->in_len == CONTROL_REQUEST_MAX &&
        memchr(client->in, '\n', client->in_len) == NULL) {
        control_refuse(client->io.fd, "bad_request",
                       "a request is shorter than 64 KiB");
        control_client_close(client);
        return;
    }

    control_client_process(client);

    /* the call may have ended the client */
    for (alive = control->clients; alive != NULL; alive = alive->next) {
        if (alive == client) {
            if (client->eof && client->call == NULL && client->out == NULL) {
                control_client_close(client);

            } else if (client->call == NULL && client->out == NULL &&
                       client->in_len > 0 &&
                       memchr(client->in, '\n', client->in_len) != NULL) {
                (void) loop_fd_set(control->loop, &client->io, EPOLLOUT);

            } else {
                control_client_watch(client);
            }

            return;
        }
    }
}


static void
control_client_idle(void *arg)
{
    control_client_t *client = arg;

    if (client->call != NULL) {
        loop_timer_set(client->control->loop, &client->idle, CONTROL_IDLE_MS);
        return;
    }

    control_client_close(client);
}


void
control_client_add(control_t *control, int fd)
{
    control_client_t *client;

    client =
        control->count < CONTROL_CLIENTS ? calloc(1, sizeof(*client)) : NULL;
    if (client == NULL) {
        control_refuse(fd, "busy", "too many clients at once; try again");
        close(fd);
        return;
    }

    client->control = control;
    client->io.fd = fd;
    client->io.fn = control_client_event;
    client->io.arg = client;
    client->idle.fn = control_client_idle;
    client->idle.arg = client;

    client->next = control->clients;
    control->clients = client;
    control->count++;

    if (loop_fd_add(control->loop, &client->io, EPOLLIN) == -1) {
        control_client_close(client);
        return;
    }

    loop_timer_set(control->loop, &client->idle, CONTROL_IDLE_MS);
}
