#include <criterion/criterion.h>
#include <string.h>

#include "core/gc_relay_message.h"


static const unsigned char secret[GC_RELAY_SECRET] =
    "a secret of thirty-two bytes ...";
static const uint8_t transaction[GC_STUN_TRANSACTION] = "transaction";
static const uint8_t peer[GC_RELAY_ID] = "a peer's uuid...";
static const uint8_t nonce[GC_RELAY_NONCE] = "a nonce of 16 by";


static size_t
full_register(uint8_t *out, size_t room)
{
    gc_relay_message_t message;
    static const uint8_t credential[GC_RELAY_CREDENTIAL] = {1, 2, 3};

    memset(&message, 0, sizeof(message));
    message.kind = GC_RELAY_REGISTER;
    message.transaction = transaction;
    message.credential = credential;
    message.nonce = nonce;
    message.serial = 0x1122334455667788;
    message.nhints = 2;
    message.hints[0] = (gc_relay_hint_t){0xa1b2c3d4, peer};
    message.hints[1] = (gc_relay_hint_t){1, peer};
    message.nholds = 1;
    message.holds[0] = (gc_relay_hold_t){3, peer};

    return gc_relay_message_write(&message, secret, out, room);
}


Test(relay_message, is_read_as_it_was_written)
{
    size_t size;
    uint8_t out[GC_STUN_MAX];
    gc_relay_message_t read;

    size = full_register(out, sizeof(out));
    cr_assert_eq(size, 20 + 156 + 20 + 12 + 3 * 24 + 36);
    cr_assert_eq(gc_relay_message_read(&read, out, size), 0);
    cr_assert_eq(read.kind, GC_RELAY_REGISTER);
    cr_assert_eq(memcmp(read.transaction, transaction, 12), 0);
    cr_assert_eq(read.credential[2], 3);
    cr_assert_eq(memcmp(read.nonce, nonce, sizeof(nonce)), 0);
    cr_assert_eq(read.serial, 0x1122334455667788);
    cr_assert_eq(read.nhints, 2);
    cr_assert_eq(read.hints[0].index, 0xa1b2c3d4);
    cr_assert_eq(memcmp(read.hints[1].peer, peer, sizeof(peer)), 0);
    cr_assert_eq(read.nholds, 1);
    cr_assert_eq(read.holds[0].seconds, 3);
    cr_assert_null(read.peer);
    cr_assert_eq(gc_relay_message_verify(&read, secret), 0);
    cr_assert_eq(
        gc_relay_message_verify(
            &read, (const unsigned char *) "another secret of 32 bytes ....."),
        -1);
}


/* A nonce goes to an address that nobody has proved. */
Test(relay_message, of_an_unproved_address_gets_less_than_it_sent)
{
    size_t size;
    uint8_t out[GC_STUN_MAX];
    gc_relay_message_t message;

    memset(&message, 0, sizeof(message));
    message.kind = GC_RELAY_REGISTER;
    message.transaction = transaction;
    message.peer = peer;
    message.serial = 1;
    size = gc_relay_message_write(&message, secret, out, sizeof(out));
    cr_assert_eq(size, 88);

    memset(&message, 0, sizeof(message));
    message.kind = GC_RELAY_ERROR;
    message.transaction = transaction;
    message.error = GC_RELAY_PROVE;
    message.nonce = nonce;
    cr_assert_eq(gc_relay_message_write(&message, NULL, out, sizeof(out)), 48);

    memset(&message, 0, sizeof(message));
    message.kind = GC_RELAY_UNREGISTERED;
    message.transaction = transaction;
    cr_assert_eq(gc_relay_message_write(&message, NULL, out, sizeof(out)), 20);
}


Test(relay_message, notices_every_changed_bit_and_every_cut)
{
    size_t i, size;
    uint8_t out[GC_STUN_MAX];
    gc_relay_message_t read;

    size = full_register(out, sizeof(out));

    for (i = 0; i < 8 * size; i++) {
        out[i / 8] ^= (uint8_t) (1 << i % 8);
        cr_assert(gc_relay_message_read(&read, out, size) != 0 ||
                      gc_relay_message_verify(&read, secret) != 0,
                  "bit %zu", i);
        out[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    for (i = 0; i < size; i++) {
        cr_assert_eq(gc_relay_message_read(&read, out, i), -1, "%zu bytes", i);
        cr_assert_eq(full_register(out, i), 0, "room of %zu", i);
    }
}


Test(relay_message, reads_whatever_comes)
{
    size_t i, n, size;
    uint64_t seed = 88172645463325252ULL;
    uint8_t out[GC_STUN_MAX];
    gc_relay_message_t read;

    for (n = 0; n < 200000; n++) {
        size = full_register(out, sizeof(out));

        for (i = 0; i < 1 + n % 4; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            out[(seed >> 8) % size] = (uint8_t) seed;
        }

        if (gc_relay_message_read(&read, out, size) == 0) {
            cr_assert_leq(read.nhints, GC_RELAY_HINTS);
            cr_assert_leq(read.nholds, GC_RELAY_HOLDS);
            (void) gc_relay_message_verify(&read, secret);
        }
    }
}
