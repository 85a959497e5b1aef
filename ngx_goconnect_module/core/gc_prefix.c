#include "core/gc_prefix.h"

#include "core/gc_inet.h"

#include <string.h>


typedef struct {
    unsigned char byte[sizeof(struct in6_addr)];
    unsigned bits;
} gc_prefix_address_t;


static int
gc_prefix_address(const char *text, size_t len, gc_prefix_address_t *address)
{
    char copy[GC_PREFIX_MAX + 1];
    int family;

    if (len > GC_PREFIX_MAX || memchr(text, '\0', len) != NULL) {
        return -1;
    }

    memcpy(copy, text, len);
    copy[len] = '\0';

    family = memchr(text, ':', len) ? AF_INET6 : AF_INET;
    address->bits = family == AF_INET6 ? 128 : 32;

    return inet_pton(family, copy, address->byte) == 1 ? 0 : -1;
}


/* At most three digits without a leading zero. */
static int
gc_prefix_length(const char *p, size_t len, unsigned *bits)
{
    size_t i;

    if (len == 0 || len > 3 || (len > 1 && p[0] == '0')) {
        return -1;
    }

    for (i = 0, *bits = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        *bits = *bits * 10 + (unsigned) (p[i] - '0');
    }

    return 0;
}


static int
gc_prefix_has_host_bits(const gc_prefix_address_t *address, unsigned prefix)
{
    unsigned i;

    for (i = prefix; i < address->bits; i++) {
        if (address->byte[i / 8] & (0x80 >> i % 8)) {
            return 1;
        }
    }

    return 0;
}


gc_prefix_error_e
gc_prefix_check(const char *text, size_t len)
{
    gc_prefix_address_t address;
    const char *slash;
    unsigned prefix;
    size_t head;

    slash = memchr(text, '/', len);
    if (slash == NULL) {
        return GC_PREFIX_SYNTAX;
    }

    head = (size_t) (slash - text);

    if (gc_prefix_address(text, head, &address) != 0 ||
        gc_prefix_length(slash + 1, len - head - 1, &prefix) != 0 ||
        prefix > address.bits) {
        return GC_PREFIX_SYNTAX;
    }

    return gc_prefix_has_host_bits(&address, prefix) ? GC_PREFIX_HOST_BITS
                                                     : GC_PREFIX_OK;
}


int
gc_address_valid(const char *text, size_t len)
{
    gc_prefix_address_t address;

    return gc_prefix_address(text, len, &address) == 0;
}
