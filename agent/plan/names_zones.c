/* Reverse names, and which domains are a network's alone. */

#include "plan/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_IPV4 ".in-addr.arpa"
#define NAMES_IPV6 ".ip6.arpa"

#define NAMES_ALONE 128 /* zones of a range that ends inside a label */


/* How many bits a label of the reverse name stands for. */
static uint8_t
names_step(const struct address *address)
{
    return address->family == ADDRESS_IPV4 ? 8 : 4;
}


uint8_t
names_reverse_cut(const struct prefix *range)
{
    uint8_t step;

    step = names_step(&range->address);

    return (uint8_t) ((range->length + step - 1) / step * step);
}


/* One label: 0 to 255, or one hexadecimal digit.  -1: it is none. */
static int
names_part(const char *text, size_t length, bool ipv4)
{
    static const char digits[] = "0123456789abcdef";
    const char *found;
    size_t i;
    int value;

    if (!ipv4) {
        found = length == 1 ? strchr(digits, text[0]) : NULL;
        return found != NULL ? (int) (found - digits) : -1;
    }

    value = 0;

    if (length == 0 || length > 3 || (length > 1 && text[0] == '0')) {
        return -1;
    }

    for (i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        value = value * 10 + (text[i] - '0');
    }

    return value <= 255 ? value : -1;
}


/* The labels before ".in-addr.arpa", the last of them first. */
static bool
names_parts(const char *name, size_t length, struct prefix *prefix)
{
    bool ipv4;
    size_t start;
    uint8_t step, *byte;
    int value;

    step = names_step(&prefix->address);
    ipv4 = step == 8;

    for (;;) {
        for (start = length; start > 0 && name[start - 1] != '.'; start--) {
        }

        value = names_part(name + start, length - start, ipv4);

        if (value == -1 || prefix->length >= address_bits(&prefix->address)) {
            return false;
        }

        byte = &prefix->address.bytes[prefix->length / 8];
        *byte = (uint8_t) (ipv4 || prefix->length % 8 != 0 ? *byte | value
                                                           : value << 4);
        prefix->length = (uint8_t) (prefix->length + step);

        if (start == 0) {
            return true;
        }

        length = start - 1;
    }
}


bool
names_reverse(const char *name, struct prefix *prefix)
{
    static const struct {
        const char *zone;
        enum address_family family;
    } zones[] = {
        {NAMES_IPV4, ADDRESS_IPV4},
        {NAMES_IPV6, ADDRESS_IPV6},
    };
    size_t i, length, zone;

    length = strlen(name);

    for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        zone = strlen(zones[i].zone);

        if (length > zone && strcmp(name + length - zone, zones[i].zone) == 0) {
            memset(prefix, 0, sizeof(*prefix));
            prefix->address.family = (uint8_t) zones[i].family;
            return names_parts(name, length - zone, prefix);
        }
    }

    return false;
}


static void
names_reverse_format(const struct prefix *prefix, struct names_zone *zone)
{
    size_t used;
    uint8_t at, byte;
    bool ipv4;

    ipv4 = prefix->address.family == ADDRESS_IPV4;
    used = 0;

    for (at = prefix->length; at > 0; at = (uint8_t) (at - (ipv4 ? 8 : 4))) {
        byte = prefix->address.bytes[(at - 1) / 8];

        if (ipv4) {
            used += (size_t) snprintf(zone->name + used, NAMES_SIZE - used,
                                      "%u.", (unsigned) byte);
        } else {
            used += (size_t) snprintf(
                zone->name + used, NAMES_SIZE - used, "%x.",
                (unsigned) (at % 8 == 0 ? byte & 15 : byte >> 4));
        }
    }

    (void) snprintf(zone->name + used, NAMES_SIZE - used, "%s",
                    ipv4 ? &NAMES_IPV4[1] : &NAMES_IPV6[1]);
}


/* Every zone of the range; none if they were too many. */
static size_t
names_zones_of(const struct prefix *range, struct names_zone *zones)
{
    struct prefix zone;
    size_t i, count;
    uint8_t last;

    if (range->address.family == ADDRESS_NONE || range->length == 0) {
        return 0;
    }

    zone = prefix_masked(range);
    zone.length = names_reverse_cut(range);
    count = (size_t) 1 << (zone.length - range->length);

    if (count > NAMES_ALONE) {
        return 0;
    }

    last = (uint8_t) ((zone.length - 1) / 8);

    for (i = 0; i < count; i++) {
        names_reverse_format(&zone, &zones[i]);
        zone.address.bytes[last] = (uint8_t) (zone.address.bytes[last] +
                                              (zone.length % 8 == 0 ? 1 : 16));
    }

    return count;
}


size_t
names_zones(const struct netmap *map, struct names_zone *zones)
{
    size_t count;

    if (!names_domain(map)) {
        return 0;
    }

    (void) snprintf(zones[0].name, NAMES_SIZE, "%s", map->domain);
    count = 1;
    count += names_zones_of(&map->cidr, zones + count);
    count += names_zones_of(&map->cidr6, zones + count);

    return count;
}
