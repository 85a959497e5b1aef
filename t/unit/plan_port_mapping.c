/* Ports opened at a router, which is simulated: its words, clock, silence. */

#include "plan/port_mapping.h"

#include <criterion/criterion.h>
#include <string.h>

#define START_MS 5000000ULL
#define PORT 51820

enum speaks {
    SPEAKS_PCP,
    SPEAKS_NAT_PMP,
    SPEAKS_NOTHING
};

struct router {
    struct port_mapping mapping;
    enum speaks speaks;
    uint64_t now_ms;
    uint64_t booted_ms;
    uint8_t result;      /* of PCP */
    uint16_t outer_port; /* 0: the one that is wished for */
    uint8_t outer[4];
    unsigned asked;
    unsigned lost;
    uint32_t last_lifetime_s;
    bool held;
};


static void
router_start(struct router *router, enum speaks speaks)
{
    static const uint8_t nonce[PCP_NONCE] = "0123456789a";
    static const uint8_t outer[4] = {192, 0, 2, 7};
    struct address inner;

    memset(router, 0, sizeof(*router));
    router->speaks = speaks;
    router->now_ms = START_MS;
    router->booted_ms = START_MS - 1000000;
    memcpy(router->outer, outer, sizeof(outer));

    cr_assert(address_parse("192.168.1.10", &inner));
    port_mapping_start(&router->mapping, &inner, PORT, nonce, router->now_ms);
}


static void
router_number(uint8_t *data, uint32_t value)
{
    data[0] = (uint8_t) (value >> 24);
    data[1] = (uint8_t) (value >> 16);
    data[2] = (uint8_t) (value >> 8);
    data[3] = (uint8_t) value;
}


/* What the router says to a request; 0: nothing. */
static size_t
router_answer(struct router *router, const uint8_t *request, size_t size,
              uint8_t *answer)
{
    uint32_t epoch_s;

    epoch_s = (uint32_t) ((router->now_ms - router->booted_ms) / 1000);
    memset(answer, 0, PCP_ANSWER_MAX);

    if (router->speaks == SPEAKS_NOTHING) {
        return 0;
    }

    if (request[0] == PCP_2 && router->speaks == SPEAKS_NAT_PMP) {
        answer[1] = 0x80;
        answer[3] = 1;
        router_number(answer + 4, epoch_s);
        return 8;
    }

    if (request[0] == PCP_2) {
        cr_assert_eq(size, 60);
        memcpy(answer, request, size);
        answer[1] |= 0x80;
        answer[3] = router->result;
        router_number(answer + 8, epoch_s);
        memset(answer + 12, 0, 12);
        memset(answer + 54, 0xff, 2);
        memcpy(answer + 56, router->outer, 4);

        if (router->outer_port != 0) {
            answer[42] = (uint8_t) (router->outer_port >> 8);
            answer[43] = (uint8_t) router->outer_port;
        }

        router->last_lifetime_s =
            (uint32_t) request[6] << 8 | (uint32_t) request[7];
        router->held = router->result == 0 && router->last_lifetime_s != 0;
        return size;
    }

    answer[1] = request[1] | 0x80;
    router_number(answer + 4, epoch_s);

    if (request[1] == 0) {
        cr_assert_eq(size, 2);
        memcpy(answer + 8, router->outer, 4);
        return 12;
    }

    cr_assert_eq(size, 12);
    memcpy(answer + 8, request + 4, 8);
    router->last_lifetime_s =
        (uint32_t) request[10] << 8 | (uint32_t) request[11];
    router->held = router->last_lifetime_s != 0;

    return 16;
}


/* Lets so much time pass; the router answers at once. */
static void
router_run(struct router *router, uint64_t ms)
{
    uint8_t answer[PCP_ANSWER_MAX], request[PCP_REQUEST_MAX];
    uint64_t deadline, end_ms;
    size_t size;

    end_ms = router->now_ms + ms;

    for (;;) {
        while ((size = port_mapping_due(&router->mapping, router->now_ms,
                                        request)) != 0) {
            cr_assert_leq(size, PCP_REQUEST_MAX);
            router->asked++;
            size = router_answer(router, request, size, answer);
            router->lost +=
                size != 0 && port_mapping_answer(&router->mapping, answer, size,
                                                 router->now_ms);
        }

        deadline = port_mapping_deadline(&router->mapping);
        cr_assert_gt(deadline, router->now_ms);

        if (deadline > end_ms) {
            router->now_ms = end_ms;
            return;
        }

        router->now_ms = deadline;
    }
}


static const char *
router_endpoint(const struct router *router)
{
    static char text[ADDRESS_TEXT];
    const struct endpoint *endpoint;

    endpoint = port_mapping_endpoint(&router->mapping, router->now_ms);

    return endpoint == NULL ? "none" : endpoint_format(endpoint, text);
}


Test(plan_port_mapping, by_pcp)
{
    struct router router;

    router_start(&router, SPEAKS_PCP);
    router_run(&router, 0);

    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");
    cr_assert_eq(router.last_lifetime_s, PORT_MAPPING_LIFETIME_S);

    /* a day of renewals at half of the lifetime */
    router_run(&router, 86400000);
    cr_assert_eq(router.asked, 1 + 24);
    cr_assert_eq(router.lost, 0);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");
}


Test(plan_port_mapping, by_nat_pmp)
{
    struct router router;

    router_start(&router, SPEAKS_NAT_PMP);
    router_run(&router, 0);

    cr_assert_eq(router.asked, 3, "PCP, the address, the port");
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");

    /* the address may be another one later */
    router.outer[3] = 8;
    router_run(&router, PORT_MAPPING_LIFETIME_S * 500ULL);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.8:51820");
}


Test(plan_port_mapping, another_port_is_taken_and_asked_for_again)
{
    struct router router;

    router_start(&router, SPEAKS_PCP);
    router.outer_port = 40000;
    router_run(&router, 0);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:40000");

    router.outer_port = 0; /* it echoes what is wished for */
    router_run(&router, PORT_MAPPING_LIFETIME_S * 500ULL);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:40000");
}


Test(plan_port_mapping, a_router_that_says_nothing_is_left_alone)
{
    struct router router;

    router_start(&router, SPEAKS_NOTHING);
    router_run(&router, 60000);

    cr_assert_str_eq(router_endpoint(&router), "none");
    cr_assert_eq(router.asked, 2 * PORT_MAPPING_TRIES);
    cr_assert_eq(router.mapping.state, PORT_MAPPING_SILENT);

    /* and found when it has learned to */
    router.speaks = SPEAKS_PCP;
    router_run(&router, PORT_MAPPING_SILENT_MS);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");
}


Test(plan_port_mapping, a_refusal_is_believed_for_its_time)
{
    struct router router;

    router_start(&router, SPEAKS_PCP);
    router.result = PCP_NOT_AUTHORIZED;
    router_run(&router, 1000);

    cr_assert_eq(router.asked, 1);
    cr_assert_eq(router.mapping.state, PORT_MAPPING_REFUSED);
    cr_assert_eq(router.mapping.result, PCP_NOT_AUTHORIZED);

    router.result = PCP_SUCCESS;
    router_run(&router, PORT_MAPPING_REFUSED_MAX_MS);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");
}


Test(plan_port_mapping, a_router_without_an_address_is_none)
{
    struct router router;

    router_start(&router, SPEAKS_NAT_PMP);
    memset(router.outer, 0, sizeof(router.outer));
    router_run(&router, 1000);

    cr_assert_str_eq(router_endpoint(&router), "none");
    cr_assert_eq(router.mapping.state, PORT_MAPPING_REFUSED);
}


Test(plan_port_mapping, what_nobody_renews_ends)
{
    struct router router;

    router_start(&router, SPEAKS_PCP);
    router_run(&router, 0);
    router.speaks = SPEAKS_NOTHING;

    router_run(&router, PORT_MAPPING_LIFETIME_S * 1000ULL - 1);
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");
    router_run(&router, 1);
    cr_assert_str_eq(router_endpoint(&router), "none");

    /* not a flood while it is away: some renewals of a few tries each */
    cr_assert_leq(router.asked, 100);
}


Test(plan_port_mapping, a_router_that_started_anew_is_noticed)
{
    struct router router;

    router_start(&router, SPEAKS_PCP);
    router_run(&router, 0);

    router.booted_ms = router.now_ms;
    router_run(&router, PORT_MAPPING_LIFETIME_S * 500ULL);
    cr_assert_eq(router.lost, 1);

    port_mapping_renew(&router.mapping, router.now_ms);
    router_run(&router, 0);
    cr_assert_eq(router.lost, 1);
}


Test(plan_port_mapping, the_port_is_given_back)
{
    uint8_t answer[PCP_ANSWER_MAX], request[PCP_REQUEST_MAX];
    enum speaks speaks;
    struct router router;
    size_t size;

    for (speaks = SPEAKS_PCP; speaks < SPEAKS_NOTHING; speaks++) {
        router_start(&router, speaks);
        router_run(&router, 0);
        cr_assert(router.held);

        size = port_mapping_release(&router.mapping, request);
        cr_assert_neq(size, 0);
        cr_assert_neq(router_answer(&router, request, size, answer), 0);
        cr_assert(!router.held);
        cr_assert_eq(router.last_lifetime_s, 0);
        cr_assert_str_eq(router_endpoint(&router), "none");
        cr_assert_eq(port_mapping_release(&router.mapping, request), 0);
    }
}


Test(plan_port_mapping, only_the_answer_to_the_question_counts)
{
    uint8_t answer[PCP_ANSWER_MAX], request[PCP_REQUEST_MAX];
    struct router router;
    size_t cut, size;

    router_start(&router, SPEAKS_PCP);
    size = port_mapping_due(&router.mapping, router.now_ms, request);
    size = router_answer(&router, request, size, answer);

    answer[24] ^= 1; /* another nonce */
    cr_assert(!port_mapping_answer(&router.mapping, answer, size, START_MS));
    cr_assert_str_eq(router_endpoint(&router), "none");
    answer[24] ^= 1;

    answer[41] ^= 1; /* another port */
    cr_assert(!port_mapping_answer(&router.mapping, answer, size, START_MS));
    cr_assert_str_eq(router_endpoint(&router), "none");
    answer[41] ^= 1;

    for (cut = 0; cut < size; cut++) {
        cr_assert(!port_mapping_answer(&router.mapping, answer, cut, START_MS));
        cr_assert_str_eq(router_endpoint(&router), "none");
    }

    cr_assert(!port_mapping_answer(&router.mapping, answer, size, START_MS));
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");

    /* nobody asked for another */
    answer[59]++;
    cr_assert(!port_mapping_answer(&router.mapping, answer, size, START_MS));
    cr_assert_str_eq(router_endpoint(&router), "192.0.2.7:51820");
}


Test(plan_port_mapping, random_datagrams_break_nothing)
{
    uint8_t data[80], request[PCP_REQUEST_MAX];
    struct router router;
    unsigned random;
    size_t i, n, size;

    random = 7;
    router_start(&router, SPEAKS_NOTHING);

    for (n = 0; n < 200000; n++) {
        for (i = 0; i < sizeof(data); i++) {
            random = random * 1664525U + 1013904223U;
            data[i] = (uint8_t) (random >> 24);
        }

        /* most of them begin like an answer */
        data[0] = data[0] & 1 ? PCP_2 : PCP_NAT_PMP;
        data[1] = 0x80 | (data[1] & 1);
        data[3] &= 3;
        size = data[10] % (sizeof(data) + 1);

        (void) port_mapping_answer(&router.mapping, data, size, router.now_ms);
        router.now_ms += data[11];
        (void) port_mapping_due(&router.mapping, router.now_ms, request);
        (void) port_mapping_release(&router.mapping, request);
    }
}
