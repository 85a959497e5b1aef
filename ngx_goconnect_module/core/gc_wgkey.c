#include "core/gc_wgkey.h"


static int
gc_wgkey_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return c == '+' ? 62 : c == '/' ? 63 : -1;
}


int
gc_wgkey_valid(const char *text, size_t len)
{
    size_t i;
    int digit, any;

    if (len != GC_WGKEY_TEXT_LEN || text[GC_WGKEY_TEXT_LEN - 1] != '=') {
        return 0;
    }

    any = 0;
    digit = 0;

    for (i = 0; i < GC_WGKEY_TEXT_LEN - 1; i++) {
        digit = gc_wgkey_digit(text[i]);

        if (digit < 0) {
            return 0;
        }

        any |= digit;
    }

    /* 43 digits hold 258 bits: the last two must be clear */
    return any != 0 && (digit & 3) == 0;
}
