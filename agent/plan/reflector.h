/*
 * The reflector of networks that carry no broadcast: what this host itself
 * sends as a UDP broadcast or IPv4 multicast to a listed port becomes copies
 * for single peers, from our address there and the port that it came from.
 * Pure.  A copy is a unicast, which no reflector takes: there are no loops.
 */

#ifndef PLAN_REFLECTOR_H
#define PLAN_REFLECTOR_H

#include "plan/address.h"
#include "plan/netmap.h"

#define REFLECTOR_PACKET_MAX 1500
#define REFLECTOR_PEERS_MAX 256 /* copies of one packet */

/* Copies a second, and how many at once after a rest. */
#define REFLECTOR_RATE 500
#define REFLECTOR_BURST 1000

struct reflector_packet {
    struct address destination;
    uint16_t source_port;
    uint16_t port;
    const uint8_t *payload; /* in the bytes that were read */
    size_t length;
};

struct reflector_rate {
    uint64_t at; /* ms */
    uint32_t credit;
    bool begun;
};

/* Whether the bytes are a whole UDP packet of IPv4 (RFC 791, RFC 768). */
bool reflector_read(const uint8_t *bytes, size_t length,
                    struct reflector_packet *packet);

/* 255.255.255.255, a multicast group or the range's broadcast address. */
bool reflector_is_broadcast(const struct address *address,
                            const struct prefix *range);

/* Whether the network's reflector is about the port. */
bool reflector_listed(const struct netmap *map, uint16_t port);

/*
 * Writes the copy with its headers into `room` of REFLECTOR_PACKET_MAX bytes.
 * Its length; 0: it is too long.
 */
size_t reflector_copy(const struct reflector_packet *packet,
                      const struct address *from, const struct address *to,
                      uint8_t *room);

/* Takes one copy's credit; false: there are too many. now in ms. */
bool reflector_allowed(struct reflector_rate *rate, uint64_t now);

#endif
