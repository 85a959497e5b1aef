/* What wireguard_read.c and wireguard_write.c need of wireguard.c; for them
 * alone. */

#ifndef OS_WIREGUARD_MESSAGE_H
#define OS_WIREGUARD_MESSAGE_H

#include "os/wireguard.h"

/* A message without peers. */
#define WIREGUARD_SHORT 1024

struct wireguard {
    struct nl_sock *socket;
    int family;
};

/* A message about one interface; NULL when memory is out. */
struct nl_msg *wireguard_message(const struct wireguard *wireguard,
                                 uint8_t command, const char *name,
                                 size_t size);

#endif
