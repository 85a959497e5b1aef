/*
 * The addresses under which this device may be reached, for `endpoints`, and
 * the subnets that it shares, for paths.
 */

#ifndef OS_LOCAL_ADDRESSES_H
#define OS_LOCAL_ADDRESSES_H

#include "plan/error.h"
#include "plan/paths.h"

#define LOCAL_ADDRESSES_MAX 64

struct local_addresses {
    /* In order of preference: those of the interface with the default route
     * first, those of container bridges, tunnels and the like last.  Not
     * loopback, link-local, temporary, tentative or deprecated ones, nor
     * those of our networks. */
    struct prefix addresses[LOCAL_ADDRESSES_MAX];
    size_t count;
    struct address gateway;   /* of the IPv4 default route; or ADDRESS_NONE */
    bool ipv6;                /* a new interface may have IPv6 addresses */
    struct paths_local paths; /* subnets without those last ones */
};

int local_addresses_get(struct local_addresses *local, struct error *error);

#endif
