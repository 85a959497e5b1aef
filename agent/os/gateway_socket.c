#include "os/gateway_socket.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


static bool
gateway_socket_own(int fd, struct address *own)
{
    struct sockaddr_in name;
    socklen_t size = sizeof(name);

    memset(own, 0, sizeof(*own));

    if (getsockname(fd, (struct sockaddr *) &name, &size) == -1 ||
        name.sin_family != AF_INET) {
        return false;
    }

    own->family = ADDRESS_IPV4;
    memcpy(own->bytes, &name.sin_addr, 4);

    return true;
}


int
gateway_socket_open(const struct address *gateway, uint16_t port,
                    struct address *own)
{
    int fd;
    struct sockaddr_in to;

    if (gateway->family != ADDRESS_IPV4) {
        return -1;
    }

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    memcpy(&to.sin_addr, gateway->bytes, 4);

    fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd == -1) {
        return -1;
    }

    if (connect(fd, (struct sockaddr *) &to, sizeof(to)) == -1 ||
        !gateway_socket_own(fd, own)) {
        (void) close(fd);
        return -1;
    }

    return fd;
}
