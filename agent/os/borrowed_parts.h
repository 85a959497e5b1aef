/* What the files of a borrowed port (os/borrowed_port.h) share. */

#ifndef OS_BORROWED_PARTS_H
#define OS_BORROWED_PARTS_H

#include <linux/filter.h>

#include "os/borrowed_port.h"

#define BORROWED_FAMILIES 2
#define BORROWED_FILTER_MAX (32 + 2 * BORROWED_PORTS_MAX)
#define BORROWED_WHOLE 4096U /* of a datagram or train; the rest is cut off */
#define BORROWED_INITIATION_SIZE 148U
#define BORROWED_RESPONSE_SIZE 92U
#define UDP_HEADER 8
#define UDP_CHECKSUM 6

/* A train is walked: left is what of the last datagram was not given yet. */
struct borrowed_side {
    int fd; /* -1: this family is not there */
    struct endpoint from;
    struct address to;
    uint16_t port;
    size_t at;
    size_t left;
    uint8_t room[BORROWED_WHOLE];
};

struct borrowed_port {
    uint32_t mark;
    struct borrowed_side side[BORROWED_FAMILIES];
};

/* Writes at most BORROWED_FILTER_MAX instructions; returns how many. */
unsigned short borrowed_filter(enum address_family family,
                               const uint16_t *ports, size_t count,
                               struct sock_filter *code);

#endif
