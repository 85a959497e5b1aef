#include "os/keys.h"

#include <openssl/evp.h>
#include <openssl/rand.h>


/* Takes the raw public key out of pkey (NULL: failed before). */
static int
keys_export(EVP_PKEY *pkey, struct key *public_key, struct error *error)
{
    size_t length;
    int ok;

    length = KEY_BYTES;
    ok = pkey != NULL &&
         EVP_PKEY_get_raw_public_key(pkey, public_key->bytes, &length) == 1 &&
         length == KEY_BYTES;
    EVP_PKEY_free(pkey);

    if (!ok) {
        return error_set(error, ERROR_SYSTEM, "OpenSSL refuses the X25519 key");
    }

    return 0;
}


int
keys_public(const struct key *private_key, struct key *public_key,
            struct error *error)
{
    EVP_PKEY *pkey;

    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL,
                                        private_key->bytes, KEY_BYTES);

    return keys_export(pkey, public_key, error);
}


int
keys_generate(struct key *private_key, struct key *public_key,
              struct error *error)
{
    if (RAND_priv_bytes(private_key->bytes, KEY_BYTES) != 1) {
        return error_set(error, ERROR_SYSTEM, "no random bytes for a key");
    }

    /* the clamping of RFC 7748, 5, so that every tool shows the same key */
    private_key->bytes[0] &= 248;
    private_key->bytes[31] = (uint8_t) ((private_key->bytes[31] & 127) | 64);

    return keys_public(private_key, public_key, error);
}
