#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/gc_stun.h"
#include "os/borrowed_parts.h"

union borrowed_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};


static struct borrowed_side *
borrowed_side(struct borrowed_port *borrowed, enum address_family family)
{
    return &borrowed->side[family == ADDRESS_IPV6];
}


static int
borrowed_attach(int fd, enum address_family family, const uint16_t *ports,
                size_t count)
{
    struct sock_filter code[BORROWED_FILTER_MAX];
    struct sock_fprog program = {.filter = code};

    program.len = borrowed_filter(family, ports, count, code);

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                      sizeof(program));
}


/* 0, or -1 with errno. */
static int
borrowed_options(int fd, enum address_family family, uint32_t mark)
{
    static const int on = 1;
    static const int checksum = UDP_CHECKSUM;

    /* what came before the filter was there is let go */
    if (borrowed_attach(fd, family, NULL, 0) == -1) {
        return -1;
    }

    while (recv(fd, NULL, 0, MSG_DONTWAIT | MSG_TRUNC) != -1 ||
           errno == EINTR) {
    }

    if (mark != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == -1) {
        return -1;
    }

    if (family == ADDRESS_IPV4) {
        return 0; /* the destination is in the header */
    }

    if (setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &checksum,
                   sizeof(checksum)) == -1) {
        return -1;
    }

    return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}


static int
borrowed_open(struct borrowed_port *borrowed, enum address_family family,
              struct error *error)
{
    struct borrowed_side *side = borrowed_side(borrowed, family);

    side->fd = socket(family == ADDRESS_IPV4 ? AF_INET : AF_INET6,
                      SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);

    if (side->fd == -1 && errno == EAFNOSUPPORT && family == ADDRESS_IPV6) {
        return 0;
    }

    if (side->fd != -1 &&
        borrowed_options(side->fd, family, borrowed->mark) == 0) {
        return 0;
    }

    if (errno == EPERM || errno == EACCES) {
        return error_set(error, ERROR_PERMISSION,
                         "WireGuard's port cannot be used for finding paths, "
                         "so all goes over relays: run goconnectd as root, or "
                         "with CAP_NET_RAW and CAP_NET_ADMIN");
    }

    return error_set(error, ERROR_SYSTEM,
                     "WireGuard's port cannot be used for finding paths: %s",
                     strerror(errno));
}


struct borrowed_port *
borrowed_port_open(uint32_t mark, struct error *error)
{
    struct borrowed_port *borrowed;

    borrowed = calloc(1, sizeof(*borrowed));

    if (borrowed == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    borrowed->mark = mark;
    borrowed->side[0].fd = -1;
    borrowed->side[1].fd = -1;

    if (borrowed_open(borrowed, ADDRESS_IPV4, error) == -1 ||
        borrowed_open(borrowed, ADDRESS_IPV6, error) == -1) {
        borrowed_port_close(borrowed);
        return NULL;
    }

    return borrowed;
}


void
borrowed_port_close(struct borrowed_port *borrowed)
{
    size_t i;

    if (borrowed == NULL) {
        return;
    }

    for (i = 0; i < BORROWED_FAMILIES; i++) {
        if (borrowed->side[i].fd != -1) {
            (void) close(borrowed->side[i].fd);
        }
    }

    free(borrowed);
}


int
borrowed_port_hold(uint16_t *port, struct error *error)
{
    union borrowed_name name;
    socklen_t size = sizeof(name);
    int fd;

    memset(&name, 0, sizeof(name));
    name.any.sa_family = AF_INET6; /* and IPv4 with it, as WireGuard's */
    fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd == -1 && errno == EAFNOSUPPORT) {
        name.any.sa_family = AF_INET;
        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }

    if (fd == -1 || bind(fd, &name.any, sizeof(name)) == -1 ||
        getsockname(fd, &name.any, &size) == -1) {
        (void) error_set(error, ERROR_SYSTEM, "no UDP port is to be had: %s",
                         strerror(errno));

        if (fd != -1) {
            (void) close(fd);
        }

        return -1;
    }

    *port = ntohs(name.any.sa_family == AF_INET6 ? name.in6.sin6_port
                                                 : name.in.sin_port);

    return fd;
}


int
borrowed_port_fd(const struct borrowed_port *borrowed,
                 enum address_family family)
{
    return borrowed->side[family == ADDRESS_IPV6].fd;
}


int
borrowed_port_listen(struct borrowed_port *borrowed, const uint16_t *ports,
                     size_t count, struct error *error)
{
    static const enum address_family families[BORROWED_FAMILIES] = {
        ADDRESS_IPV4, ADDRESS_IPV6};
    size_t i;
    int fd;

    if (count > BORROWED_PORTS_MAX) {
        return error_set(error, ERROR_TOO_BIG,
                         "paths are found for at most %d networks",
                         BORROWED_PORTS_MAX);
    }

    for (i = 0; i < BORROWED_FAMILIES; i++) {
        fd = borrowed_port_fd(borrowed, families[i]);

        if (fd != -1 && borrowed_attach(fd, families[i], ports, count) == -1) {
            return error_set(error, ERROR_SYSTEM, "no filter for a port: %s",
                             strerror(errno));
        }
    }

    return 0;
}


static uint16_t
borrowed_u16(const uint8_t *data)
{
    return (uint16_t) (data[0] << 8 | data[1]);
}


/* The address that an IPv6 packet was sent to. */
static void
borrowed_told(struct msghdr *message, struct address *to)
{
    struct cmsghdr *control;
    struct in6_pktinfo info;

    for (control = CMSG_FIRSTHDR(message); control != NULL;
         control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level == IPPROTO_IPV6 &&
            control->cmsg_type == IPV6_PKTINFO) {
            memcpy(&info, CMSG_DATA(control), sizeof(info));
            to->family = ADDRESS_IPV6;
            memcpy(to->bytes, &info.ipi6_addr, 16);
        }
    }
}


/* The headers of a datagram of so many bytes; false: it is none. */
static bool
borrowed_headers(struct borrowed_side *side, enum address_family family,
                 const union borrowed_name *name, size_t got)
{
    const uint8_t *udp;
    size_t header = 0, length;

    memset(&side->from, 0, sizeof(side->from));
    side->from.address.family = (uint8_t) family;

    if (family == ADDRESS_IPV4) {
        header = got > 0 ? (size_t) (side->room[0] & 15) * 4 : 0;

        if (header < 20 || got < header) {
            return false;
        }

        memcpy(side->from.address.bytes, &name->in.sin_addr, 4);
        side->to.family = ADDRESS_IPV4;
        memcpy(side->to.bytes, side->room + 16, 4);

    } else {
        memcpy(side->from.address.bytes, &name->in6.sin6_addr, 16);
    }

    if (got < header + UDP_HEADER) {
        return false;
    }

    udp = side->room + header;
    side->from.port = borrowed_u16(udp);
    side->port = borrowed_u16(udp + 2);
    length = borrowed_u16(udp + 4);

    if (length < UDP_HEADER) {
        return false;
    }

    /* cut off by the filter, or with a tail that is not UDP's */
    side->at = header + UDP_HEADER;
    side->left = (length < got - header ? length : got - header) - UDP_HEADER;

    return true;
}


/* Takes a datagram from the socket; false: there is none. */
static bool
borrowed_take(struct borrowed_side *side, enum address_family family)
{
    union borrowed_name name;
    union {
        struct cmsghdr align;
        uint8_t room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct iovec whole = {.iov_base = side->room,
                          .iov_len = sizeof(side->room)};
    struct msghdr message;
    ssize_t got;

    for (;;) {
        memset(&message, 0, sizeof(message));
        memset(&name, 0, sizeof(name));
        message.msg_name = &name;
        message.msg_namelen = sizeof(name);
        message.msg_iov = &whole;
        message.msg_iovlen = 1;
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);

        got = recvmsg(side->fd, &message, MSG_DONTWAIT);

        if (got == -1 && errno == EINTR) {
            continue;
        }

        if (got == -1) {
            return false;
        }

        memset(&side->to, 0, sizeof(side->to));
        borrowed_told(&message, &side->to);

        if (borrowed_headers(side, family, &name, (size_t) got)) {
            return true;
        }
    }
}


/* What the bytes begin with, and its size; BORROWED_NONE: nothing whole. */
static enum borrowed_kind
borrowed_kind(const uint8_t *data, size_t left, size_t *size)
{
    static const uint8_t initiation[4] = {1};
    static const uint8_t response[4] = {2};

    if (left >= BORROWED_INITIATION_SIZE &&
        memcmp(data, initiation, sizeof(initiation)) == 0) {
        *size = BORROWED_INITIATION_SIZE;
        return BORROWED_INITIATION;
    }

    if (left >= BORROWED_RESPONSE_SIZE &&
        memcmp(data, response, sizeof(response)) == 0) {
        *size = BORROWED_RESPONSE_SIZE;
        return BORROWED_RESPONSE;
    }

    if (gc_stun_like(data, left)) {
        *size = GC_STUN_HEADER + borrowed_u16(data + 2);

        if (*size <= left) {
            return BORROWED_STUN;
        }
    }

    return BORROWED_NONE;
}


bool
borrowed_port_receive(struct borrowed_port *borrowed,
                      enum address_family family,
                      struct borrowed_packet *packet)
{
    struct borrowed_side *side = borrowed_side(borrowed, family);
    size_t size;

    if (side->fd == -1) {
        return false;
    }

    for (;;) {
        if (side->left == 0 && !borrowed_take(side, family)) {
            return false;
        }

        packet->kind = borrowed_kind(side->room + side->at, side->left, &size);

        if (packet->kind == BORROWED_NONE) {
            side->left = 0;
            continue;
        }

        packet->from = side->from;
        packet->to = side->to;
        packet->port = side->port;
        packet->data = side->room + side->at;
        packet->size = size;
        side->at += size;
        side->left -= size;

        return true;
    }
}
