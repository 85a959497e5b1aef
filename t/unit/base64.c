#include <criterion/criterion.h>
#include <string.h>

#include "core/gc_base64.h"


typedef struct {
    const char *bytes;
    const char *standard;
    const char *url;
} vector_t;


/* RFC 4648, section 10, and the characters that the alphabets differ in */
static const vector_t vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/", "-_-_"},
    {"\xff\xef", "/+8=", "_-8"},
};


Test(base64, vectors)
{
    size_t i, n;
    char text[16], bytes[16];

    for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        n = strlen(vectors[i].bytes);

        memset(text, 0, sizeof(text));
        gc_base64_encode(text, vectors[i].bytes, n);
        cr_assert_str_eq(text, vectors[i].standard);
        cr_assert_eq(GC_BASE64_LEN(n), strlen(text));
        cr_assert_eq(gc_base64_decode(bytes, n, text, strlen(text)), 0);
        cr_assert_eq(memcmp(bytes, vectors[i].bytes, n), 0);

        memset(text, 0, sizeof(text));
        gc_base64url_encode(text, vectors[i].bytes, n);
        cr_assert_str_eq(text, vectors[i].url);
        cr_assert_eq(GC_BASE64URL_LEN(n), strlen(text));
        cr_assert_eq(gc_base64url_decode(bytes, n, text, strlen(text)), 0);
        cr_assert_eq(memcmp(bytes, vectors[i].bytes, n), 0);
    }
}


Test(base64, every_byte_comes_back)
{
    size_t i;
    char text[GC_BASE64_LEN(256)];
    unsigned char in[256], out[256];

    for (i = 0; i < sizeof(in); i++) {
        in[i] = (unsigned char) (i * 7);
    }

    gc_base64_encode(text, in, sizeof(in));
    cr_assert_eq(gc_base64_decode(out, sizeof(out), text, sizeof(text)), 0);
    cr_assert_eq(memcmp(in, out, sizeof(in)), 0);
}


Test(base64, one_encoding_only)
{
    char out[8];

    cr_assert_eq(gc_base64_decode(out, 1, "Zh==", 4), -1, "stray bits");
    cr_assert_eq(gc_base64_decode(out, 2, "Zm9=", 4), -1, "stray bits");
    cr_assert_eq(gc_base64_decode(out, 1, "Zg", 2), -1, "no padding");
    cr_assert_eq(gc_base64_decode(out, 1, "Zg=a", 4), -1, "half padding");
    cr_assert_eq(gc_base64_decode(out, 3, "Zm-v", 4), -1, "other alphabet");
    cr_assert_eq(gc_base64_decode(out, 3, "Zm9 ", 4), -1, "blank");
    cr_assert_eq(gc_base64_decode(out, 3, "Zm9\xff", 4), -1, "high byte");
    cr_assert_eq(gc_base64_decode(out, 2, "Zm9v", 4), -1, "other length");
    cr_assert_eq(gc_base64url_decode(out, 1, "Zg==", 4), -1, "padding");
    cr_assert_eq(gc_base64url_decode(out, 1, "Zh", 2), -1, "stray bits");
    cr_assert_eq(gc_base64url_decode(out, 3, "Zm+v", 4), -1, "other alphabet");
}
