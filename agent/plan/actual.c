#include "plan/actual.h"

#include <stdlib.h>
#include <string.h>


static int
actual_by_prefix(const void *a, const void *b)
{
    return prefix_compare(a, b);
}


static int
actual_by_key(const void *a, const void *b)
{
    const struct actual_peer *x = a, *y = b;

    return key_compare(&x->public_key, &y->public_key);
}


void
actual_destroy(struct actual *actual)
{
    struct actual_interface *interface;
    size_t i, k;

    if (actual == NULL) {
        return;
    }

    for (i = 0; i < actual->interface_count; i++) {
        interface = &actual->interfaces[i];

        for (k = 0; k < interface->peer_count; k++) {
            free(interface->peers[k].allowed);
        }

        free(interface->peers);
        free(interface->addresses);
        free(interface->routes);
        free(interface->narrow);
    }

    free(actual->interfaces);
    free(actual);
}


const struct actual_interface *
actual_find(const struct actual *actual, const char *network_id)
{
    size_t i;

    for (i = 0; i < actual->interface_count; i++) {
        if (strcmp(actual->interfaces[i].network_id, network_id) == 0) {
            return &actual->interfaces[i];
        }
    }

    return NULL;
}


const struct actual_peer *
actual_peer(const struct actual_interface *interface,
            const struct key *public_key)
{
    struct actual_peer wanted;

    if (interface->peer_count == 0) {
        return NULL;
    }

    wanted.public_key = *public_key;

    return bsearch(&wanted, interface->peers, interface->peer_count,
                   sizeof(wanted), actual_by_key);
}


static void
actual_sort_prefixes(struct prefix *list, size_t count)
{
    if (count > 1) {
        qsort(list, count, sizeof(*list), actual_by_prefix);
    }
}


void
actual_sort(struct actual *actual)
{
    struct actual_interface *interface;
    size_t i, k;

    for (i = 0; i < actual->interface_count; i++) {
        interface = &actual->interfaces[i];

        actual_sort_prefixes(interface->addresses, interface->address_count);
        actual_sort_prefixes(interface->routes, interface->route_count);

        for (k = 0; k < interface->peer_count; k++) {
            actual_sort_prefixes(interface->peers[k].allowed,
                                 interface->peers[k].allowed_count);
        }

        if (interface->peer_count > 1) {
            qsort(interface->peers, interface->peer_count,
                  sizeof(*interface->peers), actual_by_key);
        }
    }
}
