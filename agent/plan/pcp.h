/*
 * The datagrams of the two protocols that ask a router for a port: PCP (RFC
 * 6887, MAP without options) and NAT-PMP (RFC 6886), for UDP.  Nothing is
 * allocated; what does not parse is refused whole.
 */

#ifndef PLAN_PCP_H
#define PLAN_PCP_H

#include "plan/address.h"

#define PCP_PORT 5351
#define PCP_NONCE 12
#define PCP_REQUEST_MAX 60  /* what we send */
#define PCP_ANSWER_MAX 1100 /* what we read (RFC 6887, 7) */

enum pcp_version {
    PCP_NAT_PMP = 0,
    PCP_2 = 2
};

/* RFC 6887, 7.4; those of NAT-PMP (RFC 6886, 3.5) have the first numbers but
 * mean other things, and are told as these. */
enum pcp_result {
    PCP_SUCCESS = 0,
    PCP_UNSUPPORTED_VERSION = 1,
    PCP_NOT_AUTHORIZED = 2,
    PCP_MALFORMED = 3,
    PCP_UNSUPPORTED_OPCODE = 4,
    PCP_NETWORK_FAILURE = 7,
    PCP_NO_RESOURCES = 8
};

enum pcp_kind {
    PCP_MAP,       /* of PCP */
    PCP_PMP_OUTER, /* NAT-PMP: the outer address */
    PCP_PMP_MAP    /* NAT-PMP: the outer port */
};

struct pcp_request {
    enum pcp_kind kind;
    uint32_t lifetime_s;  /* 0: take it away */
    struct address inner; /* of PCP only */
    uint16_t inner_port;
    struct endpoint outer; /* what is wished for; ADDRESS_NONE, 0: any */
    uint8_t nonce[PCP_NONCE];
};

struct pcp_answer {
    enum pcp_kind kind;
    unsigned result;     /* enum pcp_result, or one that it does not name */
    uint32_t lifetime_s; /* after an error: how long it will stay so */
    uint32_t epoch_s;
    uint16_t inner_port;
    struct endpoint outer;
    uint8_t nonce[PCP_NONCE];
};

/* Writes at most PCP_REQUEST_MAX bytes; returns how many. */
size_t pcp_write(const struct pcp_request *request, uint8_t *data);

/* Why it was refused, for people. */
const char *pcp_result_text(unsigned result);

/* False: not an answer of either protocol. */
bool pcp_parse(const uint8_t *data, size_t size, struct pcp_answer *answer);

#endif
