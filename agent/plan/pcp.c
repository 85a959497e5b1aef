#include "plan/pcp.h"

#include <string.h>

#define PCP_HEADER 24
#define PCP_MAP_SIZE 60
#define PCP_OPCODE_MAP 1
#define PCP_ANSWERED 0x80 /* the R bit; NAT-PMP adds 128 */
#define PCP_UDP 17

/* RFC 6886, 3.5 */
enum pmp_result {
    PMP_NETWORK_FAILURE = 3,
    PMP_NO_RESOURCES = 4,
    PMP_UNSUPPORTED_OPCODE = 5
};


static void
pcp_put16(uint8_t *data, uint16_t value)
{
    data[0] = (uint8_t) (value >> 8);
    data[1] = (uint8_t) value;
}


static void
pcp_put32(uint8_t *data, uint32_t value)
{
    pcp_put16(data, (uint16_t) (value >> 16));
    pcp_put16(data + 2, (uint16_t) value);
}


static uint16_t
pcp_get16(const uint8_t *data)
{
    return (uint16_t) (data[0] << 8 | data[1]);
}


static uint32_t
pcp_get32(const uint8_t *data)
{
    return (uint32_t) pcp_get16(data) << 16 | pcp_get16(data + 2);
}


/* 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 6887, 5). */
static void
pcp_put_address(uint8_t *data, const struct address *address)
{
    memset(data, 0, 16);

    if (address->family == ADDRESS_IPV6) {
        memcpy(data, address->bytes, 16);
        return;
    }

    data[10] = 0xff;
    data[11] = 0xff;
    memcpy(data + 12, address->bytes, 4);
}


static void
pcp_get_address(const uint8_t *data, struct address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    memset(address, 0, sizeof(*address));

    if (memcmp(data, mapped, sizeof(mapped)) == 0) {
        address->family = ADDRESS_IPV4;
        memcpy(address->bytes, data + 12, 4);
        return;
    }

    address->family = ADDRESS_IPV6;
    memcpy(address->bytes, data, 16);
}


/* RFC 6887, 7.1 and 11.1 */
static size_t
pcp_write_map(const struct pcp_request *request, uint8_t *data)
{
    struct address outer;

    data[0] = PCP_2;
    data[1] = PCP_OPCODE_MAP;
    pcp_put32(data + 4, request->lifetime_s);
    pcp_put_address(data + 8, &request->inner);

    memcpy(data + PCP_HEADER, request->nonce, PCP_NONCE);
    data[36] = PCP_UDP;
    pcp_put16(data + 40, request->inner_port);
    pcp_put16(data + 42, request->outer.port);

    /* "any" is said in the family that is wanted */
    outer = request->outer.address;
    outer.family = request->inner.family;
    pcp_put_address(data + 44, &outer);

    return PCP_MAP_SIZE;
}


size_t
pcp_write(const struct pcp_request *request, uint8_t *data)
{
    memset(data, 0, PCP_REQUEST_MAX);

    switch (request->kind) {
    case PCP_MAP:
        return pcp_write_map(request, data);

    case PCP_PMP_OUTER: /* RFC 6886, 3.2 */
        return 2;

    case PCP_PMP_MAP: /* RFC 6886, 3.3 */
        data[1] = 1;
        pcp_put16(data + 4, request->inner_port);
        pcp_put16(data + 6, request->outer.port);
        pcp_put32(data + 8, request->lifetime_s);
        return 12;
    }

    return 0;
}


/* RFC 6887, 7.2 and 11.1 */
static bool
pcp_parse_map(const uint8_t *data, size_t size, struct pcp_answer *answer)
{
    if (size < PCP_HEADER || size > PCP_ANSWER_MAX || size % 4 != 0 ||
        data[1] != (PCP_ANSWERED | PCP_OPCODE_MAP)) {
        return false;
    }

    answer->kind = PCP_MAP;
    answer->result = data[3];
    answer->lifetime_s = pcp_get32(data + 4);
    answer->epoch_s = pcp_get32(data + 8);

    /* a refusal of the version may be without the rest */
    if (size < PCP_MAP_SIZE) {
        return answer->result != PCP_SUCCESS;
    }

    if (data[36] != PCP_UDP) {
        return false;
    }

    memcpy(answer->nonce, data + PCP_HEADER, PCP_NONCE);
    answer->inner_port = pcp_get16(data + 40);
    answer->outer.port = pcp_get16(data + 42);
    pcp_get_address(data + 44, &answer->outer.address);

    return true;
}


static unsigned
pcp_pmp_result(unsigned result)
{
    switch (result) {
    case PMP_NETWORK_FAILURE:
        return PCP_NETWORK_FAILURE;

    case PMP_NO_RESOURCES:
        return PCP_NO_RESOURCES;

    case PMP_UNSUPPORTED_OPCODE:
        return PCP_UNSUPPORTED_OPCODE;
    }

    return result;
}


/* RFC 6886, 3.2 and 3.3 */
static bool
pcp_parse_pmp(const uint8_t *data, size_t size, struct pcp_answer *answer)
{
    if (size < 8 || (data[1] & PCP_ANSWERED) == 0) {
        return false;
    }

    answer->result = pcp_pmp_result(pcp_get16(data + 2));
    answer->epoch_s = pcp_get32(data + 4);
    answer->kind = data[1] == PCP_ANSWERED ? PCP_PMP_OUTER : PCP_PMP_MAP;

    if (answer->result != PCP_SUCCESS) {
        return true;
    }

    if (data[1] == PCP_ANSWERED && size == 12) {
        answer->outer.address.family = ADDRESS_IPV4;
        memcpy(answer->outer.address.bytes, data + 8, 4);
        return true;
    }

    if (data[1] == (PCP_ANSWERED | 1) && size == 16) {
        answer->inner_port = pcp_get16(data + 8);
        answer->outer.port = pcp_get16(data + 10);
        answer->lifetime_s = pcp_get32(data + 12);
        return true;
    }

    return false;
}


bool
pcp_parse(const uint8_t *data, size_t size, struct pcp_answer *answer)
{
    memset(answer, 0, sizeof(*answer));

    if (size < 4) {
        return false;
    }

    return data[0] == PCP_2         ? pcp_parse_map(data, size, answer)
           : data[0] == PCP_NAT_PMP ? pcp_parse_pmp(data, size, answer)
                                    : false;
}


const char *
pcp_result_text(unsigned result)
{
    switch (result) {
    case PCP_NOT_AUTHORIZED:
        return "the router does not allow ports to be opened";

    case PCP_NETWORK_FAILURE:
        return "the router itself has no address on the internet";

    case PCP_NO_RESOURCES:
        return "the router has no more ports to open";
    }

    return "the router refused to open a port";
}
