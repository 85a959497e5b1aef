#include "core/gc_relay_credential.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>


#define GC_RELAY_VERSION 1
#define GC_RELAY_MAC_AT (GC_RELAY_CREDENTIAL - 32)
#define GC_RELAY_SKEW 300 /* seconds that clocks of nodes may differ */


/* HMAC-SHA256 of what a text names and some bytes */
static int
gc_relay_hmac(const unsigned char key[GC_RELAY_KEY], const char *name,
              const unsigned char *data, size_t len, unsigned char out[32])
{
    size_t n;
    unsigned char text[32 + GC_RELAY_CREDENTIAL];

    n = strlen(name);
    memcpy(text, name, n);
    memcpy(text + n, data, len);

    return HMAC(EVP_sha256(), key, GC_RELAY_KEY, text, n + len, out, NULL) !=
                   NULL
               ? 0
               : -1;
}


int
gc_relay_key_set(gc_relay_key_t *key, const unsigned char secret[GC_RELAY_KEY])
{
    unsigned char id[32];

    memmove(key->secret, secret, GC_RELAY_KEY);

    if (gc_relay_hmac(key->secret, "id", (const unsigned char *) "", 0, id) !=
        0) {
        return -1;
    }

    memcpy(key->id, id, sizeof(key->id));

    return 0;
}


int
gc_relay_key_derive(gc_relay_key_t *key,
                    const unsigned char master[GC_RELAY_KEY],
                    const unsigned char relay[GC_RELAY_ID])
{
    int rc;
    unsigned char secret[GC_RELAY_KEY];

    rc = gc_relay_hmac(master, "goconnect relay", relay, GC_RELAY_ID, secret);

    if (rc == 0) {
        rc = gc_relay_key_set(key, secret);
    }

    OPENSSL_cleanse(secret, sizeof(secret));

    return rc;
}


static void
gc_relay_put_u64(unsigned char *p, uint64_t value)
{
    unsigned i;

    for (i = 0; i < 8; i++) {
        p[i] = (unsigned char) (value >> (56 - 8 * i));
    }
}


static uint64_t
gc_relay_get_u64(const unsigned char *p)
{
    unsigned i;
    uint64_t value;

    value = 0;

    for (i = 0; i < 8; i++) {
        value = value << 8 | p[i];
    }

    return value;
}


int
gc_relay_credential_issue(const gc_relay_key_t *key,
                          const gc_relay_credential_t *credential,
                          unsigned char out[GC_RELAY_CREDENTIAL])
{
    memset(out, 0, GC_RELAY_CREDENTIAL);
    out[0] = GC_RELAY_VERSION;
    memcpy(out + 4, key->id, GC_RELAY_KEY_ID);
    memcpy(out + 8, credential->peer, GC_RELAY_ID);
    memcpy(out + 24, credential->network, GC_RELAY_ID);
    memcpy(out + 40, credential->public_key, GC_WG_KEY);
    memcpy(out + 72, credential->next_key, GC_WG_KEY);
    gc_relay_put_u64(out + 104, credential->issued);
    gc_relay_put_u64(out + 112, credential->expires);

    return gc_relay_hmac(key->secret, "", out, GC_RELAY_MAC_AT,
                         out + GC_RELAY_MAC_AT);
}


/* expires in time, was issued in the past, and for no longer than any is */
static int
gc_relay_credential_current(const gc_relay_credential_t *credential,
                            uint64_t now)
{
    return credential->expires > now &&
           credential->issued < credential->expires &&
           credential->issued <= now + GC_RELAY_SKEW &&
           credential->expires - credential->issued <= GC_RELAY_CREDENTIAL_LIFE;
}


gc_relay_credential_result_e
gc_relay_credential_verify(const gc_relay_key_t *keys, size_t nkeys,
                           const unsigned char *bytes, size_t len, uint64_t now,
                           gc_relay_credential_t *credential, size_t *used)
{
    size_t i;
    unsigned char mac[32];
    gc_relay_credential_t read;

    if (len != GC_RELAY_CREDENTIAL || bytes[0] != GC_RELAY_VERSION ||
        (bytes[1] | bytes[2] | bytes[3]) != 0) {
        return GC_RELAY_CREDENTIAL_MALFORMED;
    }

    for (i = 0; i < nkeys; i++) {
        if (memcmp(keys[i].id, bytes + 4, GC_RELAY_KEY_ID) == 0) {
            break;
        }
    }

    if (i == nkeys) {
        return GC_RELAY_CREDENTIAL_NO_KEY;
    }

    if (gc_relay_hmac(keys[i].secret, "", bytes, GC_RELAY_MAC_AT, mac) != 0) {
        return GC_RELAY_CREDENTIAL_FAILED;
    }

    if (CRYPTO_memcmp(mac, bytes + GC_RELAY_MAC_AT, sizeof(mac)) != 0) {
        return GC_RELAY_CREDENTIAL_FORGED;
    }

    memcpy(read.peer, bytes + 8, GC_RELAY_ID);
    memcpy(read.network, bytes + 24, GC_RELAY_ID);
    memcpy(read.public_key, bytes + 40, GC_WG_KEY);
    memcpy(read.next_key, bytes + 72, GC_WG_KEY);
    read.issued = gc_relay_get_u64(bytes + 104);
    read.expires = gc_relay_get_u64(bytes + 112);

    if (!gc_relay_credential_current(&read, now)) {
        return GC_RELAY_CREDENTIAL_EXPIRED;
    }

    *credential = read;
    *used = i;

    return GC_RELAY_CREDENTIAL_OK;
}


int
gc_relay_secret(const gc_relay_key_t *key,
                const unsigned char credential[GC_RELAY_CREDENTIAL],
                unsigned char secret[GC_RELAY_SECRET])
{
    return gc_relay_hmac(key->secret, "secret", credential, GC_RELAY_CREDENTIAL,
                         secret);
}
