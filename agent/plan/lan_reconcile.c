#include "plan/lan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a round works on. */
struct lan_round {
    const struct lan *lan;
    const struct actual_interface *place; /* NULL: to be made */
    const struct lan_fact *fact;
    struct lan_operations *operations;
};


void
lan_operations_clear(struct lan_operations *operations)
{
    free(operations->list);
    memset(operations, 0, sizeof(*operations));
}


static struct lan_operation *
lan_add(struct lan_operations *operations, enum lan_operation_kind kind,
        const char *name)
{
    struct lan_operation *list, *operation;
    size_t room;

    if (operations->count == operations->room) {
        room = operations->room == 0 ? 16 : operations->room * 2;
        list = realloc(operations->list, room * sizeof(*list));

        if (list == NULL) {
            return NULL;
        }

        operations->list = list;
        operations->room = room;
    }

    operation = &operations->list[operations->count++];
    memset(operation, 0, sizeof(*operation));
    operation->kind = kind;
    memcpy(operation->name, name, strnlen(name, ACTUAL_NAME_SIZE - 1));

    return operation;
}


/* One that is done alike to every interface; NULL when memory is out. */
static struct operation *
lan_link(struct lan_round *round, enum operation_kind kind)
{
    struct lan_operation *operation;

    operation = lan_add(round->operations, LAN_LINK, round->lan->name);

    if (operation == NULL) {
        return NULL;
    }

    operation->link.kind = kind;
    memcpy(operation->link.name, round->lan->name,
           sizeof(operation->link.name));

    return &operation->link;
}


static int
lan_prefix(struct lan_round *round, enum operation_kind kind,
           const struct prefix *prefix)
{
    struct operation *operation;

    operation = lan_link(round, kind);

    if (operation == NULL) {
        return -1;
    }

    operation->prefix = *prefix;

    return 0;
}


/* Only *want is left of the list: the rest goes, and it comes if missing. */
static int
lan_prefixes(struct lan_round *round, const struct prefix *list, size_t count,
             const struct prefix *want, enum operation_kind add,
             enum operation_kind delete, bool adding)
{
    bool found;
    size_t i;

    found = false;

    for (i = 0; i < count; i++) {
        if (prefix_compare(&list[i], want) == 0) {
            found = true;

        } else if (!adding && lan_prefix(round, delete, &list[i]) != 0) {
            return -1;
        }
    }

    return found || !adding ? 0 : lan_prefix(round, add, want);
}


static int
lan_entry(struct lan_round *round, enum lan_operation_kind kind,
          const struct lan_entry *entry)
{
    struct lan_operation *operation;

    operation = lan_add(round->operations, kind, round->lan->name);

    if (operation == NULL) {
        return -1;
    }

    operation->entry.entry = *entry;
    memcpy(operation->entry.under, round->lan->identity.under,
           sizeof(operation->entry.under));

    return 0;
}


/* Both lists are sorted.  What goes goes first: an address has one mac. */
static int
lan_entries(struct lan_round *round, bool adding)
{
    const struct lan_entry *have;
    size_t i, k, have_count;
    int order, rc;

    have = round->fact != NULL ? round->fact->entries : NULL;
    have_count = round->fact != NULL ? round->fact->entry_count : 0;
    rc = 0;

    for (i = 0, k = 0;
         rc == 0 && (i < round->lan->entry_count || k < have_count);) {
        if (i == round->lan->entry_count) {
            order = 1;

        } else if (k == have_count) {
            order = -1;

        } else {
            order = lan_entry_compare(&round->lan->entries[i], &have[k]);
        }

        if (order > 0 && !adding) {
            rc = lan_entry(round, LAN_ENTRY_DELETE, &have[k]);

        } else if (order < 0 && adding) {
            rc = lan_entry(round, LAN_ENTRY_ADD, &round->lan->entries[i]);
        }

        i += order <= 0;
        k += order >= 0;
    }

    return rc;
}


static int
lan_make(struct lan_round *round)
{
    struct lan_operation *create;
    struct operation *alias;

    create = lan_add(round->operations, LAN_CREATE, round->lan->name);

    if (create == NULL) {
        return -1;
    }

    create->identity = round->lan->identity;
    alias = lan_link(round, OPERATION_ALIAS);

    if (alias == NULL) {
        return -1;
    }

    memcpy(alias->network_id, round->lan->network_id,
           sizeof(alias->network_id));

    return 0;
}


/* All that it may have before the filter stands. */
static int
lan_prepare(struct lan_round *round)
{
    static const struct actual_interface nothing;
    struct operation *mtu;
    const struct lan *lan;

    lan = round->lan;

    if (round->place == NULL) {
        if (lan_make(round) != 0) {
            return -1;
        }

        round->place = &nothing;
    }

    if (lan_prefixes(round, round->place->routes, round->place->route_count,
                     &lan->route, OPERATION_ROUTE_ADD, OPERATION_ROUTE_DELETE,
                     false) != 0 ||
        lan_prefixes(round, round->place->addresses,
                     round->place->address_count, &lan->address,
                     OPERATION_ADDRESS_ADD, OPERATION_ADDRESS_DELETE,
                     false) != 0) {
        return -1;
    }

    if (round->place->mtu != lan->mtu) {
        mtu = lan_link(round, OPERATION_MTU);

        if (mtu == NULL) {
            return -1;
        }

        mtu->mtu = lan->mtu;
    }

    if (lan_entries(round, false) != 0 || lan_entries(round, true) != 0) {
        return -1;
    }

    return lan_prefixes(round, round->place->addresses,
                        round->place->address_count, &lan->address,
                        OPERATION_ADDRESS_ADD, OPERATION_ADDRESS_DELETE, true);
}


static int
lan_open(struct lan_round *round)
{
    const struct actual_interface *place;

    place = round->place;

    if ((place == NULL || !place->up) &&
        lan_link(round, OPERATION_UP) == NULL) {
        return -1;
    }

    return lan_prefixes(round, place != NULL ? place->routes : NULL,
                        place != NULL ? place->route_count : 0,
                        &round->lan->route, OPERATION_ROUTE_ADD,
                        OPERATION_ROUTE_DELETE, true);
}


static bool
lan_same(const struct lan_identity *a, const struct lan_identity *b)
{
    return a->vni == b->vni && a->port == b->port &&
           memcmp(a->mac, b->mac, LAN_MAC_SIZE) == 0 &&
           address_compare(&a->local, &b->local) == 0 &&
           strcmp(a->under, b->under) == 0;
}


/* Whether the observed one is what the wish is about. */
static bool
lan_match(const struct lan *lan, const struct lan_actual *actual, size_t i)
{
    const struct actual_interface *place;

    place = &actual->places->interfaces[i];

    return strcmp(lan->network_id, place->network_id) == 0 &&
           strcmp(lan->name, place->name) == 0 && !actual->facts[i].strange &&
           lan_same(&lan->identity, &actual->facts[i].identity);
}


static int
lan_unwanted(const struct lan *const *lans, size_t count,
             const struct lan_actual *actual, struct lan_operations *operations)
{
    size_t i, k;

    for (k = 0; k < actual->places->interface_count; k++) {
        for (i = 0; i < count && !lan_match(lans[i], actual, k); i++) {
            /* another one */
        }

        if (i == count && lan_add(operations, LAN_DELETE,
                                  actual->places->interfaces[k].name) == NULL) {
            return -1;
        }
    }

    return 0;
}


static int
lan_all(const struct lan *const *lans, size_t count,
        const struct lan_actual *actual, struct lan_operations *operations,
        int (*step)(struct lan_round *round))
{
    struct lan_round round;
    size_t i, k;

    for (i = 0; i < count; i++) {
        memset(&round, 0, sizeof(round));
        round.lan = lans[i];
        round.operations = operations;

        for (k = 0; k < actual->places->interface_count; k++) {
            if (lan_match(lans[i], actual, k)) {
                round.place = &actual->places->interfaces[k];
                round.fact = &actual->facts[k];
            }
        }

        if (step(&round) != 0) {
            return -1;
        }
    }

    return 0;
}


int
lan_reconcile(const struct lan *const *lans, size_t count,
              const struct lan_actual *actual,
              struct lan_operations *operations, struct error *error)
{
    int rc;

    memset(operations, 0, sizeof(*operations));
    rc = lan_unwanted(lans, count, actual, operations);

    if (rc == 0) {
        rc = lan_all(lans, count, actual, operations, lan_prepare);
    }

    operations->guarded = operations->count;

    if (rc == 0) {
        rc = lan_all(lans, count, actual, operations, lan_open);
    }

    if (rc != 0) {
        lan_operations_clear(operations);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    return 0;
}


const char *
lan_describe(const struct lan_operation *operation, char *text, size_t size)
{
    static const char *const kinds[] = {"forward", "neighbour"};
    char address[ADDRESS_TEXT];
    const struct lan_entry *entry;

    entry = &operation->entry.entry;

    switch (operation->kind) {

    case LAN_DELETE:
        (void) snprintf(text, size, "%s: delete", operation->name);
        break;

    case LAN_CREATE:
        (void) snprintf(text, size, "%s: create vxlan %u over %s",
                        operation->name, operation->identity.vni,
                        operation->identity.under);
        break;

    case LAN_ENTRY_ADD:
    case LAN_ENTRY_DELETE:
        (void) snprintf(
            text, size, "%s: %s %c %02x:%02x:%02x:%02x:%02x:%02x %s",
            operation->name, kinds[entry->kind],
            operation->kind == LAN_ENTRY_ADD ? '+' : '-', entry->mac[0],
            entry->mac[1], entry->mac[2], entry->mac[3], entry->mac[4],
            entry->mac[5], address_format(&entry->address, address));
        break;

    case LAN_LINK:
        return operation_describe(&operation->link, text, size);
    }

    return text;
}
