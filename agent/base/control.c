#define _GNU_SOURCE /* accept4, struct ucred */

#include "base/control_private.h"

#include "base/log.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL_GROUP "goconnect"
#define CONTROL_GROUPS_MAX 256


static int
control_in_group(control_t *control, int fd, const struct ucred *peer)
{
    gid_t groups[CONTROL_GROUPS_MAX];
    size_t i;
    socklen_t len = sizeof(groups);

    if (!control->has_group) {
        return 0;
    }

    if (peer->gid == control->group) {
        return 1;
    }

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1) {
        return 0;
    }

    for (i = 0; i < len / sizeof(gid_t); i++) {
        if (groups[i] == control->group) {
            return 1;
        }
    }

    return 0;
}


static int
control_allowed(control_t *control, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1) {
        return 0;
    }

    return peer.uid == 0 || peer.uid == geteuid() ||
           control_in_group(control, fd, &peer);
}


static void
control_accept(void *arg, uint32_t events)
{
    control_t *control = arg;
    int fd;

    (void) events;

    fd = accept4(control->io.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd == -1) {
        return;
    }

    if (!control_allowed(control, fd)) {
        control_refuse(fd, "not_allowed",
                       "only root and members of the group " CONTROL_GROUP
                       " may control goconnectd");
        close(fd);
        return;
    }

    control_client_add(control, fd);
}


/* Is somebody listening there? */
static int
control_is_alive(const struct sockaddr_un *address)
{
    int fd, rc;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return 0;
    }

    rc = connect(fd, (const struct sockaddr *) address, sizeof(*address));
    rc = rc == 0 || errno == EAGAIN;
    close(fd);
    return rc;
}


static void
control_make_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
    char *slash;

    snprintf(folder, sizeof(folder), "%s", path);
    slash = strrchr(folder, '/');

    if (slash != NULL && slash != folder) {
        *slash = '\0';
        (void) mkdir(folder, 0755); /* bind() says what is wrong */
    }
}


static int
control_listen(control_t *control, const char *path, err_t *err)
{
    int fd;
    mode_t mask;

    if (control_is_alive(&control->address)) {
        return err_set(err, "in_use", "another goconnectd listens at %s", path);
    }

    control_make_folder(path);
    (void) unlink(path);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return err_errno(err, "no_socket", "cannot make a socket");
    }

    mask = umask(control->has_group ? 0117 : 0177);

    if (bind(fd, (struct sockaddr *) &control->address,
             sizeof(control->address)) == -1 ||
        listen(fd, 16) == -1) {
        err_errno(err, "no_socket", "cannot listen at %s", path);
        umask(mask);
        close(fd);
        return -1;
    }

    umask(mask);

    if (control->has_group && chown(path, (uid_t) -1, control->group) == -1) {
        log_warn("cannot give %s to the group %s: %s", path, CONTROL_GROUP,
                 strerror(errno));
    }

    return fd;
}


control_t *
control_create(loop_t *loop, const char *path, control_handler_pt handler,
               void *arg, err_t *err)
{
    control_t *control;
    struct group *group;

    control = calloc(1, sizeof(*control));
    if (control == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    if (strlen(path) >= sizeof(control->address.sun_path)) {
        err_set(err, "bad_path", "the socket's path is longer than %zu bytes",
                sizeof(control->address.sun_path) - 1);
        free(control);
        return NULL;
    }

    control->loop = loop;
    control->handler = handler;
    control->arg = arg;
    control->address.sun_family = AF_UNIX;
    strcpy(control->address.sun_path, path);

    group = getgrnam(CONTROL_GROUP);
    if (group != NULL) {
        control->group = group->gr_gid;
        control->has_group = 1;
    }

    control->io.fn = control_accept;
    control->io.arg = control;
    control->io.fd = control_listen(control, path, err);

    if (control->io.fd == -1) {
        free(control);
        return NULL;
    }

    if (loop_fd_add(loop, &control->io, EPOLLIN) == -1) {
        err_errno(err, "no_socket", "cannot watch %s", path);
        close(control->io.fd);
        free(control);
        return NULL;
    }

    return control;
}


void
control_destroy(control_t *control)
{
    while (control->clients != NULL) {
        control_client_close(control->clients);
    }

    loop_fd_remove(control->loop, &control->io);
    close(control->io.fd);
    (void) unlink(control->address.sun_path);
    free(control);
}
