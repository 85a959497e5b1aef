/* STUN: the samples of RFC 5769, what we write read again, and what is none. */

#include "core/gc_stun.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t transaction[GC_STUN_TRANSACTION] = {
    0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

static const char key[] = "VOkJxbRl1RmTxUk/WvJxBt";

/* RFC 5769, 2.2 */
static const uint8_t sample4[] = {
    0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01,
    0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b,
    0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
    0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
    0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3,
    0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7,
    0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96};

/* RFC 5769, 2.3: the address attribute alone */
static const uint8_t sample6[] = {
    0x01, 0x01, 0x00, 0x18, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7,
    0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x00, 0x20,
    0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5,
    0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9};

static const gc_stun_address_t address4 = {4, {192, 0, 2, 1}, 32853};
static const gc_stun_address_t address6 = {6,
                                           {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34,
                                            0x56, 0x78, 0x00, 0x11, 0x22, 0x33,
                                            0x44, 0x55, 0x66, 0x77},
                                           32853};


static size_t
stun_write(uint8_t *data, size_t room)
{
    gc_stun_writer_t writer;

    gc_stun_begin(&writer, data, room, GC_STUN_REQUEST, GC_STUN_BINDING,
                  transaction);
    gc_stun_put(&writer, GC_STUN_USERNAME, "ada:bob", 7);
    gc_stun_put_u32(&writer, GC_STUN_PRIORITY, 0x6e0001ff);
    gc_stun_put_u64(&writer, GC_STUN_ICE_CONTROLLING, 0x932ff9b151263b36);
    gc_stun_put(&writer, GC_STUN_USE_CANDIDATE, NULL, 0);
    gc_stun_put_address(&writer, GC_STUN_XOR_MAPPED_ADDRESS, &address6);
    gc_stun_put_address(&writer, GC_STUN_OTHER_ADDRESS, &address4);
    gc_stun_put_error(&writer, 438, "Stale Nonce");
    gc_stun_sign(&writer, key, strlen(key));

    return gc_stun_end(&writer);
}


Test(stun, the_samples_of_rfc_5769)
{
    gc_stun_t message;
    gc_stun_address_t address;
    gc_stun_attribute_t attribute;

    cr_assert_eq(gc_stun_read(&message, sample4, sizeof(sample4)), 0);
    cr_assert_eq(message.class, GC_STUN_SUCCESS);
    cr_assert_eq(message.method, GC_STUN_BINDING);
    cr_assert_arr_eq(message.transaction, transaction, sizeof(transaction));
    cr_assert(gc_stun_find(&message, GC_STUN_SOFTWARE, &attribute));
    cr_assert_eq(attribute.size, 11);
    cr_assert_arr_eq(attribute.value, "test vector", 11);
    cr_assert_eq(
        gc_stun_address(&message, GC_STUN_XOR_MAPPED_ADDRESS, &address), 0);
    cr_assert_arr_eq(&address, &address4, sizeof(address));

    /* behind the MAC nothing counts */
    cr_assert(!gc_stun_find(&message, GC_STUN_FINGERPRINT, &attribute));
    cr_assert_eq(gc_stun_verify(&message, key, strlen(key)), -1, "SHA-1");

    cr_assert_eq(gc_stun_read(&message, sample6, sizeof(sample6)), 0);
    cr_assert_eq(
        gc_stun_address(&message, GC_STUN_XOR_MAPPED_ADDRESS, &address), 0);
    cr_assert_arr_eq(&address, &address6, sizeof(address));
}


Test(stun, what_is_written_is_read)
{
    uint8_t data[GC_STUN_MAX];
    size_t size;
    uint32_t priority;
    uint64_t tie;
    gc_stun_t message;
    gc_stun_address_t address;
    gc_stun_attribute_t attribute;

    size = stun_write(data, sizeof(data));
    cr_assert_eq(gc_stun_read(&message, data, size), 0);
    cr_assert_eq(message.class, GC_STUN_REQUEST);
    cr_assert_eq(message.method, GC_STUN_BINDING);
    cr_assert(gc_stun_find(&message, GC_STUN_USERNAME, &attribute));
    cr_assert_eq(attribute.size, 7);
    cr_assert_arr_eq(attribute.value, "ada:bob", 8, "padded with zero");
    cr_assert_eq(gc_stun_u32(&message, GC_STUN_PRIORITY, &priority), 0);
    cr_assert_eq(priority, 0x6e0001ff);
    cr_assert_eq(gc_stun_u64(&message, GC_STUN_ICE_CONTROLLING, &tie), 0);
    cr_assert_eq(tie, 0x932ff9b151263b36);
    cr_assert(gc_stun_find(&message, GC_STUN_USE_CANDIDATE, &attribute));
    cr_assert_eq(attribute.size, 0);
    cr_assert_eq(
        gc_stun_address(&message, GC_STUN_XOR_MAPPED_ADDRESS, &address), 0);
    cr_assert_arr_eq(&address, &address6, sizeof(address));
    cr_assert_eq(gc_stun_address(&message, GC_STUN_OTHER_ADDRESS, &address), 0);
    cr_assert_arr_eq(&address, &address4, sizeof(address));
    cr_assert_eq(gc_stun_error(&message), 438);

    /* another size, or not there */
    cr_assert_eq(gc_stun_u32(&message, GC_STUN_ICE_CONTROLLING, &priority), -1);
    cr_assert_eq(gc_stun_u64(&message, GC_STUN_PRIORITY, &tie), -1);
    cr_assert_eq(gc_stun_u32(&message, GC_STUN_LIFETIME, &priority), -1);
}


Test(stun, classes_and_methods)
{
    uint8_t data[GC_STUN_HEADER];
    unsigned class, method;
    gc_stun_t message;
    gc_stun_writer_t writer;

    for (method = 0; method <= 0xfff; method++) {
        for (class = GC_STUN_REQUEST; class <= GC_STUN_ERROR; class ++) {
            gc_stun_begin(&writer, data, sizeof(data), class, (uint16_t) method,
                          transaction);
            cr_assert_eq(gc_stun_end(&writer), GC_STUN_HEADER);
            cr_assert_eq(gc_stun_read(&message, data, sizeof(data)), 0);
            cr_assert_eq(message.method, method);
            cr_assert_eq(message.class, class);
        }
    }

    /* RFC 8489, 5: an error to a binding request */
    gc_stun_begin(&writer, data, sizeof(data), GC_STUN_ERROR, GC_STUN_BINDING,
                  transaction);
    cr_assert_eq(data[0] << 8 | data[1], 0x0111);
}


Test(stun, any_changed_bit_is_noticed)
{
    uint8_t data[GC_STUN_MAX];
    size_t bit, size;
    gc_stun_t message;

    size = stun_write(data, sizeof(data));
    cr_assert_eq(gc_stun_read(&message, data, size), 0);
    cr_assert_eq(gc_stun_verify(&message, key, strlen(key)), 0);
    cr_assert_eq(gc_stun_verify(&message, key, strlen(key) - 1), -1);

    for (bit = 0; bit < size * 8; bit++) {
        data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        cr_assert(gc_stun_read(&message, data, size) == -1 ||
                      gc_stun_verify(&message, key, strlen(key)) == -1,
                  "bit %zu", bit);
        data[bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
}


Test(stun, what_does_not_fit_is_not_written)
{
    uint8_t data[GC_STUN_MAX];
    size_t room, size;

    size = stun_write(data, sizeof(data));

    for (room = 0; room < size; room++) {
        memset(data, 0xee, sizeof(data));
        cr_assert_eq(stun_write(data, room), 0);
        cr_assert_eq(data[room], 0xee);
    }

    cr_assert_eq(stun_write(data, size), size);
}


Test(stun, a_piece_of_a_message_is_none)
{
    uint8_t data[GC_STUN_MAX];
    size_t cut, size;
    gc_stun_t message;

    size = stun_write(data, sizeof(data));

    for (cut = 0; cut < size; cut++) {
        cr_assert_eq(gc_stun_read(&message, data, cut), -1);
    }

    cr_assert_eq(gc_stun_read(&message, data, size + 4), -1);
}


Test(stun, unknown_attributes)
{
    static const uint16_t known[] = {GC_STUN_USERNAME, GC_STUN_PRIORITY,
                                     GC_STUN_XOR_MAPPED_ADDRESS,
                                     GC_STUN_MESSAGE_INTEGRITY_SHA256};
    uint8_t data[GC_STUN_MAX];
    uint16_t unknown[8];
    gc_stun_t message;

    cr_assert_eq(gc_stun_read(&message, data, stun_write(data, sizeof(data))),
                 0);
    cr_assert_eq(gc_stun_unknown(&message, known, 4, unknown, 8), 2);
    cr_assert_eq(unknown[0], GC_STUN_USE_CANDIDATE);
    cr_assert_eq(unknown[1], GC_STUN_ERROR_CODE);
    cr_assert_eq(gc_stun_unknown(&message, known, 4, unknown, 1), 1);
}


Test(stun, random_datagrams_break_nothing)
{
    uint8_t data[96];
    uint16_t unknown[4];
    uint32_t number;
    uint64_t large;
    unsigned random = 1;
    size_t i, n, read = 0, size;
    gc_stun_t message;
    gc_stun_address_t address;

    for (n = 0; n < 300000; n++) {
        for (i = 0; i < sizeof(data); i++) {
            random = random * 1664525U + 1013904223U;
            data[i] = (uint8_t) (random >> 24);
        }

        /* most are nearly right */
        size = (size_t) (GC_STUN_HEADER + (data[9] % 20) * 4);
        data[0] &= 0x3f;
        data[2] = 0;
        data[3] = (uint8_t) (size - GC_STUN_HEADER);
        memcpy(data + 4, sample4 + 4, 4);

        for (i = GC_STUN_HEADER; i + 4 <= size; i += 8) {
            data[i] &= 0x80;
            data[i + 1] &= 0x2f;
            data[i + 2] = 0;
            data[i + 3] &= 0x0f;
        }

        if (gc_stun_read(&message, data, size) == 0) {
            read++;
            (void) gc_stun_address(&message, data[10], &address);
            (void) gc_stun_u32(&message, data[11], &number);
            (void) gc_stun_u64(&message, data[12], &large);
            (void) gc_stun_error(&message);
            (void) gc_stun_unknown(&message, NULL, 0, unknown, 4);
            cr_assert_eq(gc_stun_verify(&message, key, strlen(key)), -1);
        }
    }

    cr_assert_gt(read, 1000);
}
