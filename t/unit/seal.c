#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/gc_seal.h"


#define ROW "peers/11111111-1111-4111-8111-111111111111"
#define OTHER "peers/11111111-1111-4111-8111-111111111112"
#define ONE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define TWO "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="


static const unsigned char nonce[GC_SEAL_NONCE] = "nonce-12byte";
static const unsigned char secret[32] = "a private key of thirty-two byte";


static gc_keys_t
ring(const char *text)
{
    gc_keys_t keys;
    gc_keys_error_t error;

    cr_assert_eq(gc_keys_parse(&keys, text, strlen(text), &error), 0);

    return keys;
}


static size_t
sealed_by(const gc_keys_t *keys, unsigned char *out)
{
    size_t len;

    cr_assert_eq(gc_seal_close(gc_keys_current(keys, GC_KEY_SEAL), nonce, ROW,
                               secret, sizeof(secret), out, &len),
                 GC_SEAL_OK);

    return len;
}


/* What opening gives; checks that nothing is left of what it refuses. */
static gc_seal_result_e
opened(const gc_keys_t *keys, const char *row, const unsigned char *sealed,
       size_t len)
{
    size_t i, n;
    unsigned char out[GC_SEAL_SECRET_MAX];
    gc_seal_result_e rc;

    memset(out, 0xaa, sizeof(out));
    rc = gc_seal_open(keys, row, sealed, len, out, sizeof(out), &n);

    if (rc == GC_SEAL_OK) {
        cr_assert_eq(n, sizeof(secret));
        cr_assert_eq(memcmp(out, secret, sizeof(secret)), 0);

    } else {
        cr_assert_eq(n, 0);

        for (i = 0; i < sizeof(out); i++) {
            cr_assert_eq(out[i], 0, "not wiped");
        }
    }

    return rc;
}


Test(seal, opens_what_was_sealed)
{
    size_t i, len;
    gc_keys_t keys;
    unsigned char sealed[GC_SEAL_SIZE(sizeof(secret))];

    keys = ring("seal first " ONE);
    len = sealed_by(&keys, sealed);

    cr_assert_eq(len, 2 + 5 + GC_SEAL_NONCE + sizeof(secret) + GC_SEAL_TAG);
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_OK);

    for (i = 0; i + 8 <= len; i++) {
        cr_assert_neq(memcmp(sealed + i, secret, 8), 0, "in the clear");
    }
}


/*
 * What another implementation of AES-256-GCM gives for the key 00..1f, this
 * nonce, and head and row as associated data: what is in a database today opens
 * tomorrow.
 */
Test(seal, has_the_format_that_is_kept)
{
    size_t i, len;
    gc_keys_t keys;
    char text[512];
    unsigned char sealed[GC_SEAL_SIZE(sizeof(secret))];

    keys = ring("seal k1 " ONE);
    len = sealed_by(&keys, sealed);

    for (i = 0; i < len; i++) {
        (void) snprintf(text + 2 * i, 3, "%02x", sealed[i]);
    }

    cr_assert_str_eq(
        text,
        "01026b316e6f6e63652d31326279746504fddd9cc17c4ed1d560ec6b0302dd06"
        "17690ef196a1fc092dd5e63cedc206d475275a3284bcb099460b83f55bf42983");
}


Test(seal, does_not_open_in_another_row)
{
    size_t len;
    gc_keys_t keys;
    unsigned char sealed[GC_SEAL_SIZE(sizeof(secret))];

    keys = ring("seal first " ONE);
    len = sealed_by(&keys, sealed);

    cr_assert_eq(opened(&keys, OTHER, sealed, len), GC_SEAL_FORGED);
    cr_assert_eq(opened(&keys, "", sealed, len), GC_SEAL_FORGED);
}


Test(seal, survives_rotation_as_long_as_its_key_is_kept)
{
    size_t len;
    gc_keys_t keys;
    unsigned char sealed[GC_SEAL_SIZE(sizeof(secret))];

    keys = ring("seal first " ONE);
    len = sealed_by(&keys, sealed);

    keys = ring("seal second " TWO "\nseal first " ONE);
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_OK);

    keys = ring("seal second " TWO);
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_NO_KEY);

    /* a key of another purpose is none, whatever its id */
    keys = ring("jwt first " ONE);
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_NO_KEY);

    /* the id is the same, the key is not */
    keys = ring("seal first " TWO);
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_FORGED);
}


Test(seal, notices_every_changed_bit)
{
    size_t i, len;
    gc_keys_t keys;
    unsigned char sealed[GC_SEAL_SIZE(sizeof(secret))];

    keys = ring("seal k " ONE);
    len = sealed_by(&keys, sealed);

    for (i = 0; i < 8 * len; i++) {
        sealed[i / 8] ^= (unsigned char) (1 << i % 8);
        cr_assert_neq(opened(&keys, ROW, sealed, len), GC_SEAL_OK, "bit %zu",
                      i);
        sealed[i / 8] ^= (unsigned char) (1 << i % 8);
    }
}


/* The key's name is authenticated: b's secret is not taken for a's. */
Test(seal, does_not_open_under_the_name_of_another_key)
{
    size_t len;
    gc_keys_t keys;
    unsigned char sealed[GC_SEAL_SIZE(sizeof(secret))];

    keys = ring("seal a " ONE);
    len = sealed_by(&keys, sealed);
    sealed[2] = 'b';

    keys = ring("seal b " ONE);
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_FORGED);
}


Test(seal, refuses_every_cut_and_what_is_too_long)
{
    size_t len, n;
    gc_keys_t keys;
    unsigned char sealed[GC_SEAL_SIZE(GC_SEAL_SECRET_MAX + 1)];
    unsigned char out[16];
    unsigned char big[GC_SEAL_SECRET_MAX + 1] = {0};

    keys = ring("seal k " ONE);
    len = sealed_by(&keys, sealed);

    for (n = 0; n < len; n++) {
        cr_assert_neq(opened(&keys, ROW, sealed, n), GC_SEAL_OK, "%zu bytes",
                      n);
    }

    cr_assert_eq(gc_seal_open(&keys, ROW, sealed, len, out, sizeof(out), &n),
                 GC_SEAL_MALFORMED, "more than there is room for");

    cr_assert_eq(gc_seal_close(gc_keys_current(&keys, GC_KEY_SEAL), nonce, ROW,
                               big, sizeof(big), sealed, &n),
                 GC_SEAL_MALFORMED);

    sealed[1] = 0;
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_MALFORMED);
    sealed[1] = GC_KEYS_ID_MAX + 1;
    cr_assert_eq(opened(&keys, ROW, sealed, len), GC_SEAL_MALFORMED);
}
