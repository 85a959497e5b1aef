#include "core/gc_mesh.h"

#include <string.h>


#define GC_MESH_VERSION 1
#define GC_MESH_ID 16
#define GC_MESH_GROUP (2 * GC_MESH_ID + 1)
#define GC_MESH_PAIR (GC_MESH_ID + 1 + 1 + 4 + 8 + 8)


_Static_assert((GC_MESH_BYTES - 1 - GC_MESH_GROUP) / GC_MESH_PAIR <=
                   GC_MESH_PAIRS,
               "a text has no more pairs than that");


/*
 * Ids and numbers
 */

static unsigned char
gc_mesh_digit(char c)
{
    return (unsigned char) (c <= '9' ? c - '0' : c - 'a' + 10);
}


/* a valid id of GC_UUID_LEN characters */
static void
gc_mesh_pack_id(unsigned char *out, const char *id)
{
    size_t i;

    for (i = 0; i < GC_UUID_LEN; i += 2) {
        if (id[i] == '-') {
            i++;
        }

        *out++ = (unsigned char) (gc_mesh_digit(id[i]) << 4 |
                                  gc_mesh_digit(id[i + 1]));
    }
}


static void
gc_mesh_unpack_id(char *id, const unsigned char *in)
{
    static const char digits[] = "0123456789abcdef";
    size_t i;

    for (i = 0; i < GC_MESH_ID; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *id++ = '-';
        }

        *id++ = digits[in[i] >> 4];
        *id++ = digits[in[i] & 15];
    }
}


static void
gc_mesh_pack(unsigned char *out, uint64_t number, size_t n)
{
    while (n) {
        out[--n] = (unsigned char) number;
        number >>= 8;
    }
}


static uint64_t
gc_mesh_unpack(const unsigned char *in, size_t n)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        number = number << 8 | in[i];
    }

    return number;
}


/*
 * Writing
 */

static void
gc_mesh_pack_pair(unsigned char *p, const gc_path_t *path, int64_t now)
{
    gc_mesh_pack_id(p, path->to);
    p += GC_MESH_ID;
    *p++ = path->path;
    *p++ = (unsigned char) (path->at < now ? now - path->at : 0);
    gc_mesh_pack(p, path->rtt, 4);
    gc_mesh_pack(p + 4, path->received, 8);
    gc_mesh_pack(p + 12, path->sent, 8);
}


static int
gc_mesh_same_group(const gc_path_t *a, const gc_path_t *b)
{
    return memcmp(a->network, b->network, GC_UUID_LEN) == 0 &&
           memcmp(a->from, b->from, GC_UUID_LEN) == 0;
}


size_t
gc_mesh_write(char *text, size_t *len, const gc_path_t *paths, size_t n,
              int64_t now)
{
    unsigned char buf[GC_MESH_BYTES], *p = buf, *count = NULL;
    const unsigned char *last = buf + sizeof(buf);
    const gc_path_t *group = NULL;
    size_t i, need;

    *p++ = GC_MESH_VERSION;

    for (i = 0; i < n; i++) {
        if (now - paths[i].at > GC_PATHS_LIFE ||
            paths[i].path > GC_PATH_RELAYED) {
            continue;
        }

        if (group && !gc_mesh_same_group(group, &paths[i])) {
            group = NULL;
        }

        need = GC_MESH_PAIR + (group ? 0 : GC_MESH_GROUP);

        if ((size_t) (last - p) < need) {
            break;
        }

        if (group == NULL) {
            group = &paths[i];
            gc_mesh_pack_id(p, group->network);
            gc_mesh_pack_id(p + GC_MESH_ID, group->from);
            p += GC_MESH_GROUP;
            count = p - 1;
            *count = 0;
        }

        gc_mesh_pack_pair(p, &paths[i], now);
        p += GC_MESH_PAIR;
        (*count)++;
    }

    *len = 0;

    if (count) {
        gc_base64_encode(text, buf, (size_t) (p - buf));
        *len = GC_BASE64_LEN((size_t) (p - buf));
    }

    return i;
}


/*
 * Reading
 */

static int
gc_mesh_unpack_pair(const unsigned char *p, gc_path_t *path, int64_t now)
{
    unsigned age;

    gc_mesh_unpack_id(path->to, p);
    p += GC_MESH_ID;
    path->path = *p++;
    age = *p++;
    path->at = now - (int64_t) age;
    path->rtt = (uint32_t) gc_mesh_unpack(p, 4);
    path->received = gc_mesh_unpack(p + 4, 8);
    path->sent = gc_mesh_unpack(p + 12, 8);

    return path->path <= GC_PATH_RELAYED && age <= GC_PATHS_LIFE &&
           path->received <= INT64_MAX && path->sent <= INT64_MAX;
}


/* a network's and a device's pairs: the bytes that they take, 0: wrong */
static size_t
gc_mesh_read_group(const unsigned char *p, size_t left, gc_path_t *paths,
                   size_t *n, int64_t now)
{
    gc_path_t *path;
    size_t i, count;

    count = left > GC_MESH_GROUP ? p[GC_MESH_GROUP - 1] : 0;

    if (count == 0 || left < GC_MESH_GROUP + count * GC_MESH_PAIR ||
        *n + count > GC_MESH_PAIRS) {
        return 0;
    }

    for (i = 0; i < count; i++) {
        path = &paths[(*n)++];
        gc_mesh_unpack_id(path->network, p);
        gc_mesh_unpack_id(path->from, p + GC_MESH_ID);

        if (!gc_mesh_unpack_pair(p + GC_MESH_GROUP + i * GC_MESH_PAIR, path,
                                 now)) {
            return 0;
        }
    }

    return GC_MESH_GROUP + count * GC_MESH_PAIR;
}


size_t
gc_mesh_read(const char *text, size_t len, gc_path_t *paths, int64_t now)
{
    unsigned char buf[GC_MESH_BYTES];
    size_t size, at, used, n = 0;

    if (len < 4 || len % 4 != 0 || len > GC_MESH_TEXT) {
        return 0;
    }

    size = len / 4 * 3 - (text[len - 1] == '=') - (text[len - 2] == '=');

    if (size > sizeof(buf) || gc_base64_decode(buf, size, text, len) != 0 ||
        buf[0] != GC_MESH_VERSION) {
        return 0;
    }

    for (at = 1; at < size; at += used) {
        used = gc_mesh_read_group(buf + at, size - at, paths, &n, now);

        if (used == 0) {
            return 0;
        }
    }

    return n;
}
