#define _GNU_SOURCE /* SOCK_CLOEXEC */

#include "base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>


void
notify_systemd(const char *line)
{
    const char *path = getenv("NOTIFY_SOCKET");
    int fd;
    size_t len;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (path == NULL || (path[0] != '/' && path[0] != '@')) {
        return;
    }

    len = strlen(path);
    if (len >= sizeof(address.sun_path)) {
        return;
    }

    memcpy(address.sun_path, path, len);
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return;
    }

    (void) sendto(fd, line, strlen(line), MSG_NOSIGNAL,
                  (struct sockaddr *) &address,
                  (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}
