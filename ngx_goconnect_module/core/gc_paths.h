/*
 * Who reaches whom, as the devices tell: one fixed block of memory, sets of
 * eight entries, the oldest of a set makes room. Nothing in it points anywhere,
 * so whatever a dying writer leaves is at worst one wrong report, which ages.
 * The caller locks.
 */


#ifndef GC_PATHS_H
#define GC_PATHS_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_uuid.h"


typedef enum {
    GC_PATH_NONE = 0, /* no packets lately */
    GC_PATH_DIRECT,
    GC_PATH_RELAYED
} gc_path_e;


/* What one peer tells of another; ids are GC_UUID_LEN characters, no NUL. */
typedef struct {
    char network[GC_UUID_LEN];
    char from[GC_UUID_LEN];
    char to[GC_UUID_LEN];
    uint8_t path;      /* gc_path_e */
    uint32_t rtt;      /* microseconds; 0: not measured */
    uint64_t received; /* bytes, since the tunnel was set up */
    uint64_t sent;
    int64_t at; /* seconds of any clock; 0: the entry is free */
} gc_path_t;


typedef struct gc_paths_s gc_paths_t;


/* Lays an empty table into size bytes; NULL: too few for a single set. */
gc_paths_t *gc_paths_init(void *memory, size_t size);

/* How many entries it holds. */
size_t gc_paths_capacity(const gc_paths_t *paths);

/* Takes a report in, in the place of an earlier one of the same pair. */
void gc_paths_put(gc_paths_t *paths, const gc_path_t *path);

/*
 * Copies what is known of a network since a time into `out`, at most max; with
 * a peer only what is from it or to it. Returns how many there are, which may
 * be more than max.
 */
size_t gc_paths_find(const gc_paths_t *paths, const char *network,
                     const char *peer, int64_t since, gc_path_t *out,
                     size_t max);


#endif /* GC_PATHS_H */
