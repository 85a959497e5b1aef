/* memmem() */
#define _GNU_SOURCE

#include <criterion/criterion.h>
#include <string.h>

#include "core/gc_envelope.h"


#define JWT_ONE "jwt a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define JWT_TWO "jwt b ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"
#define SEAL "seal a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define PLACE "goconnect:7000000000000000001:16384"


static const unsigned char nonce[GC_ENVELOPE_NONCE] = "nonce-12byte";
static const char text[] = "{\"topic\":\"network:1\",\"seq\":7}";


static gc_envelope_t *
envelope(const char *ring, const char *place)
{
    gc_keys_t keys;
    gc_keys_error_t error;
    gc_envelope_t *e;

    cr_assert_eq(gc_keys_parse(&keys, ring, strlen(ring), &error), 0);
    e = gc_envelope_create(&keys, place);
    gc_keys_wipe(&keys);

    return e;
}


static size_t
closed(gc_envelope_t *e, unsigned char *out)
{
    size_t len;

    len = gc_envelope_close(e, nonce, text, sizeof(text), out);
    cr_assert_eq(len, sizeof(text) + GC_ENVELOPE_OVERHEAD);

    return len;
}


static int
opens(gc_envelope_t *e, const unsigned char *sealed, size_t len)
{
    unsigned char out[sizeof(text)];
    size_t n;

    if (gc_envelope_open(e, sealed, len, out, sizeof(out), &n) != 0) {
        return 0;
    }

    cr_assert_eq(n, sizeof(text));
    cr_assert_arr_eq(out, text, n);

    return 1;
}


Test(envelope, comes_back)
{
    unsigned char sealed[256];
    gc_envelope_t *e;
    size_t len;

    e = envelope(JWT_ONE, PLACE);
    len = closed(e, sealed);
    cr_assert(opens(e, sealed, len));
    cr_assert(opens(e, sealed, len), "twice is the caller's business");
    cr_assert_arr_eq(gc_envelope_nonce(sealed, len), nonce, sizeof(nonce));
    cr_assert_null(memmem(sealed, len, "network", 7));

    gc_envelope_free(e);
}


Test(envelope, empty_text)
{
    unsigned char sealed[GC_ENVELOPE_OVERHEAD], out[1];
    gc_envelope_t *e;
    size_t n;

    e = envelope(JWT_ONE, PLACE);
    cr_assert_eq(gc_envelope_close(e, nonce, "", 0, sealed), sizeof(sealed));
    cr_assert_eq(gc_envelope_open(e, sealed, sizeof(sealed), out, 0, &n), 0);
    cr_assert_eq(n, 0);

    gc_envelope_free(e);
}


Test(envelope, any_change_is_found)
{
    unsigned char sealed[256];
    gc_envelope_t *e;
    size_t i, len;

    e = envelope(JWT_ONE, PLACE);
    len = closed(e, sealed);

    for (i = 0; i < len * 8; i++) {
        sealed[i / 8] ^= (unsigned char) (1u << i % 8);
        cr_assert_not(opens(e, sealed, len), "bit %zu", i);
        sealed[i / 8] ^= (unsigned char) (1u << i % 8);
    }

    for (i = 0; i < len; i++) {
        cr_assert_not(opens(e, sealed, i), "%zu bytes", i);
    }

    cr_assert(opens(e, sealed, len));
    gc_envelope_free(e);
}


Test(envelope, only_at_its_place_and_under_its_keys)
{
    static const struct {
        const char *ring;
        const char *place;
        int opens;
    } cases[] = {
        {JWT_ONE, PLACE, 1},         {JWT_TWO JWT_ONE, PLACE, 1},
        {JWT_ONE JWT_TWO, PLACE, 1}, {JWT_TWO, PLACE, 0},
        {JWT_ONE, PLACE "0", 0},     {JWT_ONE, "", 0},
    };
    unsigned char sealed[256];
    gc_envelope_t *from, *to;
    size_t i, len;

    from = envelope(JWT_ONE, PLACE);
    len = closed(from, sealed);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        to = envelope(cases[i].ring, cases[i].place);
        cr_assert_eq(opens(to, sealed, len), cases[i].opens, "case %zu", i);
        gc_envelope_free(to);
    }

    gc_envelope_free(from);
}


Test(envelope, room_is_bounded)
{
    unsigned char sealed[256], out[sizeof(text)];
    gc_envelope_t *e;
    size_t len, n;

    e = envelope(JWT_ONE, PLACE);
    len = closed(e, sealed);
    cr_assert_eq(gc_envelope_open(e, sealed, len, out, sizeof(text) - 1, &n),
                 -1);
    gc_envelope_free(e);
}


Test(envelope, needs_a_key)
{
    cr_assert_null(envelope(SEAL, PLACE));
}
