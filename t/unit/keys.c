#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/gc_keys.h"


#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


static int
parse(gc_keys_t *ring, const char *text, gc_keys_error_t *error)
{
    return gc_keys_parse(ring, text, strlen(text), error);
}


static void
refused(const char *text, unsigned line, const char *why)
{
    size_t i;
    gc_keys_t ring;
    gc_keys_error_t error;

    cr_assert_eq(parse(&ring, text, &error), -1, "accepted: %s", text);
    cr_assert_eq(error.line, line, "line %u: %s", error.line, text);
    cr_assert_not_null(strstr(error.why, why), "%s: %s", error.why, text);

    for (i = 0; i < sizeof(ring); i++) {
        cr_assert_eq(((unsigned char *) &ring)[i], 0, "not wiped: %s", text);
    }
}


Test(keys, first_of_a_purpose_is_current)
{
    size_t i;
    gc_keys_t ring;
    gc_keys_error_t error;
    const gc_key_t *key;

    cr_assert_eq(parse(&ring,
                       "# a comment\n"
                       "\n"
                       "jwt new " SECRET "\n"
                       " \tjwt\told  " SECRET " \r\n"
                       "invite i.1_x-Y " SECRET,
                       &error),
                 0);

    key = gc_keys_current(&ring, GC_KEY_JWT);
    cr_assert_str_eq(key->id, "new");

    for (i = 0; i < GC_KEYS_SECRET; i++) {
        cr_assert_eq(key->secret[i], i);
    }

    cr_assert_str_eq(gc_keys_nth(&ring, GC_KEY_JWT, 1)->id, "old");
    cr_assert_null(gc_keys_nth(&ring, GC_KEY_JWT, 2));
    cr_assert_str_eq(gc_keys_current(&ring, GC_KEY_INVITE)->id, "i.1_x-Y");
    cr_assert_null(gc_keys_current(&ring, GC_KEY_SEAL));
}


Test(keys, every_purpose_has_its_word)
{
    char text[128];
    unsigned p;
    gc_keys_t ring;
    gc_keys_error_t error;

    for (p = 0; p < GC_KEY_PURPOSES; p++) {
        snprintf(text, sizeof(text), "%s a %s\n",
                 gc_keys_purpose((gc_key_purpose_e) p), SECRET);
        cr_assert_eq(parse(&ring, text, &error), 0);
        cr_assert_eq(ring.keys[0].purpose, p);
    }
}


Test(keys, errors_name_the_line)
{
    refused("", 0, "no key");
    refused("# nothing\n\n", 0, "no key");
    refused("jwt a " SECRET "\njwx a " SECRET "\n", 2, "unknown purpose");
    refused("jwt a\n", 1, "three words");
    refused("jwt a " SECRET " b\n", 1, "three words");
    refused("jwt a " SECRET "\njwt a " SECRET "\n", 2, "already");
    refused("jwt a/b " SECRET "\n", 1, "bad id");
    refused("jwt aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa " SECRET "\n", 1, "bad id");
    refused("jwt a AAEC\n", 1, "bad secret");
    refused("\n\njwt a " SECRET "AAAA\n", 3, "bad secret");
}


Test(keys, more_than_fit)
{
    char text[80 * (GC_KEYS_MAX + 1)];
    size_t n;
    unsigned i;

    n = 0;

    for (i = 0; i <= GC_KEYS_MAX; i++) {
        n += (size_t) snprintf(text + n, sizeof(text) - n, "jwt k%u %s\n", i,
                               SECRET);
    }

    refused(text, GC_KEYS_MAX + 1, "64 keys");
}


Test(keys, same_id_for_another_purpose)
{
    gc_keys_t ring;
    gc_keys_error_t error;

    cr_assert_eq(parse(&ring, "jwt a " SECRET "\nseal a " SECRET, &error), 0);
    cr_assert_eq(ring.n, 2);
}
