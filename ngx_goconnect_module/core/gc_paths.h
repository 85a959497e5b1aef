/*
 * Who reaches whom, as the devices tell: a bounded table of pairs, by network
 * and by the device that reports.  Where it is full, who has most gives way:
 * of the networks the largest, in it the device with most pairs, of these the
 * one reported longest ago (largest within a factor of two).  So nobody pushes
 * out those who have less than he.
 *
 * The caller locks, and whoever holds the lock may be killed anywhere:
 * _enter() finds that, and empties the table.  Reports come again.
 */


#ifndef GC_PATHS_H
#define GC_PATHS_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_siphash.h"
#include "core/gc_uuid.h"


#define GC_PATHS_LIFE 90          /* seconds that a report counts */
#define GC_PATHS_DEVICE_MAX 256   /* pairs of a device in a network */
#define GC_PATHS_NETWORK_MAX 8192 /* pairs of a network */


typedef enum {
    GC_PATH_NONE = 0, /* no packets lately */
    GC_PATH_DIRECT,
    GC_PATH_RELAYED,
    GC_PATH_GONE /* not reported any more, or one of them has left */
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
    int64_t at; /* seconds of the node's clock */
} gc_path_t;


typedef struct gc_paths_s gc_paths_t;


/* Lays an empty table into size bytes, zeroed; NULL: they are too few. */
gc_paths_t *gc_paths_init(void *memory, size_t size,
                          const unsigned char key[GC_SIPHASH_KEY]);

/* Around all that follows: 1 if somebody died inside, and the table is empty */
int gc_paths_enter(gc_paths_t *paths);
void gc_paths_leave(gc_paths_t *paths);

/* How many pairs it can hold, and how many it holds (some of them gone). */
size_t gc_paths_capacity(const gc_paths_t *paths);
size_t gc_paths_count(const gc_paths_t *paths);

/* How often it was emptied. */
uint64_t gc_paths_emptied(const gc_paths_t *paths);

/*
 * Takes a report in, in the place of an earlier one of the same pair; `at` is
 * at most GC_PATHS_LIFE old.  own: by a device of this node, to be told to the
 * others; what they tell does not replace what is younger.
 */
void gc_paths_put(gc_paths_t *paths, const gc_path_t *path, int own);

/* A peer is none any more: its pairs are gone. */
void gc_paths_forget(gc_paths_t *paths, const char *network, const char *peer,
                     int64_t now);

/* What has not been reported for GC_PATHS_LIFE is gone; costs what expires. */
void gc_paths_expire(gc_paths_t *paths, int64_t now);

/*
 * Copies what is known of a network into `out`, at most max; with a peer only
 * what is from it or to it.  Returns how many there are, which may be more.
 */
size_t gc_paths_find(const gc_paths_t *paths, const char *network,
                     const char *peer, gc_path_t *out, size_t max);

/* The number of the last change, never 0. */
uint64_t gc_paths_version(const gc_paths_t *paths);

/* As _find(): what changed after that one, GC_PATH_GONE too; costs as much. */
size_t gc_paths_changed(const gc_paths_t *paths, const char *network,
                        uint64_t version, gc_path_t *out, size_t max);

/* Takes at most max own reports that the other nodes are to be told of. */
size_t gc_paths_take(gc_paths_t *paths, gc_path_t *out, size_t max);

/* Own reports are to be told again: in so many calls all of them. */
void gc_paths_repeat(gc_paths_t *paths, unsigned calls);


#endif /* GC_PATHS_H */
