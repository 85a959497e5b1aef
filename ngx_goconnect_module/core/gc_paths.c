#include "core/gc_paths.h"

#include <string.h>


#define GC_PATHS_WAYS 8


struct gc_paths_s {
    size_t nsets;
    gc_path_t entry[];
};


gc_paths_t *
gc_paths_init(void *memory, size_t size)
{
    gc_paths_t *paths = memory;
    size_t set = GC_PATHS_WAYS * sizeof(gc_path_t);

    if (size < sizeof(gc_paths_t) + set) {
        return NULL;
    }

    memset(memory, 0, size);
    paths->nsets = (size - sizeof(gc_paths_t)) / set;

    return paths;
}


size_t
gc_paths_capacity(const gc_paths_t *paths)
{
    return paths->nsets * GC_PATHS_WAYS;
}


/* FNV-1a over the pair; ids are random already */
static size_t
gc_paths_hash(const gc_path_t *path)
{
    uint64_t hash = 14695981039346656037u;
    size_t i;

    for (i = 0; i < GC_UUID_LEN; i++) {
        hash = (hash ^ (unsigned char) path->from[i]) * 1099511628211u;
        hash = (hash ^ (unsigned char) path->to[i]) * 1099511628211u;
    }

    return (size_t) (hash ^ (hash >> 32));
}


static int
gc_paths_same(const gc_path_t *a, const gc_path_t *b)
{
    return memcmp(a->from, b->from, GC_UUID_LEN) == 0 &&
           memcmp(a->to, b->to, GC_UUID_LEN) == 0;
}


void
gc_paths_put(gc_paths_t *paths, const gc_path_t *path)
{
    gc_path_t *set, *place;
    size_t i;

    set = paths->entry + gc_paths_hash(path) % paths->nsets * GC_PATHS_WAYS;
    place = set;

    for (i = 0; i < GC_PATHS_WAYS; i++) {
        if (gc_paths_same(&set[i], path)) {
            place = &set[i];
            break;
        }

        if (set[i].at < place->at) {
            place = &set[i];
        }
    }

    *place = *path;
}


static int
gc_paths_wanted(const gc_path_t *entry, const char *network, const char *peer,
                int64_t since)
{
    return entry->at != 0 && entry->at >= since &&
           memcmp(entry->network, network, GC_UUID_LEN) == 0 &&
           (peer == NULL || memcmp(entry->from, peer, GC_UUID_LEN) == 0 ||
            memcmp(entry->to, peer, GC_UUID_LEN) == 0);
}


size_t
gc_paths_find(const gc_paths_t *paths, const char *network, const char *peer,
              int64_t since, gc_path_t *out, size_t max)
{
    size_t i, n = 0;

    for (i = 0; i < gc_paths_capacity(paths); i++) {
        if (gc_paths_wanted(&paths->entry[i], network, peer, since) &&
            n++ < max) {
            out[n - 1] = paths->entry[i];
        }
    }

    return n;
}
