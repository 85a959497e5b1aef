/*
 * WireGuard's cross-platform configuration protocol (wireguard.com/xplatform),
 * which wireguard-go speaks on a UNIX socket: lines of key=value, keys in
 * hexadecimal, an empty line at the end.
 */

#ifndef OS_UAPI_H
#define OS_UAPI_H

#include "plan/actual.h"
#include "plan/error.h"
#include "plan/reconcile.h"

/* Reads everything of a device into the interface (not sorted). */
int uapi_get(int fd, struct actual_interface *interface, struct error *error);

/* OPERATION_DEVICE and OPERATION_PEERS. */
int uapi_set(int fd, const struct operation *operation, struct error *error);

/*
 * The parser behind uapi_get(): takes the answer apart (and changes it).
 * -1 if it is malformed.
 */
int uapi_parse(char *text, struct actual_interface *interface,
               struct error *error);

#endif
