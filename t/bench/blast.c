/*
 * Packets through a relay, for `make bench`:
 *
 *   blast SECONDS SIZE TRAIN HEAD <&FROM 3<&TO
 *
 * Sends datagrams of SIZE bytes that begin with HEAD (in hex) from standard
 * input, a connected UDP socket, for so long; TRAIN of them at a time as one
 * (UDP_SEGMENT), or singly.  Counts what comes to descriptor 3 and prints
 * "SENT RECEIVED SECONDS".
 */

#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SINK 3
#define BATCH 32
#define BYTES 65536
#define TRAIN_MAX 64
#define QUIET_MS 300 /* without a packet the rest has got lost */


typedef struct {
    unsigned char data[BYTES];
    size_t size;
    unsigned train;
    struct mmsghdr heads[BATCH];
    struct iovec pieces[BATCH];
    char controls[BATCH][CMSG_SPACE(sizeof(uint16_t))];
} load_t;


static unsigned char sunk[BATCH][BYTES];
static load_t load;


static double
now(void)
{
    struct timespec t;

    (void) clock_gettime(CLOCK_MONOTONIC, &t);

    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}


/* How many packets one received datagram was. */
static unsigned long
packets_of(struct msghdr *head, size_t len)
{
    int size = 0;
    struct cmsghdr *cmsg;

    for (cmsg = CMSG_FIRSTHDR(head); cmsg; cmsg = CMSG_NXTHDR(head, cmsg)) {
        if (cmsg->cmsg_level == SOL_UDP && cmsg->cmsg_type == UDP_GRO) {
            memcpy(&size, CMSG_DATA(cmsg), sizeof(size));
        }
    }

    return size > 0 ? (len + (size_t) size - 1) / (size_t) size : 1;
}


static void *
sink(void *data)
{
    int n, i;
    unsigned long *count = data;
    struct iovec pieces[BATCH];
    struct mmsghdr heads[BATCH];
    char controls[BATCH][CMSG_SPACE(sizeof(int))];
    struct pollfd ready = {.fd = SINK, .events = POLLIN};

    while (poll(&ready, 1, QUIET_MS) > 0) {
        memset(heads, 0, sizeof(heads));

        for (i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){sunk[i], BYTES};
            heads[i].msg_hdr.msg_iov = &pieces[i];
            heads[i].msg_hdr.msg_iovlen = 1;
            heads[i].msg_hdr.msg_control = controls[i];
            heads[i].msg_hdr.msg_controllen = sizeof(controls[i]);
        }

        n = recvmmsg(SINK, heads, BATCH, MSG_DONTWAIT, NULL);

        for (i = 0; i < n; i++) {
            *count += packets_of(&heads[i].msg_hdr, heads[i].msg_len);
        }
    }

    return NULL;
}


static void
prepare(size_t size, unsigned train, const char *head)
{
    unsigned i, byte;
    size_t n;
    uint16_t segment = (uint16_t) size;
    struct cmsghdr *cmsg;
    struct msghdr *message;

    load.size = size;
    load.train = train;

    for (n = 0; n < size && sscanf(head + 2 * n, "%2x", &byte) == 1; n++) {
        for (i = 0; i < train; i++) {
            load.data[i * size + n] = (unsigned char) byte;
        }
    }

    for (i = 0; i < BATCH; i++) {
        load.pieces[i] = (struct iovec){load.data, size * train};
        message = &load.heads[i].msg_hdr;
        message->msg_iov = &load.pieces[i];
        message->msg_iovlen = 1;

        if (train > 1) {
            message->msg_control = load.controls[i];
            message->msg_controllen = sizeof(load.controls[i]);
            cmsg = CMSG_FIRSTHDR(message);
            cmsg->cmsg_level = SOL_UDP;
            cmsg->cmsg_type = UDP_SEGMENT;
            cmsg->cmsg_len = CMSG_LEN(sizeof(segment));
            memcpy(CMSG_DATA(cmsg), &segment, sizeof(segment));
        }
    }
}


int
main(int argc, char **argv)
{
    int n, on = 1, room = 8 << 20;
    double begun, end;
    size_t size;
    unsigned train;
    pthread_t thread;
    unsigned long sent = 0, received = 0;

    if (argc != 5) {
        fputs("usage: blast SECONDS SIZE TRAIN HEAD <&FROM 3<&TO\n", stderr);
        return 2;
    }

    size = strtoul(argv[2], NULL, 10);
    train = (unsigned) strtoul(argv[3], NULL, 10);

    if (size < 1 || train < 1 || train > TRAIN_MAX ||
        size * train > BYTES - 64) {
        fputs("blast: SIZE x TRAIN has no room in a datagram\n", stderr);
        return 2;
    }

    prepare(size, train, argv[4]);
    (void) setsockopt(SINK, SOL_UDP, UDP_GRO, &on, sizeof(on));
    (void) setsockopt(SINK, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    begun = now();
    end = begun + strtod(argv[1], NULL);

    if (pthread_create(&thread, NULL, sink, &received) != 0) {
        perror("blast: pthread_create()");
        return 1;
    }

    while (now() < end) {
        n = sendmmsg(STDIN_FILENO, load.heads, train > 1 ? 1 : BATCH, 0);

        if (n > 0) {
            sent += (unsigned long) n * train;

        } else if (errno != EINTR && errno != ENOBUFS && errno != EAGAIN) {
            perror("blast: sendmmsg()");
            return 1;
        }
    }

    end = now() - begun;
    (void) pthread_join(thread, NULL);
    printf("%lu %lu %.3f\n", sent, received, end);

    return 0;
}
