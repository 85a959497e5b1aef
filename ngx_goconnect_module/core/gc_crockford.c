#include "core/gc_crockford.h"

#include <string.h>


static const char gc_code_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";


static void
gc_code_write(uint64_t bits, char *code, size_t size)
{
    size_t i;

    for (i = size; i > 0; i--) {
        code[i - 1] = gc_code_digits[bits & 31];
        bits >>= 5;
    }
}


void
gc_code_encode(uint64_t bits, char code[GC_CODE_LEN])
{
    gc_code_write(bits, code, GC_CODE_LEN);
}


void
gc_user_code_encode(uint64_t bits, char code[GC_USER_CODE_LEN])
{
    gc_code_write(bits, code, GC_USER_CODE_LEN);
}


static char
gc_code_fold(char c)
{
    if (c >= 'a' && c <= 'z') {
        c = (char) (c - 'a' + 'A');
    }

    switch (c) {
    case 'O':
        return '0';
    case 'I':
    case 'L':
        return '1';
    default:
        return c;
    }
}


static int
gc_code_read(const void *text, size_t len, char *code, size_t size)
{
    const char *p;
    size_t i, n;
    char c;

    p = text;
    n = 0;

    for (i = 0; i < len; i++) {
        if (p[i] == '-') {
            continue;
        }

        c = gc_code_fold(p[i]);

        if (n == size || c == '\0' || strchr(gc_code_digits, c) == NULL) {
            return -1;
        }

        code[n++] = c;
    }

    return n == size ? 0 : -1;
}


int
gc_code_normalise(const void *text, size_t len, char code[GC_CODE_LEN])
{
    return gc_code_read(text, len, code, GC_CODE_LEN);
}


int
gc_user_code_normalise(const void *text, size_t len,
                       char code[GC_USER_CODE_LEN])
{
    return gc_code_read(text, len, code, GC_USER_CODE_LEN);
}
