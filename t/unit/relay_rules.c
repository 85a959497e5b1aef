#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/gc_relay_rules.h"


#define DATE 1800000000
#define A 1
#define B 2
#define C 3
#define OTHER 100 /* from here on: of another network */


typedef struct {
    gc_relay_t *relay;
    gc_relay_key_t key;
    gc_relay_send_t send;
    uint64_t now;
    uint64_t serial;
} world_t;


static world_t
world_of(uint32_t peers)
{
    world_t world;
    unsigned char bytes[64] = "sixty-four bytes that nobody knows",
                  id[16] = {0};

    memset(&world, 0, sizeof(world));
    world.relay =
        gc_relay_create(calloc(1, gc_relay_size(peers)), peers, 9, bytes);
    cr_assert_eq(gc_relay_key_derive(&world.key, bytes, id), 0);
    world.now = 100000;

    return world;
}


static gc_relay_address_t
address_of(uint32_t n)
{
    gc_relay_address_t address;

    memset(&address, 0, sizeof(address));
    address.remote.family = 4;
    address.remote.bytes[0] = 10;
    address.remote.bytes[1] = (uint8_t) (n >> 16);
    address.remote.bytes[2] = (uint8_t) (n >> 8);
    address.remote.bytes[3] = (uint8_t) n;
    address.remote.port = 51820;

    return address;
}


static void
id_of(uint32_t n, uint8_t id[16])
{
    memset(id, 0, 16);
    memcpy(id, &n, sizeof(n));
}


static void
key_of(uint32_t n, unsigned char key[32])
{
    memset(key, 0x55, 32);
    memcpy(key, &n, sizeof(n));
}


/* a REGISTER of n as it would come from there; its size */
static size_t
registration(world_t *world, uint32_t n, const uint8_t *nonce,
             const gc_relay_message_t *more, uint8_t *out)
{
    gc_relay_message_t message;
    gc_relay_credential_t credential;
    unsigned char bytes[GC_RELAY_CREDENTIAL], secret[GC_RELAY_SECRET];
    static const uint8_t transaction[12] = "transaction";

    memset(&credential, 0, sizeof(credential));
    id_of(n, credential.peer);
    credential.network[0] = n >= OTHER ? 2 : 1;
    key_of(n, credential.public_key);
    credential.issued = DATE;
    credential.expires = DATE + 3600;
    cr_assert_eq(gc_relay_credential_issue(&world->key, &credential, bytes), 0);
    cr_assert_eq(gc_relay_secret(&world->key, bytes, secret), 0);

    memset(&message, 0, sizeof(message));

    if (more != NULL) {
        message = *more;
    }

    message.kind = GC_RELAY_REGISTER;
    message.transaction = transaction;
    message.credential = bytes;
    message.nonce = nonce;
    message.serial = ++world->serial;

    return gc_relay_message_write(&message, secret, out, GC_STUN_MAX);
}


static gc_relay_verdict_e
arrives(world_t *world, const uint8_t *data, size_t size, uint32_t from)
{
    gc_relay_message_t message;
    gc_relay_address_t address = address_of(from);

    cr_assert_eq(gc_relay_message_read(&message, data, size), 0);

    return gc_relay_register(world->relay, &world->key, 1, &message, &address,
                             world->now, DATE, &world->send);
}


/* the error that was answered */
static int
answered(world_t *world)
{
    gc_relay_message_t message;

    cr_assert_eq(world->send.nouts, 1);
    cr_assert_eq(gc_relay_message_read(&message, world->send.outs[0].data,
                                       world->send.outs[0].size),
                 0);

    return message.error;
}


static gc_relay_verdict_e
registered_with(world_t *world, uint32_t n, uint32_t from,
                const gc_relay_message_t *more)
{
    uint8_t nonce[16], out[GC_STUN_MAX];
    gc_relay_address_t address = address_of(from);

    cr_assert_eq(
        gc_relay_nonce(world->relay, &address.remote, world->now, nonce), 0);

    return arrives(world, out, registration(world, n, nonce, more, out), from);
}


static void
registered(world_t *world, uint32_t n)
{
    cr_assert_eq(registered_with(world, n, n, NULL), GC_RELAY_ANSWERED);
    cr_assert_eq(answered(world), 0);
}


/* a handshake's packet of type 1 or 2 for `to`, as far as a relay sees it */
static gc_relay_verdict_e
shakes(world_t *world, uint32_t from, uint32_t to, unsigned char type,
       uint32_t sender, uint32_t receiver)
{
    size_t at;
    gc_wg_mac1_t mac1;
    gc_relay_verdict_e verdict;
    gc_relay_search_t search;
    gc_relay_address_t address = address_of(from);
    unsigned char key[32], packet[GC_WG_INITIATION] = {0};

    packet[0] = type;
    packet[4] = (unsigned char) sender;
    packet[8] = (unsigned char) receiver;
    at = type == 1 ? 116 : 60;
    key_of(to, key);
    gc_wg_mac1_init(&mac1, key);
    gc_blake2s_macs((const gc_blake2s_key_t *[]){&mac1}, 1, packet, at,
                    packet + at, 16);
    memset(&search, 0, sizeof(search));

    do {
        verdict = gc_relay_handshake(world->relay, &address.remote, packet,
                                     (gc_wg_type_e) type, world->now, &search,
                                     &world->send);
    } while (verdict == GC_RELAY_SEARCHING);

    return verdict;
}


static gc_relay_verdict_e
sends(world_t *world, uint32_t from, uint32_t receiver)
{
    gc_relay_address_t address = address_of(from);
    unsigned char packet[64] = {4};

    packet[4] = (unsigned char) receiver;

    return gc_relay_data(world->relay, &address.remote, packet, world->now,
                         &world->send);
}


static int
went_to(const world_t *world, uint32_t n)
{
    gc_relay_address_t address = address_of(n);

    return memcmp(&world->send.to, &address, sizeof(address)) == 0;
}


/* A and B have a session: A's index is 10, B's is 20. */
static world_t
connected(void)
{
    world_t world = world_of(200);

    registered(&world, A);
    registered(&world, B);
    registered(&world, C);
    registered(&world, OTHER);

    cr_assert_eq(shakes(&world, A, B, 1, 10, 0), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, B));
    cr_assert_eq(sends(&world, B, 10), GC_RELAY_DROP_UNBOUND, "still pending");
    cr_assert_eq(shakes(&world, B, A, 2, 20, 10), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, A));
    cr_assert_eq(world.send.nouts, 2, "both are told of the other");

    return world;
}


Test(relay_rules, forward_a_session_both_ways_and_no_longer_than_it_lives)
{
    world_t world = connected();

    cr_assert_eq(sends(&world, A, 20), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, B));
    cr_assert_eq(sends(&world, B, 10), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, A));
    cr_assert_eq(sends(&world, C, 10), GC_RELAY_DROP_UNBOUND);
    cr_assert_eq(sends(&world, 50, 10), GC_RELAY_DROP_STRANGER);

    world.now += GC_RELAY_REGISTERED_MS + 1;
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_DROP_STRANGER);
    registered(&world, A);
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_DROP_OFFLINE);
    registered(&world, B);
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_FORWARDED);

    world.now += GC_RELAY_LIVE_MS;
    registered(&world, A);
    registered(&world, B);
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_DROP_UNBOUND);
    free(world.relay);
}


Test(relay_rules, follow_a_peer_that_moves)
{
    world_t world = connected();

    cr_assert_eq(registered_with(&world, B, 60, NULL), GC_RELAY_ANSWERED);
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, 60));
    cr_assert_eq(sends(&world, 60, 10), GC_RELAY_FORWARDED);
    cr_assert_eq(sends(&world, B, 10), GC_RELAY_DROP_STRANGER);
    free(world.relay);
}


Test(relay_rules, let_the_first_initiation_of_a_pair_win)
{
    world_t world = world_of(10);

    registered(&world, A);
    registered(&world, B);
    world.now += 10;
    cr_assert_eq(shakes(&world, A, B, 1, 10, 0), GC_RELAY_FORWARDED);
    cr_assert_eq(shakes(&world, B, A, 1, 20, 0), GC_RELAY_DROP_GLARE);
    world.now += 1000;
    cr_assert_eq(shakes(&world, B, A, 1, 21, 0), GC_RELAY_FORWARDED,
                 "the answer was lost");

    /* from an address that B's answer cannot have gone to */
    world.now += 5000;
    cr_assert_eq(shakes(&world, A, B, 1, 11, 0), GC_RELAY_FORWARDED);
    world.now += 10;
    cr_assert_eq(registered_with(&world, B, 60, NULL), GC_RELAY_ANSWERED);
    cr_assert_eq(shakes(&world, 60, A, 1, 22, 0), GC_RELAY_FORWARDED);
    free(world.relay);
}


Test(relay_rules, never_give_an_index_to_another)
{
    unsigned i;
    world_t world = connected();

    cr_assert_eq(shakes(&world, C, B, 1, 10, 0), GC_RELAY_DROP_TAKEN);
    cr_assert_eq(shakes(&world, A, B, 1, 10, 0), GC_RELAY_DROP_TAKEN,
                 "a replayed initiation");
    cr_assert_eq(shakes(&world, C, A, 2, 20, 10), GC_RELAY_DROP_UNBOUND,
                 "nobody asked it");
    cr_assert_eq(shakes(&world, OTHER, A, 1, 30, 0), GC_RELAY_DROP_NOBODY,
                 "of another network");

    for (i = 0; i < 3; i++) {
        cr_assert_eq(shakes(&world, B, A, 2, 20, 10), GC_RELAY_FORWARDED);
        cr_assert_eq(world.send.nouts, 0, "told once");
    }

    cr_assert_eq(shakes(&world, B, A, 2, 20, 10), GC_RELAY_DROP_UNBOUND,
                 "enough answers");
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_FORWARDED);
    free(world.relay);
}


Test(relay_rules, bound_the_handshakes_of_a_pair)
{
    unsigned i, done = 0;
    world_t world = connected();

    for (i = 0; i < 100; i++) {
        done += shakes(&world, A, C, 1, 100 + i, 0) == GC_RELAY_FORWARDED;
    }

    cr_assert_eq(done, 5);
    cr_assert_eq(shakes(&world, B, C, 1, 99, 0), GC_RELAY_FORWARDED,
                 "another's are its own");
    free(world.relay);
}


Test(relay_rules, take_hints_that_harm_nobody)
{
    uint8_t a[16], b[16], other[16];
    gc_relay_message_t more;
    world_t world = connected();

    id_of(A, a);
    id_of(B, b);
    id_of(OTHER, other);
    memset(&more, 0, sizeof(more));
    more.nhints = 3;
    more.hints[0] = (gc_relay_hint_t){77, b};
    more.hints[1] = (gc_relay_hint_t){78, other};
    more.hints[2] = (gc_relay_hint_t){79, a};
    cr_assert_eq(registered_with(&world, C, C, &more), GC_RELAY_ANSWERED);
    cr_assert_eq(sends(&world, C, 77), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, B));
    cr_assert_eq(sends(&world, C, 78), GC_RELAY_DROP_UNBOUND);

    more.nhints = 1;
    more.hints[0] = (gc_relay_hint_t){79, b};
    cr_assert_eq(registered_with(&world, C, C, &more), GC_RELAY_ANSWERED);
    cr_assert_eq(sends(&world, C, 79), GC_RELAY_FORWARDED);
    cr_assert(went_to(&world, A), "the index is A's already");
    free(world.relay);
}


Test(relay_rules, hold_a_pair_that_goes_direct_until_either_ends_it)
{
    uint8_t a[16], b[16];
    gc_relay_message_t more;
    world_t world = connected();

    id_of(A, a);
    id_of(B, b);
    memset(&more, 0, sizeof(more));
    more.nholds = 1;
    more.holds[0] = (gc_relay_hold_t){3, b};
    cr_assert_eq(registered_with(&world, A, A, &more), GC_RELAY_ANSWERED);
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_DROP_HELD);
    cr_assert_eq(sends(&world, B, 10), GC_RELAY_DROP_HELD);
    world.now += 3000;
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_FORWARDED, "it runs out");

    cr_assert_eq(registered_with(&world, A, A, &more), GC_RELAY_ANSWERED);
    cr_assert_eq(sends(&world, B, 10), GC_RELAY_DROP_HELD);
    more.holds[0] = (gc_relay_hold_t){0, a};
    cr_assert_eq(registered_with(&world, B, B, &more), GC_RELAY_ANSWERED);
    cr_assert_eq(sends(&world, B, 10), GC_RELAY_FORWARDED);
    cr_assert_eq(sends(&world, A, 20), GC_RELAY_FORWARDED);
    free(world.relay);
}


Test(relay_rules, register_only_who_proves_address_and_secret)
{
    size_t size;
    uint8_t nonce[16], out[GC_STUN_MAX];
    world_t world = world_of(10);
    gc_relay_address_t here = address_of(A);

    size = registration(&world, A, NULL, NULL, out);
    cr_assert_eq(arrives(&world, out, size, A), GC_RELAY_ANSWERED);
    cr_assert_eq(answered(&world), GC_RELAY_PROVE);
    cr_assert_lt(world.send.outs[0].size, size);

    cr_assert_eq(gc_relay_nonce(world.relay, &here.remote, world.now, nonce),
                 0);
    size = registration(&world, A, nonce, NULL, out);
    cr_assert_eq(arrives(&world, out, size, B), GC_RELAY_ANSWERED);
    cr_assert_eq(answered(&world), GC_RELAY_PROVE, "taken from elsewhere");
    cr_assert_eq(gc_relay_used(world.relay), 0);

    out[size - 1] ^= 1;
    cr_assert_eq(arrives(&world, out, size, A), GC_RELAY_DROP_MAC);
    out[size - 1] ^= 1;
    out[20 + 4 + 50] ^= 1;
    cr_assert_eq(arrives(&world, out, size, A), GC_RELAY_DROP_CREDENTIAL);
    cr_assert_eq(answered(&world), GC_RELAY_REFUSE);
    out[20 + 4 + 50] ^= 1;
    cr_assert_eq(gc_relay_used(world.relay), 0);

    cr_assert_eq(arrives(&world, out, size, A), GC_RELAY_ANSWERED);
    cr_assert_eq(answered(&world), 0);
    cr_assert_eq(arrives(&world, out, size, A), GC_RELAY_DROP_REPLAY);
    cr_assert_eq(world.send.nouts, 0);
    free(world.relay);
}


Test(relay_rules, answer_strangers_rarely)
{
    unsigned i, said = 0;
    world_t world = world_of(10);
    gc_relay_address_t address;

    for (i = 0; i < 200; i++) {
        address = address_of(i);
        gc_relay_stranger(world.relay, &address, world.now, &world.send);
        said += world.send.nouts;
    }

    cr_assert_eq(said, 5, "all are of one prefix");
    cr_assert_eq(world.send.outs[0].size, 20);
    free(world.relay);
}


/* A member sends what is for nobody: it is out of budget, others are not. */
Test(relay_rules, bound_what_searches_cost)
{
    uint32_t n;
    unsigned i, refused = 0;
    world_t world = world_of(4000);

    for (n = 1; n < OTHER; n++) {
        registered(&world, n);
    }

    for (i = 0; i < 200; i++) {
        refused += shakes(&world, A, 5000, 1, i, 0) == GC_RELAY_DROP_BUDGET;
    }

    cr_assert_eq(refused, 151, "50,000 candidates");
    cr_assert_eq(shakes(&world, B, C, 1, 1, 0), GC_RELAY_FORWARDED);
    free(world.relay);
}


/* Whatever order things come in: nothing of B is sent to anybody but A. */
Test(relay_rules, keep_sessions_apart_under_loss_and_reordering)
{
    unsigned i, from, to;
    uint64_t seed = 88172645463325252ULL;
    gc_relay_verdict_e verdict;
    world_t world = connected();

    for (i = 0; i < 100000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        from = 1 + (unsigned) (seed >> 8) % 3;
        to = 1 + (unsigned) (seed >> 16) % 3;
        world.now += (seed >> 24) % 40;

        /* the index says whose it is: that of n is 16n to 16n+15 */
        verdict = (seed >> 40) % 3 == 0
                      ? sends(&world, from, 16 * to + (seed >> 48) % 16)
                      : shakes(&world, from, to,
                               (unsigned char) (1 + (seed >> 44) % 2),
                               16 * from + (seed >> 48) % 16,
                               16 * to + (seed >> 52) % 16);

        if (verdict == GC_RELAY_FORWARDED) {
            cr_assert(went_to(&world, to) || world.now < 300000,
                      "%u to %u in step %u", from, to, i);
        }

        if (i % 500 == 0) {
            registered(&world, 1 + i / 500 % 3);
            registered(&world, 1 + (i / 500 + 1) % 3);
            registered(&world, 1 + (i / 500 + 2) % 3);
        }
    }

    free(world.relay);
}
