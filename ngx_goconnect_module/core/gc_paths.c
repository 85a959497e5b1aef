#include "core/gc_paths_table.h"

#include <string.h>


/*
 * Pairs
 */

static uint32_t
gc_pair_network(const gc_paths_t *paths, uint32_t i)
{
    return gc_record(paths, GC_DEVICE, gc_record(paths, GC_PAIR, i)->parent)
        ->parent;
}


static gc_list_t *
gc_pair_slot(gc_paths_t *paths, const gc_pair_t *pair)
{
    return &paths->wheel[(uint64_t) pair->at % GC_PATHS_WHEEL];
}


static void
gc_pair_dirty(gc_paths_t *paths, uint32_t i, uint8_t dirty)
{
    gc_pair_t *pair = &paths->pair[i];

    if (pair->is_dirty == dirty) {
        return;
    }

    pair->is_dirty = dirty;

    if (dirty) {
        gc_list_append(GC_LINKS(paths->pair, dirty), &paths->dirty, i);

    } else {
        gc_list_remove(GC_LINKS(paths->pair, dirty), &paths->dirty, i);
    }
}


static void
gc_pair_free(gc_paths_t *paths, uint32_t i)
{
    gc_pair_t *pair = &paths->pair[i];
    uint32_t device = gc_record(paths, GC_PAIR, i)->parent;
    uint32_t network = gc_pair_network(paths, i);

    gc_pair_dirty(paths, i, 0);
    gc_list_remove(GC_LINKS(paths->pair, wheel), gc_pair_slot(paths, pair), i);
    gc_list_remove(GC_LINKS(paths->pair, changed),
                   &paths->network[network].changed, i);
    gc_record_free(paths, GC_PAIR, i);
    paths->used--;

    gc_record_move(paths, GC_DEVICE, device, -1);
    gc_record_move(paths, GC_NETWORK, network, -1);

    if (gc_record(paths, GC_DEVICE, device)->count == 0) {
        gc_record_free(paths, GC_DEVICE, device);
    }

    if (gc_record(paths, GC_NETWORK, network)->count == 0) {
        gc_record_free(paths, GC_NETWORK, network);
    }
}


static void
gc_pair_changed(gc_paths_t *paths, uint32_t i)
{
    gc_list_t *list = &paths->network[gc_pair_network(paths, i)].changed;

    gc_list_remove(GC_LINKS(paths->pair, changed), list, i);
    gc_list_append(GC_LINKS(paths->pair, changed), list, i);
    paths->pair[i].version = ++paths->version;
}


static void
gc_pair_at(gc_paths_t *paths, uint32_t i, int64_t at)
{
    gc_pair_t *pair = &paths->pair[i];

    gc_list_remove(GC_LINKS(paths->pair, wheel), gc_pair_slot(paths, pair), i);
    pair->at = at;
    gc_list_append(GC_LINKS(paths->pair, wheel), gc_pair_slot(paths, pair), i);
}


/* nobody says it any more; it stays a while, so that watchers hear of that */
static void
gc_pair_gone(gc_paths_t *paths, uint32_t i, int64_t now)
{
    gc_pair_dirty(paths, i, 0);
    paths->pair[i].path = GC_PATH_GONE;
    paths->pair[i].own = 0;
    gc_pair_at(paths, i, now);
    gc_pair_changed(paths, i);
}


/* of lists by level the first record of the highest, but `mine` if it is there
 */
static uint32_t
gc_paths_richest(const gc_list_t *lists, uint32_t mine, uint32_t count)
{
    unsigned level;

    for (level = GC_PATHS_LEVELS - 1; level && lists[level].head == 0;
         level--) {
    }

    return mine && gc_paths_level(count) >= level ? mine : lists[level].head;
}


/* makes room for one more pair of that network and device, which may be 0 */
static void
gc_paths_room(gc_paths_t *paths, uint32_t network, uint32_t device)
{
    uint32_t have, has, n, d;

    have = network ? gc_record(paths, GC_NETWORK, network)->count : 0;
    has = device ? gc_record(paths, GC_DEVICE, device)->count : 0;

    if (has >= GC_PATHS_DEVICE_MAX) {
        gc_pair_free(paths, paths->device[device].head);
        return;
    }

    if (have < GC_PATHS_NETWORK_MAX && paths->used < paths->capacity) {
        return;
    }

    n = have >= GC_PATHS_NETWORK_MAX
            ? network
            : gc_paths_richest(paths->networks, network, have);
    d = gc_paths_richest(paths->network[n].devices, n == network ? device : 0,
                         has);

    gc_pair_free(paths, paths->device[d].head);
}


static uint32_t
gc_pair_make(gc_paths_t *paths, const gc_path_t *path)
{
    uint32_t network, device, i;

    network = gc_record_find(paths, GC_NETWORK, 0, path->network);
    device = gc_record_find(paths, GC_DEVICE, network, path->from);
    gc_paths_room(paths, network, device);

    /* what had to give way may have been their only pair */
    network = gc_record_find(paths, GC_NETWORK, 0, path->network);
    network =
        network ? network : gc_record_make(paths, GC_NETWORK, 0, path->network);
    device = gc_record_find(paths, GC_DEVICE, network, path->from);
    device =
        device ? device : gc_record_make(paths, GC_DEVICE, network, path->from);

    i = gc_record_make(paths, GC_PAIR, device, path->to);
    memset(&paths->pair[i], 0, sizeof(gc_pair_t));
    paths->pair[i].path = GC_PATH_GONE;
    paths->pair[i].at = path->at;
    gc_list_append(GC_LINKS(paths->pair, wheel),
                   gc_pair_slot(paths, &paths->pair[i]), i);
    gc_list_append(GC_LINKS(paths->pair, changed),
                   &paths->network[network].changed, i);
    paths->used++;

    gc_record_move(paths, GC_DEVICE, device, 1);
    gc_record_move(paths, GC_NETWORK, network, 1);

    return i;
}


void
gc_paths_put(gc_paths_t *paths, const gc_path_t *path, int own)
{
    gc_pair_t *pair;
    uint32_t i;

    i = gc_record_find(paths, GC_NETWORK, 0, path->network);
    i = gc_record_find(paths, GC_DEVICE, i, path->from);
    i = gc_record_find(paths, GC_PAIR, i, path->to);

    if (i && !own) {
        pair = &paths->pair[i];

        /* ages are whole seconds: of two in the same one, that of who has told
         * all he knows is the older */
        if (path->at + 2 < pair->at ||
            (pair->path == GC_PATH_GONE && path->at <= pair->at) ||
            (pair->own && path->at + !pair->is_dirty <= pair->at)) {
            return;
        }
    }

    i = i ? i : gc_pair_make(paths, path);
    pair = &paths->pair[i];

    if (pair->path != path->path || pair->rtt != path->rtt ||
        pair->received != path->received || pair->sent != path->sent) {
        pair->path = path->path;
        pair->rtt = path->rtt;
        pair->received = path->received;
        pair->sent = path->sent;
        gc_pair_changed(paths, i);
    }

    pair->own = own != 0;
    gc_pair_dirty(paths, i, pair->own);
    gc_pair_at(paths, i, path->at);
    gc_record_move(paths, GC_PAIR, i, 0);
}


/* the pairs of a network that concern a peer: one device's, and of the others
 * what is to it */
void
gc_paths_forget(gc_paths_t *paths, const char *network, const char *peer,
                int64_t now)
{
    const gc_record_t *r;
    uint32_t n, i, next;
    size_t left;

    n = gc_record_find(paths, GC_NETWORK, 0, network);
    left = n ? gc_record(paths, GC_NETWORK, n)->count : 0;

    /* what changes goes to the end */
    for (i = paths->network[n].changed.head; left; left--, i = next) {
        next = paths->pair[i].changed.next;
        r = gc_record(paths, GC_PAIR, i);

        if (paths->pair[i].path != GC_PATH_GONE &&
            (memcmp(r->id, peer, GC_UUID_LEN) == 0 ||
             memcmp(gc_record(paths, GC_DEVICE, r->parent)->id, peer,
                    GC_UUID_LEN) == 0)) {
            gc_pair_gone(paths, i, now);
        }
    }
}


static void
gc_paths_expire_slot(gc_paths_t *paths, int64_t second, int64_t now)
{
    gc_list_t *slot = &paths->wheel[(uint64_t) second % GC_PATHS_WHEEL];
    uint32_t i, next;

    for (i = slot->head; i; i = next) {
        next = paths->pair[i].wheel.next;

        if (paths->pair[i].at > second) {
            continue;
        }

        if (paths->pair[i].path == GC_PATH_GONE) {
            gc_pair_free(paths, i);

        } else {
            gc_pair_gone(paths, i, now);
        }
    }
}


void
gc_paths_expire(gc_paths_t *paths, int64_t now)
{
    int64_t from = paths->now;

    /* nobody came for long, or the clock was set */
    if (now < from || now - from > GC_PATHS_WHEEL) {
        from = now - GC_PATHS_WHEEL;
    }

    paths->now = now;

    for (/* void */; from < now; from++) {
        gc_paths_expire_slot(paths, from - GC_PATHS_LIFE, now);
    }
}


/*
 * Questions
 */

static void
gc_pair_copy(const gc_paths_t *paths, uint32_t i, gc_path_t *out)
{
    const gc_record_t *r = gc_record(paths, GC_PAIR, i);
    const gc_record_t *device = gc_record(paths, GC_DEVICE, r->parent);
    const gc_pair_t *pair = &paths->pair[i];

    memcpy(out->network, gc_record(paths, GC_NETWORK, device->parent)->id,
           GC_UUID_LEN);
    memcpy(out->from, device->id, GC_UUID_LEN);
    memcpy(out->to, r->id, GC_UUID_LEN);
    out->path = pair->path;
    out->rtt = pair->rtt;
    out->received = pair->received;
    out->sent = pair->sent;
    out->at = pair->at;
}


static int
gc_pair_concerns(const gc_paths_t *paths, uint32_t i, const char *peer)
{
    const gc_record_t *r = gc_record(paths, GC_PAIR, i);

    return peer == NULL || memcmp(r->id, peer, GC_UUID_LEN) == 0 ||
           memcmp(gc_record(paths, GC_DEVICE, r->parent)->id, peer,
                  GC_UUID_LEN) == 0;
}


size_t
gc_paths_find(const gc_paths_t *paths, const char *network, const char *peer,
              gc_path_t *out, size_t max)
{
    uint32_t n = gc_record_find(paths, GC_NETWORK, 0, network);
    uint32_t i = n ? paths->network[n].changed.head : 0;
    size_t found = 0;

    for (/* void */; i; i = paths->pair[i].changed.next) {
        if (paths->pair[i].path != GC_PATH_GONE &&
            gc_pair_concerns(paths, i, peer) && found++ < max) {
            gc_pair_copy(paths, i, &out[found - 1]);
        }
    }

    return found;
}


size_t
gc_paths_changed(const gc_paths_t *paths, const char *network, uint64_t version,
                 gc_path_t *out, size_t max)
{
    uint32_t n = gc_record_find(paths, GC_NETWORK, 0, network);
    uint32_t i = n ? paths->network[n].changed.tail : 0;
    size_t found = 0;

    for (/* void */; i && paths->pair[i].version > version;
         i = paths->pair[i].changed.prev) {
        if (found++ < max) {
            gc_pair_copy(paths, i, &out[found - 1]);
        }
    }

    return found;
}


size_t
gc_paths_take(gc_paths_t *paths, gc_path_t *out, size_t max)
{
    uint32_t i;
    size_t n;

    for (n = 0; n < max && paths->dirty.head; n++) {
        i = paths->dirty.head;
        gc_pair_copy(paths, i, &out[n]);
        gc_pair_dirty(paths, i, 0);
    }

    return n;
}


void
gc_paths_repeat(gc_paths_t *paths, unsigned calls)
{
    uint32_t last = paths->table[GC_PAIR].fresh - 1;
    uint32_t left = (last + calls - 1) / calls;

    for (/* void */; left; left--) {
        paths->cursor = paths->cursor >= last ? 1 : paths->cursor + 1;

        if (gc_record(paths, GC_PAIR, paths->cursor)->parent &&
            paths->pair[paths->cursor].own) {
            gc_pair_dirty(paths, paths->cursor, 1);
        }
    }
}
