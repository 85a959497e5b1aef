#include "plan/firewall_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct firewall_family firewall_families[FIREWALL_FAMILIES] = {
    {ADDRESS_IPV4, "ip", "ipv4_addr"},
    {ADDRESS_IPV6, "ip6", "ipv6_addr"},
};


void
firewall_say(struct firewall_text *text, const char *format, ...)
{
    va_list args;
    char *data;
    size_t room;
    int n;

    if (text->failed) {
        return;
    }

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);

    if (n < 0) {
        text->failed = true;
        return;
    }

    if (text->length + (size_t) n >= text->room) {
        room = 2 * (text->length + (size_t) n) + 1024;
        data = realloc(text->data, room);

        if (data == NULL) {
            text->failed = true;
            return;
        }

        text->data = data;
        text->room = room;
    }

    va_start(args, format);
    (void) vsnprintf(text->data + text->length, text->room - text->length,
                     format, args);
    va_end(args);
    text->length += (size_t) n;
}


void
firewall_say_names(struct firewall_text *text,
                   const struct firewall_network *network)
{
    firewall_say(text, "\"%s\"", network->name);

    if (network->lan[0] != '\0') {
        firewall_say(text, ", \"%s\"", network->lan);
    }
}


const struct prefix *
firewall_range(const struct firewall_network *network, size_t way)
{
    return firewall_families[way].family == ADDRESS_IPV4 ? &network->cidr
                                                         : &network->cidr6;
}


const struct address *
firewall_own(const struct firewall_network *network, size_t way)
{
    return firewall_families[way].family == ADDRESS_IPV4
               ? &network->ip_address
               : &network->ip6_address;
}
