/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a hash whose key nobody outside
 * knows, so that nobody can choose what collides.
 */


#ifndef GC_SIPHASH_H
#define GC_SIPHASH_H


#include <stddef.h>
#include <stdint.h>


#define GC_SIPHASH_KEY 16 /* bytes */


uint64_t gc_siphash(const unsigned char key[GC_SIPHASH_KEY], const void *data,
                    size_t len);


#endif /* GC_SIPHASH_H */
