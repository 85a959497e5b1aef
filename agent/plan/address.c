#include "plan/address.h"

#include "core/gc_inet.h"

#include <stdio.h>
#include <string.h>


uint8_t
address_bits(const struct address *address)
{
    switch ((enum address_family) address->family) {

    case ADDRESS_IPV4:
        return 32;

    case ADDRESS_IPV6:
        return 128;

    case ADDRESS_NONE:
        break;
    }

    return 0;
}


bool
address_parse(const char *text, struct address *address)
{
    struct address parsed;

    memset(&parsed, 0, sizeof(parsed));

    if (inet_pton(AF_INET, text, parsed.bytes) == 1) {
        parsed.family = ADDRESS_IPV4;

    } else if (inet_pton(AF_INET6, text, parsed.bytes) == 1) {
        parsed.family = ADDRESS_IPV6;

    } else {
        return false;
    }

    *address = parsed;

    return true;
}


/* A decimal number without sign, spaces or leading zeros. */
static bool
address_number(const char *text, unsigned max, unsigned *number)
{
    unsigned n;
    size_t i;

    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }

    for (i = 0, n = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }

        n = n * 10 + (unsigned) (text[i] - '0');

        if (n > max) {
            return false;
        }
    }

    *number = n;

    return true;
}


bool
prefix_parse(const char *text, struct prefix *prefix)
{
    char host[ADDRESS_TEXT];
    const char *slash;
    struct address address;
    unsigned length;
    size_t n;

    slash = strchr(text, '/');
    n = slash != NULL ? (size_t) (slash - text) : strlen(text);

    if (n >= sizeof(host)) {
        return false;
    }

    memcpy(host, text, n);
    host[n] = '\0';

    if (!address_parse(host, &address)) {
        return false;
    }

    length = address_bits(&address);

    if (slash != NULL && !address_number(slash + 1, length, &length)) {
        return false;
    }

    prefix->address = address;
    prefix->length = (uint8_t) length;

    return true;
}


bool
endpoint_parse(const char *text, struct endpoint *endpoint)
{
    char host[ADDRESS_TEXT];
    const char *colon;
    struct address address;
    unsigned port;
    size_t n;

    colon = strrchr(text, ':');

    if (colon == NULL || !address_number(colon + 1, 65535, &port) ||
        port == 0) {
        return false;
    }

    n = (size_t) (colon - text);

    if (n >= sizeof(host)) {
        return false;
    }

    memcpy(host, text, n);
    host[n] = '\0';

    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';

        if (!address_parse(host + 1, &address) ||
            address.family != ADDRESS_IPV6) {
            return false;
        }

    } else if (!address_parse(host, &address) ||
               address.family != ADDRESS_IPV4) {
        return false;
    }

    endpoint->address = address;
    endpoint->port = (uint16_t) port;

    return true;
}


const char *
address_format(const struct address *address, char *text)
{
    int family;

    text[0] = '\0';
    family = address->family == ADDRESS_IPV6 ? AF_INET6 : AF_INET;

    if (address->family != ADDRESS_NONE) {
        (void) inet_ntop(family, address->bytes, text, ADDRESS_TEXT);
    }

    return text;
}


const char *
prefix_format(const struct prefix *prefix, char *text)
{
    size_t n;

    (void) address_format(&prefix->address, text);

    n = strlen(text);
    (void) snprintf(text + n, ADDRESS_TEXT - n, "/%u",
                    (unsigned) prefix->length);

    return text;
}


const char *
endpoint_format(const struct endpoint *endpoint, char *text)
{
    char host[ADDRESS_TEXT];
    const char *format;

    text[0] = '\0';

    if (endpoint->address.family == ADDRESS_NONE) {
        return text;
    }

    format =
        endpoint->address.family == ADDRESS_IPV6 ? "[%.46s]:%u" : "%.46s:%u";
    (void) snprintf(text, ADDRESS_TEXT, format,
                    address_format(&endpoint->address, host),
                    (unsigned) endpoint->port);

    return text;
}


int
address_compare(const struct address *a, const struct address *b)
{
    if (a->family != b->family) {
        return a->family < b->family ? -1 : 1;
    }

    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}


int
prefix_compare(const struct prefix *a, const struct prefix *b)
{
    int order;

    order = address_compare(&a->address, &b->address);

    return order != 0 ? order : (int) a->length - (int) b->length;
}


int
endpoint_compare(const struct endpoint *a, const struct endpoint *b)
{
    int order;

    order = address_compare(&a->address, &b->address);

    return order != 0 ? order : (int) a->port - (int) b->port;
}


/* The bits of byte number i that belong to the prefix. */
static uint8_t
prefix_mask(const struct prefix *prefix, size_t i)
{
    size_t first;

    first = i * 8;

    if (prefix->length >= first + 8) {
        return 0xff;
    }

    if (prefix->length <= first) {
        return 0;
    }

    return (uint8_t) (0xff << (first + 8 - prefix->length));
}


bool
prefix_contains(const struct prefix *prefix, const struct address *address)
{
    uint8_t differ;
    size_t i;

    if (prefix->address.family != address->family ||
        address->family == ADDRESS_NONE) {
        return false;
    }

    for (i = 0; i < sizeof(address->bytes); i++) {
        differ = prefix->address.bytes[i] ^ address->bytes[i];

        if ((differ & prefix_mask(prefix, i)) != 0) {
            return false;
        }
    }

    return true;
}


bool
prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return prefix_contains(a, &b->address) || prefix_contains(b, &a->address);
}


struct prefix
prefix_masked(const struct prefix *prefix)
{
    struct prefix masked;
    size_t i;

    masked = *prefix;

    for (i = 0; i < sizeof(masked.address.bytes); i++) {
        masked.address.bytes[i] &= prefix_mask(prefix, i);
    }

    return masked;
}


bool
address_is_special(const struct address *address)
{
    static const struct prefix special[] = {
        {{ADDRESS_IPV4, {0}}, 8},           /* "this network", RFC 1122 */
        {{ADDRESS_IPV4, {127}}, 8},         /* loopback, RFC 1122 */
        {{ADDRESS_IPV4, {169, 254}}, 16},   /* link-local, RFC 3927 */
        {{ADDRESS_IPV4, {224}}, 4},         /* multicast, RFC 5771 */
        {{ADDRESS_IPV4, {240}}, 4},         /* reserved, broadcast */
        {{ADDRESS_IPV6, {0}}, 127},         /* ::, ::1, RFC 4291 */
        {{ADDRESS_IPV6, {0xfe, 0x80}}, 10}, /* link-local, RFC 4291 */
        {{ADDRESS_IPV6, {0xff}}, 8},        /* multicast, RFC 4291 */
    };
    size_t i;

    for (i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (prefix_contains(&special[i], address)) {
            return true;
        }
    }

    return address->family == ADDRESS_NONE;
}


bool
address_is_public(const struct address *address)
{
    static const struct prefix private[] = {
        {{ADDRESS_IPV4, {10}}, 8},        {{ADDRESS_IPV4, {172, 16}}, 12},
        {{ADDRESS_IPV4, {192, 168}}, 16}, {{ADDRESS_IPV4, {100, 64}}, 10},
        {{ADDRESS_IPV6, {0xfc}}, 7},
    };
    size_t i;

    for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        if (prefix_contains(&private[i], address)) {
            return false;
        }
    }

    return address->family != ADDRESS_NONE && !address_is_special(address);
}
