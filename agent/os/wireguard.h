/* The kernel's WireGuard family of generic netlink (linux/wireguard.h). */

#ifndef OS_WIREGUARD_H
#define OS_WIREGUARD_H

#include "os/netlink.h"
#include "plan/actual.h"
#include "plan/error.h"
#include "plan/reconcile.h"

struct wireguard; /* a socket and the family's number */

/* ERROR_UNSUPPORTED when the kernel has no WireGuard (it is loaded if it is
 * a module). */
struct wireguard *wireguard_open(struct error *error);
void wireguard_close(struct wireguard *wireguard); /* NULL is fine */

/*
 * Fills key, port and peers of interface->name and sets device.  An
 * interface that is gone or no WireGuard device is no error: device stays
 * false.
 */
int wireguard_get(struct wireguard *wireguard,
                  struct actual_interface *interface, struct error *error);

/* OPERATION_DEVICE and OPERATION_PEERS, in as many messages as it takes. */
int wireguard_set(struct wireguard *wireguard,
                  const struct operation *operation, struct error *error);

#endif
