/*
 * Envelopes: texts that nodes send each other through a stranger's hands.
 *
 *     version 1 | key 4 | nonce 12 | ciphertext | tag 16
 *
 * Sealed by AES-256-GCM (NIST SP 800-38D) under a key that is derived from
 * the key ring's "jwt" keys: who does not hold the ring can neither read nor
 * forge.  What stands before the nonce and the name of the place that they
 * are sent to are authenticated, so that an envelope opens nowhere else.
 */


#ifndef GC_ENVELOPE_H
#define GC_ENVELOPE_H


#include <stddef.h>

#include "core/gc_keys.h"


#define GC_ENVELOPE_NONCE 12
#define GC_ENVELOPE_HEAD (1 + 4 + GC_ENVELOPE_NONCE)
#define GC_ENVELOPE_OVERHEAD (GC_ENVELOPE_HEAD + 16)


typedef struct gc_envelope_s gc_envelope_t;


/* NULL: no memory, no jwt key, or the library has failed; place is copied */
gc_envelope_t *gc_envelope_create(const gc_keys_t *ring, const char *place);

/* wipes the keys; NULL is allowed */
void gc_envelope_free(gc_envelope_t *e);

/*
 * Seals len bytes into out, which has room for len + GC_ENVELOPE_OVERHEAD, by
 * the current key.  A nonce is never used twice with a key.  Returns what was
 * written; 0: the library has failed.
 */
size_t gc_envelope_close(gc_envelope_t *e, const unsigned char *nonce,
                         const void *text, size_t len, unsigned char *out);

/*
 * Opens an envelope by any key of the ring; out has room for size bytes.  0
 * and *out_len, or -1: not an envelope, not for this place, or too long.
 */
int gc_envelope_open(gc_envelope_t *e, const void *sealed, size_t len,
                     unsigned char *out, size_t size, size_t *out_len);

/* the nonce of what may be an envelope, or NULL: it cannot be one */
const unsigned char *gc_envelope_nonce(const void *sealed, size_t len);


#endif /* GC_ENVELOPE_H */
