#define _GNU_SOURCE /* explicit_bzero */

#include "client/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_REPLY_MAX (32 * 1024 * 1024)


static int
ask_connect(const char *path, err_t *err)
{
    int fd;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        return err_set(err, "usage", "the socket's path is too long");
    }

    strcpy(address.sun_path, path);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return err_errno(err, "failed", "cannot make a socket");
    }

    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0) {
        return fd;
    }

    close(fd);

    if (errno == EACCES) {
        return err_set(err, "not_allowed",
                       "may not use %s: be root or in the group goconnect",
                       path);
    }

    return err_set(err, "no_daemon",
                   "goconnectd is not running (nobody listens at %s). "
                   "Start it: systemctl start goconnectd",
                   path);
}


static int
ask_send(int fd, const char *text, size_t len, err_t *err)
{
    ssize_t n;

    while (len > 0) {
        n = send(fd, text, len, MSG_NOSIGNAL);

        if (n == -1 && errno != EINTR) {
            return err_errno(err, "no_daemon", "goconnectd went away");
        }

        if (n > 0) {
            text += n;
            len -= (size_t) n;
        }
    }

    return 0;
}


static int
ask_wait(int fd, int64_t deadline, err_t *err)
{
    int rc;
    int64_t left;
    struct pollfd io = {.fd = fd, .events = POLLIN};

    do {
        left = deadline - loop_now();
        rc = left > 0 ? poll(&io, 1, (int) left) : 0;
    } while (rc == -1 && errno == EINTR);

    if (rc == 0) {
        return err_set(err, "timeout", "goconnectd does not answer");
    }

    return rc == 1 ? 0 : err_errno(err, "failed", "cannot wait");
}


static char *
ask_receive(int fd, size_t *len, err_t *err)
{
    char *text = NULL, *grown;
    int64_t deadline = loop_now() + ASK_TIMEOUT_MS;
    size_t size = 0;
    ssize_t n;

    *len = 0;

    for (;;) {
        if (*len == size) {
            size = size == 0 ? 16384 : size * 2;
            grown = size <= ASK_REPLY_MAX ? realloc(text, size) : NULL;

            if (grown == NULL) {
                err_set(err, "too_large", "goconnectd's answer is too large");
                break;
            }

            text = grown;
        }

        if (ask_wait(fd, deadline, err) == -1) {
            break;
        }

        n = recv(fd, text + *len, size - *len, 0);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            err_set(err, "no_daemon", "goconnectd went away without an answer");
            break;
        }

        *len += (size_t) n;

        if (text[*len - 1] == '\n') {
            return text;
        }
    }

    free(text);
    return NULL;
}


static json_t *
ask_exchange(int fd, json_t *request, err_t *err)
{
    char *text;
    int rc;
    json_t *reply;
    size_t len;

    text = json_dumps(request, JSON_COMPACT);
    if (text == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    len = strlen(text);
    text[len] = '\n';
    rc = ask_send(fd, text, len + 1, err);
    explicit_bzero(text, len);
    free(text);

    if (rc == -1) {
        return NULL;
    }

    text = ask_receive(fd, &len, err);
    if (text == NULL) {
        return NULL;
    }

    reply = json_loadb(text, len, 0, NULL);
    free(text);

    if (!json_is_object(reply)) {
        json_decref(reply);
        err_set(err, "failed", "goconnectd's answer is no JSON object");
        return NULL;
    }

    return reply;
}


json_t *
ask_daemon(client_t *client, json_t *request, err_t *err)
{
    const char *code, *detail;
    int fd;
    json_t *reply;

    fd = ask_connect(client->socket, err);
    if (fd == -1) {
        json_decref(request);
        return NULL;
    }

    reply = ask_exchange(fd, request, err);
    json_decref(request);
    close(fd);

    if (reply == NULL || json_is_true(json_object_get(reply, "ok"))) {
        return reply;
    }

    code = json_string_value(json_object_get(reply, "code"));
    detail = json_string_value(json_object_get(reply, "detail"));
    err_set(err, code != NULL ? code : "failed", "%s",
            detail != NULL ? detail : "goconnectd refused");
    json_decref(reply);
    return NULL;
}
