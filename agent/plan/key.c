#include "plan/key.h"

#include <string.h>


/*
 * Branch-free character tests: each yields all ones or zero in the bits that
 * are used, so that no table look-up and no jump depends on the secret.
 */
static unsigned
key_between(unsigned c, unsigned low, unsigned high)
{
    /* 0xff.. if low <= c <= high; c, low and high are below 256 */
    return (unsigned) (((int) (low - 1 - c) & (int) (c - high - 1)) >> 31);
}


/* The six bits of a base64 character (RFC 4648, section 4), or -1. */
static int
key_base64_value(char ch)
{
    unsigned c, value;

    c = (unsigned char) ch;
    value = 0;

    value |= key_between(c, 'A', 'Z') & (c - 'A' + 1);
    value |= key_between(c, 'a', 'z') & (c - 'a' + 27);
    value |= key_between(c, '0', '9') & (c - '0' + 53);
    value |= key_between(c, '+', '+') & 63;
    value |= key_between(c, '/', '/') & 64;

    return (int) value - 1;
}


static char
key_base64_char(unsigned value)
{
    unsigned c;

    c = key_between(value, 0 + 1, 26) & (value - 1 + 'A');
    c |= key_between(value, 27, 52) & (value - 27 + 'a');
    c |= key_between(value, 53, 62) & (value - 53 + '0');
    c |= key_between(value, 63, 63) & '+';
    c |= key_between(value, 64, 64) & '/';

    return (char) c;
}


bool
key_from_base64(const char *text, struct key *key)
{
    struct key decoded;
    unsigned bits, held, bad;
    size_t i, n;
    int value;

    if (strlen(text) != KEY_BASE64_SIZE - 1 || text[43] != '=') {
        return false;
    }

    bits = 0;
    held = 0;
    bad = 0;
    n = 0;

    for (i = 0; i < 43; i++) {
        value = key_base64_value(text[i]);
        bad |= (unsigned) value & 0x80000000U;
        bits = (bits << 6 | ((unsigned) value & 63)) & 0xfff;
        held += 6;

        if (held >= 8) {
            held -= 8;
            decoded.bytes[n++] = (uint8_t) (bits >> held);
        }
    }

    /* 43 characters hold 258 bits: the two that are left must be clear */
    bad |= bits & 3;

    if (bad == 0) {
        *key = decoded;
    }

    key_wipe(&decoded, sizeof(decoded));

    return bad == 0;
}


void
key_to_base64(const struct key *key, char text[KEY_BASE64_SIZE])
{
    unsigned bits, held;
    size_t i, n;

    bits = 0;
    held = 0;
    n = 0;

    for (i = 0; i < KEY_BYTES; i++) {
        bits = (bits << 8 | key->bytes[i]) & 0xffff;
        held += 8;

        while (held >= 6) {
            held -= 6;
            text[n++] = key_base64_char((bits >> held & 63) + 1);
        }
    }

    text[n++] = key_base64_char((bits << (6 - held) & 63) + 1);
    text[n++] = '=';
    text[n] = '\0';
}


static int
key_hex_value(char ch)
{
    unsigned c, value;

    c = (unsigned char) ch;
    value = 0;

    value |= key_between(c, '0', '9') & (c - '0' + 1);
    value |= key_between(c, 'a', 'f') & (c - 'a' + 11);
    value |= key_between(c, 'A', 'F') & (c - 'A' + 11);

    return (int) value - 1;
}


bool
key_from_hex(const char *text, struct key *key)
{
    struct key decoded;
    unsigned bad;
    size_t i;
    int high, low;

    if (strlen(text) != KEY_HEX_SIZE - 1) {
        return false;
    }

    for (i = 0, bad = 0; i < KEY_BYTES; i++) {
        high = key_hex_value(text[2 * i]);
        low = key_hex_value(text[2 * i + 1]);
        bad |= (unsigned) (high | low) & 0x80000000U;
        decoded.bytes[i] =
            (uint8_t) (((unsigned) high << 4 & 0xf0) | ((unsigned) low & 0x0f));
    }

    if (bad == 0) {
        *key = decoded;
    }

    key_wipe(&decoded, sizeof(decoded));

    return bad == 0;
}


static char
key_hex_char(unsigned value)
{
    unsigned letter;

    letter = key_between(value, 10, 15);

    return (char) (value + '0' + (letter & ('a' - '0' - 10)));
}


void
key_to_hex(const struct key *key, char text[KEY_HEX_SIZE])
{
    size_t i;

    for (i = 0; i < KEY_BYTES; i++) {
        text[2 * i] = key_hex_char(key->bytes[i] >> 4);
        text[2 * i + 1] = key_hex_char(key->bytes[i] & 0x0f);
    }

    text[KEY_HEX_SIZE - 1] = '\0';
}


int
key_compare(const struct key *a, const struct key *b)
{
    return memcmp(a->bytes, b->bytes, KEY_BYTES);
}


bool
key_equal(const struct key *a, const struct key *b)
{
    unsigned differ;
    size_t i;

    for (i = 0, differ = 0; i < KEY_BYTES; i++) {
        differ |= (unsigned) (a->bytes[i] ^ b->bytes[i]);
    }

    return differ == 0;
}


bool
key_is_zero(const struct key *key)
{
    static const struct key zero;

    return key_equal(key, &zero);
}


void
key_wipe(void *memory, size_t length)
{
    memset(memory, 0, length);

    /* the compiler must believe that somebody reads the zeros */
    __asm__ __volatile__("" : : "r"(memory) : "memory");
}
