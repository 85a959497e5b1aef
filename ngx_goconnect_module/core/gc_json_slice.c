#include "core/gc_json_slice.h"

#include <string.h>


static const char *
gc_json_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) {
        p++;
    }

    return p;
}


/* behind the string that begins at p */
static const char *
gc_json_skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\') {
            p++;

        } else if (*p == '"') {
            return p + 1;
        }
    }

    return end;
}


/* behind the value that begins at p; nesting is counted, not recursed */
static const char *
gc_json_skip(const char *p, const char *end)
{
    size_t depth;

    depth = 0;

    while (p < end) {
        switch (*p) {
        case '"':
            p = gc_json_skip_string(p, end);
            break;

        case '{':
        case '[':
            depth++;
            p++;
            continue;

        case '}':
        case ']':
            if (depth == 0) {
                return p;
            }

            depth--;
            p++;
            break;

        case ',':
        case ':':
        case ' ':
        case '\n':
        case '\t':
        case '\r':
            if (depth == 0) {
                return p;
            }

            p++;
            continue;

        default:
            do {
                p++;
            } while (p < end && strchr(",:]} \n\t\r", *p) == NULL);
        }

        if (depth == 0) {
            return p;
        }
    }

    return end;
}


static int
gc_json_begin(gc_json_iter_t *it, gc_slice_t text, char open)
{
    const char *p, *end;

    end = text.data + text.len;
    p = text.len ? gc_json_blank(text.data, end) : end;

    it->pos = end;
    it->end = end;

    if (p == end || *p != open) {
        return -1;
    }

    it->pos = p + 1;

    return 0;
}


int
gc_json_object(gc_json_iter_t *it, gc_slice_t text)
{
    return gc_json_begin(it, text, '{');
}


int
gc_json_array(gc_json_iter_t *it, gc_slice_t text)
{
    return gc_json_begin(it, text, '[');
}


/* p stands before a value, a comma, or the end of what is iterated */
static int
gc_json_value(gc_json_iter_t *it, gc_slice_t *value)
{
    const char *p, *last;

    p = gc_json_blank(it->pos, it->end);

    if (p < it->end && *p == ',') {
        p = gc_json_blank(p + 1, it->end);
    }

    if (p == it->end || *p == '}' || *p == ']') {
        it->pos = it->end;
        return 0;
    }

    last = gc_json_skip(p, it->end);

    if (last == p) {
        it->pos = it->end;
        return 0;
    }

    value->data = p;
    value->len = (size_t) (last - p);
    it->pos = last;

    return 1;
}


int
gc_json_item(gc_json_iter_t *it, gc_slice_t *value)
{
    return gc_json_value(it, value);
}


int
gc_json_member(gc_json_iter_t *it, gc_slice_t *key, gc_slice_t *value)
{
    gc_slice_t name;
    const char *p;

    if (!gc_json_value(it, &name) || name.len < 2 || name.data[0] != '"') {
        it->pos = it->end;
        return 0;
    }

    p = gc_json_blank(it->pos, it->end);

    if (p == it->end || *p != ':') {
        it->pos = it->end;
        return 0;
    }

    it->pos = p + 1;
    key->data = name.data + 1;
    key->len = name.len - 2;

    return gc_json_value(it, value);
}


int
gc_slice_is(gc_slice_t slice, const char *text)
{
    size_t len;

    len = strlen(text);

    return slice.len == len && memcmp(slice.data, text, len) == 0;
}


int
gc_json_find(gc_slice_t object, const char *key, gc_slice_t *value)
{
    gc_json_iter_t it;
    gc_slice_t name;

    if (gc_json_object(&it, object) == 0) {
        while (gc_json_member(&it, &name, value)) {
            if (gc_slice_is(name, key)) {
                return 1;
            }
        }
    }

    value->data = "";
    value->len = 0;

    return 0;
}


int
gc_json_plain(gc_slice_t value, gc_slice_t *text)
{
    if (value.len < 2 || value.data[0] != '"' ||
        value.data[value.len - 1] != '"' ||
        memchr(value.data, '\\', value.len) != NULL) {
        text->data = "";
        text->len = 0;
        return 0;
    }

    text->data = value.data + 1;
    text->len = value.len - 2;

    return 1;
}


int
gc_json_find_plain(gc_slice_t object, const char *key, gc_slice_t *text)
{
    gc_slice_t value;

    (void) gc_json_find(object, key, &value);

    return gc_json_plain(value, text);
}


int
gc_json_integer(gc_slice_t value, int64_t *number)
{
    uint64_t n, limit;
    size_t i, negative;
    unsigned digit;

    negative = value.len > 0 && value.data[0] == '-';
    limit = (uint64_t) INT64_MAX + negative;

    if (value.len == negative || value.len > 20) {
        return 0;
    }

    n = 0;

    for (i = negative; i < value.len; i++) {
        digit = (unsigned) ((unsigned char) value.data[i] - '0');

        if (digit > 9 || n > (limit - digit) / 10) {
            return 0;
        }

        n = n * 10 + digit;
    }

    *number = negative ? (int64_t) (0 - n) : (int64_t) n;

    return 1;
}


int
gc_json_find_integer(gc_slice_t object, const char *key, int64_t *number)
{
    gc_slice_t value;

    return gc_json_find(object, key, &value) && gc_json_integer(value, number);
}
