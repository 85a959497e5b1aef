/*
 * The UAPI sockets of wireguard-go: in the folder that wg(8) knows, or,
 * hidden, in one of our own.
 */

#ifndef OS_PROCESS_SOCKET_H
#define OS_PROCESS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/actual.h"

/* Where wireguard-go puts its sockets, whatever the network namespace. */
#define PROCESS_SOCKET_SHARED "/var/run/wireguard"

/* The folder of hidden sockets; false if its path does not fit. */
bool process_socket_private(const char *state_dir, char *path, size_t size);

/* A connected socket, whose calls give up after BACKEND_START_MS; -1 and
 * errno. */
int process_socket_dial(const char *state_dir, const char *name, bool hidden);

/* Listens at the socket's path; -1 and errno (EADDRINUSE: somebody else
 * does). */
int process_socket_listen(const char *state_dir, const char *name, bool hidden);

/* Removes the socket if nobody listens on it (any more). */
void process_socket_unlink(const char *state_dir, const char *name,
                           bool hidden);

#endif
