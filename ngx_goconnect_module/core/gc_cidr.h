#ifndef GC_CIDR_H
#define GC_CIDR_H

#include <stddef.h>
#include <stdint.h>

/* Ranges that a network may have */
#define GC_CIDR_PREFIX_MIN 8
#define GC_CIDR_PREFIX_MAX 29

typedef enum {
    GC_CIDR_OK = 0,
    GC_CIDR_SYNTAX,    /* not ADDRESS/PREFIX in dotted decimals */
    GC_CIDR_PREFIX,    /* prefix outside 8..29 */
    GC_CIDR_HOST_BITS, /* bits set to the right of the prefix */
    GC_CIDR_PUBLIC     /* not inside RFC 1918 or RFC 6598 space */
} gc_cidr_error_e;

typedef struct {
    uint32_t address; /* host byte order */
    unsigned prefix;
} gc_cidr_t;

/* Reads the IPv4 range of a network and says what is wrong with it. */
gc_cidr_error_e gc_cidr_parse(const char *text, size_t len, gc_cidr_t *cidr);

/* Whether two ranges share an address. */
int gc_cidr_overlap(const gc_cidr_t *a, const gc_cidr_t *b);

#endif
