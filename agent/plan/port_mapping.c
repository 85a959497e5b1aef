#include "plan/port_mapping.h"

#include <string.h>

/* Renewals (RFC 6887, 11.2.1) are no closer to each other. */
#define PORT_MAPPING_RENEW_MIN_MS 4000

/* No lifetime that a router names is trusted further. */
#define PORT_MAPPING_LIFETIME_MAX_S 86400


void
port_mapping_start(struct port_mapping *mapping, const struct address *inner,
                   uint16_t port, const uint8_t nonce[PCP_NONCE],
                   uint64_t now_ms)
{
    memset(mapping, 0, sizeof(*mapping));
    mapping->state = PORT_MAPPING_ASKING;
    mapping->kind = PCP_MAP;
    mapping->inner = *inner;
    mapping->port = port;
    memcpy(mapping->nonce, nonce, PCP_NONCE);
    mapping->next_ms = now_ms;
}


static size_t
port_mapping_write(const struct port_mapping *mapping, uint32_t lifetime_s,
                   uint8_t *data)
{
    struct pcp_request request;

    memset(&request, 0, sizeof(request));
    request.kind = mapping->kind;
    request.lifetime_s = lifetime_s;
    request.inner = mapping->inner;
    request.inner_port = mapping->port;
    memcpy(request.nonce, mapping->nonce, PCP_NONCE);

    /* the same port inside and outside, if it is free; then the one we had */
    request.outer = mapping->outer;

    if (lifetime_s != 0 && request.outer.port == 0) {
        request.outer.port = mapping->port;
    }

    return pcp_write(&request, data);
}


/* Asks with the same words again, at last with others, or gives up. */
static void
port_mapping_silence(struct port_mapping *mapping, uint64_t now_ms)
{
    mapping->tries = 0;

    if (mapping->kind == PCP_MAP && mapping->inner.family == ADDRESS_IPV4 &&
        mapping->expires_ms == 0) {
        mapping->kind = PCP_PMP_OUTER;
        mapping->next_ms = now_ms;
        return;
    }

    if (mapping->expires_ms > now_ms) {
        /* half of what is left, as often as that is worth it */
        mapping->state = PORT_MAPPING_HELD;
        mapping->next_ms = now_ms + (mapping->expires_ms - now_ms) / 2;

        if (mapping->next_ms < now_ms + PORT_MAPPING_RENEW_MIN_MS) {
            mapping->next_ms = now_ms + PORT_MAPPING_RENEW_MIN_MS;
        }

        return;
    }

    mapping->state = PORT_MAPPING_SILENT;
    mapping->kind = PCP_MAP;
    mapping->next_ms = now_ms + PORT_MAPPING_SILENT_MS;
}


static void
port_mapping_expire(struct port_mapping *mapping, uint64_t now_ms)
{
    if (mapping->expires_ms == 0 || now_ms < mapping->expires_ms) {
        return;
    }

    /* the router may be another one, or have learned another language */
    mapping->expires_ms = 0;
    mapping->outer.address.family = ADDRESS_NONE;
    mapping->state = PORT_MAPPING_ASKING;
    mapping->kind = PCP_MAP;
    mapping->tries = 0;
    mapping->next_ms = now_ms;
}


size_t
port_mapping_due(struct port_mapping *mapping, uint64_t now_ms, uint8_t *data)
{
    port_mapping_expire(mapping, now_ms);

    if (now_ms < mapping->next_ms) {
        return 0;
    }

    if (mapping->state != PORT_MAPPING_ASKING) {
        mapping->state = PORT_MAPPING_ASKING;
        mapping->tries = 0;

        if (mapping->kind == PCP_PMP_MAP) {
            mapping->kind = PCP_PMP_OUTER;
        }
    }

    if (mapping->tries == PORT_MAPPING_TRIES) {
        port_mapping_silence(mapping, now_ms);

        if (now_ms < mapping->next_ms) {
            return 0;
        }
    }

    mapping->next_ms =
        now_ms + ((uint64_t) PORT_MAPPING_FIRST_MS << mapping->tries++);

    return port_mapping_write(mapping, PORT_MAPPING_LIFETIME_S, data);
}


/* RFC 6887, 8.5: both clocks ran as far, within two seconds and a sixteenth. */
static bool
port_mapping_epoch(struct port_mapping *mapping, uint32_t epoch_s,
                   uint64_t now_ms)
{
    uint64_t ours, theirs;
    bool lost;

    ours = (now_ms - mapping->epoch_ms) / 1000;
    theirs = epoch_s - mapping->epoch_s;
    lost = mapping->epoch_ms != 0 &&
           (epoch_s + 1 < mapping->epoch_s ||
            (epoch_s >= mapping->epoch_s && (ours + 2 < theirs - theirs / 16 ||
                                             theirs + 2 < ours - ours / 16)));

    mapping->epoch_s = epoch_s;
    mapping->epoch_ms = now_ms;

    return lost;
}


static void
port_mapping_refused(struct port_mapping *mapping,
                     const struct pcp_answer *answer, uint64_t now_ms)
{
    uint64_t wait_ms;

    if (answer->result == PCP_UNSUPPORTED_VERSION && mapping->kind == PCP_MAP &&
        mapping->inner.family == ADDRESS_IPV4) {
        mapping->kind = PCP_PMP_OUTER;
        mapping->tries = 0;
        mapping->next_ms = now_ms;
        return;
    }

    wait_ms = answer->lifetime_s * 1000ULL;

    if (wait_ms < PORT_MAPPING_REFUSED_MIN_MS) {
        wait_ms = PORT_MAPPING_REFUSED_MIN_MS;
    }

    if (wait_ms > PORT_MAPPING_REFUSED_MAX_MS) {
        wait_ms = PORT_MAPPING_REFUSED_MAX_MS;
    }

    mapping->state = PORT_MAPPING_REFUSED;
    mapping->result = answer->result;
    mapping->kind = PCP_MAP;
    mapping->expires_ms = 0;
    mapping->outer.address.family = ADDRESS_NONE;
    mapping->next_ms = now_ms + wait_ms;
}


static void
port_mapping_held(struct port_mapping *mapping, uint32_t lifetime_s,
                  uint64_t now_ms)
{
    if (lifetime_s > PORT_MAPPING_LIFETIME_MAX_S) {
        lifetime_s = PORT_MAPPING_LIFETIME_MAX_S;
    }

    mapping->state = PORT_MAPPING_HELD;
    mapping->result = PCP_SUCCESS;
    mapping->expires_ms = now_ms + lifetime_s * 1000ULL;
    mapping->next_ms = now_ms + lifetime_s * 500ULL;

    if (mapping->next_ms < now_ms + PORT_MAPPING_RENEW_MIN_MS) {
        mapping->next_ms = now_ms + PORT_MAPPING_RENEW_MIN_MS;
    }
}


/* Whether the answer is one to what is asked now. */
static bool
port_mapping_ours(const struct port_mapping *mapping,
                  const struct pcp_answer *answer)
{
    /* one that only knows NAT-PMP refuses PCP in NAT-PMP's words */
    if (mapping->kind == PCP_MAP && answer->kind != PCP_MAP) {
        return answer->result == PCP_UNSUPPORTED_VERSION;
    }

    if (mapping->state != PORT_MAPPING_ASKING ||
        answer->kind != mapping->kind) {
        return false;
    }

    if (answer->kind == PCP_MAP &&
        (answer->result == PCP_SUCCESS || answer->inner_port != 0)) {
        return answer->inner_port == mapping->port &&
               memcmp(answer->nonce, mapping->nonce, PCP_NONCE) == 0;
    }

    return answer->kind != PCP_PMP_MAP || answer->result != PCP_SUCCESS ||
           answer->inner_port == mapping->port;
}


bool
port_mapping_answer(struct port_mapping *mapping, const uint8_t *data,
                    size_t size, uint64_t now_ms)
{
    struct pcp_answer answer;
    bool lost;

    if (!pcp_parse(data, size, &answer) ||
        mapping->state != PORT_MAPPING_ASKING ||
        !port_mapping_ours(mapping, &answer)) {
        return false;
    }

    if (answer.result != PCP_SUCCESS) {
        port_mapping_refused(mapping, &answer, now_ms);
        return false;
    }

    lost = port_mapping_epoch(mapping, answer.epoch_s, now_ms);

    /* RFC 6886, 3.2: the router itself has no address yet */
    if (answer.kind != PCP_PMP_MAP &&
        address_is_special(&answer.outer.address)) {
        answer.result = PCP_NETWORK_FAILURE;
        port_mapping_refused(mapping, &answer, now_ms);
        return lost;
    }

    switch (answer.kind) {
    case PCP_PMP_OUTER:
        /* the address alone is nothing yet: its port keeps what it was */
        mapping->outer.address = answer.outer.address;
        mapping->kind = PCP_PMP_MAP;
        mapping->tries = 0;
        mapping->next_ms = now_ms;
        break;

    case PCP_PMP_MAP:
        mapping->outer.port = answer.outer.port;
        port_mapping_held(mapping, answer.lifetime_s, now_ms);
        break;

    case PCP_MAP:
        mapping->outer = answer.outer;
        port_mapping_held(mapping, answer.lifetime_s, now_ms);
        break;
    }

    return lost;
}


void
port_mapping_closed(struct port_mapping *mapping, uint64_t now_ms)
{
    if (mapping->state == PORT_MAPPING_ASKING && mapping->expires_ms == 0) {
        mapping->state = PORT_MAPPING_SILENT;
        mapping->kind = PCP_MAP;
        mapping->next_ms = now_ms + PORT_MAPPING_SILENT_MS;
    }
}


void
port_mapping_renew(struct port_mapping *mapping, uint64_t now_ms)
{
    mapping->tries = 0;
    mapping->next_ms = now_ms;
}


size_t
port_mapping_release(struct port_mapping *mapping, uint8_t *data)
{
    size_t size;

    if (mapping->expires_ms == 0) {
        return 0;
    }

    if (mapping->kind == PCP_PMP_OUTER) {
        mapping->kind = PCP_PMP_MAP;
    }

    /* RFC 6886, 3.4: no port is wished for when one is given back */
    memset(&mapping->outer, 0, sizeof(mapping->outer));
    size = port_mapping_write(mapping, 0, data);
    mapping->expires_ms = 0;

    return size;
}


const struct endpoint *
port_mapping_endpoint(const struct port_mapping *mapping, uint64_t now_ms)
{
    return now_ms < mapping->expires_ms ? &mapping->outer : NULL;
}


uint64_t
port_mapping_deadline(const struct port_mapping *mapping)
{
    return mapping->expires_ms != 0 && mapping->expires_ms < mapping->next_ms
               ? mapping->expires_ms
               : mapping->next_ms;
}
