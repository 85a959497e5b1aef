#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/borrowed_parts.h"

/* Room for the two control messages of a datagram. */
union borrowed_control {
    struct cmsghdr align;
    uint8_t
        room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

union borrowed_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};


/* An address as the kernel has it; its size. */
static socklen_t
borrowed_name(const struct address *address, uint16_t port,
              union borrowed_name *name)
{
    memset(name, 0, sizeof(*name));

    if (address->family == ADDRESS_IPV4) {
        name->in.sin_family = AF_INET;
        name->in.sin_port = htons(port);
        memcpy(&name->in.sin_addr, address->bytes, 4);
        return sizeof(name->in);
    }

    name->in6.sin6_family = AF_INET6;
    name->in6.sin6_port = htons(port);
    memcpy(&name->in6.sin6_addr, address->bytes, 16);

    return sizeof(name->in6);
}


int
borrowed_port_source(const struct borrowed_port *borrowed,
                     const struct address *to, struct address *source)
{
    union borrowed_name name;
    socklen_t size = borrowed_name(to, 9, &name);
    int fd, number = 0;

    fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return errno;
    }

    if ((borrowed->mark != 0 &&
         setsockopt(fd, SOL_SOCKET, SO_MARK, &borrowed->mark,
                    sizeof(borrowed->mark)) == -1) ||
        connect(fd, &name.any, size) == -1 ||
        getsockname(fd, &name.any, &size) == -1) {
        number = errno;
    }

    (void) close(fd);
    memset(source, 0, sizeof(*source));
    source->family = to->family;

    if (to->family == ADDRESS_IPV4) {
        memcpy(source->bytes, &name.in.sin_addr, 4);
    } else {
        memcpy(source->bytes, &name.in6.sin6_addr, 16);
    }

    return number;
}


static uint32_t
borrowed_sum(uint32_t sum, const uint8_t *data, size_t size)
{
    size_t i;

    for (i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t) (data[i] << 8 | data[i + 1]);
    }

    return size % 2 != 0 ? sum + (uint32_t) (data[size - 1] << 8) : sum;
}


/* RFC 768: of the pseudo header and the datagram, whose own field is 0. */
static uint16_t
borrowed_checksum(const struct address *from, const struct address *to,
                  const uint8_t *datagram, size_t size)
{
    uint32_t sum;

    sum = IPPROTO_UDP + (uint32_t) size;
    sum = borrowed_sum(sum, from->bytes, 4);
    sum = borrowed_sum(sum, to->bytes, 4);
    sum = borrowed_sum(sum, datagram, size);

    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }

    sum = ~sum & 0xffff;

    return (uint16_t) (sum != 0 ? sum : 0xffff);
}


static void
borrowed_put16(uint8_t *data, size_t value)
{
    data[0] = (uint8_t) (value >> 8);
    data[1] = (uint8_t) value;
}


static void
borrowed_attach(struct msghdr *message, int level, int type, const void *value,
                size_t size)
{
    uint8_t *room = message->msg_control;
    struct cmsghdr *control;

    control = (struct cmsghdr *) (void *) (room + message->msg_controllen);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(control), value, size);
    message->msg_controllen += CMSG_SPACE(size);
}


/* Pins the source, which the checksum was computed with, and sets the TTL. */
static void
borrowed_attach_all(struct msghdr *message, const struct address *from,
                    enum address_family family, uint8_t ttl)
{
    struct in_pktinfo info4;
    struct in6_pktinfo info6;
    int hops = ttl;

    if (from != NULL && family == ADDRESS_IPV4) {
        memset(&info4, 0, sizeof(info4));
        memcpy(&info4.ipi_spec_dst, from->bytes, 4);
        borrowed_attach(message, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));

    } else if (from != NULL) {
        memset(&info6, 0, sizeof(info6));
        memcpy(&info6.ipi6_addr, from->bytes, 16);
        borrowed_attach(message, IPPROTO_IPV6, IPV6_PKTINFO, &info6,
                        sizeof(info6));
    }

    if (ttl != 0) {
        borrowed_attach(message,
                        family == ADDRESS_IPV4 ? IPPROTO_IP : IPPROTO_IPV6,
                        family == ADDRESS_IPV4 ? IP_TTL : IPV6_HOPLIMIT, &hops,
                        sizeof(hops));
    }
}


/* 0 or errno. A raw socket is given no port: it is in the datagram. */
static int
borrowed_sendmsg(int fd, const struct address *from, const struct address *to,
                 uint8_t ttl, uint8_t *datagram, size_t size)
{
    union borrowed_control control;
    union borrowed_name name;
    struct iovec whole = {.iov_base = datagram, .iov_len = size};
    struct msghdr message;
    ssize_t sent;

    memset(&message, 0, sizeof(message));
    memset(&control, 0, sizeof(control));

    message.msg_namelen = borrowed_name(to, 0, &name);
    message.msg_name = &name;
    message.msg_iov = &whole;
    message.msg_iovlen = 1;
    message.msg_control = control.room;
    borrowed_attach_all(&message, from, to->family, ttl);

    do {
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent == -1 && errno == EINTR);

    return sent == -1 ? errno : 0;
}


int
borrowed_port_send(struct borrowed_port *borrowed, uint16_t port,
                   const struct address *from, const struct endpoint *to,
                   uint8_t ttl, const void *data, size_t size)
{
    uint8_t datagram[UDP_HEADER + BORROWED_DATA_MAX];
    struct address source;
    enum address_family family = to->address.family;
    int fd, number;

    if (size > BORROWED_DATA_MAX) {
        return EMSGSIZE;
    }

    if (from != NULL && from->family == ADDRESS_NONE) {
        from = NULL;
    }

    fd = borrowed_port_fd(borrowed, family);

    if (fd == -1 || (family != ADDRESS_IPV4 && family != ADDRESS_IPV6) ||
        (from != NULL && from->family != family)) {
        return EAFNOSUPPORT;
    }

    borrowed_put16(datagram, port);
    borrowed_put16(datagram + 2, to->port);
    borrowed_put16(datagram + 4, UDP_HEADER + size);
    borrowed_put16(datagram + UDP_CHECKSUM, 0); /* IPv6: the kernel's to do */
    memcpy(datagram + UDP_HEADER, data, size);

    if (family == ADDRESS_IPV4) {
        if (from == NULL) {
            number = borrowed_port_source(borrowed, &to->address, &source);

            if (number != 0) {
                return number;
            }

            from = &source;
        }

        borrowed_put16(
            datagram + UDP_CHECKSUM,
            borrowed_checksum(from, &to->address, datagram, UDP_HEADER + size));
    }

    return borrowed_sendmsg(fd, from, &to->address, ttl, datagram,
                            UDP_HEADER + size);
}
