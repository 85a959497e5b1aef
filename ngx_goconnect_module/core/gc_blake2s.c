#include "core/gc_blake2s.h"

#include <string.h>


#define GC_BLAKE2S_BLOCK 64


static const uint32_t gc_blake2s_iv[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* RFC 7693, section 2.7 */
static const unsigned char gc_blake2s_sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};


/*
 * One word of several hashes at once: a vector register holds as many, and
 * they cost little more together than one of them alone.
 */
typedef uint32_t gc_blake2s_lanes_t
    __attribute__((vector_size(sizeof(uint32_t) * GC_BLAKE2S_LANES)));


static inline gc_blake2s_lanes_t
gc_blake2s_rotate(gc_blake2s_lanes_t x, unsigned n)
{
    return (x >> n) | (x << (32 - n));
}


static inline void
gc_blake2s_mix(gc_blake2s_lanes_t *a, gc_blake2s_lanes_t *b,
               gc_blake2s_lanes_t *c, gc_blake2s_lanes_t *d, uint32_t x,
               uint32_t y)
{
    *a += *b + x;
    *d = gc_blake2s_rotate(*d ^ *a, 16);
    *c += *d;
    *b = gc_blake2s_rotate(*b ^ *c, 12);
    *a += *b + y;
    *d = gc_blake2s_rotate(*d ^ *a, 8);
    *c += *d;
    *b = gc_blake2s_rotate(*b ^ *c, 7);
}


/* RFC 7693, section 3.2; nothing here is longer than 2^32 bytes */
static void
gc_blake2s_compress(gc_blake2s_lanes_t h[8], const unsigned char *block,
                    uint32_t count, int last)
{
    unsigned i;
    uint32_t m[16];
    gc_blake2s_lanes_t v[16];
    const unsigned char *p, *s;

    for (i = 0; i < 16; i++) {
        p = block + i * 4;
        m[i] = (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
               (uint32_t) p[3] << 24;
    }

    for (i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = (gc_blake2s_lanes_t){0} + gc_blake2s_iv[i];
    }

    v[12] ^= count;

    if (last) {
        v[14] = ~v[14];
    }

#pragma GCC unroll 10
    for (i = 0; i < 10; i++) {
        s = gc_blake2s_sigma[i];
        gc_blake2s_mix(v, v + 4, v + 8, v + 12, m[s[0]], m[s[1]]);
        gc_blake2s_mix(v + 1, v + 5, v + 9, v + 13, m[s[2]], m[s[3]]);
        gc_blake2s_mix(v + 2, v + 6, v + 10, v + 14, m[s[4]], m[s[5]]);
        gc_blake2s_mix(v + 3, v + 7, v + 11, v + 15, m[s[6]], m[s[7]]);
        gc_blake2s_mix(v, v + 5, v + 10, v + 15, m[s[8]], m[s[9]]);
        gc_blake2s_mix(v + 1, v + 6, v + 11, v + 12, m[s[10]], m[s[11]]);
        gc_blake2s_mix(v + 2, v + 7, v + 8, v + 13, m[s[12]], m[s[13]]);
        gc_blake2s_mix(v + 3, v + 4, v + 9, v + 14, m[s[14]], m[s[15]]);
    }

    for (i = 0; i < 8; i++) {
        h[i] ^= v[i] ^ v[i + 8];
    }
}


/* the same in all lanes */
static void
gc_blake2s_spread(gc_blake2s_lanes_t h[8], const uint32_t words[8])
{
    unsigned i;

    for (i = 0; i < 8; i++) {
        h[i] = (gc_blake2s_lanes_t){0} + words[i];
    }
}


/* the parameter block of section 2.5: sizes, fanout and depth 1 */
static void
gc_blake2s_start(gc_blake2s_lanes_t h[8], size_t key_len, size_t out_len)
{
    gc_blake2s_spread(h, gc_blake2s_iv);
    h[0] ^= 0x01010000U ^ ((uint32_t) key_len << 8) ^ (uint32_t) out_len;
}


/* count: bytes that were mixed in before */
static void
gc_blake2s_finish(gc_blake2s_lanes_t h[8], uint32_t count,
                  const unsigned char *data, size_t len)
{
    unsigned char block[GC_BLAKE2S_BLOCK];

    while (len > GC_BLAKE2S_BLOCK) {
        count += GC_BLAKE2S_BLOCK;
        gc_blake2s_compress(h, data, count, 0);
        data += GC_BLAKE2S_BLOCK;
        len -= GC_BLAKE2S_BLOCK;
    }

    memset(block, 0, sizeof(block));

    if (len > 0) {
        memcpy(block, data, len);
    }

    gc_blake2s_compress(h, block, count + (uint32_t) len, 1);
}


static void
gc_blake2s_write(const gc_blake2s_lanes_t h[8], unsigned lane,
                 unsigned char *out, size_t out_len)
{
    size_t i;

    for (i = 0; i < out_len; i++) {
        out[i] = (unsigned char) (h[i / 4][lane] >> (8 * (i % 4)));
    }
}


void
gc_blake2s(const void *data, size_t len, unsigned char out[GC_BLAKE2S_SIZE])
{
    gc_blake2s_lanes_t h[8];

    gc_blake2s_start(h, 0, GC_BLAKE2S_SIZE);
    gc_blake2s_finish(h, 0, data, len);
    gc_blake2s_write(h, 0, out, GC_BLAKE2S_SIZE);
}


void
gc_blake2s_key(gc_blake2s_key_t *key, const void *secret, size_t key_len,
               size_t out_len)
{
    unsigned i;
    unsigned char block[GC_BLAKE2S_BLOCK];
    gc_blake2s_lanes_t h[8];

    memset(block, 0, sizeof(block));
    memcpy(block, secret, key_len);
    gc_blake2s_start(h, key_len, out_len);
    gc_blake2s_compress(h, block, GC_BLAKE2S_BLOCK, 0);

    for (i = 0; i < 8; i++) {
        key->h[i] = h[i][0];
    }
}


void
gc_blake2s_macs(const gc_blake2s_key_t *const *keys, unsigned n,
                const void *data, size_t len, unsigned char *out,
                size_t out_len)
{
    unsigned i, k;
    gc_blake2s_lanes_t h[8];

    gc_blake2s_spread(h, keys[0]->h);

    for (k = 1; k < n; k++) {
        for (i = 0; i < 8; i++) {
            h[i][k] = keys[k]->h[i];
        }
    }

    gc_blake2s_finish(h, GC_BLAKE2S_BLOCK, data, len);

    for (k = 0; k < n; k++) {
        gc_blake2s_write(h, k, out + k * out_len, out_len);
    }
}
