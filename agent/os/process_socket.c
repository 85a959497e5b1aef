#define _GNU_SOURCE

#include "os/process_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/backend.h"


bool
process_socket_private(const char *state_dir, char *path, size_t size)
{
    int n;

    n = snprintf(path, size, "%s/wireguard-go/sockets", state_dir);

    return n > 0 && (size_t) n < size;
}


/*
 * The folder of the socket, opened: paths below it may be longer than
 * sun_path (108 bytes), so they are taken through /proc/self/fd.
 */
static int
process_socket_folder(const char *state_dir, bool hidden)
{
    char path[PATH_MAX];

    if (!hidden) {
        (void) mkdir("/var/run", 0755);
        (void) mkdir(PROCESS_SOCKET_SHARED, 0755);
        return open(PROCESS_SOCKET_SHARED, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }

    if (!process_socket_private(state_dir, path, sizeof(path))) {
        errno = ENAMETOOLONG;
        return -1;
    }

    (void) mkdir(path, 0700);

    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}


static void
process_socket_name(int folder, const char *name, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    (void) snprintf(address->sun_path, sizeof(address->sun_path),
                    "/proc/self/fd/%d/%.15s.sock", folder, name);
}


/* A socket whose every call gives up after a while; -1 and errno. */
static int
process_socket_new(void)
{
    struct timeval limit;
    int fd;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }

    limit.tv_sec = BACKEND_START_MS / 1000;
    limit.tv_usec = BACKEND_START_MS % 1000 * 1000;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0) {
        (void) close(fd);
        return -1;
    }

    return fd;
}


/* A connected socket; -1 and errno. */
int
process_socket_dial(const char *state_dir, const char *name, bool hidden)
{
    struct sockaddr_un address;
    int folder, fd, number;

    folder = process_socket_folder(state_dir, hidden);

    if (folder < 0) {
        return -1;
    }

    process_socket_name(folder, name, &address);
    fd = process_socket_new();

    if (fd >= 0 &&
        connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0) {
        number = errno;
        (void) close(fd);
        errno = number;
        fd = -1;
    }

    number = errno;
    (void) close(folder);
    errno = number;

    return fd;
}


/* Removes the socket if nobody listens on it (any more). */
void
process_socket_unlink(const char *state_dir, const char *name, bool hidden)
{
    char file[ACTUAL_NAME_SIZE + 8];
    int folder, fd;

    fd = process_socket_dial(state_dir, name, hidden);

    if (fd >= 0) {
        (void) close(fd);
        return;
    }

    if (errno != ECONNREFUSED) {
        return;
    }

    folder = process_socket_folder(state_dir, hidden);

    if (folder >= 0) {
        (void) snprintf(file, sizeof(file), "%.15s.sock", name);
        (void) unlinkat(folder, file, 0);
        (void) close(folder);
    }
}


/* Listens at the socket's path; -1 and errno (EADDRINUSE: it is taken). */
int
process_socket_listen(const char *state_dir, const char *name, bool hidden)
{
    struct sockaddr_un address;
    mode_t mask;
    int folder, fd, number;
    bool ok;

    process_socket_unlink(state_dir, name, hidden);
    folder = process_socket_folder(state_dir, hidden);

    if (folder < 0) {
        return -1;
    }

    process_socket_name(folder, name, &address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* root alone may speak to it; no other thread of ours makes files */
    mask = umask(0077);
    ok = fd >= 0 &&
         bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0 &&
         listen(fd, 16) == 0;
    number = errno;
    (void) umask(mask);
    (void) close(folder);

    if (!ok) {
        if (fd >= 0) {
            (void) close(fd);
        }

        errno = number;
        return -1;
    }

    return fd;
}
