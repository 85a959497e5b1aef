/*
 * The UDP ports that WireGuard listens on, used by us too: a raw socket of each
 * family sends from them, and is given a copy of the few datagrams to them that
 * a filter in the kernel lets through: STUN messages, and WireGuard's
 * handshakes (types 1 and 2), from which a relay is told indices.  One for all
 * networks, as the kernel copies every datagram that arrives to each raw socket
 * before it asks the filter.  Needs CAP_NET_RAW.
 */

#ifndef OS_BORROWED_PORT_H
#define OS_BORROWED_PORT_H

#include "plan/address.h"
#include "plan/error.h"

#define BORROWED_PORTS_MAX 100 /* networks of a device */
#define BORROWED_DATA_MAX 1400 /* what is sent */

struct borrowed_port;

enum borrowed_kind {
    BORROWED_NONE = 0,
    BORROWED_STUN,
    BORROWED_INITIATION, /* type 1, 148 bytes */
    BORROWED_RESPONSE    /* type 2, 92 bytes */
};

/* data lies in the borrowed_port until the next call to receive. */
struct borrowed_packet {
    enum borrowed_kind kind;
    struct endpoint from;
    struct address to; /* which of our addresses; ADDRESS_NONE: not told */
    uint16_t port;     /* and which port of ours */
    const uint8_t *data;
    size_t size;
};

/*
 * Hears nothing before borrowed_port_listen().  mark: as WireGuard's own
 * packets have (SO_MARK), 0 for none.  Without IPv6 in this kernel only IPv4.
 * NULL on error; ERROR_PERMISSION: without CAP_NET_RAW.
 */
struct borrowed_port *borrowed_port_open(uint32_t mark, struct error *error);
void borrowed_port_close(struct borrowed_port *borrowed); /* NULL is fine */

/*
 * A port that is nobody's, held so that it can be borrowed where WireGuard has
 * none: a descriptor, the caller's to close; -1 on error.
 */
int borrowed_port_hold(uint16_t *port, struct error *error);

/* To wait on for reading; -1: this family is not there. */
int borrowed_port_fd(const struct borrowed_port *borrowed,
                     enum address_family family);

/* From now on these ports and no others; none is fine. */
int borrowed_port_listen(struct borrowed_port *borrowed, const uint16_t *ports,
                         size_t count, struct error *error);

/*
 * The next one of this family; false: there is none now.  Its sender is not
 * proved, its checksum not verified (it may be partial where both ends are on
 * one machine): a STUN message is worth what its MESSAGE-INTEGRITY is.
 */
bool borrowed_port_receive(struct borrowed_port *borrowed,
                           enum address_family family,
                           struct borrowed_packet *packet);

/*
 * Sends a datagram from our port.  from: one of our addresses, NULL or
 * ADDRESS_NONE for the one that the routing takes.  ttl: 1 to 255, 0 for the
 * usual.  0, or an errno.
 */
int borrowed_port_send(struct borrowed_port *borrowed, uint16_t port,
                       const struct address *from, const struct endpoint *to,
                       uint8_t ttl, const void *data, size_t size);

/* The address that the routing takes to there.  0, or an errno. */
int borrowed_port_source(const struct borrowed_port *borrowed,
                         const struct address *to, struct address *source);

#endif
