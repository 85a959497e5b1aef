#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/gc_audit.h"


#define TENANT "\"0b7f6a52-9f0d-4d5f-8d3c-6f2a1b9c7e21\""
#define SALT "000102030405060708090a0b0c0d0e0f"
#define SALTED \
    "6004f9603e50519ce3617dccec6a9bb107434f88e52d25225d95755e1a2b21b3"
#define ADDRESS "3139322e302e322e31" /* 192.0.2.1 */
#define ROW_1 "3aa97233a240e694875cbddee028b1bef5f99a92174f709230e514f8ac22e580"
#define ROW_2 "851ef6dc3eb007cc993e1f46772c0dc917740fcf2641caad74ecd76f0549b6c3"
#define HEAD "c6af8208abfd4ddede42ceea3667032c24f2c53a2bab67b1532a3788ab1b8c51"
#define ANCHOR \
    "9fe3073d249ff421b0fd3e0872d3045713d5eb308fe76ac4eeaf12052a768505"

/* key and vectors: made by another implementation of gc_audit.h's words */
#define ONE "audit one AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define TWO "audit two ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"

#define FIELDS                                                        \
    "[17, \"5f0c6d6e-3a0b-4a58-9c39-0f6f3a1d2b11\", null, "           \
    "\"tenant.update\", \"tenant\", " TENANT ", "                     \
    "{\"after\": {\"name\": \"B\"}, \"before\": {\"name\": \"A\"}}, " \
    "1795370645123456, "


static const unsigned char nothing[GC_AUDIT_HASH];


static gc_slice_t
slice(const char *text)
{
    gc_slice_t s;

    s.data = text;
    s.len = strlen(text);

    return s;
}


static gc_keys_t
ring(const char *text)
{
    gc_keys_t keys;
    gc_keys_error_t error;

    cr_assert_eq(gc_keys_parse(&keys, text, strlen(text), &error), 0);

    return keys;
}


static gc_audit_row_t
parsed(const char *json)
{
    gc_audit_row_t row;

    cr_assert_eq(gc_audit_row_parse(&row, slice(json)), GC_AUDIT_OK);

    return row;
}


static const char *
hex(const unsigned char *bytes)
{
    static char text[2 * GC_AUDIT_HASH + 1];
    size_t i;

    for (i = 0; i < GC_AUDIT_HASH; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }

    return text;
}


/* the hash of a row as number-th of a chain, in hexadecimal */
static const char *
hash_of(const char *json, const char *chain, int64_t number,
        const unsigned char *prev)
{
    unsigned char hash[GC_AUDIT_HASH];
    gc_keys_t keys = ring(ONE);
    gc_audit_mac_t *mac = gc_audit_mac_create();
    gc_audit_row_t row = parsed(json);

    cr_assert_not_null(mac);
    cr_assert_eq(gc_audit_row_hash(mac, &keys.keys[0], slice(chain), number,
                                   prev, &row, hash),
                 GC_AUDIT_OK);
    gc_audit_mac_destroy(mac);

    return hex(hash);
}


#define PERSONAL \
    "[[\"address\", \"" SALTED "\", \"" SALT "\", \"" ADDRESS "\"]]"
#define ERASED "[[\"address\", \"" SALTED "\", null, null]]"
#define UNCHAINED FIELDS PERSONAL ", null, null, null]"


Test(audit, vectors)
{
    unsigned char first[GC_AUDIT_HASH];

    cr_assert_str_eq(hash_of(UNCHAINED, TENANT, 1, nothing), ROW_1);
    cr_assert(gc_audit_unhex(slice("\"" ROW_1 "\""), first));
    cr_assert_str_eq(hash_of(FIELDS "[], null, null, null]", "null", 2, first),
                     ROW_2);
}


Test(audit, a_row_that_was_erased_has_the_same_hash)
{
    cr_assert_str_eq(
        hash_of(FIELDS ERASED ", null, null, null]", TENANT, 1, nothing),
        ROW_1);
    cr_assert_str_eq(hash_of(FIELDS PERSONAL ", 1, \"" ROW_1 "\", \"one\"]",
                             TENANT, 1, nothing),
                     ROW_1);
}


Test(audit, every_part_enters_the_hash)
{
    static const char *const others[] = {
        "[18, null, null, \"a.b\", null, null, {}, 1, [], null, null, null]",
        "[17, 1, null, \"a.b\", null, null, {}, 1, [], null, null, null]",
        "[17, null, 1, \"a.b\", null, null, {}, 1, [], null, null, null]",
        "[17, null, null, \"a.c\", null, null, {}, 1, [], null, null, null]",
        "[17, null, null, \"a.b\", 1, null, {}, 1, [], null, null, null]",
        "[17, null, null, \"a.b\", null, 1, {}, 1, [], null, null, null]",
        "[17, null, null, \"a.b\", null, null, [], 1, [], null, null, null]",
        "[17, null, null, \"a.b\", null, null, {}, 2, [], null, null, null]",
        "[17, null, null, \"a.b\", null, null, {}, 1, [[\"x\", \"" SALTED
        "\"]], null, null, null]",
        "[17, null, null, \"a.b\", null, null, {}, 1, [[\"y\", \"" SALTED
        "\"]], null, null, null]",
        "[17, null, null, \"a.b\", null, null, {}, 1, [[\"y\", \"" ROW_1
        "\"]], null, null, null]",
    };
    static const char base[] =
        "[17, null, null, \"a.b\", null, null, {}, 1, [], null, null, null]";
    char seen[16][2 * GC_AUDIT_HASH + 1];
    size_t i, j, n;

    n = 0;
    memcpy(seen[n++], hash_of(base, TENANT, 1, nothing), sizeof(seen[0]));
    memcpy(seen[n++], hash_of(base, TENANT, 2, nothing), sizeof(seen[0]));
    memcpy(seen[n++], hash_of(base, "null", 1, nothing), sizeof(seen[0]));
    memcpy(seen[n++], hash_of(base, TENANT, 1, (unsigned char *) SALTED),
           sizeof(seen[0]));

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        memcpy(seen[n++], hash_of(others[i], TENANT, 1, nothing),
               sizeof(seen[0]));
    }

    for (i = 0; i < n; i++) {
        for (j = 0; j < i; j++) {
            cr_assert_str_neq(seen[i], seen[j], "%zu and %zu", i, j);
        }
    }
}


Test(audit, head_and_anchor)
{
    unsigned char out[GC_AUDIT_HASH];
    gc_audit_mac_t *mac = gc_audit_mac_create();
    gc_keys_t keys = ring(TWO ONE);
    gc_audit_point_t point;
    const gc_key_t *key;

    key = gc_audit_key(&keys, slice("one"));
    cr_assert_not_null(key);

    point.number = 1;
    point.signed_at = 1795370646000000;
    cr_assert(gc_audit_unhex(slice("\"" ROW_1 "\""), point.hash));

    gc_audit_sign(mac, key, GC_AUDIT_HEAD, slice(TENANT), &point, out);
    cr_assert_str_eq(hex(out), HEAD);
    gc_audit_sign(mac, key, GC_AUDIT_ANCHOR, slice(TENANT), &point, out);
    cr_assert_str_eq(hex(out), ANCHOR);

    gc_audit_sign(mac, gc_audit_key(&keys, slice("two")), GC_AUDIT_ANCHOR,
                  slice(TENANT), &point, out);
    cr_assert_str_neq(hex(out), ANCHOR);

    gc_audit_mac_destroy(mac);
}


Test(audit, keys_are_found_by_their_id)
{
    gc_keys_t keys =
        ring("jwt zero AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n" TWO ONE);

    cr_assert_str_eq(gc_audit_key(&keys, slice("two"))->id, "two");
    cr_assert_str_eq(gc_audit_key(&keys, slice("one"))->id, "one");
    cr_assert_null(gc_audit_key(&keys, slice("zero")));
    cr_assert_null(gc_audit_key(&keys, slice("on")));
    cr_assert_null(gc_audit_key(&keys, slice("")));
}


Test(audit, personal_fields)
{
    static const struct {
        const char *text;
        unsigned fields, erased, wrong;
    } cases[] = {
        {"[]", 0, 0, 0},
        {PERSONAL, 1, 0, 0},
        {ERASED, 1, 1, 0},
        {"[[\"a\", \"" SALTED "\", null, \"" ADDRESS "\"]]", 0, 0, 9},
        {"[[\"a\", \"" SALTED "\", \"" SALT "\", \"00\"]]", 1, 0, 1},
        {"[[\"a\", \"" SALTED "\", \"00\", \"" ADDRESS "\"]]", 1, 0, 1},
        {"[[\"a\", \"" SALTED "\", \"" SALT "\", \"0\"]]", 1, 0, 1},
        {"[[\"a\", \"" SALTED "\", \"" SALT "\", \"zz\"]]", 1, 0, 1},
        {"[[\"a\", \"" ROW_1 "\", \"" SALT "\", \"" ADDRESS "\"]]", 1, 0, 1},
        {"[[\"a\", \"12\", \"" SALT "\", \"" ADDRESS "\"]]", 0, 0, 9},
        {"[[\"a\", \"" SALTED "\"]]", 0, 0, 9},
        {"{}", 0, 0, 9},
    };
    gc_audit_personal_t p;
    gc_audit_row_t row;
    char text[1024];
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text), "%s%s, null, null, null]", FIELDS,
                 cases[i].text);
        row = parsed(text);

        if (cases[i].wrong == 9) {
            cr_assert_eq(gc_audit_personal(&row, &p), GC_AUDIT_MALFORMED, "%s",
                         text);
            continue;
        }

        cr_assert_eq(gc_audit_personal(&row, &p), GC_AUDIT_OK, "%s", text);
        cr_assert_eq(p.fields, cases[i].fields, "%s", text);
        cr_assert_eq(p.erased, cases[i].erased, "%s", text);
        cr_assert_eq(p.wrong, cases[i].wrong, "%s", text);
    }
}


Test(audit, a_long_value)
{
    /* SHA-256 of the salt and 3,000 times the letter a */
    static const char hash[] =
        "ed81b158a4405a478d7da1eaa4c0b283b3efb8143519942c66679ed56416bf40";
    static char text[8192];
    gc_audit_personal_t p;
    gc_audit_row_t row;
    char *end;
    size_t i;

    end = text + snprintf(text, sizeof(text),
                          "%s[[\"a\", \"%s\", \"" SALT "\", \"", FIELDS, hash);

    for (i = 0; i < 3000; i++) {
        *end++ = '6';
        *end++ = '1';
    }

    memcpy(end, "\"]], null, null, null]", 23);
    row = parsed(text);

    cr_assert_eq(gc_audit_personal(&row, &p), GC_AUDIT_OK);
    cr_assert_eq(p.wrong, 0);
}


Test(audit, what_is_no_row)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "null",
        "[1, 2, 3]",
        FIELDS "[], 1, \"" ROW_1 "\"]",              /* no key */
        FIELDS "[], 1, \"12\", \"one\"]",            /* a short hash */
        FIELDS "[], \"1\", \"" ROW_1 "\", \"one\"]", /* a number in quotes */
        FIELDS "[], 1, null, \"one\"]",
        FIELDS "[], 1, \"" ROW_1 "\", null]",
        FIELDS "[], 1, \"" ROW_1 "\", \"a\\\"b\"]",
    };
    gc_audit_row_t row;
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_eq(gc_audit_row_parse(&row, slice(texts[i])),
                     GC_AUDIT_MALFORMED, "%s", texts[i]);
    }

    row = parsed(FIELDS "[], 7, \"" ROW_1 "\", \"k.1\"]");
    cr_assert_eq(row.number, 7);
    cr_assert_str_eq(hex(row.hash), ROW_1);
    cr_assert(gc_slice_is(row.key, "k.1"));
}


Test(audit, cut_off_anywhere)
{
    static const char whole[] = FIELDS PERSONAL ", 1, \"" ROW_1 "\", \"one\"]";
    gc_audit_personal_t p;
    gc_audit_row_t row;
    gc_slice_t cut;
    char *copy;
    size_t n;

    for (n = 0; n < sizeof(whole) - 1; n++) {
        copy = malloc(n + 1);
        cr_assert_not_null(copy);
        memcpy(copy, whole, n);
        cut.data = copy;
        cut.len = n;

        if (gc_audit_row_parse(&row, cut) == GC_AUDIT_OK) {
            (void) gc_audit_personal(&row, &p);
        }

        free(copy);
    }
}
