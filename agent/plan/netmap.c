#include "plan/netmap.h"

#include <stdlib.h>
#include <string.h>

#include "plan/netmap_lists.h"
#include "plan/netmap_parse.h"
#include "plan/netmap_parts.h"


typedef const struct netmap_peer *netmap_ref;


void
netmap_destroy(struct netmap *map)
{
    size_t i;

    if (map != NULL) {
        for (i = 0; i < map->peer_count; i++) {
            netmap_lists_release(map->peers[i].lists);
        }

        free(map->peers);
        netmap_parts_clear(map);
        free(map);
    }
}


/* Makes room for more peers; the bound comes before the memory. */
static int
netmap_reserve(struct netmap *map, size_t more, struct error *error)
{
    struct netmap_peer *peers;
    size_t room;

    if (more > NETMAP_PEERS_MAX - map->peer_count) {
        return error_set(error, ERROR_TOO_BIG,
                         "network %s has more than %d peers", map->network_id,
                         NETMAP_PEERS_MAX);
    }

    if (map->peer_count + more <= map->peer_room) {
        return 0;
    }

    room = map->peer_room < 16 ? 16 : map->peer_room * 2;

    if (room < map->peer_count + more) {
        room = map->peer_count + more;
    }

    peers = realloc(map->peers, room * sizeof(*peers));

    if (peers == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    map->peers = peers;
    map->peer_room = room;

    return 0;
}


static int
netmap_append(struct netmap *map, const json_t *list, struct error *error)
{
    size_t i;

    if (!json_is_array(list)) {
        return error_set(error, ERROR_INVALID, "the peers are not a list");
    }

    if (netmap_reserve(map, json_array_size(list), error) != 0) {
        return -1;
    }

    for (i = 0; i < json_array_size(list); i++) {
        if (netmap_parse_peer(map, json_array_get(list, i),
                              &map->peers[map->peer_count], error) != 0) {
            return -1;
        }

        map->peer_count++;
    }

    return 0;
}


static int
netmap_by_id(const void *a, const void *b)
{
    return strcmp(((netmap_ref) a)->id, ((netmap_ref) b)->id);
}


static int
netmap_by_key(const void *a, const void *b)
{
    return key_compare(&(*(const netmap_ref *) a)->public_key,
                       &(*(const netmap_ref *) b)->public_key);
}


static int
netmap_by_ip(const void *a, const void *b)
{
    return address_compare(&(*(const netmap_ref *) a)->ip_address,
                           &(*(const netmap_ref *) b)->ip_address);
}


static int
netmap_by_ip6(const void *a, const void *b)
{
    return address_compare(&(*(const netmap_ref *) a)->ip6_address,
                           &(*(const netmap_ref *) b)->ip6_address);
}


/*
 * No two peers may share what must be their own: a second peer with a key or
 * an address would take the first one's traffic.
 */
static int
netmap_unique(const struct netmap *map, struct error *error)
{
    static const struct {
        int (*order)(const void *, const void *);
        const char *what;
    } rules[] = {
        {netmap_by_key, "key"},
        {netmap_by_ip, "address"},
        {netmap_by_ip6, "IPv6 address"},
    };
    netmap_ref *refs;
    size_t i, r;
    int rc;

    if (map->peer_count < 2) {
        return 0;
    }

    refs = calloc(map->peer_count, sizeof(netmap_ref));

    if (refs == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    for (i = 0; i < map->peer_count; i++) {
        refs[i] = &map->peers[i];
    }

    rc = 0;

    for (r = 0; r < sizeof(rules) / sizeof(rules[0]) && rc == 0; r++) {
        qsort(refs, map->peer_count, sizeof(netmap_ref), rules[r].order);

        for (i = 1; i < map->peer_count && rc == 0; i++) {
            if (rules[r].order == netmap_by_ip6 &&
                refs[i]->ip6_address.family == ADDRESS_NONE) {
                continue;
            }

            if (rules[r].order(&refs[i - 1], &refs[i]) == 0) {
                rc = error_set(error, ERROR_INVALID,
                               "peers %s and %s have the same %s",
                               refs[i - 1]->id, refs[i]->id, rules[r].what);
            }
        }
    }

    free(refs);

    return rc;
}


/* Sorts the peers by id and refuses contradictions. */
static int
netmap_finish(struct netmap *map, struct error *error)
{
    size_t i;

    if (map->peer_count > 1) {
        qsort(map->peers, map->peer_count, sizeof(*map->peers), netmap_by_id);
    }

    for (i = 1; i < map->peer_count; i++) {
        if (strcmp(map->peers[i - 1].id, map->peers[i].id) == 0) {
            return error_set(error, ERROR_INVALID, "peer %s is there twice",
                             map->peers[i].id);
        }
    }

    if (netmap_unique(map, error) != 0) {
        return -1;
    }

    map->complete = true;

    return 0;
}


/* Part 0: a new map with its network. */
static struct netmap *
netmap_begin(const json_t *data, struct error *error)
{
    struct netmap *map;

    map = calloc(1, sizeof(*map));

    if (map == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    if (!netmap_parse_id(data, "network_id", map->network_id, true) ||
        !netmap_parse_integer(data, "version", &map->version)) {
        (void) error_set(error, ERROR_INVALID,
                         "the netmap has no network_id or version");
        netmap_destroy(map);
        return NULL;
    }

    if (json_object_get(data, "network") == NULL) {
        (void) error_set(error, ERROR_INVALID, "the netmap has no network");
        netmap_destroy(map);
        return NULL;
    }

    if (netmap_parts_take(map, data, error) != 0) {
        netmap_destroy(map);
        return NULL;
    }

    return map;
}


/* Whether data is the part that the assembly waits for. */
static bool
netmap_continues(const struct netmap *map, const json_t *data, int64_t part)
{
    char id[NETMAP_ID_SIZE];
    int64_t version;

    return map != NULL && !map->complete && map->parts == part &&
           netmap_parse_id(data, "network_id", id, true) &&
           strcmp(id, map->network_id) == 0 &&
           netmap_parse_integer(data, "version", &version) &&
           version == map->version;
}


enum netmap_result
netmap_part(struct netmap **assembly, const json_t *data, struct error *error)
{
    struct netmap *map;
    const json_t *last;
    int64_t part;

    map = *assembly;
    last = json_object_get(data, "last");

    if (!netmap_parse_integer(data, "part", &part) ||
        part >= NETMAP_PARTS_MAX || !json_is_boolean(last)) {
        (void) error_set(error, ERROR_INVALID, "a netmap part without number");
        goto invalid;
    }

    if (part == 0) {
        netmap_destroy(map);
        map = *assembly = netmap_begin(data, error);

        if (map == NULL) {
            return NETMAP_INVALID;
        }

    } else if (!netmap_continues(map, data, part)) {
        netmap_destroy(map);
        *assembly = NULL;
        (void) error_set(error, ERROR_INVALID,
                         "netmap part %lld does not follow", (long long) part);
        return NETMAP_RESYNC;
    }

    if (netmap_append(map, json_object_get(data, "peers"), error) != 0) {
        goto invalid;
    }

    map->parts++;

    if (json_is_false(last)) {
        return NETMAP_MORE;
    }

    if (netmap_finish(map, error) == 0) {
        return NETMAP_DONE;
    }

invalid:

    netmap_destroy(map);
    *assembly = NULL;

    return NETMAP_INVALID;
}


const struct netmap_peer *
netmap_find(const struct netmap *map, const char *peer_id)
{
    struct netmap_peer wanted;
    size_t length;

    length = strlen(peer_id);

    if (map->peer_count == 0 || length >= sizeof(wanted.id)) {
        return NULL;
    }

    memcpy(wanted.id, peer_id, length + 1);

    return bsearch(&wanted, map->peers, map->peer_count, sizeof(*map->peers),
                   netmap_by_id);
}


/* Takes out the peers that are named; unknown ones are gone already. */
static int
netmap_remove(struct netmap *map, const json_t *remove, struct error *error)
{
    const struct netmap_peer *peer;
    const json_t *value;
    size_t i, kept;
    bool *gone;

    gone = calloc(map->peer_count + 1, sizeof(bool));

    if (gone == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    for (i = 0; i < json_array_size(remove); i++) {
        value = json_array_get(remove, i);

        if (!json_is_string(value)) {
            free(gone);
            return error_set(error, ERROR_INVALID, "remove holds no ids");
        }

        peer = netmap_find(map, json_string_value(value));

        if (peer != NULL) {
            gone[peer - map->peers] = true;
        }
    }

    for (i = 0, kept = 0; i < map->peer_count; i++) {
        if (!gone[i]) {
            map->peers[kept++] = map->peers[i];

        } else {
            netmap_lists_release(map->peers[i].lists);
        }
    }

    map->peer_count = kept;
    free(gone);

    return 0;
}


/* Removes, then replaces or adds, in a copy that may be thrown away. */
static int
netmap_change(struct netmap *map, const json_t *remove, const json_t *upsert,
              struct error *error)
{
    struct netmap_peer peer, *known;
    size_t i, sorted;

    if (netmap_remove(map, remove, error) != 0) {
        return -1;
    }

    /* new peers go behind the sorted part until netmap_finish() */
    sorted = map->peer_count;

    for (i = 0; i < json_array_size(upsert); i++) {
        if (netmap_parse_peer(map, json_array_get(upsert, i), &peer, error) !=
            0) {
            return -1;
        }

        known = sorted == 0 ? NULL
                            : bsearch(&peer, map->peers, sorted, sizeof(peer),
                                      netmap_by_id);

        if (known != NULL) {
            netmap_lists_release(known->lists);
            *known = peer;
            continue;
        }

        if (netmap_reserve(map, 1, error) != 0) {
            netmap_lists_release(peer.lists);
            return -1;
        }

        map->peers[map->peer_count++] = peer;
    }

    return netmap_finish(map, error);
}


static struct netmap *
netmap_copy(const struct netmap *map, struct error *error)
{
    struct netmap *copy;
    size_t i;

    copy = malloc(sizeof(*copy));

    if (copy == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    *copy = *map;
    copy->peers = NULL;
    copy->peer_count = 0;
    copy->peer_room = 0;

    if (netmap_parts_copy(copy, map, error) != 0 ||
        netmap_reserve(copy, map->peer_count, error) != 0) {
        netmap_destroy(copy);
        return NULL;
    }

    if (map->peer_count > 0) {
        memcpy(copy->peers, map->peers, map->peer_count * sizeof(*map->peers));
        copy->peer_count = map->peer_count;

        for (i = 0; i < copy->peer_count; i++) {
            (void) netmap_lists_share(copy->peers[i].lists);
        }
    }

    return copy;
}


enum netmap_result
netmap_delta(struct netmap *map, const json_t *data, struct error *error)
{
    struct netmap *copy, old;
    const json_t *upsert, *remove;
    char id[NETMAP_ID_SIZE];
    int64_t version, base;

    upsert = json_object_get(data, "upsert");
    remove = json_object_get(data, "remove");

    if (!netmap_parse_id(data, "network_id", id, true) ||
        strcmp(id, map->network_id) != 0 ||
        !netmap_parse_integer(data, "version", &version) ||
        !netmap_parse_integer(data, "base_version", &base) || base >= version ||
        !json_is_array(upsert) || !json_is_array(remove)) {
        (void) error_set(error, ERROR_INVALID, "a malformed netmap_delta");
        return NETMAP_INVALID;
    }

    if (version <= map->version) {
        return NETMAP_STALE;
    }

    if (base != map->version || !map->complete) {
        (void) error_set(error, ERROR_INVALID,
                         "netmap_delta from %lld, but ours is %lld",
                         (long long) base, (long long) map->version);
        return NETMAP_RESYNC;
    }

    copy = netmap_copy(map, error);

    if (copy == NULL || netmap_parts_take(copy, data, error) != 0 ||
        netmap_change(copy, remove, upsert, error) != 0) {
        netmap_destroy(copy);
        return NETMAP_INVALID;
    }

    copy->version = version;

    /* swap, so that the caller's pointer holds the new and old goes */
    old = *map;
    *map = *copy;
    *copy = old;
    netmap_destroy(copy);

    return NETMAP_DONE;
}
