#include "core/gc_siphash.h"


typedef struct {
    uint64_t a;
    uint64_t b;
    uint64_t c;
    uint64_t d;
} gc_siphash_t;


/* the first n bytes at p, at most 8, as a little-endian number */
static uint64_t
gc_siphash_word(const unsigned char *p, size_t n)
{
    uint64_t word;

    word = 0;

    while (n--) {
        word = word << 8 | p[n];
    }

    return word;
}


static uint64_t
gc_siphash_turn(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}


/* section 2.3: SipRound */
static void
gc_siphash_rounds(gc_siphash_t *v, unsigned n)
{
    while (n--) {
        v->a += v->b;
        v->c += v->d;
        v->b = gc_siphash_turn(v->b, 13) ^ v->a;
        v->d = gc_siphash_turn(v->d, 16) ^ v->c;
        v->a = gc_siphash_turn(v->a, 32);

        v->c += v->b;
        v->a += v->d;
        v->b = gc_siphash_turn(v->b, 17) ^ v->c;
        v->d = gc_siphash_turn(v->d, 21) ^ v->a;
        v->c = gc_siphash_turn(v->c, 32);
    }
}


static void
gc_siphash_take(gc_siphash_t *v, uint64_t word)
{
    v->d ^= word;
    gc_siphash_rounds(v, 2);
    v->a ^= word;
}


uint64_t
gc_siphash(const unsigned char key[GC_SIPHASH_KEY], const void *data,
           size_t len)
{
    const unsigned char *p;
    gc_siphash_t v;
    uint64_t k0, k1;
    size_t left;

    k0 = gc_siphash_word(key, 8);
    k1 = gc_siphash_word(key + 8, 8);

    v.a = k0 ^ 0x736f6d6570736575;
    v.b = k1 ^ 0x646f72616e646f6d;
    v.c = k0 ^ 0x6c7967656e657261;
    v.d = k1 ^ 0x7465646279746573;

    p = data;

    for (left = len; left >= 8; left -= 8) {
        gc_siphash_take(&v, gc_siphash_word(p, 8));
        p += 8;
    }

    gc_siphash_take(&v, gc_siphash_word(p, left) | (uint64_t) len << 56);

    v.c ^= 0xff;
    gc_siphash_rounds(&v, 4);

    return v.a ^ v.b ^ v.c ^ v.d;
}
