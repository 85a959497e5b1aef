#include "core/gc_paths_table.h"

#include <string.h>


/*
 * Lists
 */

static gc_link_t *
gc_link(gc_links_t links, uint32_t i)
{
    return (gc_link_t *) (void *) (links.base + links.stride * i);
}


void
gc_list_append(gc_links_t links, gc_list_t *list, uint32_t i)
{
    gc_link_t *link = gc_link(links, i);

    link->prev = list->tail;
    link->next = 0;

    if (list->tail) {
        gc_link(links, list->tail)->next = i;

    } else {
        list->head = i;
    }

    list->tail = i;
}


void
gc_list_remove(gc_links_t links, gc_list_t *list, uint32_t i)
{
    gc_link_t *link = gc_link(links, i);

    if (link->prev) {
        gc_link(links, link->prev)->next = link->next;

    } else {
        list->head = link->next;
    }

    if (link->next) {
        gc_link(links, link->next)->prev = link->prev;

    } else {
        list->tail = link->prev;
    }
}


/*
 * The whole
 */

static void
gc_paths_clear(gc_paths_t *paths)
{
    size_t kind;

    for (kind = 0; kind < GC_KINDS; kind++) {
        memset(paths->table[kind].heads, 0, paths->nheads * sizeof(uint32_t));
        paths->table[kind].fresh = 1;
        paths->table[kind].free = 0;
    }

    memset(paths->networks, 0, sizeof(paths->networks));
    memset(paths->wheel, 0, sizeof(paths->wheel));
    memset(&paths->dirty, 0, sizeof(paths->dirty));
    paths->used = 0;
    paths->cursor = 0;
}


/* memory that nobody uses is not touched either */
gc_paths_t *
gc_paths_init(void *memory, size_t size,
              const unsigned char key[GC_SIPHASH_KEY])
{
    gc_paths_t *paths = memory;
    size_t kind, n, one;
    char *p;

    one = GC_KINDS * (sizeof(gc_record_t) + sizeof(uint32_t)) +
          sizeof(gc_network_t) + sizeof(gc_list_t) + sizeof(gc_pair_t);

    /* record 0 of each kind stands empty */
    if (size < sizeof(gc_paths_t) + 2 * GC_KINDS * sizeof(uint32_t) + 9 * one) {
        return NULL;
    }

    n = (size - sizeof(gc_paths_t) - 2 * GC_KINDS * sizeof(uint32_t)) / one - 1;
    n = n > UINT32_MAX / 2 ? UINT32_MAX / 2 : n;

    memset(paths, 0, sizeof(*paths));
    memcpy(paths->key, key, GC_SIPHASH_KEY);
    paths->capacity = (uint32_t) n;
    paths->nheads = (uint32_t) (n / GC_PATHS_HEADS + 1);
    paths->version = 1;

    p = (char *) memory + sizeof(gc_paths_t);

    paths->pair = (gc_pair_t *) (void *) p;
    p += (n + 1) * sizeof(gc_pair_t);
    paths->network = (gc_network_t *) (void *) p;
    p += (n + 1) * sizeof(gc_network_t);
    paths->device = (gc_list_t *) (void *) p;
    p += (n + 1) * sizeof(gc_list_t);

    for (kind = 0; kind < GC_KINDS; kind++) {
        paths->table[kind].record = (gc_record_t *) (void *) p;
        p += (n + 1) * sizeof(gc_record_t);
    }

    for (kind = 0; kind < GC_KINDS; kind++) {
        paths->table[kind].heads = (uint32_t *) (void *) p;
        p += paths->nheads * sizeof(uint32_t);
    }

    gc_paths_clear(paths);

    return paths;
}


int
gc_paths_enter(gc_paths_t *paths)
{
    int died = paths->busy != 0;

    if (died) {
        paths->emptied++;
        gc_paths_clear(paths);
    }

    __atomic_store_n(&paths->busy, 1, __ATOMIC_SEQ_CST);

    return died;
}


void
gc_paths_leave(gc_paths_t *paths)
{
    __atomic_store_n(&paths->busy, 0, __ATOMIC_SEQ_CST);
}


size_t
gc_paths_capacity(const gc_paths_t *paths)
{
    return paths->capacity;
}


size_t
gc_paths_count(const gc_paths_t *paths)
{
    return paths->used;
}


uint64_t
gc_paths_emptied(const gc_paths_t *paths)
{
    return paths->emptied;
}


uint64_t
gc_paths_version(const gc_paths_t *paths)
{
    return paths->version;
}


/*
 * Records
 */

gc_record_t *
gc_record(const gc_paths_t *paths, gc_kind_e kind, uint32_t i)
{
    return &paths->table[kind].record[i];
}


/* ids are the clients' to choose */
static uint32_t
gc_record_place(const gc_paths_t *paths, uint32_t parent, const char *id)
{
    char text[sizeof(parent) + GC_UUID_LEN];

    memcpy(text, &parent, sizeof(parent));
    memcpy(text + sizeof(parent), id, GC_UUID_LEN);

    return (uint32_t) (gc_siphash(paths->key, text, sizeof(text)) %
                       paths->nheads);
}


uint32_t
gc_record_find(const gc_paths_t *paths, gc_kind_e kind, uint32_t parent,
               const char *id)
{
    const gc_record_t *r;
    uint32_t i;

    if (kind != GC_NETWORK && parent == 0) {
        return 0;
    }

    i = paths->table[kind].heads[gc_record_place(paths, parent, id)];

    for (/* void */; i; i = r->chain) {
        r = gc_record(paths, kind, i);

        if (r->parent == parent && memcmp(r->id, id, GC_UUID_LEN) == 0) {
            return i;
        }
    }

    return 0;
}


unsigned
gc_paths_level(uint32_t count)
{
    unsigned level;

    for (level = 0; count > 1 && level < GC_PATHS_LEVELS - 1; level++) {
        count /= 2;
    }

    return level;
}


/* the list in which a record stands, by what it has */
static gc_list_t *
gc_record_list(gc_paths_t *paths, gc_kind_e kind, const gc_record_t *r)
{
    switch (kind) {
    case GC_NETWORK:
        return &paths->networks[gc_paths_level(r->count)];
    case GC_DEVICE:
        return &paths->network[r->parent].devices[gc_paths_level(r->count)];
    case GC_PAIR:
    case GC_KINDS:
        break;
    }

    return &paths->device[r->parent];
}


void
gc_record_move(gc_paths_t *paths, gc_kind_e kind, uint32_t i, int change)
{
    gc_links_t links = GC_LINKS(paths->table[kind].record, link);
    gc_record_t *r = gc_record(paths, kind, i);

    gc_list_remove(links, gc_record_list(paths, kind, r), i);
    r->count = (uint32_t) ((int64_t) r->count + change);
    gc_list_append(links, gc_record_list(paths, kind, r), i);
}


uint32_t
gc_record_make(gc_paths_t *paths, gc_kind_e kind, uint32_t parent,
               const char *id)
{
    gc_table_t *table = &paths->table[kind];
    gc_record_t *r;
    uint32_t i = table->free;

    if (i) {
        table->free = table->record[i].chain;

    } else {
        i = table->fresh++;
    }

    r = &table->record[i];
    memset(r, 0, sizeof(*r));
    memcpy(r->id, id, GC_UUID_LEN);
    r->parent = parent;
    r->place = gc_record_place(paths, parent, id);
    r->chain = table->heads[r->place];
    table->heads[r->place] = i;

    if (kind == GC_NETWORK) {
        memset(&paths->network[i], 0, sizeof(gc_network_t));

    } else if (kind == GC_DEVICE) {
        memset(&paths->device[i], 0, sizeof(gc_list_t));
    }

    gc_list_append(GC_LINKS(table->record, link),
                   gc_record_list(paths, kind, r), i);

    return i;
}


void
gc_record_free(gc_paths_t *paths, gc_kind_e kind, uint32_t i)
{
    gc_table_t *table = &paths->table[kind];
    gc_record_t *r = &table->record[i];
    uint32_t *p;

    gc_list_remove(GC_LINKS(table->record, link),
                   gc_record_list(paths, kind, r), i);

    for (p = &table->heads[r->place]; *p != i; p = &table->record[*p].chain) {
    }

    *p = r->chain;
    r->chain = table->free;
    r->parent = 0;
    table->free = i;
}
