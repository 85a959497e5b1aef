#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "core/gc_wg_packet.h"


static void
library_mac(const unsigned char *secret, size_t key_len,
            const unsigned char *data, size_t len, unsigned char *out,
            size_t out_len)
{
    size_t n;
    EVP_MAC *mac;
    EVP_MAC_CTX *context;
    OSSL_PARAM params[2];

    mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    context = EVP_MAC_CTX_new(mac);
    params[0] = OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &out_len);
    params[1] = OSSL_PARAM_construct_end();

    cr_assert_eq(EVP_MAC_init(context, secret, key_len, params), 1);
    cr_assert_eq(EVP_MAC_update(context, data, len), 1);
    cr_assert_eq(EVP_MAC_final(context, out, &n, out_len), 1);

    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
}


Test(blake2s, is_what_the_library_has)
{
    size_t i, len;
    gc_blake2s_key_t key;
    const gc_blake2s_key_t *keys[1] = {&key};
    unsigned char data[300], ours[32], theirs[32];

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char) (i * 7 + 3);
    }

    for (len = 0; len <= sizeof(data); len++) {
        gc_blake2s(data, len, ours);
        cr_assert_eq(
            EVP_Digest(data, len, theirs, NULL, EVP_blake2s256(), NULL), 1);
        cr_assert_eq(memcmp(ours, theirs, 32), 0, "%zu bytes", len);

        if (len > 0) {
            gc_blake2s_key(&key, data, 1 + len % 32, 1 + len % 31);
            gc_blake2s_macs(keys, 1, data, len, ours, 1 + len % 31);
            library_mac(data, 1 + len % 32, data, len, theirs, 1 + len % 31);
            cr_assert_eq(memcmp(ours, theirs, 1 + len % 31), 0,
                         "%zu bytes under a key", len);
        }
    }
}


static void
filled(unsigned char *packet, size_t len, unsigned char type)
{
    size_t i;

    for (i = 4; i < len; i++) {
        packet[i] = (unsigned char) i;
    }

    memset(packet, 0, 4);
    packet[0] = type;
}


Test(wg_packet, is_one_of_four_with_its_own_length)
{
    size_t len;
    unsigned type;
    unsigned char packet[200];
    gc_wg_type_e is, expected;

    for (type = 0; type < 256; type++) {
        for (len = 0; len <= sizeof(packet); len++) {
            filled(packet, sizeof(packet), (unsigned char) type);
            is = gc_wg_packet_type(packet, len);
            expected = (type == 1 && len == 148) || (type == 2 && len == 92) ||
                               (type == 3 && len == 64) ||
                               (type == 4 && len >= 32)
                           ? (gc_wg_type_e) type
                           : GC_WG_NONE;
            cr_assert_eq(is, expected, "type %u, %zu bytes", type, len);
        }
    }

    filled(packet, sizeof(packet), 4);
    packet[3] = 1;
    cr_assert_eq(gc_wg_packet_type(packet, 64), GC_WG_NONE, "reserved bytes");
}


Test(wg_packet, says_whose_indices_it_has)
{
    unsigned char packet[GC_WG_INITIATION];

    filled(packet, sizeof(packet), 2);
    cr_assert_eq(gc_wg_packet_sender(packet), 0x07060504);
    cr_assert_eq(gc_wg_packet_receiver(packet, GC_WG_TYPE_RESPONSE),
                 0x0b0a0908);
    cr_assert_eq(gc_wg_packet_receiver(packet, GC_WG_TYPE_COOKIE), 0x07060504);
    cr_assert_eq(gc_wg_packet_receiver(packet, GC_WG_TYPE_DATA), 0x07060504);
}


/* Whether it is found among other keys at each place, or alone. */
static int
is_for(const gc_wg_mac1_t *mac1, const unsigned char *packet, gc_wg_type_e type)
{
    gc_wg_mac1_t nobodys;
    unsigned n, at, i, found = 0, tried = 0;
    const gc_wg_mac1_t *keys[GC_BLAKE2S_LANES];

    gc_wg_mac1_init(&nobodys, (const unsigned char[GC_WG_KEY]){0xff});

    for (n = 1; n <= GC_BLAKE2S_LANES; n++) {
        for (at = 0; at < n; at++) {
            for (i = 0; i < n; i++) {
                keys[i] = i == at ? mac1 : &nobodys;
            }

            tried++;
            i = gc_wg_mac1_find(keys, n, packet, type);
            cr_assert(i == at || i == n);
            found += i == at;
        }
    }

    cr_assert(found == 0 || found == tried);

    return found != 0;
}


/* The MACs are another implementation's. */
Test(wg_packet, knows_for_whom_a_handshake_is)
{
    size_t i;
    gc_wg_mac1_t mine, other;
    unsigned char key[GC_WG_KEY], packet[GC_WG_INITIATION];
    static const unsigned char initiation[16] = {
        0x44, 0xa5, 0x27, 0x6c, 0x0c, 0x75, 0xb3, 0x7d,
        0x5c, 0xfe, 0xde, 0x7e, 0xae, 0xb9, 0xcf, 0x59};
    static const unsigned char response[16] = {
        0x57, 0x60, 0xcb, 0x0c, 0xd2, 0x7c, 0xe3, 0x41,
        0x10, 0x49, 0x49, 0xb3, 0xea, 0x1a, 0x88, 0x7d};

    for (i = 0; i < sizeof(key); i++) {
        key[i] = (unsigned char) i;
    }

    gc_wg_mac1_init(&mine, key);
    key[31] ^= 1;
    gc_wg_mac1_init(&other, key);

    filled(packet, sizeof(packet), 1);
    memcpy(packet + 116, initiation, 16);
    cr_assert(is_for(&mine, packet, GC_WG_TYPE_INITIATION));
    cr_assert_not(is_for(&other, packet, GC_WG_TYPE_INITIATION));

    for (i = 0; i < 8 * 132; i++) {
        packet[i / 8] ^= (unsigned char) (1 << i % 8);
        cr_assert_not(is_for(&mine, packet, GC_WG_TYPE_INITIATION));
        packet[i / 8] ^= (unsigned char) (1 << i % 8);
    }

    filled(packet, sizeof(packet), 2);
    memcpy(packet + 60, response, 16);
    cr_assert(is_for(&mine, packet, GC_WG_TYPE_RESPONSE));
    cr_assert_not(is_for(&other, packet, GC_WG_TYPE_RESPONSE));
}
