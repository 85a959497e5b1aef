#include "core/gc_json.h"


/* The index of the quote that ends the string begun before i, or len. */
static size_t
gc_json_string_end(const char *p, size_t i, size_t len)
{
    for (; i < len && p[i] != '"'; i++) {
        if (p[i] == '\\') {
            i++;
        }
    }

    return i;
}


size_t
gc_json_depth(const void *text, size_t len)
{
    const char *p;
    size_t i, depth, deepest;

    p = text;
    depth = 0;
    deepest = 0;

    for (i = 0; i < len; i++) {
        switch (p[i]) {
        case '"':
            i = gc_json_string_end(p, i + 1, len);
            break;
        case '[':
        case '{':
            depth++;
            deepest = depth > deepest ? depth : deepest;
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        default:
            break;
        }
    }

    return deepest;
}
