#ifndef GC_ROUTER_H
#define GC_ROUTER_H

#include <stddef.h>

#define GC_ROUTER_PARAMS_MAX 2

/* Bits, so that the methods of a path can be told together */
typedef enum {
    GC_GET = 1,
    GC_POST = 2,
    GC_PUT = 4,
    GC_PATCH = 8,
    GC_DELETE = 16
} gc_method_e;

/*
 * A path is "/literal/{name:type}/...". The types: `uuid` as gc_uuid_valid
 * says, `code` is 1 to 32 letters, digits or hyphens.
 */
typedef struct {
    gc_method_e method;
    const char *path;
} gc_router_row_t;

typedef struct {
    const char *data; /* points into the path that was matched */
    size_t len;
} gc_router_param_t;

typedef struct {
    unsigned methods; /* that some row offers for this path */
    size_t row;       /* valid if gc_router_match returned 1 */
    size_t nparams;
    gc_router_param_t params[GC_ROUTER_PARAMS_MAX];
} gc_router_match_t;

/*
 * Finds the row for method and path. Returns 1 if there is one, else 0:
 * then match->methods is 0 if the path is unknown.
 */
int gc_router_match(const gc_router_row_t *rows, size_t nrows, unsigned method,
                    const char *path, size_t len, gc_router_match_t *match);

/* Number of parameters in a row's path. */
size_t gc_router_params(const char *path);

#endif
