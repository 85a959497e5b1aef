/*
 * A UDP port of this device opened at its router, and kept open: by PCP (RFC
 * 6887), by NAT-PMP (RFC 6886) where the router knows only that.  Pure: told
 * the answers and the time, it says what to send to PCP_PORT of the default
 * gateway and when to look again.
 */

#ifndef PLAN_PORT_MAPPING_H
#define PLAN_PORT_MAPPING_H

#include "plan/pcp.h"

#define PORT_MAPPING_LIFETIME_S 7200 /* RFC 6886, 3.3 */

/*
 * RFC 6886, 3.1 begins with 250 ms and doubles; RFC 6887, 8.1.1 would begin
 * with 3 s, for which nobody who wants to connect waits.
 */
#define PORT_MAPPING_FIRST_MS 250
#define PORT_MAPPING_TRIES 5

/* Nobody answered: asked again so much later (MRT of RFC 6887, 8.1.1). */
#define PORT_MAPPING_SILENT_MS 1024000

/* Refused: for so long at least and at most, as the router says. */
#define PORT_MAPPING_REFUSED_MIN_MS 30000
#define PORT_MAPPING_REFUSED_MAX_MS 1800000

enum port_mapping_state {
    PORT_MAPPING_ASKING,
    PORT_MAPPING_HELD,
    PORT_MAPPING_REFUSED, /* `result` says why */
    PORT_MAPPING_SILENT   /* the gateway speaks neither */
};

struct port_mapping {
    enum port_mapping_state state;
    enum pcp_kind kind; /* what is asked, or was held by */
    struct address inner;
    uint16_t port;
    uint8_t nonce[PCP_NONCE];
    struct endpoint outer; /* ADDRESS_NONE: none yet */
    unsigned result;       /* of the last refusal, enum pcp_result */
    unsigned tries;
    uint64_t next_ms;
    uint64_t expires_ms; /* 0: nothing is held */
    uint32_t epoch_s;
    uint64_t epoch_ms; /* when the epoch was heard; 0: never */
};

/*
 * inner: the own address that the gateway's answers come to; nonce: random,
 * kept while the daemon runs, so that a renewal is known as one.
 */
void port_mapping_start(struct port_mapping *mapping,
                        const struct address *inner, uint16_t port,
                        const uint8_t nonce[PCP_NONCE], uint64_t now_ms);

/*
 * The datagram that is due, at most PCP_REQUEST_MAX bytes; 0: none is.  Call
 * it until it is 0.
 */
size_t port_mapping_due(struct port_mapping *mapping, uint64_t now_ms,
                        uint8_t *data);

/*
 * A datagram from the gateway's PCP_PORT.  True: the router has forgotten
 * what it was asked before (RFC 6887, 8.5), other mappings are to be renewed.
 */
bool port_mapping_answer(struct port_mapping *mapping, const uint8_t *data,
                         size_t size, uint64_t now_ms);

/* The gateway's host said that nobody listens there (an ICMP error). */
void port_mapping_closed(struct port_mapping *mapping, uint64_t now_ms);

/* Ask at once, whatever is held. */
void port_mapping_renew(struct port_mapping *mapping, uint64_t now_ms);

/* The datagram that gives the port back; 0: none is held. */
size_t port_mapping_release(struct port_mapping *mapping, uint8_t *data);

/* Where this device is reached; NULL: nowhere by this. */
const struct endpoint *port_mapping_endpoint(const struct port_mapping *mapping,
                                             uint64_t now_ms);

/* When to call port_mapping_due() next. */
uint64_t port_mapping_deadline(const struct port_mapping *mapping);

#endif
