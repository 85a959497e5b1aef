#include "os/backend.h"

#include <stdlib.h>
#include <string.h>

#include "os/links.h"
#include "os/process.h"
#include "os/wireguard.h"


struct kernel {
    struct nl_sock *rtnl;
    struct wireguard *wireguard;
    char *state_dir;
};


static int
kernel_probe(struct error *error)
{
    struct wireguard *wireguard;

    wireguard = wireguard_open(error);
    wireguard_close(wireguard);

    return wireguard != NULL ? 0 : -1;
}


static void
kernel_close(void *data)
{
    struct kernel *kernel = data;

    netlink_close(kernel->rtnl);
    wireguard_close(kernel->wireguard);
    free(kernel->state_dir);
    free(kernel);
}


static void *
kernel_open(const struct backend_config *config, struct error *error)
{
    struct kernel *kernel;

    kernel = calloc(1, sizeof(*kernel));

    if (kernel == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    kernel->state_dir = strdup(config->state_dir);

    if (kernel->state_dir == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");

    } else {
        kernel->rtnl = netlink_open(NETLINK_ROUTE, error);
    }

    if (kernel->rtnl != NULL) {
        kernel->wireguard = wireguard_open(error);
    }

    if (kernel->wireguard == NULL) {
        kernel_close(kernel);
        return NULL;
    }

    return kernel;
}


/* Our links; *indices gets one index for each interface of *actual. */
static int
kernel_links(struct actual *actual, int **indices, struct error *error)
{
    struct links_list list;
    size_t i;
    int rc;

    if (links_all(&list, error) != 0) {
        return -1;
    }

    rc = 0;
    *indices = calloc(list.count + 1, sizeof(int));

    for (i = 0; i < list.count && rc == 0; i++) {
        if (*indices == NULL) {
            rc = -1;

        } else if (links_ours(&list.links[i]) && links_tunnel(&list.links[i])) {
            (*indices)[actual->interface_count] = list.links[i].index;
            rc = links_append(actual, &list.links[i]) == NULL ? -1 : 0;
        }
    }

    free(list.links);

    if (rc != 0) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    return rc;
}


static int
kernel_observe(void *data, struct actual **result, struct error *error)
{
    struct kernel *kernel = data;
    struct actual *actual;
    int *indices, rc;
    size_t i;

    indices = NULL;
    actual = calloc(1, sizeof(*actual));

    if (actual == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    rc = kernel_links(actual, &indices, error);

    for (i = 0; i < actual->interface_count && rc == 0; i++) {
        rc = wireguard_get(kernel->wireguard, &actual->interfaces[i], error);
    }

    if (rc == 0) {
        rc = links_places(actual, indices, error);
    }

    free(indices);

    if (rc != 0) {
        actual_destroy(actual);
        return -1;
    }

    actual_sort(actual);
    *result = actual;

    return 0;
}


static int
kernel_apply(void *data, const struct operation *operation, struct error *error)
{
    struct kernel *kernel = data;

    switch (operation->kind) {

    case OPERATION_CREATE:
        return links_create(kernel->rtnl, operation->name, "wireguard", error);

    case OPERATION_DELETE:

        /* it may be one that wireguard-go served before this kernel could */
        if (process_stop(kernel->state_dir, operation->name, error) != 0) {
            return -1;
        }

        return links_delete(kernel->rtnl, operation->name, error);

    case OPERATION_DEVICE:
    case OPERATION_PEERS:
        return wireguard_set(kernel->wireguard, operation, error);

    case OPERATION_UP:
        links_queue(kernel->rtnl, operation->name);
        break;

    case OPERATION_ALIAS:
    case OPERATION_MTU:
    case OPERATION_ADDRESS_ADD:
    case OPERATION_ADDRESS_DELETE:
    case OPERATION_ROUTE_ADD:
    case OPERATION_ROUTE_DELETE:
    case OPERATION_NARROW_ADD:
    case OPERATION_NARROW_DELETE:
        break;
    }

    return links_apply(kernel->rtnl, operation, error);
}


const struct backend_table backend_kernel = {
    "kernel",     kernel_probe,   kernel_open,
    kernel_close, kernel_observe, kernel_apply,
};
