#include "os/probe_socket.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union probe_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};


static socklen_t
probe_sockaddr(const struct address *address, uint16_t port,
               union probe_sockaddr *to)
{
    memset(to, 0, sizeof(*to));

    if (address->family == ADDRESS_IPV4) {
        to->in.sin_family = AF_INET;
        to->in.sin_port = htons(port);
        memcpy(&to->in.sin_addr, address->bytes, 4);
        return sizeof(to->in);
    }

    to->in6.sin6_family = AF_INET6;
    to->in6.sin6_port = htons(port);
    memcpy(&to->in6.sin6_addr, address->bytes, 16);

    return sizeof(to->in6);
}


/* 0 or -1 with errno. */
static int
probe_socket_bind(int fd, const struct address *address, uint16_t port,
                  const char *interface)
{
    static const int probe4 = IP_PMTUDISC_PROBE;
    static const int probe6 = IPV6_PMTUDISC_PROBE;
    union probe_sockaddr own;
    socklen_t size;
    int v4;

    v4 = address->family == ADDRESS_IPV4;
    size = probe_sockaddr(address, port, &own);

    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
                   (socklen_t) strlen(interface) + 1) == -1) {
        return -1;
    }

    if (v4 ? setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe4,
                        sizeof(probe4)) == -1
           : setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe6,
                        sizeof(probe6)) == -1) {
        return -1;
    }

    return bind(fd, &own.any, size);
}


int
probe_socket_open(const struct address *address, uint16_t port,
                  const char *interface, struct error *error)
{
    char text[ADDRESS_TEXT];
    int fd, number;

    fd = socket(address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6,
                SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd != -1 && probe_socket_bind(fd, address, port, interface) == 0) {
        return fd;
    }

    number = errno;

    if (fd != -1) {
        (void) close(fd);
    }

    error_set(error, ERROR_SYSTEM, "cannot use UDP port %u of %s on %s: %s",
              (unsigned) port, address_format(address, text), interface,
              strerror(number));

    return -1;
}


uint32_t
probe_socket_index(const char *interface)
{
    return if_nametoindex(interface);
}


int
probe_socket_send(int fd, const struct address *to, uint16_t port,
                  const void *data, size_t size)
{
    union probe_sockaddr name;
    socklen_t length;

    length = probe_sockaddr(to, port, &name);

    return sendto(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, &name.any,
                  length) == -1
               ? errno
               : 0;
}


ssize_t
probe_socket_receive(int fd, void *data, size_t size, struct address *from,
                     uint16_t *port)
{
    union probe_sockaddr name;
    socklen_t length = sizeof(name);
    ssize_t got;

    do {
        got = recvfrom(fd, data, size, MSG_DONTWAIT, &name.any, &length);
    } while (got == -1 && errno == EINTR);

    if (got == -1) {
        return -1;
    }

    memset(from, 0, sizeof(*from));

    if (name.any.sa_family == AF_INET) {
        from->family = ADDRESS_IPV4;
        memcpy(from->bytes, &name.in.sin_addr, 4);
        *port = ntohs(name.in.sin_port);

    } else {
        from->family = ADDRESS_IPV6;
        memcpy(from->bytes, &name.in6.sin6_addr, 16);
        *port = ntohs(name.in6.sin6_port);
    }

    return got;
}
