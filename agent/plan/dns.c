#include "plan/dns.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "plan/names.h"

#define DNS_HEADER 12
#define DNS_NAME_MAX 255 /* RFC 1035, 2.3.4, as bytes */
#define DNS_LABEL_MAX 63
#define DNS_LABELS_MAX 128
#define DNS_RECORDS_MAX 16 /* of a query */
#define DNS_POINTER 0xc0U  /* RFC 1035, 4.1.4 */

/* RFC 1035, 4.1.1 */
#define DNS_QR 0x8000U
#define DNS_OPCODE 0x7800U
#define DNS_AA 0x0400U
#define DNS_RD 0x0100U
#define DNS_CD 0x0010U /* RFC 4035, 3.2.2 */

#define DNS_CLASS_IN 1
#define DNS_CLASS_ANY 255
#define DNS_UDP_SIZE 1232 /* what we take: above it a path may fragment */

enum dns_type {
    DNS_A = 1,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_AAAA = 28,
    DNS_OPT = 41,
    DNS_ANY = 255
};

enum dns_code {
    DNS_OK = 0,
    DNS_FORMERR = 1,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16 /* RFC 6891, 9: four bits in the header, more in OPT */
};

struct dns_question {
    char name[DNS_NAME_MAX + 1]; /* lower case; '?' for an odd byte */
    size_t labels;
    uint8_t places[DNS_LABELS_MAX]; /* of the labels, from the name's begin */
    size_t end;                     /* of the question, in the message */
    unsigned type;
    unsigned class;
    bool edns;
    unsigned version;
};

struct dns_writer {
    uint8_t *data;
    size_t length;
};


static unsigned
dns_read16(const uint8_t *data)
{
    return (unsigned) data[0] << 8 | data[1];
}


/* All that is written fits DNS_ANSWER_MAX; a fault of ours writes nothing. */
static void
dns_put(struct dns_writer *writer, const void *data, size_t length)
{
    if (length <= DNS_ANSWER_MAX - writer->length) {
        memcpy(writer->data + writer->length, data, length);
        writer->length += length;
    }
}


static void
dns_put16(struct dns_writer *writer, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t) (value >> 8), (uint8_t) value};

    dns_put(writer, bytes, sizeof(bytes));
}


static void
dns_put32(struct dns_writer *writer, uint32_t value)
{
    dns_put16(writer, value >> 16);
    dns_put16(writer, value & 0xffffU);
}


static void
dns_put_name(struct dns_writer *writer, const char *name)
{
    size_t length;
    uint8_t byte;

    while (*name != '\0') {
        length = strcspn(name, ".");
        byte = (uint8_t) length;
        dns_put(writer, &byte, 1);
        dns_put(writer, name, length);
        name += length + (name[length] == '.');
    }

    dns_put(writer, "", 1);
}


static char
dns_lower(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z') {
        return (char) (byte + ('a' - 'A'));
    }

    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
                   byte == '-'
               ? (char) byte
               : '?';
}


/* The question's name; pointers have no place in it. */
static bool
dns_read_name(const uint8_t *query, size_t length,
              struct dns_question *question)
{
    size_t at, used, label, i;

    used = 0;

    for (at = DNS_HEADER; at < length; at += label + 1) {
        label = query[at];

        if (label == 0) {
            question->name[used] = '\0';
            question->end = at + 1;
            return true;
        }

        if (label > DNS_LABEL_MAX || at + label >= length ||
            at - DNS_HEADER + label + 2 > DNS_NAME_MAX ||
            question->labels == DNS_LABELS_MAX) {
            return false;
        }

        question->places[question->labels++] = (uint8_t) (at - DNS_HEADER);

        if (used > 0) {
            question->name[used++] = '.';
        }

        for (i = 0; i < label; i++) {
            question->name[used++] = dns_lower(query[at + 1 + i]);
        }
    }

    return false;
}


/* Past a name anywhere in the message; 0: it runs out of it. */
static size_t
dns_skip_name(const uint8_t *query, size_t length, size_t at)
{
    while (at < length) {
        if (query[at] == 0) {
            return at + 1;
        }

        if ((query[at] & DNS_POINTER) == DNS_POINTER) {
            return at + 2 <= length ? at + 2 : 0;
        }

        if (query[at] > DNS_LABEL_MAX) {
            return 0;
        }

        at += (size_t) query[at] + 1;
    }

    return 0;
}


/* Looks for OPT among what follows the question. */
static bool
dns_read_rest(const uint8_t *query, size_t length,
              struct dns_question *question)
{
    size_t at, next, count, i;

    count = dns_read16(query + 10);
    at = question->end;

    if (dns_read16(query + 6) != 0 || dns_read16(query + 8) != 0 ||
        count > DNS_RECORDS_MAX) {
        return false;
    }

    for (i = 0; i < count; i++) {
        next = dns_skip_name(query, length, at);

        if (next == 0 || length - next < 10 ||
            length - next - 10 < dns_read16(query + next + 8)) {
            return false;
        }

        if (dns_read16(query + next) == DNS_OPT) {
            /* one of them, of the root: RFC 6891, 6.1.1 */
            if (question->edns || query[at] != 0) {
                return false;
            }

            question->edns = true;
            question->version = query[next + 5];
        }

        at = next + 10 + dns_read16(query + next + 8);
    }

    return true;
}


static bool
dns_read(const uint8_t *query, size_t length, struct dns_question *question)
{
    memset(question, 0, sizeof(*question));

    if (dns_read16(query + 4) != 1 || !dns_read_name(query, length, question) ||
        length - question->end < 4) {
        question->end = 0;
        return false;
    }

    question->type = dns_read16(query + question->end);
    question->class = dns_read16(query + question->end + 2);
    question->end += 4;

    return dns_read_rest(query, length, question);
}


/* A record's beginning, whose name is a part of the question's. */
static void
dns_put_record(struct dns_writer *writer, const struct dns_question *question,
               size_t label, enum dns_type type, unsigned length)
{
    dns_put16(writer, DNS_POINTER << 8 |
                          (DNS_HEADER + (unsigned) question->places[label]));
    dns_put16(writer, type);
    dns_put16(writer, DNS_CLASS_IN);
    dns_put32(writer, DNS_TTL);
    dns_put16(writer, length);
}


/* The zone's, which begins at that label of the question. */
static void
dns_put_soa(struct dns_writer *writer, const struct dns_question *question,
            size_t label, const struct netmap *map)
{
    unsigned zone;

    zone = DNS_POINTER << 8 | (DNS_HEADER + (unsigned) question->places[label]);
    dns_put_record(writer, question, label, DNS_SOA, 24);
    dns_put16(writer, zone); /* the server: nobody asks it but by its address */
    dns_put16(writer, zone); /* in charge */
    dns_put32(writer, (uint32_t) map->version);
    dns_put32(writer, DNS_TTL);
    dns_put32(writer, DNS_TTL);
    dns_put32(writer, DNS_TTL);
    dns_put32(writer, DNS_TTL); /* RFC 2308, 4: of negative answers */
}


static void
dns_put_address(struct dns_writer *writer, const struct dns_question *question,
                const struct address *address)
{
    unsigned length;

    length = address->family == ADDRESS_IPV4 ? 4 : 16;
    dns_put_record(writer, question, 0,
                   address->family == ADDRESS_IPV4 ? DNS_A : DNS_AAAA, length);
    dns_put(writer, address->bytes, length);
}


static void
dns_put_pointer(struct dns_writer *writer, const struct dns_question *question,
                const struct netmap *map, const struct netmap_peer *peer)
{
    char name[NAMES_SIZE];
    struct names_entry entry = {.map = map, .peer = peer};

    (void) names_full(&entry, name);
    dns_put_record(writer, question, 0, DNS_PTR, (unsigned) strlen(name) + 2);
    dns_put_name(writer, name);
}


/* What a question comes to: a code, a record, or the zone it is not in. */
struct dns_result {
    enum dns_code code;
    bool ours;
    size_t zone; /* the label of the question at which our zone begins */
    const struct address *address;
    const struct netmap_peer *pointer;
};


static size_t
dns_count_labels(const char *name)
{
    size_t count;

    count = 1;

    for (; *name != '\0'; name++) {
        count += *name == '.';
    }

    return count;
}


static void
dns_find_name(const struct netmap *map, const struct dns_question *question,
              struct dns_result *result)
{
    const struct netmap_peer *peer;

    result->ours = true;
    result->zone = question->labels - dns_count_labels(map->domain);
    peer = names_peer(map, question->name);

    if (peer == NULL) {
        result->code = result->zone == 0 ? DNS_OK : DNS_NXDOMAIN;
        return;
    }

    if (question->type == DNS_A || question->type == DNS_ANY) {
        result->address = &peer->ip_address;

    } else if (question->type == DNS_AAAA &&
               peer->ip6_address.family != ADDRESS_NONE) {
        result->address = &peer->ip6_address;
    }
}


/* 0: the question is not about a zone of the range. */
static bool
dns_in_range(const struct prefix *range, const struct prefix *asked)
{
    return range->address.family == asked->address.family &&
           asked->length >= names_reverse_cut(range) &&
           prefix_contains(range, &asked->address);
}


static void
dns_find_reverse(const struct netmap *map, const struct dns_question *question,
                 const struct prefix *asked, struct dns_result *result)
{
    const struct prefix *range;
    uint8_t cut;

    range = dns_in_range(&map->cidr, asked) ? &map->cidr : &map->cidr6;

    if (!dns_in_range(range, asked)) {
        result->code = DNS_REFUSED;
        return;
    }

    cut = names_reverse_cut(range);
    result->ours = true;
    result->zone = (size_t) (asked->length - cut) /
                   (asked->address.family == ADDRESS_IPV4 ? 8 : 4);

    if (asked->length < address_bits(&asked->address)) {
        return; /* something may be below: RFC 8020 */
    }

    result->pointer = names_peer_at(map, &asked->address);

    if (result->pointer == NULL) {
        result->code = result->zone == 0 ? DNS_OK : DNS_NXDOMAIN;

    } else if (question->type != DNS_PTR && question->type != DNS_ANY) {
        result->pointer = NULL;
    }
}


static void
dns_find(const struct netmap *map, const struct dns_question *question,
         struct dns_result *result)
{
    struct prefix asked;

    if (question->version != 0) {
        result->code = DNS_BADVERS;

    } else if (!names_domain(map) || (question->class != DNS_CLASS_IN &&
                                      question->class != DNS_CLASS_ANY)) {
        result->code = DNS_REFUSED;

    } else if (names_inside(map, question->name)) {
        dns_find_name(map, question, result);

    } else if (names_reverse(question->name, &asked)) {
        dns_find_reverse(map, question, &asked, result);

    } else {
        result->code = DNS_REFUSED;
    }
}


static void
dns_put_header(struct dns_writer *writer, const uint8_t *query,
               const struct dns_question *question,
               const struct dns_result *result)
{
    unsigned flags;
    bool found, soa;

    flags = dns_read16(query + 2);
    flags = DNS_QR | (flags & (DNS_OPCODE | DNS_RD | DNS_CD)) |
            (result->ours ? DNS_AA : 0) | ((unsigned) result->code & 15U);
    soa = question->type == DNS_SOA && result->zone == 0;
    found = result->address != NULL || result->pointer != NULL ||
            (result->ours && result->code == DNS_OK && soa);

    dns_put(writer, query, 2);
    dns_put16(writer, flags);
    dns_put16(writer, question->end > 0);
    dns_put16(writer, found);
    dns_put16(writer, result->ours && !found);
    dns_put16(writer, question->edns);

    if (question->end > 0) {
        dns_put(writer, query + DNS_HEADER, question->end - DNS_HEADER);
    }
}


size_t
dns_answer(const struct netmap *map, const uint8_t *query, size_t length,
           uint8_t answer[DNS_ANSWER_MAX])
{
    struct dns_question question;
    struct dns_result result;
    struct dns_writer writer = {answer, 0};

    if (length < DNS_HEADER || length > DNS_QUERY_MAX ||
        (dns_read16(query + 2) & DNS_QR) != 0) {
        return 0;
    }

    memset(&result, 0, sizeof(result));

    if ((dns_read16(query + 2) & DNS_OPCODE) != 0) {
        memset(&question, 0, sizeof(question));
        result.code = DNS_NOTIMP;

    } else if (!dns_read(query, length, &question)) {
        memset(&question, 0, sizeof(question));
        result.code = DNS_FORMERR;

    } else {
        dns_find(map, &question, &result);
    }

    dns_put_header(&writer, query, &question, &result);

    if (result.address != NULL) {
        dns_put_address(&writer, &question, result.address);

    } else if (result.pointer != NULL) {
        dns_put_pointer(&writer, &question, map, result.pointer);

    } else if (result.ours) {
        dns_put_soa(&writer, &question, result.zone, map);
    }

    if (question.edns) {
        dns_put(&writer, "", 1);
        dns_put16(&writer, DNS_OPT);
        dns_put16(&writer, DNS_UDP_SIZE);
        dns_put32(&writer, (uint32_t) result.code >> 4 << 24);
        dns_put16(&writer, 0);
    }

    return writer.length;
}
