/*
 * What the files of a table of paths share: its memory, lists, and records of
 * networks, devices and pairs (paths_table.c), and what they mean (paths.c).
 *
 * A record stands in the hash table of its kind and in a list of its parent: a
 * network and a device in one of those that have about as much, the one that
 * was touched longest ago first; a pair in its device's, likewise.
 */


#ifndef GC_PATHS_TABLE_H
#define GC_PATHS_TABLE_H


#include "core/gc_paths.h"


#define GC_PATHS_LEVELS 16
#define GC_PATHS_WHEEL 128 /* more seconds than GC_PATHS_LIFE */
#define GC_PATHS_HEADS 4   /* records for each place of a hash table */


typedef enum {
    GC_NETWORK = 0,
    GC_DEVICE, /* a peer that reports */
    GC_PAIR,
    GC_KINDS
} gc_kind_e;


typedef struct {
    uint32_t prev;
    uint32_t next;
} gc_link_t;


typedef struct {
    uint32_t head;
    uint32_t tail;
} gc_list_t;


/* what all kinds have; 0 is no record */
typedef struct {
    uint32_t parent; /* a pair's device, a device's network */
    uint32_t chain;  /* the next of its hash, or the next free one */
    uint32_t place;  /* in the hash table */
    uint32_t count;  /* of pairs in it */
    gc_link_t link;  /* among those of its parent, of its level */
    char id[GC_UUID_LEN];
} gc_record_t;


typedef struct {
    gc_list_t devices[GC_PATHS_LEVELS];
    gc_list_t changed; /* pairs, the last one that changed at the tail */
} gc_network_t;


typedef struct {
    gc_link_t changed;
    gc_link_t wheel;
    gc_link_t dirty;
    uint64_t version; /* of the last change */
    uint64_t received;
    uint64_t sent;
    int64_t at;
    uint32_t rtt;
    uint8_t path;
    uint8_t own;
    uint8_t is_dirty;
} gc_pair_t;


typedef struct {
    gc_record_t *record;
    uint32_t *heads;
    uint32_t fresh; /* the first one that was never used */
    uint32_t free;
} gc_table_t;


/* where the links of a list are */
typedef struct {
    char *base;
    size_t stride;
} gc_links_t;


struct gc_paths_s {
    unsigned char key[GC_SIPHASH_KEY];
    uint32_t capacity;
    uint32_t nheads;
    uint64_t version;
    uint64_t emptied;
    uint32_t busy; /* somebody is inside */
    uint32_t used;
    uint32_t cursor; /* of _repeat() */
    int64_t now;     /* up to which it has expired */
    gc_table_t table[GC_KINDS];
    gc_network_t *network;
    gc_list_t *device; /* its pairs, the last one reported at the tail */
    gc_pair_t *pair;
    gc_list_t networks[GC_PATHS_LEVELS];
    gc_list_t wheel[GC_PATHS_WHEEL]; /* by `at` */
    gc_list_t dirty;
};


#define GC_LINKS(array, member)                                              \
    ((gc_links_t){(char *) (array) + offsetof(__typeof__(*(array)), member), \
                  sizeof(*(array))})


void gc_list_append(gc_links_t links, gc_list_t *list, uint32_t i);
void gc_list_remove(gc_links_t links, gc_list_t *list, uint32_t i);

/* floor(log2), of 0 as of 1 */
unsigned gc_paths_level(uint32_t count);

gc_record_t *gc_record(const gc_paths_t *paths, gc_kind_e kind, uint32_t i);

/* 0: there is none; parent is 0 for a network */
uint32_t gc_record_find(const gc_paths_t *paths, gc_kind_e kind,
                        uint32_t parent, const char *id);

/* goes to the end of its list, with more in it or less */
void gc_record_move(gc_paths_t *paths, gc_kind_e kind, uint32_t i, int change);

/* the caller has made room: each record has a pair in it */
uint32_t gc_record_make(gc_paths_t *paths, gc_kind_e kind, uint32_t parent,
                        const char *id);
void gc_record_free(gc_paths_t *paths, gc_kind_e kind, uint32_t i);


#endif /* GC_PATHS_TABLE_H */
