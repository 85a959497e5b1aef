/*
 * Cuts JSON that is known to be valid (PostgreSQL made it) into slices of the
 * same bytes, so that a finished frame is passed on without being parsed and
 * written again.  On text that is not JSON nothing is read out of bounds, but
 * what comes back means nothing.
 */


#ifndef GC_JSON_SLICE_H
#define GC_JSON_SLICE_H


#include <stddef.h>
#include <stdint.h>


typedef struct {
    const char *data;
    size_t len;
} gc_slice_t;


typedef struct {
    const char *pos;
    const char *end;
} gc_json_iter_t;


/* Starts over the members of an object or an array: 0, or -1: it is not one */
int gc_json_object(gc_json_iter_t *it, gc_slice_t text);
int gc_json_array(gc_json_iter_t *it, gc_slice_t text);

/* The next one: 1, or 0 at the end and where the text is broken. */
int gc_json_member(gc_json_iter_t *it, gc_slice_t *key, gc_slice_t *value);
int gc_json_item(gc_json_iter_t *it, gc_slice_t *value);

/* Value of a member of an object: 1; or 0, with an empty slice */
int gc_json_find(gc_slice_t object, const char *key, gc_slice_t *value);

/* What stands between a string's quotes: 1; 0: no string, or with escapes */
int gc_json_plain(gc_slice_t value, gc_slice_t *text);

/* gc_json_find() and gc_json_plain() */
int gc_json_find_plain(gc_slice_t object, const char *key, gc_slice_t *text);

/* An integer: 1; 0: none, or beyond 64 bits */
int gc_json_integer(gc_slice_t value, int64_t *number);
int gc_json_find_integer(gc_slice_t object, const char *key, int64_t *number);

int gc_slice_is(gc_slice_t slice, const char *text);


#endif /* GC_JSON_SLICE_H */
