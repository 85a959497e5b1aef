/* What holds floods back: paces, and proofs of an address. */


#include "core/gc_relay_table_private.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>


/* ----------------------------------------------------------------- paces */

int
gc_relay_pace(uint64_t *pace, uint64_t now, uint64_t cost, uint64_t burst)
{
    uint64_t at = *pace > now * 1000 ? *pace : now * 1000;

    if (at + cost > now * 1000 + burst) {
        return 0;
    }

    *pace = at + cost;
    return 1;
}


uint64_t *
gc_relay_search_pace(gc_relay_t *relay)
{
    return &relay->search_pace;
}


uint64_t *
gc_relay_prefix_pace(gc_relay_t *relay, const gc_stun_address_t *remote)
{
    unsigned char text[7] = {remote->family};

    /* whoever has one address has these */
    memcpy(text + 1, remote->bytes, remote->family == 4 ? 3 : 6);

    return &relay->prefix_pace[gc_relay_hash(relay, text, sizeof(text)) %
                               GC_RELAY_PREFIXES];
}


/* ---------------------------------------------------------------- nonces */

static int
gc_relay_nonce_of(const gc_relay_t *relay, const gc_stun_address_t *remote,
                  uint64_t second, uint8_t nonce[16])
{
    unsigned i;
    unsigned char text[23], mac[32];

    for (i = 0; i < 4; i++) {
        nonce[i] = (uint8_t) (second >> (24 - 8 * i));
    }

    memcpy(text, nonce, 4);
    text[4] = remote->family;
    memcpy(text + 5, remote->bytes, 16);
    text[21] = (unsigned char) (remote->port >> 8);
    text[22] = (unsigned char) remote->port;

    if (HMAC(EVP_sha256(), relay->nonce_key, sizeof(relay->nonce_key), text,
             sizeof(text), mac, NULL) == NULL) {
        return -1;
    }

    memcpy(nonce + 4, mac, 12);
    return 0;
}


int
gc_relay_nonce(const gc_relay_t *relay, const gc_stun_address_t *remote,
               uint64_t now, uint8_t nonce[16])
{
    return gc_relay_nonce_of(relay, remote, now / 1000, nonce);
}


int
gc_relay_nonce_valid(const gc_relay_t *relay, const gc_stun_address_t *remote,
                     uint64_t now, const uint8_t nonce[16])
{
    uint64_t second;
    uint8_t expected[16];

    second = (uint64_t) nonce[0] << 24 | (uint64_t) nonce[1] << 16 |
             (uint64_t) nonce[2] << 8 | nonce[3];

    return second <= now / 1000 &&
           now / 1000 - second < GC_RELAY_NONCE_MS / 1000 &&
           gc_relay_nonce_of(relay, remote, second, expected) == 0 &&
           CRYPTO_memcmp(expected, nonce, sizeof(expected)) == 0;
}
