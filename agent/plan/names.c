#include "plan/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/names_top.h"


static bool
names_is_label(const char *text, size_t length)
{
    size_t i;

    if (length == 0 || length >= NETMAP_LABEL_SIZE || text[0] == '-' ||
        text[length - 1] == '-') {
        return false;
    }

    for (i = 0; i < length; i++) {
        if (!(text[i] >= 'a' && text[i] <= 'z') &&
            !(text[i] >= '0' && text[i] <= '9') && text[i] != '-') {
            return false;
        }
    }

    return true;
}


bool
names_label(const char *label)
{
    return names_is_label(label, strlen(label));
}


bool
names_domain(const struct netmap *map)
{
    const char *at;
    size_t labels, length;

    labels = 0;

    for (at = map->domain;; at += length + 1) {
        length = strcspn(at, ".");

        if (!names_is_label(at, length)) {
            return false;
        }

        labels++;

        if (at[length] == '\0') {
            return labels >= NAMES_DOMAIN_MIN;
        }
    }
}


/* How much of the name stands before the domain: 0 for the domain itself. */
static bool
names_before(const struct netmap *map, const char *name, size_t *before)
{
    size_t length, domain;

    length = strlen(name);
    domain = strlen(map->domain);

    if (!names_domain(map) || length < domain ||
        strcmp(name + length - domain, map->domain) != 0) {
        return false;
    }

    *before = length - domain;

    return *before == 0 || name[*before - 1] == '.';
}


bool
names_inside(const struct netmap *map, const char *name)
{
    size_t before;

    return names_before(map, name, &before);
}


const struct netmap_peer *
names_peer(const struct netmap *map, const char *name)
{
    const struct netmap_peer *peer;
    size_t before, i;

    if (!names_before(map, name, &before) || before < 2 ||
        !names_is_label(name, before - 1)) {
        return NULL;
    }

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];

        if (strncmp(peer->name, name, before - 1) == 0 &&
            peer->name[before - 1] == '\0') {
            return peer;
        }
    }

    return NULL;
}


const struct netmap_peer *
names_peer_at(const struct netmap *map, const struct address *address)
{
    const struct netmap_peer *peer;
    size_t i;

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];

        if (names_label(peer->name) &&
            (address_compare(&peer->ip_address, address) == 0 ||
             address_compare(&peer->ip6_address, address) == 0)) {
            return peer;
        }
    }

    return NULL;
}


static int
names_by_host(const void *a, const void *b)
{
    const struct names_entry *x, *y;
    int order;

    x = a;
    y = b;
    order = strcmp(x->peer->name, y->peer->name);

    /* the maps are told apart by their domains; a twin by its id */
    if (order == 0) {
        order = strcmp(x->map->domain, y->map->domain);
    }

    return order != 0 ? order : strcmp(x->peer->id, y->peer->id);
}


/* What would lead a program astray if a member could choose who answers. */
static bool
names_reserved(const char *host)
{
    static const char *const reserved[] = {"localhost", "wpad", "isatap"};
    size_t i;

    for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (strcmp(host, reserved[i]) == 0) {
            return true;
        }
    }

    return false;
}


/* The first label of the network's domain. */
static void
names_network(const struct netmap *map, char label[NETMAP_LABEL_SIZE])
{
    (void) snprintf(label, NETMAP_LABEL_SIZE, "%.*s",
                    (int) strcspn(map->domain, "."), map->domain);
}


/* Whether HOST.NETWORK of this network is nobody else's. */
static bool
names_pairs(const struct netmap *map, const struct netmap *const *maps,
            size_t count)
{
    char ours[NETMAP_LABEL_SIZE], theirs[NETMAP_LABEL_SIZE];
    size_t i;

    names_network(map, ours);

    if (names_top(ours)) {
        return false;
    }

    for (i = 0; i < count; i++) {
        names_network(maps[i], theirs);

        if (maps[i] != map && strcmp(ours, theirs) == 0) {
            return false;
        }
    }

    return true;
}


/* Of twins in one network the first has the name; drops the others. */
static void
names_settle(struct names *names)
{
    struct names_entry *entry, *last;
    size_t i, kept;

    kept = 0;

    for (i = 0; i < names->count; i++) {
        entry = &names->list[i];
        last = kept > 0 ? &names->list[kept - 1] : NULL;

        entry->host = !names_reserved(entry->peer->name);

        if (last != NULL && strcmp(last->peer->name, entry->peer->name) == 0) {
            if (last->map == entry->map) {
                continue;
            }

            last->host = entry->host = false;
        }

        names->list[kept++] = *entry;
    }

    names->count = kept;
}


int
names_collect(struct names *names, const struct netmap *const *maps,
              size_t count, struct error *error)
{
    struct names_entry *entry;
    size_t i, k, room;
    bool pairs;

    memset(names, 0, sizeof(*names));
    room = 1;

    for (i = 0; i < count; i++) {
        room += maps[i]->peer_count;
    }

    names->list = calloc(room, sizeof(*names->list));

    if (names->list == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    for (i = 0; i < count; i++) {
        pairs = names_pairs(maps[i], maps, count);

        for (k = 0; names_domain(maps[i]) && k < maps[i]->peer_count; k++) {
            entry = &names->list[names->count];
            entry->map = maps[i];
            entry->peer = &maps[i]->peers[k];
            entry->pair = pairs;

            if (names_label(entry->peer->name) &&
                strlen(entry->peer->name) + 1 + strlen(maps[i]->domain) <=
                    NAMES_TEXT_MAX) {
                names->count++;
            }
        }
    }

    qsort(names->list, names->count, sizeof(*names->list), names_by_host);
    names_settle(names);

    return 0;
}


void
names_clear(struct names *names)
{
    free(names->list);
    memset(names, 0, sizeof(*names));
}


const char *
names_full(const struct names_entry *entry, char text[NAMES_SIZE])
{
    (void) snprintf(text, NAMES_SIZE, "%s.%s", entry->peer->name,
                    entry->map->domain);

    return text;
}


const char *
names_pair(const struct names_entry *entry, char text[NAMES_SIZE])
{
    char network[NETMAP_LABEL_SIZE];

    names_network(entry->map, network);
    (void) snprintf(text, NAMES_SIZE, "%s.%s", entry->peer->name, network);

    return text;
}
