/*
 * Many WebSockets at once.  Each line of the file is one of them:
 * `PATH [TOPIC,TOPIC...]`; "raw:" before the address makes them plain TCP
 * connections, "tls:" encrypted ones.
 *
 * Commands, and their answers:
 *   open N      until N are open, a few at a time         open N US FAILED,
 *                                             once all are in step
 *   drop        all, without a word           dropped N
 *   reopen      all that were dropped, at once            open N US FAILED
 *   expect M    the first frame holding M of each         ready, then
 *                                             seen N FIRST P50 P99 LAST
 *   follow N    the next N events of socket 0             ready, then
 *                                             followed SEQ:TIME ...
 *   count       what came since the last one  count FRAMES BYTES
 */

#define _GNU_SOURCE

#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>


#define SOCKETS_PARALLEL 200 /* that are not in step yet */
#define SOCKETS_EVENTS 512
#define SOCKETS_PATIENCE 30000000  /* us */
#define SOCKETS_DEADLINE 180000000 /* us, until all are in step */


typedef struct {
    socket_net_t net;
    socket_t *all;
    size_t n;      /* lines of the file */
    size_t opened; /* those that were asked for */
    size_t wanted; /* in step, then `open` is answered; 0: it was */
    size_t parallel;
    int64_t began;

    char marker[LOAD_LINE_MAX];
    int64_t *seen;
    size_t nseen;
    int64_t seen_due; /* 0: nothing is expected */

    int64_t (*followed)[2];
    size_t nfollowed;
    size_t follow; /* 0: nobody */

    uint64_t frames;
    uint64_t bytes;
} sockets_t;


static sockets_t sockets;


static void
sockets_frame(socket_t *s, const char *text, size_t len)
{
    sockets.frames++;
    sockets.bytes += len;

    if (sockets.seen_due && !s->marked &&
        memmem(text, len, sockets.marker, strlen(sockets.marker))) {
        s->marked = 1;
        sockets.seen[sockets.nseen++] = load_now();
    }
}


static void
sockets_event(socket_t *s, socket_topic_t *topic)
{
    size_t i;

    if (s != sockets.all || sockets.nfollowed == sockets.follow) {
        return;
    }

    sockets.followed[sockets.nfollowed][0] = topic->seq;
    sockets.followed[sockets.nfollowed++][1] = load_now();

    if (sockets.nfollowed == sockets.follow) {
        printf("followed");

        for (i = 0; i < sockets.nfollowed; i++) {
            printf(" %lld:%lld", (long long) sockets.followed[i][0],
                   (long long) sockets.followed[i][1]);
        }

        printf("\n");
        sockets.nfollowed = sockets.follow = 0;
    }
}


static void
sockets_report(void)
{
    int64_t p50, p99;

    if (sockets.wanted && load_now() - sockets.began > SOCKETS_DEADLINE) {
        fprintf(stderr,
                "load: %zu of %zu sockets are in step, %zu failed: %s\n",
                sockets.net.in_step, sockets.wanted, sockets.net.failed,
                sockets.net.why);
        exit(1);
    }

    if (sockets.wanted && sockets.net.in_step >= sockets.wanted) {
        printf("open %zu %lld %zu\n", sockets.net.in_step,
               (long long) (load_now() - sockets.began), sockets.net.failed);
        sockets.wanted = 0;
    }

    if (sockets.seen_due && (sockets.nseen >= sockets.net.in_step ||
                             load_now() > sockets.seen_due)) {
        sockets.seen_due = 0;
        p50 = load_percentile(sockets.seen, sockets.nseen, 0.5);
        p99 = load_percentile(sockets.seen, sockets.nseen, 0.99);
        printf("seen %zu %lld %lld %lld %lld\n", sockets.nseen,
               (long long) load_percentile(sockets.seen, sockets.nseen, 0),
               (long long) p50, (long long) p99,
               (long long) load_percentile(sockets.seen, sockets.nseen, 1));
    }
}


/* connects those that are due, not too many at a time */
static void
sockets_connect(void)
{
    size_t i, busy;
    int64_t now;

    now = load_now();
    busy = 0;

    for (i = 0; i < sockets.opened; i++) {
        busy +=
            sockets.all[i].fd >= 0 && sockets.all[i].state != SOCKET_IN_STEP;
    }

    for (i = 0; i < sockets.opened && busy < sockets.parallel; i++) {
        if (sockets.all[i].due && sockets.all[i].due <= now) {
            socket_connect(&sockets.net, &sockets.all[i]);
            busy++;
        }
    }
}


static void
sockets_open(size_t n, size_t parallel)
{
    size_t i;

    n = n < sockets.n ? n : sockets.n;
    sockets.opened = n > sockets.opened ? n : sockets.opened;
    sockets.wanted = sockets.opened;
    sockets.parallel = parallel;
    sockets.net.failed = 0;
    sockets.began = load_now();

    for (i = 0; i < sockets.opened; i++) {
        if (sockets.all[i].fd < 0) {
            sockets.all[i].due = sockets.began;
        }
    }
}


static void
sockets_expect(const char *marker)
{
    size_t i;

    for (i = 0; i < sockets.n; i++) {
        sockets.all[i].marked = 0;
    }

    strcpy(sockets.marker, marker);
    sockets.nseen = 0;
    sockets.seen_due = load_now() + SOCKETS_PATIENCE;
    printf("ready\n");
}


static void
sockets_follow(size_t n)
{
    free(sockets.followed);
    sockets.followed = malloc((n + 1) * sizeof(sockets.followed[0]));

    if (sockets.followed == NULL) {
        load_die("memory");
    }

    sockets.nfollowed = 0;
    sockets.follow = n;
    printf("ready\n");
}


static void
sockets_command(char *line)
{
    size_t i, n;

    n = strchr(line, ' ') ? strtoul(strchr(line, ' ') + 1, NULL, 10) : 0;

    if (strncmp(line, "open ", 5) == 0) {
        sockets_open(n, SOCKETS_PARALLEL);

    } else if (strcmp(line, "reopen") == 0) {
        sockets_open(0, sockets.n);

    } else if (strcmp(line, "drop") == 0) {
        for (i = 0; i < sockets.opened; i++) {
            socket_drop(&sockets.net, &sockets.all[i]);
        }

        printf("dropped %zu\n", sockets.opened);

    } else if (strncmp(line, "expect ", 7) == 0) {
        sockets_expect(line + 7);

    } else if (strncmp(line, "follow ", 7) == 0) {
        sockets_follow(n);

    } else if (strcmp(line, "count") == 0) {
        printf("count %llu %llu\n", (unsigned long long) sockets.frames,
               (unsigned long long) sockets.bytes);
        sockets.frames = sockets.bytes = 0;

    } else {
        fprintf(stderr, "load: \"%s\" is no command\n", line);
        exit(2);
    }
}


static void
sockets_read(const char *file, int raw)
{
    char *line;
    size_t room;
    FILE *in;

    in = fopen(file, "re");

    if (in == NULL) {
        load_die(file);
    }

    for (line = NULL, room = 0; getline(&line, &room, in) > 0; line = NULL) {
        line[strcspn(line, "\n")] = '\0';

        if (sockets.n % 1024 == 0) {
            sockets.all = realloc(sockets.all,
                                  (sockets.n + 1024) * sizeof(sockets.all[0]));
        }

        if (sockets.all == NULL) {
            load_die("memory");
        }

        socket_init(&sockets.all[sockets.n], line);
        sockets.all[sockets.n++].raw = raw != 0;
    }

    fclose(in);
    sockets.seen = malloc((sockets.n + 1) * sizeof(sockets.seen[0]));

    if (sockets.seen == NULL) {
        load_die("memory");
    }
}


static void
sockets_begin(const char *address, const char *file)
{
    struct epoll_event in = {.events = EPOLLIN};
    struct rlimit limit;
    int raw;

    raw = strncmp(address, "raw:", 4) == 0;

    if (strncmp(address, "tls:", 4) == 0) {
        sockets.net.tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(sockets.net.tls, SSL_MODE_RELEASE_BUFFERS);
    }

    address += raw || sockets.net.tls ? 4 : 0;
    sockets.net.address_len = load_address(address, &sockets.net.address);
    sockets.net.watch.frame = sockets_frame;
    sockets.net.watch.event = sockets_event;
    sockets_read(file, raw);

    limit.rlim_cur = limit.rlim_max = sockets.n + 64;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }

    sockets.net.epoll = epoll_create1(EPOLL_CLOEXEC);

    if (sockets.net.epoll < 0 ||
        epoll_ctl(sockets.net.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) != 0) {
        load_die("epoll");
    }

    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
}


int
load_sockets(const char *address, const char *file)
{
    static struct epoll_event events[SOCKETS_EVENTS];
    load_input_t input = {.len = 0};
    char line[LOAD_LINE_MAX];
    int i, n, rc;

    sockets_begin(address, file);

    for (;;) {
        if (sockets.wanted) {
            sockets_connect();
        }

        n = epoll_wait(sockets.net.epoll, events, SOCKETS_EVENTS,
                       sockets.wanted || sockets.seen_due ? 20 : 1000);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                socket_ready(&sockets.net, events[i].data.ptr,
                             events[i].events);
                continue;
            }

            while ((rc = load_line(&input, line)) > 0) {
                sockets_command(line);
            }

            if (rc < 0) {
                return 0;
            }
        }

        sockets_report();
    }
}
