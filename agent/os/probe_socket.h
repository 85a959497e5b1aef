/*
 * The UDP socket of the probes of one network: bound to a tunnel address and
 * to the interface, and never fragmented (DF, whatever the routes' MTU says).
 */

#ifndef OS_PROBE_SOCKET_H
#define OS_PROBE_SOCKET_H

#include <sys/types.h>

#include "plan/address.h"
#include "plan/error.h"

/* A non-blocking descriptor, the caller's to close; -1 with *error. */
int probe_socket_open(const struct address *address, uint16_t port,
                      const char *interface, struct error *error);

/* 0, or an errno: EMSGSIZE is more than the interface takes. */
int probe_socket_send(int fd, const struct address *to, uint16_t port,
                      const void *data, size_t size);

/* The interface's number; 0: there is none. */
uint32_t probe_socket_index(const char *interface);

/* The datagram's size, or -1: there is none. */
ssize_t probe_socket_receive(int fd, void *data, size_t size,
                             struct address *from, uint16_t *port);

#endif
