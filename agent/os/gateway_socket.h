/* A UDP socket that speaks with this machine's default gateway alone. */

#ifndef OS_GATEWAY_SOCKET_H
#define OS_GATEWAY_SOCKET_H

#include "plan/address.h"

/*
 * A non-blocking, connected descriptor, the caller's to close, and the own
 * address that the gateway sees; -1: it cannot be reached. IPv4 alone.
 */
int gateway_socket_open(const struct address *gateway, uint16_t port,
                        struct address *own);

#endif
