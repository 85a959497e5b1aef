/*
 * Netlink as os/ uses it: one request and its acknowledgement with the
 * kernel's own errno (libnl's error numbers fold EADDRINUSE and EEXIST into
 * one), and dumps, each on a socket of its own, repeated when what they list
 * changed meanwhile.
 */

#ifndef OS_NETLINK_H
#define OS_NETLINK_H

#include <netlink/netlink.h>
#include <netlink/msg.h>

#include <stdbool.h>

#include "plan/error.h"

/* A connected socket with room for large messages, or NULL. */
struct nl_sock *netlink_open(int protocol, struct error *error);
void netlink_close(struct nl_sock *socket); /* NULL is fine */

/*
 * Sends a request and waits for its acknowledgement.  Frees the message in
 * every case.  Returns 0 or a positive errno.
 */
int netlink_request(struct nl_sock *socket, struct nl_msg *message);

/* What a dump fills; each is called with the data given to netlink_dump(). */
struct netlink_reader {
    void (*begin)(void *data); /* forget everything: the dump (re)starts */
    int (*message)(struct nlmsghdr *header, void *data); /* 0, or an errno */
};

/*
 * Sends a dump request (freed in every case) on a fresh socket.  Returns 0
 * or a positive errno; EINTR if it kept changing.
 */
int netlink_dump(int protocol, struct nl_msg *message,
                 const struct netlink_reader *reader, void *data);

/* Fills *error with a code that fits the errno and "WHAT: REASON". */
int netlink_error(struct error *error, int number, const char *what);

#endif
