#ifndef GC_WGKEY_H
#define GC_WGKEY_H

#include <stddef.h>

#define GC_WGKEY_TEXT_LEN 44

/*
 * Whether text is a WireGuard public key: 32 bytes in padded base64 (RFC 4648,
 * section 4) with no stray bits, and not the all-zero point.
 */
int gc_wgkey_valid(const char *text, size_t len);

#endif
