#include "core/gc_relay_message.h"

#include <string.h>


typedef struct {
    uint16_t method;
    gc_stun_class_e class;
} gc_relay_kind_t;


static const gc_relay_kind_t gc_relay_kinds[GC_RELAY_KINDS] = {
    [GC_RELAY_BINDING] = {GC_STUN_BINDING, GC_STUN_REQUEST},
    [GC_RELAY_REGISTER] = {GC_RELAY_METHOD_REGISTER, GC_STUN_REQUEST},
    [GC_RELAY_REGISTERED] = {GC_RELAY_METHOD_REGISTER, GC_STUN_SUCCESS},
    [GC_RELAY_ERROR] = {GC_RELAY_METHOD_REGISTER, GC_STUN_ERROR},
    [GC_RELAY_UNREGISTERED] = {GC_RELAY_METHOD_REGISTER, GC_STUN_INDICATION},
    [GC_RELAY_PAIR] = {GC_RELAY_METHOD_PAIR, GC_STUN_INDICATION},
    [GC_RELAY_REVOKE] = {GC_RELAY_METHOD_REVOKE, GC_STUN_REQUEST},
    [GC_RELAY_REVOKED] = {GC_RELAY_METHOD_REVOKE, GC_STUN_SUCCESS},
};


/* WireGuard's indices are little-endian */
static uint32_t
gc_relay_get_index(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
           (uint32_t) p[3] << 24;
}


static uint32_t
gc_relay_get_seconds(const uint8_t *p)
{
    return (uint32_t) p[3] | (uint32_t) p[2] << 8 | (uint32_t) p[1] << 16 |
           (uint32_t) p[0] << 24;
}


static int
gc_relay_get_bytes(const gc_stun_attribute_t *attribute, size_t size,
                   const uint8_t **value)
{
    *value = attribute->value;

    return attribute->size == size ? 0 : -1;
}


/* an index or a time, and the peer that it is about */
static int
gc_relay_get_about(gc_relay_message_t *message,
                   const gc_stun_attribute_t *attribute)
{
    const uint8_t *value = attribute->value;

    if (attribute->size != 4 + GC_RELAY_ID) {
        return -1;
    }

    if (attribute->type == GC_RELAY_ATTR_HOLD) {
        if (message->nholds < GC_RELAY_HOLDS) {
            message->holds[message->nholds++] =
                (gc_relay_hold_t){gc_relay_get_seconds(value), value + 4};
        }

    } else if (message->nhints < GC_RELAY_HINTS) {
        message->hints[message->nhints++] =
            (gc_relay_hint_t){gc_relay_get_index(value), value + 4};
    }

    return 0;
}


static int
gc_relay_get(gc_relay_message_t *message, const gc_stun_attribute_t *attribute)
{
    const gc_stun_t *stun = &message->stun;

    switch (attribute->type) {
    case GC_RELAY_ATTR_CREDENTIAL:
        return gc_relay_get_bytes(attribute, GC_RELAY_CREDENTIAL,
                                  &message->credential);
    case GC_RELAY_ATTR_PEER:
        return gc_relay_get_bytes(attribute, GC_RELAY_ID, &message->peer);
    case GC_STUN_NONCE:
        return gc_relay_get_bytes(attribute, GC_RELAY_NONCE, &message->nonce);
    case GC_RELAY_ATTR_SERIAL:
        return gc_stun_u64(stun, attribute->type, &message->serial);
    case GC_RELAY_ATTR_BOOT:
        return gc_stun_u64(stun, attribute->type, &message->boot);
    case GC_STUN_LIFETIME:
        return gc_stun_u32(stun, attribute->type, &message->lifetime);
    case GC_STUN_ERROR_CODE:
        message->error = gc_stun_error(stun);
        return message->error == -1 ? -1 : 0;
    case GC_STUN_XOR_MAPPED_ADDRESS:
        return gc_stun_address(stun, attribute->type, &message->mapped);
    case GC_RELAY_ATTR_HINT:
    case GC_RELAY_ATTR_HOLD:
        return gc_relay_get_about(message, attribute);
    default:
        return 0;
    }
}


int
gc_relay_message_read(gc_relay_message_t *message, const uint8_t *data,
                      size_t size)
{
    int i;
    gc_stun_attribute_t attribute;

    memset(message, 0, sizeof(*message));

    if (gc_stun_read(&message->stun, data, size) != 0) {
        return -1;
    }

    memset(&attribute, 0, sizeof(attribute));

    while (gc_stun_next(&message->stun, &attribute)) {
        if (gc_relay_get(message, &attribute) != 0) {
            return -1;
        }
    }

    message->transaction = message->stun.transaction;

    for (i = GC_RELAY_BINDING; i < GC_RELAY_KINDS; i++) {
        if (gc_relay_kinds[i].method == message->stun.method &&
            gc_relay_kinds[i].class == message->stun.class) {
            message->kind = (gc_relay_kind_e) i;
            return 0;
        }
    }

    return -1;
}


int
gc_relay_message_verify(const gc_relay_message_t *message,
                        const unsigned char secret[GC_RELAY_SECRET])
{
    return gc_stun_verify(&message->stun, secret, GC_RELAY_SECRET);
}


static void
gc_relay_put_about(gc_stun_writer_t *writer, const gc_relay_message_t *message)
{
    unsigned i, n;
    uint8_t value[4 + GC_RELAY_ID];

    for (i = 0; i < message->nhints && i < GC_RELAY_HINTS; i++) {
        for (n = 0; n < 4; n++) {
            value[n] = (uint8_t) (message->hints[i].index >> (8 * n));
        }

        memcpy(value + 4, message->hints[i].peer, GC_RELAY_ID);
        gc_stun_put(writer, GC_RELAY_ATTR_HINT, value, sizeof(value));
    }

    for (i = 0; i < message->nholds && i < GC_RELAY_HOLDS; i++) {
        for (n = 0; n < 4; n++) {
            value[n] = (uint8_t) (message->holds[i].seconds >> (24 - 8 * n));
        }

        memcpy(value + 4, message->holds[i].peer, GC_RELAY_ID);
        gc_stun_put(writer, GC_RELAY_ATTR_HOLD, value, sizeof(value));
    }
}


size_t
gc_relay_message_write(const gc_relay_message_t *message,
                       const unsigned char *secret, uint8_t *out, size_t room)
{
    gc_stun_writer_t writer;

    gc_stun_begin(&writer, out, room, gc_relay_kinds[message->kind].class,
                  gc_relay_kinds[message->kind].method, message->transaction);

    if (message->error != 0) {
        gc_stun_put_error(&writer, message->error, "");
    }

    if (message->credential != NULL) {
        gc_stun_put(&writer, GC_RELAY_ATTR_CREDENTIAL, message->credential,
                    GC_RELAY_CREDENTIAL);
    }

    if (message->peer != NULL) {
        gc_stun_put(&writer, GC_RELAY_ATTR_PEER, message->peer, GC_RELAY_ID);
    }

    if (message->mapped.family != 0) {
        gc_stun_put_address(&writer, GC_STUN_XOR_MAPPED_ADDRESS,
                            &message->mapped);
    }

    if (message->lifetime != 0) {
        gc_stun_put_u32(&writer, GC_STUN_LIFETIME, message->lifetime);
    }

    if (message->boot != 0) {
        gc_stun_put_u64(&writer, GC_RELAY_ATTR_BOOT, message->boot);
    }

    if (message->nonce != NULL) {
        gc_stun_put(&writer, GC_STUN_NONCE, message->nonce, GC_RELAY_NONCE);
    }

    if (message->serial != 0) {
        gc_stun_put_u64(&writer, GC_RELAY_ATTR_SERIAL, message->serial);
    }

    gc_relay_put_about(&writer, message);

    if (secret != NULL) {
        gc_stun_sign(&writer, secret, GC_RELAY_SECRET);
    }

    return gc_stun_end(&writer);
}
