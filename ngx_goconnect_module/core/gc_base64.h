/*
 * Base64 and base64url (RFC 4648, sections 4 and 5), in a time that depends
 * on the lengths alone: what is encoded here is secret as a rule.
 */


#ifndef GC_BASE64_H
#define GC_BASE64_H


#include <stddef.h>


/* characters, without a NUL, that n bytes take */
#define GC_BASE64_LEN(n) (((n) + 2) / 3 * 4)
#define GC_BASE64URL_LEN(n) (((n) *4 + 2) / 3)


/* with padding; writes GC_BASE64_LEN(n) characters */
void gc_base64_encode(char *out, const void *in, size_t n);

/* without padding; writes GC_BASE64URL_LEN(n) characters */
void gc_base64url_encode(char *out, const void *in, size_t n);

/*
 * Decodes exactly n bytes.  0; -1 if the text is not the one encoding of n
 * bytes: another length, foreign characters, wrong padding, stray bits.
 */
int gc_base64_decode(void *out, size_t n, const char *in, size_t len);
int gc_base64url_decode(void *out, size_t n, const char *in, size_t len);


#endif /* GC_BASE64_H */
