#include "core/gc_envelope.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>


#define GC_ENVELOPE_VERSION 1
#define GC_ENVELOPE_TAG 16
#define GC_ENVELOPE_PLACE_MAX 256
#define GC_ENVELOPE_LABEL "goconnect bus 1"


/* HMAC-SHA-512 of the label: the key, then four bytes that name it */
typedef struct {
    unsigned char secret[32];
    unsigned char name[4];
    unsigned char rest[28];
} gc_envelope_key_t;


struct gc_envelope_s {
    EVP_CIPHER_CTX *cipher;
    size_t n;
    size_t place_len;
    char place[GC_ENVELOPE_PLACE_MAX];
    gc_envelope_key_t keys[GC_KEYS_MAX];
};


static int
gc_envelope_derive(gc_envelope_t *e, const gc_keys_t *ring)
{
    const gc_key_t *key;
    unsigned len;

    while ((key = gc_keys_nth(ring, GC_KEY_JWT, e->n)) != NULL) {
        len = sizeof(gc_envelope_key_t);

        if (HMAC(EVP_sha512(), key->secret, GC_KEYS_SECRET,
                 (const unsigned char *) GC_ENVELOPE_LABEL,
                 sizeof(GC_ENVELOPE_LABEL) - 1,
                 (unsigned char *) &e->keys[e->n], &len) == NULL ||
            len != sizeof(gc_envelope_key_t)) {
            return -1;
        }

        e->n++;
    }

    return e->n ? 0 : -1;
}


gc_envelope_t *
gc_envelope_create(const gc_keys_t *ring, const char *place)
{
    gc_envelope_t *e;
    size_t len;

    len = strlen(place);

    if (len > GC_ENVELOPE_PLACE_MAX) {
        return NULL;
    }

    e = calloc(1, sizeof(gc_envelope_t));
    if (e == NULL) {
        return NULL;
    }

    e->place_len = len;
    memcpy(e->place, place, len);
    e->cipher = EVP_CIPHER_CTX_new();

    if (e->cipher == NULL || gc_envelope_derive(e, ring) != 0 ||
        EVP_CipherInit_ex(e->cipher, EVP_aes_256_gcm(), NULL, NULL, NULL, 1) !=
            1) {
        gc_envelope_free(e);
        return NULL;
    }

    return e;
}


void
gc_envelope_free(gc_envelope_t *e)
{
    if (e == NULL) {
        return;
    }

    EVP_CIPHER_CTX_free(e->cipher);
    OPENSSL_cleanse(e, sizeof(gc_envelope_t));
    free(e);
}


/* takes up the key and what is authenticated beside the text */
static int
gc_envelope_begin(gc_envelope_t *e, const gc_envelope_key_t *key,
                  const unsigned char *head, int encrypt)
{
    int n;

    return EVP_CipherInit_ex(e->cipher, NULL, NULL, key->secret,
                             head + GC_ENVELOPE_HEAD - GC_ENVELOPE_NONCE,
                             encrypt) == 1 &&
           EVP_CipherUpdate(e->cipher, NULL, &n, head,
                            GC_ENVELOPE_HEAD - GC_ENVELOPE_NONCE) == 1 &&
           EVP_CipherUpdate(e->cipher, NULL, &n,
                            (const unsigned char *) e->place,
                            (int) e->place_len) == 1;
}


size_t
gc_envelope_close(gc_envelope_t *e, const unsigned char *nonce,
                  const void *text, size_t len, unsigned char *out)
{
    unsigned char *p;
    int n;

    if (len > INT_MAX) {
        return 0;
    }

    out[0] = GC_ENVELOPE_VERSION;
    memcpy(out + 1, e->keys[0].name, sizeof(e->keys[0].name));
    memcpy(out + GC_ENVELOPE_HEAD - GC_ENVELOPE_NONCE, nonce,
           GC_ENVELOPE_NONCE);
    p = out + GC_ENVELOPE_HEAD;

    if (!gc_envelope_begin(e, &e->keys[0], out, 1) ||
        EVP_CipherUpdate(e->cipher, p, &n, text, (int) len) != 1 ||
        EVP_CipherFinal_ex(e->cipher, p + n, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(e->cipher, EVP_CTRL_GCM_GET_TAG, GC_ENVELOPE_TAG,
                            p + len) != 1) {
        return 0;
    }

    return len + GC_ENVELOPE_OVERHEAD;
}


const unsigned char *
gc_envelope_nonce(const void *sealed, size_t len)
{
    const unsigned char *p;

    p = sealed;

    return len >= GC_ENVELOPE_OVERHEAD && p[0] == GC_ENVELOPE_VERSION
               ? p + GC_ENVELOPE_HEAD - GC_ENVELOPE_NONCE
               : NULL;
}


static int
gc_envelope_try(gc_envelope_t *e, const gc_envelope_key_t *key,
                const unsigned char *sealed, size_t text_len,
                unsigned char *out)
{
    const unsigned char *text;
    int n;

    text = sealed + GC_ENVELOPE_HEAD;

    return gc_envelope_begin(e, key, sealed, 0) &&
           EVP_CipherUpdate(e->cipher, out, &n, text, (int) text_len) == 1 &&
           EVP_CIPHER_CTX_ctrl(e->cipher, EVP_CTRL_GCM_SET_TAG, GC_ENVELOPE_TAG,
                               (void *) (text + text_len)) == 1 &&
           EVP_CipherFinal_ex(e->cipher, out + n, &n) == 1;
}


int
gc_envelope_open(gc_envelope_t *e, const void *sealed, size_t len,
                 unsigned char *out, size_t size, size_t *out_len)
{
    const unsigned char *p;
    size_t i;

    p = sealed;

    if (gc_envelope_nonce(sealed, len) == NULL ||
        len - GC_ENVELOPE_OVERHEAD > size || len > INT_MAX) {
        return -1;
    }

    for (i = 0; i < e->n; i++) {
        if (memcmp(e->keys[i].name, p + 1, sizeof(e->keys[i].name)) == 0 &&
            gc_envelope_try(e, &e->keys[i], p, len - GC_ENVELOPE_OVERHEAD,
                            out)) {
            *out_len = len - GC_ENVELOPE_OVERHEAD;
            return 0;
        }
    }

    return -1;
}
