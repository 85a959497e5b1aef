#include "core/gc_endpoint.h"

#include "core/gc_inet.h"

#include <stdint.h>
#include <string.h>


static int
gc_endpoint_port(const char *p, size_t len)
{
    unsigned port;
    size_t i;

    if (len == 0 || len > 5 || p[0] == '0') {
        return 0;
    }

    for (i = 0, port = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return 0;
        }

        port = port * 10 + (unsigned) (p[i] - '0');
    }

    return port <= 65535;
}


static int
gc_endpoint_v4(const char *address)
{
    struct in_addr in;
    uint32_t host;

    if (inet_pton(AF_INET, address, &in) != 1) {
        return 0;
    }

    host = ntohl(in.s_addr);

    return host != INADDR_ANY && !IN_MULTICAST(host) &&
           host != INADDR_BROADCAST;
}


static int
gc_endpoint_v6(const char *address)
{
    struct in6_addr in;

    return inet_pton(AF_INET6, address, &in) == 1 &&
           !IN6_IS_ADDR_UNSPECIFIED(&in) && !IN6_IS_ADDR_MULTICAST(&in);
}


int
gc_endpoint_valid(const char *text, size_t len)
{
    char address[GC_ENDPOINT_MAX];
    size_t n;

    if (len == 0 || len > GC_ENDPOINT_MAX || memchr(text, '\0', len)) {
        return 0;
    }

    for (n = len - 1; n > 0 && text[n] != ':'; n--) {
        /* void */
    }

    if (n == 0 || !gc_endpoint_port(text + n + 1, len - n - 1)) {
        return 0;
    }

    if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
        memcpy(address, text + 1, n - 2);
        address[n - 2] = '\0';
        return gc_endpoint_v6(address);
    }

    memcpy(address, text, n);
    address[n] = '\0';

    return gc_endpoint_v4(address);
}
