#include "core/gc_seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>


#define GC_SEAL_VERSION 1
#define GC_SEAL_ROW_MAX 256


/* Where the parts of a sealed secret begin; all point into it. */
typedef struct {
    const unsigned char *id;
    size_t id_len;
    const unsigned char *nonce;
    const unsigned char *text;
    size_t text_len;
    const unsigned char *tag;
} gc_seal_parts_t;


/* What is authenticated beside the secret: head, then the row's name. */
static int
gc_seal_aad(EVP_CIPHER_CTX *cipher, const unsigned char *head, size_t head_len,
            const char *row)
{
    int n;
    size_t row_len;

    row_len = strlen(row);

    return row_len <= GC_SEAL_ROW_MAX &&
           EVP_CipherUpdate(cipher, NULL, &n, head, (int) head_len) == 1 &&
           EVP_CipherUpdate(cipher, NULL, &n, (const unsigned char *) row,
                            (int) row_len) == 1;
}


gc_seal_result_e
gc_seal_close(const gc_key_t *key, const unsigned char *nonce, const char *row,
              const void *secret, size_t len, unsigned char *out,
              size_t *out_len)
{
    int n, ok;
    size_t head;
    unsigned char *p;
    EVP_CIPHER_CTX *cipher;

    if (len > GC_SEAL_SECRET_MAX) {
        return GC_SEAL_MALFORMED;
    }

    head = 2 + strlen(key->id);
    out[0] = GC_SEAL_VERSION;
    out[1] = (unsigned char) (head - 2);
    memcpy(out + 2, key->id, head - 2);
    memcpy(out + head, nonce, GC_SEAL_NONCE);
    p = out + head + GC_SEAL_NONCE;

    cipher = EVP_CIPHER_CTX_new();

    ok = cipher != NULL &&
         EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->secret, nonce,
                           1) == 1 &&
         gc_seal_aad(cipher, out, head, row) &&
         EVP_CipherUpdate(cipher, p, &n, secret, (int) len) == 1 &&
         EVP_CipherFinal_ex(cipher, p + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, GC_SEAL_TAG,
                             p + len) == 1;

    EVP_CIPHER_CTX_free(cipher);
    *out_len = head + GC_SEAL_NONCE + len + GC_SEAL_TAG;

    return ok ? GC_SEAL_OK : GC_SEAL_FAILED;
}


static int
gc_seal_parse(gc_seal_parts_t *parts, const unsigned char *sealed, size_t len)
{
    size_t rest;

    if (len < 2 || sealed[0] != GC_SEAL_VERSION || sealed[1] == 0 ||
        sealed[1] > GC_KEYS_ID_MAX) {
        return -1;
    }

    parts->id = sealed + 2;
    parts->id_len = sealed[1];
    rest = len - 2;

    if (rest < parts->id_len + GC_SEAL_NONCE + GC_SEAL_TAG) {
        return -1;
    }

    rest -= parts->id_len + GC_SEAL_NONCE + GC_SEAL_TAG;
    parts->nonce = parts->id + parts->id_len;
    parts->text = parts->nonce + GC_SEAL_NONCE;
    parts->text_len = rest;
    parts->tag = parts->text + rest;

    return rest <= GC_SEAL_SECRET_MAX ? 0 : -1;
}


static const gc_key_t *
gc_seal_key(const gc_keys_t *ring, const gc_seal_parts_t *parts)
{
    size_t i;
    const gc_key_t *key;

    for (i = 0; (key = gc_keys_nth(ring, GC_KEY_SEAL, i)) != NULL; i++) {
        if (strlen(key->id) == parts->id_len &&
            memcmp(key->id, parts->id, parts->id_len) == 0) {
            return key;
        }
    }

    return NULL;
}


gc_seal_result_e
gc_seal_open(const gc_keys_t *ring, const char *row,
             const unsigned char *sealed, size_t len, unsigned char *out,
             size_t size, size_t *out_len)
{
    int n, ok;
    const gc_key_t *key;
    gc_seal_parts_t parts;
    EVP_CIPHER_CTX *cipher;

    *out_len = 0;

    if (gc_seal_parse(&parts, sealed, len) != 0 || parts.text_len > size) {
        OPENSSL_cleanse(out, size);
        return GC_SEAL_MALFORMED;
    }

    key = gc_seal_key(ring, &parts);

    if (key == NULL) {
        OPENSSL_cleanse(out, size);
        return GC_SEAL_NO_KEY;
    }

    cipher = EVP_CIPHER_CTX_new();

    ok = cipher != NULL &&
         EVP_CipherInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->secret,
                           parts.nonce, 0) == 1 &&
         gc_seal_aad(cipher, sealed, (size_t) (parts.nonce - sealed), row) &&
         EVP_CipherUpdate(cipher, out, &n, parts.text, (int) parts.text_len) ==
             1 &&
         EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, GC_SEAL_TAG,
                             (void *) parts.tag) == 1 &&
         EVP_CipherFinal_ex(cipher, out + n, &n) == 1;

    EVP_CIPHER_CTX_free(cipher);

    if (!ok) {
        OPENSSL_cleanse(out, size);
        return GC_SEAL_FORGED;
    }

    *out_len = parts.text_len;

    return GC_SEAL_OK;
}
