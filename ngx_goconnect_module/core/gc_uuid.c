#include "core/gc_uuid.h"


static int
gc_uuid_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}


int
gc_uuid_valid(const void *text, size_t len)
{
    const unsigned char *p;
    size_t i;

    if (len != GC_UUID_LEN) {
        return 0;
    }

    p = text;

    for (i = 0; i < GC_UUID_LEN; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (p[i] != '-') {
                return 0;
            }

        } else if (!gc_uuid_hex(p[i])) {
            return 0;
        }
    }

    return 1;
}
