#ifndef GC_UUID_H
#define GC_UUID_H

#include <stddef.h>

#define GC_UUID_LEN 36

/*
 * Whether text is one UUID in its 36-character form (RFC 9562, section 4) in
 * lower case, the only form that GoConnect writes and reads.
 */
int gc_uuid_valid(const void *text, size_t len);

#endif
