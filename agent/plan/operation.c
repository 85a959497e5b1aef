#include "plan/reconcile.h"

#include <stdio.h>


static const char *
operation_peers(const struct operation *operation, char *text, size_t size)
{
    unsigned added, removed, changed;
    size_t i;

    added = 0;
    removed = 0;
    changed = 0;

    for (i = 0; i < operation->peers.count; i++) {
        if ((operation->peers.changes[i].flags & PEER_REMOVE) != 0) {
            removed++;

        } else if ((operation->peers.changes[i].flags & PEER_UPDATE_ONLY) !=
                   0) {
            changed++;

        } else {
            added++;
        }
    }

    (void) snprintf(text, size, "%s: peers +%u -%u ~%u", operation->name, added,
                    removed, changed);

    return text;
}


const char *
operation_describe(const struct operation *operation, char *text, size_t size)
{
    char prefix[ADDRESS_TEXT];
    const char *name;

    name = operation->name;

    switch (operation->kind) {

    case OPERATION_DELETE:
        (void) snprintf(text, size, "%s: delete", name);
        break;

    case OPERATION_CREATE:
        (void) snprintf(text, size, "%s: create", name);
        break;

    case OPERATION_ALIAS:
        (void) snprintf(text, size, "%s: alias %s%s", name, ACTUAL_ALIAS_PREFIX,
                        operation->network_id);
        break;

    case OPERATION_MTU:
        (void) snprintf(text, size, "%s: mtu %u", name, operation->mtu);
        break;

    case OPERATION_DEVICE:
        (void) snprintf(text, size, "%s: device%s%s port %u", name,
                        operation->device.private_key != NULL ? " key" : "",
                        operation->device.set_mark ? " mark" : "",
                        (unsigned) operation->device.listen_port);
        break;

    case OPERATION_PEERS:
        return operation_peers(operation, text, size);

    case OPERATION_ADDRESS_ADD:
        (void) snprintf(text, size, "%s: address + %s", name,
                        prefix_format(&operation->prefix, prefix));
        break;

    case OPERATION_ADDRESS_DELETE:
        (void) snprintf(text, size, "%s: address - %s", name,
                        prefix_format(&operation->prefix, prefix));
        break;

    case OPERATION_UP:
        (void) snprintf(text, size, "%s: up", name);
        break;

    case OPERATION_ROUTE_ADD:
        (void) snprintf(text, size, "%s: route + %s", name,
                        prefix_format(&operation->prefix, prefix));
        break;

    case OPERATION_ROUTE_DELETE:
        (void) snprintf(text, size, "%s: route - %s", name,
                        prefix_format(&operation->prefix, prefix));
        break;

    case OPERATION_NARROW_ADD:
        (void) snprintf(text, size, "%s: route + %s mtu %u", name,
                        prefix_format(&operation->narrow.prefix, prefix),
                        operation->narrow.mtu);
        break;

    case OPERATION_NARROW_DELETE:
        (void) snprintf(text, size, "%s: route - %s mtu %u", name,
                        prefix_format(&operation->narrow.prefix, prefix),
                        operation->narrow.mtu);
        break;
    }

    return text;
}
