#ifndef GC_UTF8_H
#define GC_UTF8_H

#include <stddef.h>

/*
 * Counts the characters of len bytes of UTF-8 (RFC 3629: no overlong forms,
 * no surrogates, nothing above U+10FFFF). NUL is refused too, because text
 * parameters of PostgreSQL end there.
 * Returns 0 and stores the count, or -1.
 */
int gc_utf8_count(const void *text, size_t len, size_t *chars);

#endif
