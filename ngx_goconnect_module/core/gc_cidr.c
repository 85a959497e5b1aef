#include "core/gc_cidr.h"


/* RFC 1918, section 3, and RFC 6598, section 7 */
static const gc_cidr_t gc_cidr_private[] = {
    {0x0a000000, 8},  /* 10.0.0.0/8 */
    {0xac100000, 12}, /* 172.16.0.0/12 */
    {0xc0a80000, 16}, /* 192.168.0.0/16 */
    {0x64400000, 10}, /* 100.64.0.0/10 */
};


static uint32_t
gc_cidr_mask(unsigned prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}


/* A decimal without leading zeros; moves *p behind it. */
static int
gc_cidr_number(const char **p, const char *end, unsigned max, unsigned *value)
{
    const char *start;
    unsigned n;

    n = 0;

    for (start = *p; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        n = n * 10 + (unsigned) (**p - '0');

        if (n > max || (*p > start && *start == '0')) {
            return -1;
        }
    }

    *value = n;

    return *p > start ? 0 : -1;
}


static int
gc_cidr_scan(const char *p, const char *end, gc_cidr_t *cidr)
{
    unsigned octet, i;

    cidr->address = 0;

    for (i = 0; i < 4; i++) {
        if (gc_cidr_number(&p, end, 255, &octet) != 0 || p == end ||
            *p++ != (i < 3 ? '.' : '/')) {
            return -1;
        }

        cidr->address = cidr->address << 8 | octet;
    }

    return gc_cidr_number(&p, end, 32, &cidr->prefix) == 0 && p == end ? 0 : -1;
}


gc_cidr_error_e
gc_cidr_parse(const char *text, size_t len, gc_cidr_t *cidr)
{
    const gc_cidr_t *range;
    size_t i;

    if (gc_cidr_scan(text, text + len, cidr) != 0) {
        return GC_CIDR_SYNTAX;
    }

    if (cidr->prefix < GC_CIDR_PREFIX_MIN ||
        cidr->prefix > GC_CIDR_PREFIX_MAX) {
        return GC_CIDR_PREFIX;
    }

    if (cidr->address & ~gc_cidr_mask(cidr->prefix)) {
        return GC_CIDR_HOST_BITS;
    }

    for (i = 0; i < sizeof(gc_cidr_private) / sizeof(gc_cidr_private[0]); i++) {
        range = &gc_cidr_private[i];

        if (cidr->prefix >= range->prefix && gc_cidr_overlap(cidr, range)) {
            return GC_CIDR_OK;
        }
    }

    return GC_CIDR_PUBLIC;
}


int
gc_cidr_overlap(const gc_cidr_t *a, const gc_cidr_t *b)
{
    unsigned prefix;

    prefix = a->prefix < b->prefix ? a->prefix : b->prefix;

    return ((a->address ^ b->address) & gc_cidr_mask(prefix)) == 0;
}
