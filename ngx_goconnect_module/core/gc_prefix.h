#ifndef GC_PREFIX_H
#define GC_PREFIX_H

#include <stddef.h>

/* The longest "ADDRESS/PREFIX" */
#define GC_PREFIX_MAX 49

typedef enum {
    GC_PREFIX_OK = 0,
    GC_PREFIX_SYNTAX,   /* not ADDRESS/PREFIX of IPv4 or IPv6 */
    GC_PREFIX_HOST_BITS /* bits set to the right of the prefix */
} gc_prefix_error_e;

/*
 * Reads "ADDRESS/PREFIX" of either family (RFC 4632, section 3.1, and RFC
 * 4291, section 2.3) and says what is wrong with it. Any range goes, /0 too:
 * what it may cover is the caller's to say.
 */
gc_prefix_error_e gc_prefix_check(const char *text, size_t len);

/* Whether text is an address of either family, without a zone. */
int gc_address_valid(const char *text, size_t len);

#endif
