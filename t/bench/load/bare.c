/*
 * What a fan-out is measured against: a loop that calls send() on as many
 * sockets, and does nothing else.
 *
 * `count` answers `count N`, how many have connected; `send MARKER` answers
 * `sent BEGIN END` after a message of so many bytes went to each of them.
 */

#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define BARE_MAX 65536


typedef struct {
    int listener;
    int fds[BARE_MAX];
    size_t n;
    char *message;
    size_t size;
} bare_t;


static void
bare_accept(bare_t *b)
{
    int fd;

    while (b->n < BARE_MAX &&
           (fd = accept4(b->listener, NULL, NULL,
                         SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        b->fds[b->n++] = fd;
    }
}


static void
bare_send(bare_t *b, const char *marker)
{
    int64_t begin;
    size_t i, len;

    len = strlen(marker);
    memset(b->message, 'x', b->size);
    memcpy(b->message, marker, len < b->size ? len : b->size);
    begin = load_now();

    for (i = 0; i < b->n; i++) {
        if (send(b->fds[i], b->message, b->size, MSG_NOSIGNAL) < 0) {
            load_die("sending");
        }
    }

    printf("sent %lld %lld\n", (long long) begin, (long long) load_now());
}


int
load_bare(const char *address, size_t size)
{
    struct sockaddr_storage at;
    struct pollfd poll_for[2];
    load_input_t input = {.len = 0};
    char line[LOAD_LINE_MAX];
    socklen_t len;
    bare_t *b;
    int rc;

    b = calloc(1, sizeof(*b));

    if (b == NULL || (b->message = malloc(size)) == NULL) {
        load_die("memory");
    }

    b->size = size;
    len = load_address(address, &at);
    b->listener =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (b->listener < 0 ||
        bind(b->listener, (struct sockaddr *) &at, len) != 0 ||
        listen(b->listener, 4096) != 0) {
        load_die("listening");
    }

    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    poll_for[0].fd = b->listener;
    poll_for[1].fd = STDIN_FILENO;
    poll_for[0].events = poll_for[1].events = POLLIN;

    for (;;) {
        (void) poll(poll_for, 2, -1);
        bare_accept(b);

        while ((rc = load_line(&input, line)) > 0) {
            if (strncmp(line, "send ", 5) == 0) {
                bare_send(b, line + 5);

            } else {
                printf("count %zu\n", b->n);
            }
        }

        if (rc < 0) {
            return 0;
        }
    }
}
