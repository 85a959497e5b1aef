#include "os/backend.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "os/links.h"
#include "os/process.h"
#include "os/uapi.h"

/* How often a port that is in use is looked at again, and after how long. */
#define USERSPACE_PORT_TIMES 10
#define USERSPACE_PORT_MS 50L


struct userspace {
    struct nl_sock *rtnl;
    char *state_dir;
};


static int
userspace_probe(struct error *error)
{
    if (!process_installed()) {
        return error_set(error, ERROR_UNSUPPORTED,
                         PROCESS_PROGRAM " is not in PATH");
    }

    if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        return error_set(error, ERROR_UNSUPPORTED, "/dev/net/tun: %s",
                         strerror(errno));
    }

    return 0;
}


static void
userspace_close(void *data)
{
    struct userspace *userspace = data;

    netlink_close(userspace->rtnl);
    free(userspace->state_dir);
    free(userspace);
}


static void *
userspace_open(const struct backend_config *config, struct error *error)
{
    struct userspace *userspace;

    userspace = calloc(1, sizeof(*userspace));

    if (userspace == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    userspace->state_dir = strdup(config->state_dir);

    if (userspace->state_dir == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");

    } else {
        userspace->rtnl = netlink_open(NETLINK_ROUTE, error);
    }

    if (userspace->rtnl == NULL) {
        userspace_close(userspace);
        return NULL;
    }

    return userspace;
}


/* What the process says of the interface; one that is gone is no error. */
static int
userspace_read(const struct userspace *userspace,
               struct actual_interface *interface, struct error *error)
{
    struct error reason;
    int fd, rc;

    process_trim_log(userspace->state_dir, interface->name);

    if (!process_running(userspace->state_dir, interface->name)) {
        return 0;
    }

    fd = process_connect(userspace->state_dir, interface->name, &reason);

    if (fd < 0) {
        return 0;
    }

    rc = uapi_get(fd, interface, &reason);
    (void) close(fd);

    if (rc == 0) {
        interface->device = true;
        return 0;
    }

    if (reason.code == ERROR_GONE) {
        return 0;
    }

    if (error != NULL) {
        *error = reason;
    }

    return -1;
}


/*
 * Ours by its marks, or because a process of ours serves it that was not
 * given the time to mark it.  A record alone proves nothing: after a restart
 * of the machine somebody else may use the name.
 */
static bool
userspace_ours(const struct userspace *userspace, const struct links_link *link,
               const struct process_names *records)
{
    size_t i;

    if (links_ours(link)) {
        return links_tunnel(link);
    }

    for (i = 0; i < records->count; i++) {
        if (strcmp(records->names[i], link->name) == 0) {
            return process_running(userspace->state_dir, link->name);
        }
    }

    return false;
}


static bool
userspace_listed(const struct actual *actual, const char *name)
{
    size_t i;

    for (i = 0; i < actual->interface_count; i++) {
        if (strcmp(actual->interfaces[i].name, name) == 0) {
            return true;
        }
    }

    return false;
}


/*
 * Our interfaces, and a line for each record without one: a process that
 * lost its interface, or never got so far, has to be cleaned up too.
 */
static int
userspace_collect(const struct userspace *userspace,
                  const struct links_list *list,
                  const struct process_names *records, struct actual *actual,
                  int *indices)
{
    struct links_link missing;
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (!userspace_ours(userspace, &list->links[i], records)) {
            continue;
        }

        indices[actual->interface_count] = list->links[i].index;

        if (links_append(actual, &list->links[i]) == NULL) {
            return -1;
        }
    }

    for (i = 0; i < records->count; i++) {
        if (userspace_listed(actual, records->names[i])) {
            continue;
        }

        memset(&missing, 0, sizeof(missing));
        memcpy(missing.name, records->names[i], sizeof(missing.name));
        indices[actual->interface_count] = 0;

        if (links_append(actual, &missing) == NULL) {
            return -1;
        }
    }

    return 0;
}


static int
userspace_fill(const struct userspace *userspace, struct actual *actual,
               const struct links_list *list,
               const struct process_names *records, struct error *error)
{
    int *indices, rc;
    size_t i;

    indices = calloc(list->count + records->count + 1, sizeof(int));

    if (indices == NULL ||
        userspace_collect(userspace, list, records, actual, indices) != 0) {
        free(indices);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    rc = 0;

    for (i = 0; i < actual->interface_count && rc == 0; i++) {
        if (indices[i] != 0) {
            rc = userspace_read(userspace, &actual->interfaces[i], error);
        }
    }

    if (rc == 0) {
        rc = links_places(actual, indices, error);
    }

    free(indices);

    return rc;
}


static int
userspace_observe(void *data, struct actual **result, struct error *error)
{
    struct userspace *userspace = data;
    struct process_names records;
    struct links_list list;
    struct actual *actual;
    int rc;

    if (process_list(userspace->state_dir, &records, error) != 0) {
        return -1;
    }

    if (links_all(&list, error) != 0) {
        free(records.names);
        return -1;
    }

    actual = calloc(1, sizeof(*actual));

    if (actual == NULL) {
        rc = error_set(error, ERROR_NO_MEMORY, "out of memory");

    } else {
        rc = userspace_fill(userspace, actual, &list, &records, error);
    }

    free(records.names);
    free(list.links);

    if (rc != 0) {
        actual_destroy(actual);
        return -1;
    }

    actual_sort(actual);
    *result = actual;

    return 0;
}


/* Starts the process and waits for its first answer. */
static int
userspace_create(struct userspace *userspace, const char *name,
                 struct error *error)
{
    struct actual_interface first;
    char complaint[160];
    int fd, rc;

    if (process_stop(userspace->state_dir, name, error) != 0) {
        return -1;
    }

    if (if_nametoindex(name) != 0) {
        return error_set(error, ERROR_NAME_IN_USE,
                         "an interface %s exists already", name);
    }

    if (process_start(userspace->state_dir, name, error) != 0) {
        return -1;
    }

    memset(&first, 0, sizeof(first));
    fd = process_connect(userspace->state_dir, name, error);
    rc = fd < 0 ? -1 : uapi_get(fd, &first, error);

    if (fd >= 0) {
        (void) close(fd);
    }

    if (rc == 0) {
        rc = links_mark(userspace->rtnl, name, error);
    }

    if (rc != 0) {
        process_complaint(userspace->state_dir, name, complaint,
                          sizeof(complaint));
        (void) process_stop(userspace->state_dir, name, NULL);

        if (complaint[0] != '\0') {
            (void) error_set(error, ERROR_SYSTEM,
                             "wireguard-go cannot make %s: %s", name,
                             complaint);
        }
    }

    return rc;
}


/*
 * wireguard-go takes a port without a word while the interface is down and
 * complains only in its log when it comes up; so it is tried here first.
 */
static int
userspace_port_free(uint16_t port)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct sockaddr_in6 in6;
    struct sockaddr_in in;
    size_t i;
    int fd, on, rc;

    memset(&in, 0, sizeof(in));
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    memset(&in6, 0, sizeof(in6));
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    on = 1;

    for (i = 0; i < 2; i++) {
        fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0) {
            continue; /* this machine has no such family */
        }

        if (families[i] == AF_INET) {
            rc = bind(fd, (struct sockaddr *) &in, sizeof(in));

        } else {
            (void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
            rc = bind(fd, (struct sockaddr *) &in6, sizeof(in6));
        }

        rc = rc != 0 && errno == EADDRINUSE ? -1 : 0;
        (void) close(fd);

        if (rc != 0) {
            return -1;
        }
    }

    return 0;
}


/* A wireguard-go that is just ending, ours perhaps, is waited for. */
static bool
userspace_port_gets_free(uint16_t port)
{
    static const struct timespec pause = {0, USERSPACE_PORT_MS * 1000000L};
    int i;

    for (i = 0; i < USERSPACE_PORT_TIMES; i++) {
        if (userspace_port_free(port) == 0) {
            return true;
        }

        (void) nanosleep(&pause, NULL);
    }

    return false;
}


static int
userspace_set(struct userspace *userspace, const struct operation *operation,
              struct error *error)
{
    int fd, rc;

    if (operation->kind == OPERATION_DEVICE &&
        operation->device.listen_port != 0 &&
        !userspace_port_gets_free(operation->device.listen_port)) {
        return error_set(error, ERROR_PORT_IN_USE, "UDP port %u is in use",
                         (unsigned) operation->device.listen_port);
    }

    fd = process_connect(userspace->state_dir, operation->name, error);

    if (fd < 0) {
        return -1;
    }

    rc = uapi_set(fd, operation, error);
    (void) close(fd);

    return rc;
}


static int
userspace_apply(void *data, const struct operation *operation,
                struct error *error)
{
    struct userspace *userspace = data;

    switch (operation->kind) {

    case OPERATION_CREATE:
        return userspace_create(userspace, operation->name, error);

    case OPERATION_DELETE:

        if (process_stop(userspace->state_dir, operation->name, error) != 0) {
            return -1;
        }

        return links_delete(userspace->rtnl, operation->name, error);

    case OPERATION_DEVICE:
    case OPERATION_PEERS:
        return userspace_set(userspace, operation, error);

    case OPERATION_ALIAS:
    case OPERATION_MTU:
    case OPERATION_ADDRESS_ADD:
    case OPERATION_ADDRESS_DELETE:
    case OPERATION_UP:
    case OPERATION_ROUTE_ADD:
    case OPERATION_ROUTE_DELETE:
    case OPERATION_NARROW_ADD:
    case OPERATION_NARROW_DELETE:
        break;
    }

    return links_apply(userspace->rtnl, operation, error);
}


const struct backend_table backend_userspace = {
    "userspace",     userspace_probe,   userspace_open,
    userspace_close, userspace_observe, userspace_apply,
};
