/* What a NAT does, found out about simulated ones, with and without loss. */

#include "plan/nat_behaviour.h"

#include <criterion/criterion.h>
#include <string.h>

#define START_MS 9000000ULL
#define RTT_MS 30
#define FLIGHT 64

/* By what of the other end a NAT decides. */
enum by {
    BY_NOTHING,
    BY_ADDRESS,
    BY_BOTH
};

struct datagram {
    uint64_t at;
    struct endpoint from;
    size_t size;
    uint8_t data[256];
};

struct world {
    enum by mapping;
    enum by filtering;
    bool blocked;
    bool one_address; /* of the server */
    bool plain;       /* it says nothing of another one */
    bool refuses;     /* and answers a wish to change by 420 */
    unsigned lose;    /* every so many datagrams; 0: none */
    unsigned count;
    bool asked[2][2][2]; /* from either port of ours: who is let in */
    struct datagram flight[FLIGHT];
    size_t flight_count;
    uint64_t now;
    uint32_t random;
};

static const char *const places[2][2] = {{"192.0.2.1:3478", "192.0.2.1:3479"},
                                         {"192.0.2.2:3478", "192.0.2.2:3479"}};


static struct endpoint
place(unsigned address, unsigned port)
{
    struct endpoint endpoint;

    cr_assert(endpoint_parse(places[address][port], &endpoint));

    return endpoint;
}


static gc_stun_address_t
stun_address(const struct endpoint *endpoint)
{
    gc_stun_address_t address;

    memset(&address, 0, sizeof(address));
    address.family = endpoint->address.family;
    memcpy(address.bytes, endpoint->address.bytes, 16);
    address.port = endpoint->port;

    return address;
}


/* The outer port towards a place. */
static struct endpoint
outer(const struct world *world, unsigned address, unsigned port)
{
    struct endpoint mapped;

    cr_assert(endpoint_parse("203.0.113.7:40000", &mapped));

    if (world->mapping != BY_NOTHING) {
        mapped.port = (uint16_t) (mapped.port + 10 * address);
    }

    if (world->mapping == BY_BOTH) {
        mapped.port = (uint16_t) (mapped.port + port);
    }

    return mapped;
}


static bool
let_in(const struct world *world, bool aside, unsigned address, unsigned port)
{
    switch (world->filtering) {
    case BY_NOTHING:
        return true;
    case BY_ADDRESS:
        return world->asked[aside][address][0] ||
               world->asked[aside][address][1];
    case BY_BOTH:
        return world->asked[aside][address][port];
    }

    return false;
}


static bool
lost(struct world *world)
{
    return world->lose != 0 && ++world->count % world->lose == 0;
}


/* A request arrives at a place of the server; its answer flies back. */
static void
serve(struct world *world, bool aside, unsigned address, unsigned port,
      const uint8_t *data, size_t size)
{
    struct datagram *answer;
    struct endpoint mapped = outer(world, address, port), other;
    gc_stun_writer_t writer;
    gc_stun_address_t told;
    gc_stun_t request;
    uint32_t change = 0;
    bool refuse;

    cr_assert_eq(gc_stun_read(&request, data, size), 0);
    (void) gc_stun_u32(&request, GC_STUN_CHANGE_REQUEST, &change);
    refuse = change != 0 &&
             (world->refuses ||
              (world->one_address && (change & GC_STUN_CHANGE_IP) != 0));
    other = place(world->one_address ? address : 1 - address, 1 - port);

    if (!refuse) {
        address ^= (change & GC_STUN_CHANGE_IP) != 0;
        port ^= (change & GC_STUN_CHANGE_PORT) != 0;
    }

    cr_assert_lt(world->flight_count, (size_t) FLIGHT);
    answer = &world->flight[world->flight_count++];
    answer->at = world->now + RTT_MS;
    answer->from = place(address, port);
    gc_stun_begin(&writer, answer->data, sizeof(answer->data),
                  refuse ? GC_STUN_ERROR : GC_STUN_SUCCESS, GC_STUN_BINDING,
                  request.transaction);

    if (refuse) {
        gc_stun_put_error(&writer, 420, "");
    } else {
        told = stun_address(&mapped);
        gc_stun_put_address(&writer, GC_STUN_XOR_MAPPED_ADDRESS, &told);
    }

    if (!refuse && !world->plain) {
        told = stun_address(&other);
        gc_stun_put_address(&writer, GC_STUN_OTHER_ADDRESS, &told);
    }

    answer->size = gc_stun_end(&writer);
    cr_assert_neq(answer->size, 0u);

    if (!let_in(world, aside, address, port) || lost(world)) {
        world->flight_count--;
    }
}


static void
leave(struct world *world, const struct stun_ask *ask, const uint8_t *data,
      size_t size)
{
    struct endpoint there;
    unsigned address, port;
    bool aside = ask->aside;

    if (world->blocked || lost(world)) {
        return;
    }

    for (address = 0; address < 2; address++) {
        for (port = 0; port < 2; port++) {
            there = place(address, port);

            if (endpoint_compare(&there, &ask->server) == 0) {
                world->asked[aside][address][port] = true;
                serve(world, aside, address, port, data, size);
            }
        }
    }
}


static void
arrive(struct world *world, struct stun_client *client,
       struct nat_behaviour *nat)
{
    struct datagram datagram;
    struct stun_result result;
    size_t i = 0;

    while (i < world->flight_count) {
        if (world->flight[i].at > world->now) {
            i++;
            continue;
        }

        datagram = world->flight[i];
        world->flight[i] = world->flight[--world->flight_count];

        if (stun_client_answer(client, &datagram.from, datagram.data,
                               datagram.size, world->now, &result)) {
            nat_behaviour_result(nat, &result);
        }
    }
}


/* Plays until nothing is left to ask; how long that took. */
static uint64_t
play(struct world *world, struct nat_behaviour *nat)
{
    uint8_t data[STUN_CLIENT_REQUEST_MAX];
    struct stun_client client;
    struct stun_result result;
    struct stun_ask ask;
    const struct stun_ask *due;
    struct endpoint server = place(0, 0);
    uint64_t next;
    size_t i, size;

    memset(&client, 0, sizeof(client));
    world->now = START_MS;
    nat_behaviour_start(nat, &server);

    while (nat->step != NAT_ENDED) {
        while (nat_behaviour_ask(nat, &ask)) {
            memset(ask.transaction, 0, sizeof(ask.transaction));
            memcpy(ask.transaction, &world->random, 4);
            world->random++;
            cr_assert(stun_client_ask(&client, &ask, world->now));
        }

        while ((size = stun_client_due(&client, world->now, &due, data)) != 0) {
            leave(world, due, data, size);
        }

        next = stun_client_deadline(&client);

        for (i = 0; i < world->flight_count; i++) {
            next = world->flight[i].at < next ? world->flight[i].at : next;
        }

        cr_assert_neq(next, UINT64_MAX, "it waits for nothing");
        world->now = next;
        arrive(world, &client, nat);

        while (stun_client_silent(&client, world->now, &result)) {
            nat_behaviour_result(nat, &result);
        }
    }

    cr_expect_eq(stun_client_deadline(&client), UINT64_MAX,
                 "nothing is left out");

    return world->now - START_MS;
}


Test(nat_behaviour, every_kind)
{
    static const enum nat_dependence expect[] = {
        NAT_INDEPENDENT, NAT_BY_ADDRESS, NAT_BY_ADDRESS_AND_PORT};
    struct nat_behaviour nat;
    struct endpoint mapped;
    struct world world;
    uint64_t took;
    int mapping, filtering;

    for (mapping = BY_NOTHING; mapping <= BY_BOTH; mapping++) {
        for (filtering = BY_NOTHING; filtering <= BY_BOTH; filtering++) {
            memset(&world, 0, sizeof(world));
            world.mapping = (enum by) mapping;
            world.filtering = (enum by) filtering;
            took = play(&world, &nat);
            mapped = outer(&world, 0, 0);

            cr_expect(nat.answered);
            cr_expect_eq(endpoint_compare(&nat.mapped, &mapped), 0);
            cr_expect_eq(nat.rtt_ms, RTT_MS);
            cr_expect_eq(nat.mapping, expect[mapping], "%d %d: mapping %s",
                         mapping, filtering, nat_dependence_name(nat.mapping));
            cr_expect_eq(nat.filtering, expect[filtering],
                         "%d %d: filtering %s", mapping, filtering,
                         nat_dependence_name(nat.filtering));
            cr_expect_leq(took, 3000, "took %u ms", (unsigned) took);
        }
    }
}


Test(nat_behaviour, a_server_with_one_address)
{
    struct nat_behaviour nat;
    struct world world;

    memset(&world, 0, sizeof(world));
    world.one_address = true;
    (void) play(&world, &nat);
    cr_expect_eq(nat.mapping, NAT_NOT_BY_PORT);
    cr_expect_eq(nat.filtering, NAT_NOT_BY_PORT);

    memset(&world, 0, sizeof(world));
    world.one_address = true;
    world.mapping = world.filtering = BY_BOTH;
    (void) play(&world, &nat);
    cr_expect_eq(nat.mapping, NAT_BY_PORT);
    cr_expect_eq(nat.filtering, NAT_BY_PORT);
}


Test(nat_behaviour, a_server_that_only_says_who_we_are)
{
    struct nat_behaviour nat;
    struct world world;
    uint64_t took;

    memset(&world, 0, sizeof(world));
    world.plain = true;
    took = play(&world, &nat);
    cr_expect(nat.answered);
    cr_expect_eq(nat.mapping, NAT_UNKNOWN);
    cr_expect_eq(nat.filtering, NAT_UNKNOWN);
    cr_expect_eq(took, RTT_MS);

    /* a refusal is no filter */
    memset(&world, 0, sizeof(world));
    world.refuses = true;
    (void) play(&world, &nat);
    cr_expect_eq(nat.filtering, NAT_UNKNOWN);
    cr_expect_eq(nat.mapping, NAT_INDEPENDENT);
}


Test(nat_behaviour, udp_is_blocked)
{
    struct nat_behaviour nat;
    struct world world;
    uint64_t took;

    memset(&world, 0, sizeof(world));
    world.blocked = true;
    took = play(&world, &nat);
    cr_expect_not(nat.answered);
    cr_expect_eq(nat.mapping, NAT_UNKNOWN);
    cr_expect_eq(took, 5750);
}


/* Lost datagrams cost time, and change no finding about mapping. */
Test(nat_behaviour, loss)
{
    static const enum nat_dependence expect[] = {
        NAT_INDEPENDENT, NAT_BY_ADDRESS, NAT_BY_ADDRESS_AND_PORT};
    struct nat_behaviour nat;
    struct world world;
    unsigned lose;
    int kind;

    for (lose = 2; lose < 12; lose++) {
        for (kind = BY_NOTHING; kind <= BY_BOTH; kind++) {
            memset(&world, 0, sizeof(world));
            world.mapping = world.filtering = (enum by) kind;
            world.lose = lose + (lose == 2);
            (void) play(&world, &nat);
            cr_expect(nat.answered);
            cr_expect_eq(nat.mapping, expect[kind], "%u %d", lose, kind);
            cr_expect_eq(nat.filtering, expect[kind], "%u %d", lose, kind);
        }
    }
}


Test(nat_behaviour, results_that_nobody_waits_for)
{
    struct nat_behaviour nat;
    struct stun_result result;
    struct stun_ask ask;
    struct endpoint server = place(0, 0);

    memset(&result, 0, sizeof(result));
    nat_behaviour_start(&nat, &server);
    cr_assert(nat_behaviour_ask(&nat, &ask));
    cr_expect_not(nat_behaviour_ask(&nat, &ask));
    result.tag = NAT_BEHAVIOUR_ASKS;
    nat_behaviour_result(&nat, &result);
    cr_expect_eq(nat.step, NAT_FIRST);
    result.tag = 0;
    result.outcome = STUN_SILENT;
    nat_behaviour_result(&nat, &result);
    cr_expect_eq(nat.step, NAT_ENDED);
    nat_behaviour_result(&nat, &result);
    cr_expect_eq(nat.step, NAT_ENDED);
    cr_expect_not(nat_behaviour_ask(&nat, &ask));
}
