#include "core/gc_router.h"
#include "core/gc_uuid.h"

#include <string.h>

#define GC_ROUTER_CODE_MAX 32


static int
gc_router_code(const char *p, size_t len)
{
    size_t i;

    if (len == 0 || len > GC_ROUTER_CODE_MAX) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z') ||
              (p[i] >= 'a' && p[i] <= 'z') || p[i] == '-')) {
            return 0;
        }
    }

    return 1;
}


/* pattern stands behind the '{'; type is what stands behind its ':' */
static int
gc_router_typed(const char *pattern, const char *p, size_t len)
{
    const char *type;

    type = strchr(pattern, ':') + 1;

    return type[0] == 'u' ? gc_uuid_valid(p, len) : gc_router_code(p, len);
}


/*
 * The words first, and what stands between them only where all of them fit:
 * most rows differ in a word.
 */
static int
gc_router_path(const char *pattern, const char *path, size_t len,
               gc_router_match_t *match)
{
    const char *types[GC_ROUTER_PARAMS_MAX], *p, *end, *next;
    size_t i;

    match->nparams = 0;
    p = path;
    end = path + len;

    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '{') {
            if (p == end || *p++ != *pattern) {
                return 0;
            }
            continue;
        }

        next = memchr(p, '/', (size_t) (end - p));
        next = next ? next : end;

        types[match->nparams] = pattern + 1;
        match->params[match->nparams].data = p;
        match->params[match->nparams++].len = (size_t) (next - p);

        p = next;
        pattern = strchr(pattern, '}');
    }

    if (p != end) {
        return 0;
    }

    for (i = 0; i < match->nparams; i++) {
        if (!gc_router_typed(types[i], match->params[i].data,
                             match->params[i].len)) {
            return 0;
        }
    }

    return 1;
}


/* what else the path offers */
static unsigned
gc_router_methods(const gc_router_row_t *rows, size_t nrows, const char *path,
                  size_t len)
{
    gc_router_match_t one;
    unsigned methods;
    size_t i;

    methods = 0;

    for (i = 0; i < nrows; i++) {
        if (gc_router_path(rows[i].path, path, len, &one)) {
            methods |= rows[i].method;
        }
    }

    return methods;
}


int
gc_router_match(const gc_router_row_t *rows, size_t nrows, unsigned method,
                const char *path, size_t len, gc_router_match_t *match)
{
    size_t i;

    for (i = 0; i < nrows; i++) {
        if (rows[i].method == method &&
            gc_router_path(rows[i].path, path, len, match)) {
            match->row = i;
            match->methods = method;
            return 1;
        }
    }

    match->methods = gc_router_methods(rows, nrows, path, len);

    return 0;
}


size_t
gc_router_params(const char *path)
{
    size_t n;

    for (n = 0; (path = strchr(path, '{')) != NULL; path++) {
        n++;
    }

    return n;
}
