/*
 * What this host sends to everybody, read as it leaves, and copies of it
 * written with the port that they came from.  Needs CAP_NET_RAW.
 */

#ifndef OS_REFLECTOR_H
#define OS_REFLECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/actual.h"
#include "plan/error.h"

#define REFLECTOR_PORTS_MAX 256

struct reflector_socket;

/* Nothing is read before reflector_listen(). */
struct reflector_socket *reflector_open(struct error *error);
void reflector_close(struct reflector_socket *socket); /* NULL is fine */
int reflector_fd(const struct reflector_socket *socket);

/*
 * Has the kernel hand over what leaves this host as UDP of IPv4 to one of
 * these ports and is a broadcast or multicast of its link, or may be one of
 * an interface that knows none.  Never what is received.
 */
int reflector_listen(struct reflector_socket *socket, const uint16_t *ports,
                     size_t count, struct error *error);

/*
 * The next packet from its IP header on, and the interface that it left by
 * ("" if that is gone).  many: the link says that it goes to everybody.  Its
 * length, 0 if there is none.
 */
size_t reflector_receive(struct reflector_socket *socket, uint8_t *room,
                         size_t size, char interface[ACTUAL_NAME_SIZE],
                         bool *many);

/* Sends a whole packet of IPv4 by an interface; what cannot be sent is lost. */
void reflector_send(struct reflector_socket *socket, const char *interface,
                    const uint8_t *packet, size_t length);

#endif
