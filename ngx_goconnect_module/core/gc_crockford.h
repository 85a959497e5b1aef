#ifndef GC_CROCKFORD_H
#define GC_CROCKFORD_H

#include <stddef.h>
#include <stdint.h>

#define GC_CODE_LEN 10
#define GC_USER_CODE_LEN 8

/*
 * Codes that people type, in Crockford's base32 (no I, L, O, U): those of
 * invites have 50 bits, those of devices that log in 40 (RFC 8628, 6.1).
 *
 * gc_code_encode writes the 10 characters of the low 50 bits of bits.
 *
 * gc_code_normalise reads what a person typed: any case, O as 0, I and L as
 * 1, hyphens skipped. Writes the 10 characters that gc_code_encode would have
 * written; returns -1 if text is no code.
 */
void gc_code_encode(uint64_t bits, char code[GC_CODE_LEN]);
int gc_code_normalise(const void *text, size_t len, char code[GC_CODE_LEN]);

/* The same with the 8 characters of the low 40 bits. */
void gc_user_code_encode(uint64_t bits, char code[GC_USER_CODE_LEN]);
int gc_user_code_normalise(const void *text, size_t len,
                           char code[GC_USER_CODE_LEN]);

#endif
