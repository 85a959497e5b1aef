/* Binding requests in simulated time: sent again, answered, given up. */

#include "plan/stun_client.h"

#include <criterion/criterion.h>
#include <string.h>

#define START_MS 7000000ULL

static struct stun_client client;
static struct endpoint server;
static struct endpoint elsewhere;
static struct endpoint mapped;


static void
setup(void)
{
    memset(&client, 0, sizeof(client));
    cr_assert(endpoint_parse("192.0.2.1:3478", &server));
    cr_assert(endpoint_parse("192.0.2.2:3479", &elsewhere));
    cr_assert(endpoint_parse("203.0.113.7:40000", &mapped));
}


static struct stun_ask
ask_of(unsigned tag, uint32_t change)
{
    struct stun_ask ask;

    memset(&ask, 0, sizeof(ask));
    ask.server = server;
    ask.tag = tag;
    ask.change = change;
    memset(ask.transaction, (int) (tag + 1), sizeof(ask.transaction));

    return ask;
}


static size_t
answer_of(unsigned tag, gc_stun_class_e class, uint16_t type, uint8_t *data)
{
    gc_stun_writer_t writer;
    gc_stun_address_t address;
    uint8_t transaction[GC_STUN_TRANSACTION];

    memset(transaction, (int) (tag + 1), sizeof(transaction));
    memset(&address, 0, sizeof(address));
    address.family = mapped.address.family;
    memcpy(address.bytes, mapped.address.bytes, 16);
    address.port = mapped.port;
    gc_stun_begin(&writer, data, 256, class, GC_STUN_BINDING, transaction);

    if (class == GC_STUN_ERROR) {
        gc_stun_put_error(&writer, 420, "Unknown Attribute");
    } else if (type != 0) {
        gc_stun_put_address(&writer, type, &address);
    }

    return gc_stun_end(&writer);
}


Test(stun_client, sends_again_and_gives_up, .init = setup)
{
    static const uint64_t at[] = {0, 250, 750, 1750, 3750};
    uint8_t data[STUN_CLIENT_REQUEST_MAX];
    struct stun_result result;
    struct stun_ask ask = ask_of(9, 0);
    const struct stun_ask *due;
    gc_stun_t message;
    size_t size;
    uint64_t now;
    unsigned sent = 0, ended = 0;

    cr_expect_eq(stun_client_deadline(&client), UINT64_MAX);
    cr_assert(stun_client_ask(&client, &ask, START_MS));

    while ((now = stun_client_deadline(&client)) != UINT64_MAX) {
        while ((size = stun_client_due(&client, now, &due, data)) != 0) {
            cr_assert_lt(sent, 5u);
            cr_expect_eq(now - START_MS, at[sent++]);
            cr_expect_eq(endpoint_compare(&due->server, &server), 0);
            cr_assert_eq(gc_stun_read(&message, data, size), 0);
            cr_expect_eq(message.method, GC_STUN_BINDING);
            cr_expect_eq(message.class, GC_STUN_REQUEST);
            cr_expect_eq(memcmp(message.transaction, ask.transaction, 12), 0);
            cr_expect_geq(size, 92u, "room for two more IPv6 addresses");
        }

        while (stun_client_silent(&client, now, &result)) {
            cr_expect_eq(now - START_MS, 5750);
            cr_expect_eq(result.outcome, STUN_SILENT);
            cr_expect_eq(result.tag, 9u);
            ended++;
        }
    }

    cr_expect_eq(sent, 5u);
    cr_expect_eq(ended, 1u);
}


Test(stun_client, tries_are_bounded, .init = setup)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX];
    struct stun_result result;
    const struct stun_ask *due;
    struct stun_ask ask;
    unsigned tries, sent;
    uint64_t now;

    for (tries = 1; tries <= 100; tries++) {
        ask = ask_of(0, 0);
        ask.tries = tries;
        cr_assert(stun_client_ask(&client, &ask, START_MS));
        sent = 0;

        while ((now = stun_client_deadline(&client)) != UINT64_MAX) {
            while (stun_client_due(&client, now, &due, data) != 0) {
                sent++;
            }

            (void) stun_client_silent(&client, now, &result);
        }

        cr_expect_eq(sent, tries < 7 ? tries : 7, "%u: %u", tries, sent);
    }
}


Test(stun_client, an_answer_is_taken_once, .init = setup)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX], said[256];
    struct stun_result result;
    struct stun_ask ask = ask_of(3, 0);
    const struct stun_ask *due;
    size_t size;

    size = answer_of(3, GC_STUN_SUCCESS, GC_STUN_XOR_MAPPED_ADDRESS, said);
    cr_assert(stun_client_ask(&client, &ask, START_MS));
    cr_expect_not(
        stun_client_answer(&client, &server, said, size, START_MS, &result),
        "nothing was sent yet");
    (void) stun_client_due(&client, START_MS, &due, data);
    (void) stun_client_due(&client, START_MS + 250, &due, data);
    cr_assert(stun_client_answer(&client, &server, said, size, START_MS + 290,
                                 &result));
    cr_expect_eq(result.outcome, STUN_ANSWERED);
    cr_expect_eq(result.tag, 3u);
    cr_expect_eq(result.rtt_ms, 40);
    cr_expect_eq(endpoint_compare(&result.mapped, &mapped), 0);
    cr_expect_eq(endpoint_compare(&result.from, &server), 0);
    cr_expect_eq(result.other.address.family, ADDRESS_NONE);
    cr_expect_not(stun_client_answer(&client, &server, said, size,
                                     START_MS + 300, &result));
    cr_expect_eq(stun_client_deadline(&client), UINT64_MAX);
}


Test(stun_client, strangers_and_rubbish_are_no_answers, .init = setup)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX], said[256];
    struct stun_result result;
    struct stun_ask ask = ask_of(1, 0);
    const struct stun_ask *due;
    struct endpoint third = server;
    size_t i, size;

    cr_assert(stun_client_ask(&client, &ask, START_MS));
    (void) stun_client_due(&client, START_MS, &due, data);
    third.port++;
    size = answer_of(1, GC_STUN_SUCCESS, GC_STUN_XOR_MAPPED_ADDRESS, said);
    cr_expect_not(
        stun_client_answer(&client, &third, said, size, START_MS, &result));
    cr_expect_not(
        stun_client_answer(&client, &elsewhere, said, size, START_MS, &result));

    for (i = 0; i < size; i++) {
        cr_expect_not(
            stun_client_answer(&client, &server, said, i, START_MS, &result));
    }

    size = answer_of(2, GC_STUN_SUCCESS, GC_STUN_XOR_MAPPED_ADDRESS, said);
    cr_expect_not(
        stun_client_answer(&client, &server, said, size, START_MS, &result));
    size = answer_of(1, GC_STUN_REQUEST, GC_STUN_XOR_MAPPED_ADDRESS, said);
    cr_expect_not(
        stun_client_answer(&client, &server, said, size, START_MS, &result));
    cr_expect_neq(stun_client_deadline(&client), UINT64_MAX, "it is still out");
}


Test(stun_client, refusals_and_old_servers, .init = setup)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX], said[256];
    struct stun_result result;
    struct stun_ask ask;
    const struct stun_ask *due;
    unsigned tag;
    size_t size;

    for (tag = 0; tag < 3; tag++) {
        ask = ask_of(tag, 0);
        cr_assert(stun_client_ask(&client, &ask, START_MS));
        (void) stun_client_due(&client, START_MS, &due, data);
    }

    size = answer_of(0, GC_STUN_ERROR, 0, said);
    cr_assert(
        stun_client_answer(&client, &server, said, size, START_MS, &result));
    cr_expect_eq(result.outcome, STUN_REFUSED);
    cr_expect_eq(result.error, 420);

    size = answer_of(1, GC_STUN_SUCCESS, 0, said);
    cr_assert(
        stun_client_answer(&client, &server, said, size, START_MS, &result));
    cr_expect_eq(result.outcome, STUN_REFUSED, "an answer without an address");
    cr_expect_eq(result.error, 0);

    size = answer_of(2, GC_STUN_SUCCESS, GC_STUN_MAPPED_ADDRESS, said);
    cr_assert(
        stun_client_answer(&client, &server, said, size, START_MS, &result));
    cr_expect_eq(result.outcome, STUN_ANSWERED);
    cr_expect_eq(endpoint_compare(&result.mapped, &mapped), 0);
}


Test(stun_client, another_place_only_where_it_was_asked_for, .init = setup)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX], said[256];
    struct stun_result result;
    struct stun_ask ask = ask_of(5, GC_STUN_CHANGE_IP | GC_STUN_CHANGE_PORT);
    const struct stun_ask *due;
    struct endpoint half = elsewhere;
    gc_stun_t message;
    uint32_t change;
    size_t size;

    cr_assert(stun_client_ask(&client, &ask, START_MS));
    size = stun_client_due(&client, START_MS, &due, data);
    cr_assert_eq(gc_stun_read(&message, data, size), 0);
    cr_assert_eq(gc_stun_u32(&message, GC_STUN_CHANGE_REQUEST, &change), 0);
    cr_expect_eq(change, 6u);

    size = answer_of(5, GC_STUN_SUCCESS, GC_STUN_XOR_MAPPED_ADDRESS, said);
    half.port = server.port;
    cr_expect_not(
        stun_client_answer(&client, &half, said, size, START_MS, &result));
    cr_assert(
        stun_client_answer(&client, &elsewhere, said, size, START_MS, &result));
    cr_expect_eq(endpoint_compare(&result.from, &elsewhere), 0);
}


Test(stun_client, so_many_at_once, .init = setup)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX];
    struct stun_ask ask;
    const struct stun_ask *due;
    unsigned tag, sent = 0;

    for (tag = 0; tag < STUN_CLIENT_ROOM; tag++) {
        ask = ask_of(tag, 0);
        cr_assert(stun_client_ask(&client, &ask, START_MS));
    }

    cr_expect_not(stun_client_ask(&client, &ask, START_MS));

    while (stun_client_due(&client, START_MS, &due, data) != 0) {
        sent++;
    }

    cr_expect_eq(sent, STUN_CLIENT_ROOM);
}
