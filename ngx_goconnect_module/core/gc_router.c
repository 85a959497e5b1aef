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


static int
gc_router_path(const char *pattern, const char *path, size_t len,
               gc_router_match_t *match)
{
    size_t i, n;

    match->nparams = 0;

    for (i = 0; *pattern != '\0'; pattern++) {
        if (*pattern != '{') {
            if (i == len || path[i++] != *pattern) {
                return 0;
            }
            continue;
        }

        for (n = 0; i + n < len && path[i + n] != '/'; n++) {
            /* void */
        }

        if (!gc_router_typed(pattern + 1, path + i, n)) {
            return 0;
        }

        match->params[match->nparams].data = path + i;
        match->params[match->nparams++].len = n;

        i += n;
        pattern = strchr(pattern, '}');
    }

    return i == len;
}


int
gc_router_match(const gc_router_row_t *rows, size_t nrows, unsigned method,
                const char *path, size_t len, gc_router_match_t *match)
{
    gc_router_match_t one;
    size_t i;
    int found;

    found = 0;
    match->methods = 0;

    for (i = 0; i < nrows; i++) {
        if (!gc_router_path(rows[i].path, path, len, &one)) {
            continue;
        }

        one.methods = match->methods | rows[i].method;

        if (rows[i].method == method) {
            one.row = i;
            *match = one;
            found = 1;

        } else {
            match->methods = one.methods;
        }
    }

    return found;
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
