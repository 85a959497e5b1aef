/*
 * IP addresses, prefixes and UDP endpoints as values: comparable, copyable,
 * without sockaddr.  Text forms are those of docs/protocol.md.
 */

#ifndef PLAN_ADDRESS_H
#define PLAN_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "[" 39 characters of IPv6 "]:65535" and the NUL, rounded up. */
#define ADDRESS_TEXT 64

enum address_family {
    ADDRESS_NONE = 0,
    ADDRESS_IPV4 = 4,
    ADDRESS_IPV6 = 6
};

struct address {
    uint8_t family;    /* enum address_family */
    uint8_t bytes[16]; /* network order; IPv4 in the first 4, the rest 0 */
};

struct prefix {
    struct address address;
    uint8_t length;
};

struct endpoint {
    struct address address; /* ADDRESS_NONE: no endpoint */
    uint16_t port;
};

/* 32 or 128; 0 for ADDRESS_NONE. */
uint8_t address_bits(const struct address *address);

/* "10.0.0.1", "fd00::1".  False leaves *address untouched. */
bool address_parse(const char *text, struct address *address);

/* "10.0.0.0/8"; without "/length" the whole address.  Host bits may be set. */
bool prefix_parse(const char *text, struct prefix *prefix);

/* "192.0.2.1:51820", "[2001:db8::1]:51820"; port 0 is refused. */
bool endpoint_parse(const char *text, struct endpoint *endpoint);

/* Write at most ADDRESS_TEXT bytes and return text. */
const char *address_format(const struct address *address, char *text);
const char *prefix_format(const struct prefix *prefix, char *text);
const char *endpoint_format(const struct endpoint *endpoint, char *text);

/* Total orders, for sorting and for equality (0). */
int address_compare(const struct address *a, const struct address *b);
int prefix_compare(const struct prefix *a, const struct prefix *b);
int endpoint_compare(const struct endpoint *a, const struct endpoint *b);

/* Whether the address lies in the prefix (host bits of which do not count). */
bool prefix_contains(const struct prefix *prefix,
                     const struct address *address);

/* Whether there is an address that lies in both. */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

/* The prefix with its host bits cleared. */
struct prefix prefix_masked(const struct prefix *prefix);

/* Loopback, unspecified, multicast, broadcast, IPv6 or IPv4 link-local. */
bool address_is_special(const struct address *address);

/* Neither special nor of a private range (RFC 1918, 6598, 4193): one that the
 * whole internet may know. */
bool address_is_public(const struct address *address);

#endif
