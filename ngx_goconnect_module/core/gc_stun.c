#include "core/gc_stun.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>


static uint16_t
gc_stun_get16(const uint8_t *data)
{
    return (uint16_t) (data[0] << 8 | data[1]);
}


static uint32_t
gc_stun_get32(const uint8_t *data)
{
    return (uint32_t) gc_stun_get16(data) << 16 | gc_stun_get16(data + 2);
}


static void
gc_stun_set16(uint8_t *data, uint16_t value)
{
    data[0] = (uint8_t) (value >> 8);
    data[1] = (uint8_t) value;
}


static void
gc_stun_set32(uint8_t *data, uint32_t value)
{
    gc_stun_set16(data, (uint16_t) (value >> 16));
    gc_stun_set16(data + 2, (uint16_t) value);
}


/* Values are padded to a multiple of four bytes (RFC 8489, 14). */
static size_t
gc_stun_padded(size_t size)
{
    return (size + 3) & ~(size_t) 3;
}


int
gc_stun_like(const uint8_t *data, size_t size)
{
    return size >= GC_STUN_HEADER && (data[0] & 0xc0) == 0 &&
           gc_stun_get32(data + 4) == GC_STUN_COOKIE;
}


int
gc_stun_read(gc_stun_t *message, const uint8_t *data, size_t size)
{
    uint16_t type;
    size_t at, next;

    if (!gc_stun_like(data, size) || size % 4 != 0 ||
        gc_stun_get16(data + 2) + (size_t) GC_STUN_HEADER != size) {
        return -1;
    }

    for (at = GC_STUN_HEADER; at < size; at = next) {
        next = at + 4 + gc_stun_padded(gc_stun_get16(data + at + 2));

        if (next > size) {
            return -1;
        }
    }

    /* the class is in bits 4 and 8 (RFC 8489, 5) */
    type = gc_stun_get16(data);
    message->method = (uint16_t) ((type & 0x000f) | (type & 0x00e0) >> 1 |
                                  (type & 0x3e00) >> 2);
    message->class =
        (gc_stun_class_e) ((type & 0x0010) >> 4 | (type & 0x0100) >> 7);
    message->transaction = data + 8;
    message->data = data;
    message->size = size;

    return 0;
}


int
gc_stun_next(const gc_stun_t *message, gc_stun_attribute_t *attribute)
{
    const uint8_t *at = message->data + GC_STUN_HEADER;

    if (attribute->value != NULL) {
        if (attribute->type == GC_STUN_MESSAGE_INTEGRITY ||
            attribute->type == GC_STUN_MESSAGE_INTEGRITY_SHA256) {
            return 0;
        }

        at = attribute->value + gc_stun_padded(attribute->size);
    }

    if (at == message->data + message->size) {
        return 0;
    }

    attribute->type = gc_stun_get16(at);
    attribute->size = gc_stun_get16(at + 2);
    attribute->value = at + 4;

    return 1;
}


int
gc_stun_find(const gc_stun_t *message, uint16_t type,
             gc_stun_attribute_t *attribute)
{
    memset(attribute, 0, sizeof(*attribute));

    while (gc_stun_next(message, attribute)) {
        if (attribute->type == type) {
            return 1;
        }
    }

    return 0;
}


int
gc_stun_u32(const gc_stun_t *message, uint16_t type, uint32_t *value)
{
    gc_stun_attribute_t attribute;

    if (!gc_stun_find(message, type, &attribute) || attribute.size != 4) {
        return -1;
    }

    *value = gc_stun_get32(attribute.value);
    return 0;
}


int
gc_stun_u64(const gc_stun_t *message, uint16_t type, uint64_t *value)
{
    gc_stun_attribute_t attribute;

    if (!gc_stun_find(message, type, &attribute) || attribute.size != 8) {
        return -1;
    }

    *value = (uint64_t) gc_stun_get32(attribute.value) << 32 |
             gc_stun_get32(attribute.value + 4);
    return 0;
}


/* What an address is XORed with: the cookie and the transaction, as they are
 * in the header (RFC 8489, 14.2). */
static void
gc_stun_xor(gc_stun_address_t *address, const uint8_t *header)
{
    size_t i, size = address->family == 4 ? 4 : 16;

    address->port ^= GC_STUN_COOKIE >> 16;

    for (i = 0; i < size; i++) {
        address->bytes[i] ^= header[4 + i];
    }
}


int
gc_stun_address(const gc_stun_t *message, uint16_t type,
                gc_stun_address_t *address)
{
    size_t size;
    gc_stun_attribute_t attribute;

    if (!gc_stun_find(message, type, &attribute) || attribute.size < 4) {
        return -1;
    }

    size = attribute.value[1] == 1 ? 4 : attribute.value[1] == 2 ? 16 : 0;

    if (size == 0 || attribute.size != 4 + size) {
        return -1;
    }

    memset(address, 0, sizeof(*address));
    address->family = size == 4 ? 4 : 6;
    address->port = gc_stun_get16(attribute.value + 2);
    memcpy(address->bytes, attribute.value + 4, size);

    if (type == GC_STUN_XOR_MAPPED_ADDRESS) {
        gc_stun_xor(address, message->data);
    }

    return 0;
}


int
gc_stun_error(const gc_stun_t *message)
{
    int code;
    gc_stun_attribute_t attribute;

    if (!gc_stun_find(message, GC_STUN_ERROR_CODE, &attribute) ||
        attribute.size < 4) {
        return -1;
    }

    code = (attribute.value[2] & 7) * 100 + attribute.value[3];

    return attribute.value[3] < 100 && code >= 300 && code < 700 ? code : -1;
}


size_t
gc_stun_unknown(const gc_stun_t *message, const uint16_t *known, size_t count,
                uint16_t *unknown, size_t room)
{
    size_t found = 0, i;
    gc_stun_attribute_t attribute;

    memset(&attribute, 0, sizeof(attribute));

    while (found < room && gc_stun_next(message, &attribute)) {
        if (attribute.type >= 0x8000) {
            continue;
        }

        for (i = 0; i < count && known[i] != attribute.type; i++) {
        }

        if (i == count) {
            unknown[found++] = attribute.type;
        }
    }

    return found;
}


/*
 * The MAC of what stands before an attribute at `at`, the header's length
 * being as if the message ended behind that (RFC 8489, 14.6).
 */
static int
gc_stun_mac(const uint8_t *data, size_t at, const void *key, size_t key_size,
            uint8_t mac[GC_STUN_MAC])
{
    uint8_t copy[GC_STUN_MAX];
    unsigned size = GC_STUN_MAC;

    if (at > sizeof(copy) || key_size > 1024) {
        return -1;
    }

    memcpy(copy, data, at);
    gc_stun_set16(copy + 2, (uint16_t) (at + 4 + GC_STUN_MAC - GC_STUN_HEADER));

    return HMAC(EVP_sha256(), key, (int) key_size, copy, at, mac, &size) != NULL
               ? 0
               : -1;
}


int
gc_stun_verify(const gc_stun_t *message, const void *key, size_t key_size)
{
    uint8_t mac[GC_STUN_MAC];
    gc_stun_attribute_t attribute;

    if (!gc_stun_find(message, GC_STUN_MESSAGE_INTEGRITY_SHA256, &attribute) ||
        attribute.size != GC_STUN_MAC ||
        gc_stun_mac(message->data,
                    (size_t) (attribute.value - 4 - message->data), key,
                    key_size, mac) == -1) {
        return -1;
    }

    return CRYPTO_memcmp(mac, attribute.value, sizeof(mac)) == 0 ? 0 : -1;
}


void
gc_stun_begin(gc_stun_writer_t *writer, uint8_t *data, size_t room,
              gc_stun_class_e class, uint16_t method,
              const uint8_t *transaction)
{
    unsigned type;

    memset(writer, 0, sizeof(*writer));
    writer->data = data;
    writer->room = room < GC_STUN_MAX ? room : GC_STUN_MAX;

    if (room < GC_STUN_HEADER) {
        writer->failed = 1;
        return;
    }

    type = (method & 0x00fU) | (method & 0x070U) << 1 | (method & 0xf80U) << 2 |
           (class & 1U) << 4 | (class & 2U) << 7;

    gc_stun_set16(data, (uint16_t) type);
    gc_stun_set16(data + 2, 0);
    gc_stun_set32(data + 4, GC_STUN_COOKIE);

    if (transaction != NULL) {
        memcpy(data + 8, transaction, GC_STUN_TRANSACTION);
    }

    writer->size = GC_STUN_HEADER;
}


/* Room for an attribute's value, padding zeroed; NULL: it does not fit. */
static uint8_t *
gc_stun_room(gc_stun_writer_t *writer, uint16_t type, size_t size)
{
    uint8_t *at;

    if (writer->failed || size > GC_STUN_MAX ||
        writer->room - writer->size < 4 + gc_stun_padded(size)) {
        writer->failed = 1;
        return NULL;
    }

    at = writer->data + writer->size;
    gc_stun_set16(at, type);
    gc_stun_set16(at + 2, (uint16_t) size);
    memset(at + 4, 0, gc_stun_padded(size));
    writer->size += 4 + gc_stun_padded(size);

    return at + 4;
}


void
gc_stun_put(gc_stun_writer_t *writer, uint16_t type, const void *value,
            size_t size)
{
    uint8_t *at = gc_stun_room(writer, type, size);

    if (at != NULL && size > 0) {
        memcpy(at, value, size);
    }
}


void
gc_stun_put_u32(gc_stun_writer_t *writer, uint16_t type, uint32_t value)
{
    uint8_t *at = gc_stun_room(writer, type, 4);

    if (at != NULL) {
        gc_stun_set32(at, value);
    }
}


void
gc_stun_put_u64(gc_stun_writer_t *writer, uint16_t type, uint64_t value)
{
    uint8_t *at = gc_stun_room(writer, type, 8);

    if (at != NULL) {
        gc_stun_set32(at, (uint32_t) (value >> 32));
        gc_stun_set32(at + 4, (uint32_t) value);
    }
}


void
gc_stun_put_address(gc_stun_writer_t *writer, uint16_t type,
                    const gc_stun_address_t *address)
{
    size_t size = address->family == 4 ? 4 : 16;
    uint8_t *at = gc_stun_room(writer, type, 4 + size);
    gc_stun_address_t value = *address;

    if (at == NULL) {
        return;
    }

    if (type == GC_STUN_XOR_MAPPED_ADDRESS) {
        gc_stun_xor(&value, writer->data);
    }

    at[1] = size == 4 ? 1 : 2;
    gc_stun_set16(at + 2, value.port);
    memcpy(at + 4, value.bytes, size);
}


void
gc_stun_put_error(gc_stun_writer_t *writer, int code, const char *reason)
{
    size_t size = strlen(reason);
    uint8_t *at = gc_stun_room(writer, GC_STUN_ERROR_CODE, 4 + size);

    if (at != NULL) {
        at[2] = (uint8_t) (code / 100);
        at[3] = (uint8_t) (code % 100);
        memcpy(at + 4, reason, size);
    }
}


void
gc_stun_sign(gc_stun_writer_t *writer, const void *key, size_t key_size)
{
    uint8_t *at =
        gc_stun_room(writer, GC_STUN_MESSAGE_INTEGRITY_SHA256, GC_STUN_MAC);

    if (at != NULL &&
        gc_stun_mac(writer->data, (size_t) (at - 4 - writer->data), key,
                    key_size, at) == -1) {
        writer->failed = 1;
    }
}


size_t
gc_stun_end(gc_stun_writer_t *writer)
{
    if (writer->failed) {
        return 0;
    }

    gc_stun_set16(writer->data + 2, (uint16_t) (writer->size - GC_STUN_HEADER));
    return writer->size;
}
