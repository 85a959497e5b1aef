#include "core/gc_base64.h"

#include <stdint.h>


typedef struct {
    uint32_t c62; /* the characters that the two alphabets differ in */
    uint32_t c63;
    int padded;
} gc_base64_alphabet_t;


static void gc_base64_put(const gc_base64_alphabet_t *alphabet, char *out,
                          const unsigned char *in, size_t n);
static int gc_base64_get(const gc_base64_alphabet_t *alphabet,
                         unsigned char *out, size_t n, const char *in,
                         size_t len);


static const gc_base64_alphabet_t gc_base64_standard = {'+', '/', 1};
static const gc_base64_alphabet_t gc_base64_url = {'-', '_', 0};


/* all ones if a < b, else 0; both below 2^31 */

static uint32_t
gc_base64_less(uint32_t a, uint32_t b)
{
    return 0 - ((a - b) >> 31);
}


static uint32_t
gc_base64_equal(uint32_t a, uint32_t b)
{
    return gc_base64_less(a ^ b, 1);
}


static uint32_t
gc_base64_between(uint32_t a, uint32_t low, uint32_t high)
{
    return ~gc_base64_less(a, low) & ~gc_base64_less(high, a);
}


static char
gc_base64_char(const gc_base64_alphabet_t *alphabet, uint32_t v)
{
    uint32_t c;

    c = gc_base64_between(v, 0, 25) & (v + 'A');
    c |= gc_base64_between(v, 26, 51) & (v - 26 + 'a');
    c |= gc_base64_between(v, 52, 61) & (v - 52 + '0');
    c |= gc_base64_equal(v, 62) & alphabet->c62;
    c |= gc_base64_equal(v, 63) & alphabet->c63;

    return (char) c;
}


/* 0 to 63, or 64 and more for a foreign character */

static uint32_t
gc_base64_value(const gc_base64_alphabet_t *alphabet, char character)
{
    uint32_t c, v, upper, lower, digit, c62, c63;

    c = (unsigned char) character;

    upper = gc_base64_between(c, 'A', 'Z');
    lower = gc_base64_between(c, 'a', 'z');
    digit = gc_base64_between(c, '0', '9');
    c62 = gc_base64_equal(c, alphabet->c62);
    c63 = gc_base64_equal(c, alphabet->c63);

    v = (upper & (c - 'A')) | (lower & (c - 'a' + 26)) |
        (digit & (c - '0' + 52)) | (c62 & 62) | (c63 & 63);

    return v | (~(upper | lower | digit | c62 | c63) & 64);
}


void
gc_base64_encode(char *out, const void *in, size_t n)
{
    gc_base64_put(&gc_base64_standard, out, in, n);
}


void
gc_base64url_encode(char *out, const void *in, size_t n)
{
    gc_base64_put(&gc_base64_url, out, in, n);
}


int
gc_base64_decode(void *out, size_t n, const char *in, size_t len)
{
    return gc_base64_get(&gc_base64_standard, out, n, in, len);
}


int
gc_base64url_decode(void *out, size_t n, const char *in, size_t len)
{
    return gc_base64_get(&gc_base64_url, out, n, in, len);
}


static void
gc_base64_put(const gc_base64_alphabet_t *alphabet, char *out,
              const unsigned char *in, size_t n)
{
    size_t i, have;
    uint32_t bits;

    while (n) {
        have = n < 3 ? n : 3;

        bits = (uint32_t) in[0] << 16;
        bits |= have > 1 ? (uint32_t) in[1] << 8 : 0;
        bits |= have > 2 ? (uint32_t) in[2] : 0;

        for (i = 0; i <= have; i++) {
            *out++ = gc_base64_char(alphabet, bits >> (18 - 6 * i) & 63);
        }

        for (; alphabet->padded && i < 4; i++) {
            *out++ = '=';
        }

        in += have;
        n -= have;
    }
}


static int
gc_base64_get(const gc_base64_alphabet_t *alphabet, unsigned char *out,
              size_t n, const char *in, size_t len)
{
    size_t i, want;
    uint32_t bits, v, bad;

    if (len != (alphabet->padded ? GC_BASE64_LEN(n) : GC_BASE64URL_LEN(n))) {
        return -1;
    }

    bad = 0;

    while (n) {
        want = n < 3 ? n : 3;
        bits = 0;

        for (i = 0; i <= want; i++) {
            v = gc_base64_value(alphabet, *in++);
            bad |= v & ~(uint32_t) 63;
            bits |= (v & 63) << (18 - 6 * i);
        }

        for (; alphabet->padded && i < 4; i++) {
            bad |= (unsigned char) *in++ ^ (uint32_t) '=';
        }

        for (i = 0; i < want; i++) {
            *out++ = (unsigned char) (bits >> (16 - 8 * i));
        }

        bad |= bits & (0xffffffu >> (8 * want));
        n -= want;
    }

    return bad ? -1 : 0;
}
