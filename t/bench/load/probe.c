/*
 * GET requests on one connection at a fixed rate.  A request's time counts
 * from the moment it was due, so that one that had to wait for the one before
 * it is not flattered.
 *
 * Commands: `start`; `stop` answers `probe COUNT P50 P99 MAX`.
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


#define PROBE_ANSWER_MAX (1024 * 1024)
#define PROBE_TIMES_MAX 1000000


typedef struct {
    int fd;
    char request[4096];
    size_t len;
    char *answer;
    int64_t *times;
    size_t n;
} probe_t;


static void
probe_connect(probe_t *p, const char *address)
{
    struct sockaddr_storage to;
    socklen_t len;

    len = load_address(address, &to);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (p->fd < 0 || connect(p->fd, (struct sockaddr *) &to, len) != 0) {
        load_die("connecting");
    }
}


/* sends the request and reads the whole answer, which must be 200 */
static void
probe_ask(probe_t *p)
{
    size_t got, head, body;
    char *end, *length;
    ssize_t n;

    if (send(p->fd, p->request, p->len, MSG_NOSIGNAL) != (ssize_t) p->len) {
        load_die("sending a request");
    }

    got = 0;
    head = 0;
    body = 0;

    while (head == 0 || got < head + body) {
        n = recv(p->fd, p->answer + got, PROBE_ANSWER_MAX - got, 0);

        if (n <= 0) {
            load_die("reading an answer");
        }

        got += (size_t) n;
        end = head ? NULL : memmem(p->answer, got, "\r\n\r\n", 4);

        if (end) {
            head = (size_t) (end - p->answer) + 4;
            length = memmem(p->answer, head, "Content-Length: ", 16);

            if (strncmp(p->answer, "HTTP/1.1 200", 12) != 0 || !length) {
                fprintf(stderr, "load: an answer that is none: %.40s\n",
                        p->answer);
                exit(1);
            }

            body = strtoul(length + 16, NULL, 10);
        }
    }
}


static void
probe_report(probe_t *p)
{
    int64_t p99, max;

    p99 = load_percentile(p->times, p->n, 0.99);
    max = p->n ? p->times[p->n - 1] : 0;
    printf("probe %zu %lld %lld %lld\n", p->n,
           (long long) load_percentile(p->times, p->n, 0.5), (long long) p99,
           (long long) max);
    p->n = 0;
}


int
load_probe(const char *address, const char *path, const char *token,
           double rate)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct timespec wait;
    load_input_t input = {.len = 0};
    char line[LOAD_LINE_MAX];
    int64_t due, left;
    probe_t p = {.n = 0};
    int rc, on;

    p.answer = malloc(PROBE_ANSWER_MAX);
    p.times = malloc(PROBE_TIMES_MAX * sizeof(p.times[0]));

    if (p.answer == NULL || p.times == NULL) {
        load_die("memory");
    }

    p.len = (size_t) snprintf(p.request, sizeof(p.request),
                              "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                              "Authorization: Bearer %s\r\n\r\n",
                              path, token);
    probe_connect(&p, address);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    on = 0;
    due = 0;

    for (;;) {
        while ((rc = load_line(&input, line)) > 0) {
            on = strcmp(line, "start") == 0;
            due = load_now();

            if (!on) {
                probe_report(&p);
            }
        }

        if (rc < 0) {
            return 0;
        }

        left = on ? due - load_now() : 1000000;

        if (left > 0) {
            wait.tv_sec = left / 1000000;
            wait.tv_nsec = left % 1000000 * 1000;
            (void) ppoll(&in, 1, &wait, NULL);
            continue;
        }

        probe_ask(&p);

        if (p.n < PROBE_TIMES_MAX) {
            p.times[p.n++] = load_now() - due;
        }

        due += (int64_t) (1e6 / rate);
    }
}
