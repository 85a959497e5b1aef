/*
 * Sealing: a small secret as the database may keep it, encrypted under the
 * key ring's "seal" key by AES-256-GCM (NIST SP 800-38D).
 *
 *     version 1 | length of the key's id | the key's id | nonce 12 |
 *     ciphertext | tag 16
 *
 * The row that the secret belongs to is authenticated with it, and so is all
 * that stands before the nonce: a sealed secret that is moved to another row,
 * or given another key's name, does not open.
 */


#ifndef GC_SEAL_H
#define GC_SEAL_H


#include <stddef.h>

#include "core/gc_keys.h"


#define GC_SEAL_NONCE 12
#define GC_SEAL_TAG 16
#define GC_SEAL_SECRET_MAX 256 /* bytes of what is sealed */
#define GC_SEAL_SIZE(len) \
    (2 + GC_KEYS_ID_MAX + GC_SEAL_NONCE + (len) + GC_SEAL_TAG)


typedef enum {
    GC_SEAL_OK = 0,
    GC_SEAL_MALFORMED, /* not what gc_seal_close() makes */
    GC_SEAL_NO_KEY,    /* the ring does not hold the key that it names */
    GC_SEAL_FORGED,    /* changed, or of another row or key */
    GC_SEAL_FAILED     /* the library has failed */
} gc_seal_result_e;


/*
 * Seals len (at most GC_SEAL_SECRET_MAX) bytes into out, which has room for
 * GC_SEAL_SIZE(len); *out_len says how many were written.  The nonce is
 * random, and never used twice with a key.  row is the row's name, a text
 * that no other row has.
 */
gc_seal_result_e gc_seal_close(const gc_key_t *key, const unsigned char *nonce,
                               const char *row, const void *secret, size_t len,
                               unsigned char *out, size_t *out_len);

/*
 * Opens what was sealed for this row, by whichever key of the ring it names.
 * out has room for size bytes; with any other result than GC_SEAL_OK it is
 * wiped.  The caller wipes what was opened.
 */
gc_seal_result_e gc_seal_open(const gc_keys_t *ring, const char *row,
                              const unsigned char *sealed, size_t len,
                              unsigned char *out, size_t size, size_t *out_len);


#endif /* GC_SEAL_H */
