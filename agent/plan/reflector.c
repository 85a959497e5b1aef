#include "plan/reflector.h"

#include <string.h>

#define REFLECTOR_IP 20 /* a header without options: RFC 791, 3.1 */
#define REFLECTOR_UDP 8 /* RFC 768 */
#define REFLECTOR_TTL 64
#define REFLECTOR_PROTOCOL 17


static uint16_t
reflector_get16(const uint8_t *bytes)
{
    return (uint16_t) (bytes[0] << 8 | bytes[1]);
}


static void
reflector_put16(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t) (value >> 8);
    bytes[1] = (uint8_t) value;
}


bool
reflector_read(const uint8_t *bytes, size_t length,
               struct reflector_packet *packet)
{
    size_t header, total, datagram;

    if (length < REFLECTOR_IP + REFLECTOR_UDP || bytes[0] >> 4 != 4) {
        return false;
    }

    header = (size_t) (bytes[0] & 15) * 4;
    total = reflector_get16(bytes + 2);

    /* no fragment: neither an offset nor more of them */
    if (header < REFLECTOR_IP || total > length ||
        total < header + REFLECTOR_UDP || bytes[9] != REFLECTOR_PROTOCOL ||
        (reflector_get16(bytes + 6) & 0x3fff) != 0) {
        return false;
    }

    datagram = reflector_get16(bytes + header + 4);

    if (datagram < REFLECTOR_UDP || datagram > total - header) {
        return false;
    }

    memset(packet, 0, sizeof(*packet));
    packet->destination.family = ADDRESS_IPV4;
    memcpy(packet->destination.bytes, bytes + 16, 4);
    packet->source_port = reflector_get16(bytes + header);
    packet->port = reflector_get16(bytes + header + 2);
    packet->payload = bytes + header + REFLECTOR_UDP;
    packet->length = datagram - REFLECTOR_UDP;

    return packet->port != 0 && packet->source_port != 0;
}


bool
reflector_is_broadcast(const struct address *address,
                       const struct prefix *range)
{
    static const uint8_t everybody[4] = {255, 255, 255, 255};
    unsigned host;
    size_t i;

    if (address->family != ADDRESS_IPV4) {
        return false;
    }

    if (memcmp(address->bytes, everybody, 4) == 0 ||
        address->bytes[0] >> 4 == 14) {
        return true;
    }

    /* a range of two addresses has no broadcast: RFC 3021 */
    if (!prefix_contains(range, address) || range->length > 30) {
        return false;
    }

    for (i = 0; i < 4; i++) {
        host = range->length >= 8 * (i + 1) ? 0
               : range->length <= 8 * i     ? 255
                                            : 255U >> (range->length - 8 * i);

        if ((address->bytes[i] & host) != host) {
            return false;
        }
    }

    return true;
}


bool
reflector_listed(const struct netmap *map, uint16_t port)
{
    size_t i;

    for (i = 0; i < map->settings.reflector_port_count; i++) {
        if (map->settings.reflector_ports[i] == port) {
            return !map->lan;
        }
    }

    return false;
}


/* The sum of RFC 1071, not yet turned over. */
static uint32_t
reflector_sum(uint32_t sum, const uint8_t *bytes, size_t length)
{
    size_t i;

    for (i = 0; i + 1 < length; i += 2) {
        sum += reflector_get16(bytes + i);
    }

    if (i < length) {
        sum += (uint32_t) bytes[i] << 8;
    }

    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }

    return sum;
}


size_t
reflector_copy(const struct reflector_packet *packet,
               const struct address *from, const struct address *to,
               uint8_t *room)
{
    size_t total = REFLECTOR_IP + REFLECTOR_UDP + packet->length;
    uint8_t *udp = room + REFLECTOR_IP;
    uint32_t sum;

    if (total > REFLECTOR_PACKET_MAX) {
        return 0;
    }

    memset(room, 0, REFLECTOR_IP + REFLECTOR_UDP);
    room[0] = 0x45;
    reflector_put16(room + 2, total);
    room[8] = REFLECTOR_TTL;
    room[9] = REFLECTOR_PROTOCOL;
    memcpy(room + 12, from->bytes, 4);
    memcpy(room + 16, to->bytes, 4);
    reflector_put16(room + 10,
                    (uint16_t) ~reflector_sum(0, room, REFLECTOR_IP));

    reflector_put16(udp, packet->source_port);
    reflector_put16(udp + 2, packet->port);
    reflector_put16(udp + 4, REFLECTOR_UDP + packet->length);
    memcpy(udp + REFLECTOR_UDP, packet->payload, packet->length);

    /* addresses, protocol and length are summed with it */
    sum = reflector_sum(0, room + 12, 8);
    sum = sum + REFLECTOR_PROTOCOL + REFLECTOR_UDP + (uint32_t) packet->length;
    sum = ~reflector_sum(sum, udp, REFLECTOR_UDP + packet->length) & 0xffff;
    reflector_put16(udp + 6, sum != 0 ? sum : 0xffff);

    return total;
}


bool
reflector_allowed(struct reflector_rate *rate, uint64_t now)
{
    uint64_t earned;

    if (!rate->begun) {
        rate->begun = true;
        rate->at = now;
        rate->credit = REFLECTOR_BURST;
    }

    earned = now > rate->at ? (now - rate->at) * REFLECTOR_RATE / 1000 : 0;

    if (earned > 0) {
        rate->at = now;
        earned += rate->credit;
        rate->credit =
            earned < REFLECTOR_BURST ? (uint32_t) earned : REFLECTOR_BURST;
    }

    if (rate->credit == 0) {
        return false;
    }

    rate->credit--;

    return true;
}
