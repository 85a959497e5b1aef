#include "plan_fixture.h"

#include "plan/dns.h"
#include "plan/names.h"

#define A 1
#define NS 2
#define SOA 6
#define PTR 12
#define AAAA 28
#define ANY 255


static struct netmap *
network(void)
{
    struct netmap *map;

    map = fixture_map(1, 2, 7);
    strcpy(map->domain, "lan.friends.gc");
    strcpy(map->peers[0].name, "ada");
    strcpy(map->peers[1].name, "bob");
    cr_assert(prefix_parse("10.64.0.0/22", &map->cidr));
    map->peers[1].ip6_address.family = ADDRESS_NONE;

    return map;
}


/* A query; returns its length. */
static size_t
ask(uint8_t *query, const char *name, unsigned type, bool edns)
{
    size_t used, label;

    memset(query, 0, 12);
    query[0] = 0x12;
    query[1] = 0x34;
    query[2] = 1; /* RD */
    query[5] = 1;
    query[11] = edns;
    used = 12;

    while (*name != '\0') {
        label = strcspn(name, ".");
        query[used++] = (uint8_t) label;
        memcpy(query + used, name, label);
        used += label;
        name += label + (name[label] == '.');
    }

    query[used++] = 0;
    query[used++] = 0;
    query[used++] = (uint8_t) type;
    query[used++] = 0;
    query[used++] = 1;

    if (edns) {
        memset(query + used, 0, 11);
        query[used + 2] = 41;
        query[used + 3] = 4;
        query[used + 4] = 208;
        used += 11;
    }

    return used;
}


#define REVERSE6(n)                                                         \
    n ".0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.6.0.0.0.0.d.f.ip6." \
      "arpa"


Test(dns, questions_and_answers)
{
    static const struct {
        const char *name;
        unsigned type;
        unsigned code;
        unsigned answers; /* records, else an SOA where ours says so */
        bool ours;
        const char *address; /* of the answer */
    } cases[] = {
        {"ada.lan.friends.gc", A, 0, 1, true, "10.64.0.1"},
        {"ADA.Lan.friends.GC", A, 0, 1, true, "10.64.0.1"},
        {"ada.lan.friends.gc", AAAA, 0, 1, true, "fd00:64::1"},
        {"ada.lan.friends.gc", ANY, 0, 1, true, "10.64.0.1"},
        {"ada.lan.friends.gc", NS, 0, 0, true, NULL},
        {"bob.lan.friends.gc", AAAA, 0, 0, true, NULL},
        {"eve.lan.friends.gc", A, 3, 0, true, NULL},
        {"a.ada.lan.friends.gc", A, 3, 0, true, NULL},
        {"a\xff.lan.friends.gc", A, 3, 0, true, NULL},
        {"lan.friends.gc", A, 0, 0, true, NULL},
        {"lan.friends.gc", SOA, 0, 1, true, NULL},
        {"friends.gc", A, 5, 0, false, NULL},
        {"ada", A, 5, 0, false, NULL},
        {"ada.lan", A, 5, 0, false, NULL},
        {"example.com", A, 5, 0, false, NULL},
        {"", NS, 5, 0, false, NULL},
        {"1.0.64.10.in-addr.arpa", PTR, 0, 1, true, NULL},
        {"1.0.64.10.in-addr.arpa", A, 0, 0, true, NULL},
        {"9.0.64.10.in-addr.arpa", PTR, 3, 0, true, NULL},
        {"1.3.64.10.in-addr.arpa", PTR, 3, 0, true, NULL},
        {"3.64.10.in-addr.arpa", SOA, 0, 1, true, NULL},
        {"3.64.10.in-addr.arpa", PTR, 0, 0, true, NULL},
        {"1.4.64.10.in-addr.arpa", PTR, 5, 0, false, NULL},
        {"64.10.in-addr.arpa", PTR, 5, 0, false, NULL},
        {REVERSE6("1"), PTR, 0, 1, true, NULL},
        {REVERSE6("9"), PTR, 3, 0, true, NULL},
        {"0.0.0.4.6.0.0.0.0.d.f.ip6.arpa", PTR, 5, 0, false, NULL},
    };
    uint8_t query[DNS_QUERY_MAX], answer[DNS_ANSWER_MAX];
    struct netmap *map;
    struct address address;
    size_t i, length, got;
    int edns;

    map = network();

    for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        edns = i % 2 == 1;
        length = ask(query, cases[i / 2].name, cases[i / 2].type, edns);
        got = dns_answer(map, query, length, answer);
        cr_assert_gt(got, 12);
        cr_expect_eq(answer[0], 0x12);
        cr_expect_eq(answer[1], 0x34);
        cr_expect_eq(answer[2], cases[i / 2].ours ? 0x85 : 0x81);
        cr_expect_eq(answer[3], cases[i / 2].code, "%s %u: code %u",
                     cases[i / 2].name, cases[i / 2].type, answer[3]);
        cr_expect_eq(answer[7], cases[i / 2].answers, "%s %u",
                     cases[i / 2].name, cases[i / 2].type);
        cr_expect_eq(answer[9], cases[i / 2].ours && !cases[i / 2].answers);
        cr_expect_eq(answer[11], edns);

        /* the question comes back as it was asked */
        cr_expect_eq(
            memcmp(answer + 12, query + 12, length - 12 - (edns ? 11U : 0U)),
            0);

        if (cases[i / 2].address != NULL) {
            cr_assert(address_parse(cases[i / 2].address, &address));
            length = address.family == ADDRESS_IPV4 ? 4 : 16;
            cr_expect_eq(memcmp(answer + got - (edns ? 11U : 0U) - length,
                                address.bytes, length),
                         0);
        }
    }

    length = ask(query, "1.0.64.10.in-addr.arpa", PTR, false);
    got = dns_answer(map, query, length, answer);
    cr_expect_eq(memcmp(answer + got - 20, "\3ada\3lan\7friends\2gc", 20), 0);
    netmap_destroy(map);
}


/* What is no query, and what is one that we do not do. */
Test(dns, odd_messages)
{
    uint8_t query[DNS_QUERY_MAX + 1], answer[DNS_ANSWER_MAX];
    struct netmap *map;
    size_t length;

    map = network();
    memset(query, 0, sizeof(query));
    cr_expect_eq(dns_answer(map, query, 0, answer), 0);
    cr_expect_eq(dns_answer(map, query, 11, answer), 0);
    cr_expect_eq(dns_answer(map, query, sizeof(query), answer), 0);

    length = ask(query, "ada.lan.friends.gc", A, true);
    query[2] |= 0x80;
    cr_expect_eq(dns_answer(map, query, length, answer), 0, "an answer");

    length = ask(query, "ada.lan.friends.gc", A, false);
    query[2] = 0x28; /* UPDATE */
    cr_expect_eq(dns_answer(map, query, length, answer), 12);
    cr_expect_eq(answer[3], 4);

    length = ask(query, "ada.lan.friends.gc", A, false);
    query[5] = 2;
    cr_expect_eq(dns_answer(map, query, length, answer), 12);
    cr_expect_eq(answer[3], 1);

    length = ask(query, "ada.lan.friends.gc", A, false);
    query[12] = 0xc0; /* a pointer in the question */
    cr_expect_eq(dns_answer(map, query, length, answer), 12);
    cr_expect_eq(answer[3], 1);

    /* another class, another version of EDNS, two of them */
    length = ask(query, "ada.lan.friends.gc", A, false);
    query[length - 1] = 3;
    cr_expect_gt(dns_answer(map, query, length, answer), 12);
    cr_expect_eq(answer[3], 5);

    length = ask(query, "ada.lan.friends.gc", A, true);
    query[length - 5] = 1;
    length = dns_answer(map, query, length, answer);
    cr_expect_eq(answer[3], 0);
    cr_expect_eq(answer[length - 6], 1, "BADVERS: 16");
    cr_expect_eq(answer[7], 0);

    length = ask(query, "ada.lan.friends.gc", A, true);
    memcpy(query + length, query + length - 11, 11);
    query[11] = 2;
    cr_expect_eq(dns_answer(map, query, length + 11, answer), 12);
    cr_expect_eq(answer[3], 1);

    /* a network without a domain */
    map->domain[0] = '\0';
    length = ask(query, "ada.lan.friends.gc", A, false);
    cr_expect_gt(dns_answer(map, query, length, answer), 12);
    cr_expect_eq(answer[3], 5);
    netmap_destroy(map);
}


/* Cut anywhere, or with any bytes turned: never more than there is. */
Test(dns, whatever_comes)
{
    static const char *const names[] = {
        "ada.lan.friends.gc", "1.0.64.10.in-addr.arpa", REVERSE6("1"), ""};
    uint8_t query[DNS_QUERY_MAX], *exact, answer[DNS_ANSWER_MAX];
    struct netmap *map;
    size_t i, length, cut, got;
    unsigned x, n;

    map = network();
    x = 1;

    for (i = 0; i < 200000; i++) {
        length = ask(query, names[i % 4], i % 3 == 0 ? PTR : A, i % 2 == 0);

        for (n = 0; n < i % 5; n++) {
            x = x * 1664525U + 1013904223U;
            query[(x >> 8) % length] = (uint8_t) (x >> 24);
        }

        x = x * 1664525U + 1013904223U;
        cut = i % 4 == 0 ? length : (x >> 8) % (length + 1);

        /* at the end of what is ours, so that a sanitizer sees more */
        exact = malloc(cut + 1);
        memcpy(exact, query, cut);
        got = dns_answer(map, exact, cut, answer);
        cr_assert(got == 0 || (got >= 12 && got <= DNS_ANSWER_MAX));
        cr_assert(got == 0 || (answer[2] & 0x80) != 0);
        free(exact);
    }

    netmap_destroy(map);
}


/* The longest names that there can be. */
Test(dns, the_longest_answer_fits)
{
    uint8_t query[DNS_QUERY_MAX], answer[DNS_ANSWER_MAX];
    char name[NAMES_SIZE];
    struct netmap *map;
    size_t length, got;

    map = network();
    memset(map->domain, 'a', 191);
    map->domain[63] = map->domain[127] = '.';
    map->domain[191] = '\0';
    memset(map->peers[0].name, 'b', 61);
    map->peers[0].name[61] = '\0';
    (void) snprintf(name, sizeof(name), "%.63s.%.191s", map->peers[0].name,
                    map->domain);
    cr_assert_eq(strlen(name), 253);
    length = ask(query, name, AAAA, true);
    got = dns_answer(map, query, length, answer);
    cr_expect_eq(answer[7], 1);
    cr_expect_eq(got, 12 + 255 + 4 + 12 + 16 + 11);
    length = ask(query, REVERSE6("1"), PTR, true);
    got = dns_answer(map, query, length, answer);
    cr_expect_eq(answer[7], 1);
    cr_expect_eq(got, 12 + 74 + 4 + 12 + 255 + 11);
    netmap_destroy(map);
}
