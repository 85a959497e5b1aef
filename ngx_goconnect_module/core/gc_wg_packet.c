#include "core/gc_wg_packet.h"

#include <openssl/crypto.h>
#include <string.h>


static uint32_t
gc_wg_packet_u32(const unsigned char *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 |
           (uint32_t) p[3] << 24;
}


gc_wg_type_e
gc_wg_packet_type(const unsigned char *packet, size_t len)
{
    /* by type; 0 is a type that there is not */
    static const size_t lengths[] = {0, GC_WG_INITIATION, GC_WG_RESPONSE,
                                     GC_WG_COOKIE};
    uint32_t type;

    if (len < GC_WG_DATA_MIN) {
        return GC_WG_NONE;
    }

    /* three reserved bytes are zero */
    type = gc_wg_packet_u32(packet);

    if (type == GC_WG_TYPE_DATA) {
        return GC_WG_TYPE_DATA;
    }

    return type >= GC_WG_TYPE_INITIATION && type <= GC_WG_TYPE_COOKIE &&
                   len == lengths[type]
               ? (gc_wg_type_e) type
               : GC_WG_NONE;
}


uint32_t
gc_wg_packet_sender(const unsigned char *packet)
{
    return gc_wg_packet_u32(packet + 4);
}


uint32_t
gc_wg_packet_receiver(const unsigned char *packet, gc_wg_type_e type)
{
    return gc_wg_packet_u32(packet + (type == GC_WG_TYPE_RESPONSE ? 8 : 4));
}


void
gc_wg_mac1_init(gc_wg_mac1_t *mac1, const unsigned char public_key[GC_WG_KEY])
{
    unsigned char text[8 + GC_WG_KEY], key[GC_BLAKE2S_SIZE];

    memcpy(text, "mac1----", 8);
    memcpy(text + 8, public_key, GC_WG_KEY);
    gc_blake2s(text, sizeof(text), key);
    gc_blake2s_key(mac1, key, sizeof(key), GC_WG_MAC);
}


unsigned
gc_wg_mac1_find(const gc_wg_mac1_t *const *keys, unsigned n,
                const unsigned char *packet, gc_wg_type_e type)
{
    size_t len;
    unsigned i, found = n;
    unsigned char macs[GC_BLAKE2S_LANES * GC_WG_MAC];

    /* mac1 and mac2 are the last */
    len = (type == GC_WG_TYPE_INITIATION ? GC_WG_INITIATION : GC_WG_RESPONSE) -
          2 * GC_WG_MAC;
    gc_blake2s_macs(keys, n, packet, len, macs, GC_WG_MAC);

    for (i = 0; i < n; i++) {
        if (CRYPTO_memcmp(macs + i * GC_WG_MAC, packet + len, GC_WG_MAC) == 0) {
            found = i;
        }
    }

    return found;
}
