#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/gc_relay_credential.h"


#define NOW 1800000000


static gc_relay_key_t
key_of(unsigned char relay)
{
    unsigned i;
    gc_relay_key_t key;
    unsigned char master[GC_RELAY_KEY], id[GC_RELAY_ID];

    for (i = 0; i < sizeof(master); i++) {
        master[i] = (unsigned char) i;
    }

    memset(id, 0x11, sizeof(id));
    id[6] = 0x41;
    id[8] = 0x81;
    id[15] = relay;
    cr_assert_eq(gc_relay_key_derive(&key, master, id), 0);

    return key;
}


static gc_relay_credential_t
credential_of(uint64_t issued, uint64_t expires)
{
    gc_relay_credential_t credential;

    memset(&credential, 0, sizeof(credential));
    memset(credential.peer, 0x22, sizeof(credential.peer));
    memset(credential.network, 0x33, sizeof(credential.network));
    memset(credential.public_key, 0x44, sizeof(credential.public_key));
    credential.issued = issued;
    credential.expires = expires;

    return credential;
}


static gc_relay_credential_result_e
verified_at(uint64_t issued, uint64_t expires, uint64_t now)
{
    size_t used;
    gc_relay_key_t key;
    gc_relay_credential_t credential, read;
    unsigned char bytes[GC_RELAY_CREDENTIAL];

    key = key_of(0x11);
    credential = credential_of(issued, expires);
    cr_assert_eq(gc_relay_credential_issue(&key, &credential, bytes), 0);

    return gc_relay_credential_verify(&key, 1, bytes, sizeof(bytes), now, &read,
                                      &used);
}


static void
equals_hex(const unsigned char *bytes, size_t len, const char *hex)
{
    size_t i;
    char text[2 * 64 + 1];

    for (i = 0; i < len; i++) {
        (void) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }

    cr_assert_str_eq(text, hex);
}


Test(relay_credential, is_read_as_it_was_issued)
{
    size_t used;
    gc_relay_key_t keys[2];
    gc_relay_credential_t credential, read;
    unsigned char bytes[GC_RELAY_CREDENTIAL];

    keys[0] = key_of(1);
    keys[1] = key_of(2);
    credential = credential_of(NOW, NOW + GC_RELAY_CREDENTIAL_LIFE);
    cr_assert_eq(gc_relay_credential_issue(&keys[1], &credential, bytes), 0);
    cr_assert_eq(gc_relay_credential_verify(keys, 2, bytes, sizeof(bytes), NOW,
                                            &read, &used),
                 GC_RELAY_CREDENTIAL_OK);
    cr_assert_eq(used, 1);
    cr_assert_eq(memcmp(&read, &credential, sizeof(read)), 0);
}


/* As another implementation of HMAC-SHA256 gives it for the same fields. */
Test(relay_credential, has_the_format_that_is_documented)
{
    gc_relay_key_t key;
    gc_relay_credential_t credential;
    unsigned char bytes[GC_RELAY_CREDENTIAL], secret[GC_RELAY_SECRET];

    key = key_of(0x11);
    credential = credential_of(NOW, NOW + 86400);
    cr_assert_eq(gc_relay_credential_issue(&key, &credential, bytes), 0);
    cr_assert_eq(gc_relay_secret(&key, bytes, secret), 0);

    equals_hex(bytes, 8, "010000004135fe5f");
    equals_hex(
        bytes + 120, 32,
        "5dc8ddcd2a1833695b4e180ab92ece3d75ea5d28775a0adb09e94ae88c342f0e");
    equals_hex(
        secret, 32,
        "ea1872ae14688876a86b41ef05ffd3596ce297d09888b9ffda623ecf1a6cbc06");
}


Test(relay_credential, notices_every_changed_bit_and_every_cut)
{
    size_t i, used;
    gc_relay_key_t key;
    gc_relay_credential_t credential, read;
    unsigned char bytes[GC_RELAY_CREDENTIAL + 1];

    key = key_of(0x11);
    credential = credential_of(NOW, NOW + 60);
    cr_assert_eq(gc_relay_credential_issue(&key, &credential, bytes), 0);
    bytes[GC_RELAY_CREDENTIAL] = 0;

    for (i = 0; i < 8 * GC_RELAY_CREDENTIAL; i++) {
        bytes[i / 8] ^= (unsigned char) (1 << i % 8);
        cr_assert_neq(gc_relay_credential_verify(&key, 1, bytes,
                                                 GC_RELAY_CREDENTIAL, NOW,
                                                 &read, &used),
                      GC_RELAY_CREDENTIAL_OK, "bit %zu", i);
        bytes[i / 8] ^= (unsigned char) (1 << i % 8);
    }

    for (i = 0; i <= sizeof(bytes); i++) {
        if (i != GC_RELAY_CREDENTIAL) {
            cr_assert_eq(gc_relay_credential_verify(&key, 1, bytes, i, NOW,
                                                    &read, &used),
                         GC_RELAY_CREDENTIAL_MALFORMED);
        }
    }
}


Test(relay_credential, of_one_relay_is_of_no_use_at_another)
{
    size_t used;
    gc_relay_key_t one, other;
    gc_relay_credential_t credential, read;
    unsigned char bytes[GC_RELAY_CREDENTIAL];

    one = key_of(1);
    other = key_of(2);
    credential = credential_of(NOW, NOW + 60);
    cr_assert_eq(gc_relay_credential_issue(&one, &credential, bytes), 0);
    cr_assert_eq(gc_relay_credential_verify(&other, 1, bytes, sizeof(bytes),
                                            NOW, &read, &used),
                 GC_RELAY_CREDENTIAL_NO_KEY);

    /* the same name does not help */
    memcpy(other.id, one.id, sizeof(other.id));
    cr_assert_eq(gc_relay_credential_verify(&other, 1, bytes, sizeof(bytes),
                                            NOW, &read, &used),
                 GC_RELAY_CREDENTIAL_FORGED);
}


Test(relay_credential, is_good_for_a_day_at_most)
{
    const uint64_t day = GC_RELAY_CREDENTIAL_LIFE;

    cr_assert_eq(verified_at(NOW, NOW + day, NOW), GC_RELAY_CREDENTIAL_OK);
    cr_assert_eq(verified_at(NOW, NOW + day, NOW + day - 1),
                 GC_RELAY_CREDENTIAL_OK);
    cr_assert_eq(verified_at(NOW, NOW + day, NOW + day),
                 GC_RELAY_CREDENTIAL_EXPIRED);
    cr_assert_eq(verified_at(NOW, NOW + day + 1, NOW),
                 GC_RELAY_CREDENTIAL_EXPIRED);
    cr_assert_eq(verified_at(NOW + 60, NOW + 120, NOW), GC_RELAY_CREDENTIAL_OK,
                 "a clock that is a minute ahead");
    cr_assert_eq(verified_at(NOW + 3600, NOW + day, NOW),
                 GC_RELAY_CREDENTIAL_EXPIRED);
    cr_assert_eq(verified_at(NOW + 60, NOW + 60, NOW),
                 GC_RELAY_CREDENTIAL_EXPIRED);
}
