#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/gc_relay_table.h"


#define PEERS 500


static const unsigned char random_bytes[64] = "nobody knows these sixty-four";


static gc_relay_t *
table_of(uint32_t peers)
{
    void *area;

    area = calloc(1, gc_relay_size(peers));
    cr_assert_not_null(area);

    return gc_relay_create(area, peers, 7, random_bytes);
}


static gc_relay_address_t
address_of(uint32_t n)
{
    gc_relay_address_t address;

    memset(&address, 0, sizeof(address));
    address.remote.family = n % 2 ? 4 : 6;
    memcpy(address.remote.bytes, &n, sizeof(n));
    address.remote.port = 51820;

    return address;
}


static uint32_t
peer_of(gc_relay_t *relay, uint32_t n, uint64_t now)
{
    uint32_t peer;
    uint8_t id[GC_RELAY_ID] = {0}, network[GC_RELAY_ID] = {0};
    gc_relay_address_t address = address_of(n);

    memcpy(id, &n, sizeof(n));
    network[0] = (uint8_t) (n % 3);
    peer = gc_relay_peer_find(relay, id);

    if (peer == 0) {
        peer = gc_relay_peer_make(relay, id, network, now);
    }

    if (peer != 0) {
        (void) gc_relay_address_set(relay, peer, &address, now);
    }

    return peer;
}


static uint32_t
at_address(gc_relay_t *relay, uint32_t n, uint64_t now)
{
    gc_relay_place_t place;
    gc_relay_address_t address = address_of(n);

    return gc_relay_address_find(relay, &address.remote, now, &place);
}


Test(relay_table, finds_peers_by_address_until_they_are_silent)
{
    uint32_t n, peer;
    gc_relay_t *relay = table_of(PEERS);

    for (n = 1; n <= PEERS; n++) {
        peer = peer_of(relay, n, 1000);
        cr_assert_neq(peer, 0);
        cr_assert_eq(at_address(relay, n, 1000), peer);
    }

    cr_assert_eq(gc_relay_used(relay), PEERS);
    cr_assert_eq(peer_of(relay, PEERS + 1, 1000), 0, "there is no room");
    cr_assert_neq(at_address(relay, 1, 1000 + GC_RELAY_REGISTERED_MS), 0);
    cr_assert_eq(at_address(relay, 1, 1001 + GC_RELAY_REGISTERED_MS), 0);
    cr_assert_neq(peer_of(relay, 1, 100000), 0, "it comes back");
    cr_assert_neq(at_address(relay, 1, 100000), 0);

    /* who is long gone makes room for others */
    for (n = PEERS + 1; n < 2 * PEERS; n++) {
        (void) peer_of(relay, n, 2000000);
    }

    cr_assert_gt(gc_relay_used(relay), PEERS / 2);
    cr_assert_leq(gc_relay_used(relay), PEERS);
    free(relay);
}


Test(relay_table, gives_an_address_to_who_proved_it_last)
{
    uint32_t one, two;
    gc_relay_place_t place;
    gc_relay_t *relay = table_of(PEERS);
    gc_relay_address_t address = address_of(1), other = address_of(3);

    one = peer_of(relay, 1, 1000);
    two = peer_of(relay, 2, 1000);

    cr_assert_eq(gc_relay_address_set(relay, two, &address, 2000), 0);
    cr_assert_eq(at_address(relay, 1, 2000), two);
    cr_assert_eq(at_address(relay, 2, 2000), 0, "it has moved");
    cr_assert_eq(gc_relay_place_read(relay, one, 2000, &place), -1);

    cr_assert_eq(gc_relay_address_set(relay, one, &other, 3000), 0);
    cr_assert_eq(at_address(relay, 3, 3000), one);
    cr_assert_eq(at_address(relay, 1, 3000), two);
    free(relay);
}


Test(relay_table, keeps_bindings_as_long_as_they_say)
{
    unsigned i, kept;
    gc_relay_binding_t binding, read;
    gc_relay_t *relay = table_of(PEERS);

    binding = (gc_relay_binding_t){.sender = 1,
                                   .index = 77,
                                   .owner = 2,
                                   .state = GC_RELAY_PENDING,
                                   .expires = 5000};
    cr_assert_eq(gc_relay_binding_write(relay, &binding, 1000), 0);
    cr_assert_eq(gc_relay_binding_read(relay, 1, 77, 4999, &read), 0);
    cr_assert_eq(read.owner, 2);
    cr_assert_eq(gc_relay_binding_read(relay, 1, 77, 5000, &read), -1);
    cr_assert_eq(gc_relay_binding_read(relay, 2, 77, 1000, &read), -1);
    cr_assert_eq(gc_relay_binding_read(relay, 1, 78, 1000, &read), -1);

    /* a flood takes no more than there is, and what is old makes room */
    for (i = 0, kept = 0; i < 1000000; i++) {
        binding.index = i;
        binding.expires = 9000;
        kept += gc_relay_binding_write(relay, &binding, 6000) == 0;
    }

    cr_assert_leq(kept, 512 * 4 * GC_RELAY_WAYS);

    for (i = 0, kept = 0; i < 1000; i++) {
        binding.index = 2000000 + i;
        binding.expires = 20000;
        kept += gc_relay_binding_write(relay, &binding, 10000) == 0;
    }

    cr_assert_eq(kept, 1000);
    free(relay);
}


/* Addresses that nobody registered are looked up, and leave nothing behind. */
Test(relay_table, is_not_changed_by_a_million_strangers)
{
    uint32_t n;
    void *before;
    size_t size = gc_relay_size(PEERS);
    gc_relay_t *relay = table_of(PEERS);

    (void) peer_of(relay, 1, 1000);
    before = malloc(size);
    cr_assert_not_null(before);
    memcpy(before, relay, size);

    for (n = 1000; n < 1001000; n++) {
        cr_assert_eq(at_address(relay, n, 1000), 0);
    }

    cr_assert_eq(memcmp(before, relay, size), 0);
    free(before);
    free(relay);
}


/* A writer was killed in the middle of one peer: just that one is forgotten. */
Test(relay_table, is_whole_again_after_a_killed_writer)
{
    uint32_t n, killed, i, seen;
    uint8_t network[GC_RELAY_ID] = {1};
    gc_relay_place_t place;
    gc_relay_t *relay = table_of(PEERS);

    for (n = 1; n <= 100; n++) {
        cr_assert_neq(peer_of(relay, n, 1000), 0);
    }

    killed = at_address(relay, 40, 1000);
    gc_relay_peer_begin(gc_relay_peer(relay, killed));
    gc_relay_peer(relay, killed)->chain = 12345678;
    cr_assert_eq(gc_relay_place_read(relay, killed, 1000, &place), -1,
                 "readers do not wait for it");

    cr_assert_eq(gc_relay_repair(relay), 1);
    cr_assert_eq(gc_relay_used(relay), 99);
    cr_assert_eq(gc_relay_repair(relay), 0);

    for (n = 1; n <= 100; n++) {
        cr_assert_eq(at_address(relay, n, 1000) != 0, n != 40, "peer %u", n);
    }

    seen = 0;

    for (i = gc_relay_network_first(relay, network); i != 0;
         i = gc_relay_peer(relay, i)->after) {
        seen += gc_relay_peer(relay, i)->network[0] == 1;
    }

    cr_assert_eq(seen, 33, "members of a network: 1, 4, .. 100 without 40");
    cr_assert_neq(peer_of(relay, 40, 2000), 0);
    cr_assert_neq(at_address(relay, 40, 2000), 0);
    free(relay);
}


Test(relay_table, is_found_again_only_with_the_same_layout)
{
    gc_relay_t *relay = table_of(PEERS);
    size_t size = gc_relay_size(PEERS);

    cr_assert_eq(gc_relay_attach(relay, size, PEERS), relay);
    cr_assert_eq(gc_relay_boot(relay), 7);
    cr_assert_null(gc_relay_attach(relay, size - 1, PEERS));
    cr_assert_null(gc_relay_attach(relay, gc_relay_size(64), 64));
    memset(relay, 0, 8);
    cr_assert_null(gc_relay_attach(relay, size, PEERS), "half made");
    free(relay);
}


Test(relay_table, has_nonces_that_are_good_for_one_address_and_a_while)
{
    unsigned i;
    uint8_t nonce[16];
    gc_relay_t *relay = table_of(PEERS);
    gc_relay_address_t here = address_of(1), there = address_of(3);

    cr_assert_eq(gc_relay_nonce(relay, &here.remote, 5000, nonce), 0);
    cr_assert(gc_relay_nonce_valid(relay, &here.remote, 5000, nonce));
    cr_assert(gc_relay_nonce_valid(relay, &here.remote, 600000, nonce));
    cr_assert_not(gc_relay_nonce_valid(relay, &here.remote, 605000, nonce));
    cr_assert_not(gc_relay_nonce_valid(relay, &here.remote, 4000, nonce));
    cr_assert_not(gc_relay_nonce_valid(relay, &there.remote, 5000, nonce));

    for (i = 0; i < 128; i++) {
        nonce[i / 8] ^= (uint8_t) (1 << i % 8);
        cr_assert_not(gc_relay_nonce_valid(relay, &here.remote, 5000, nonce));
        nonce[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    free(relay);
}


Test(relay_table, has_paces_that_allow_a_burst_and_then_a_rate)
{
    unsigned i, done;
    uint64_t pace = 0;

    for (i = 0, done = 0; i < 100; i++) {
        done += (unsigned) gc_relay_pace(&pace, 1000, 1000000, 5000000);
    }

    cr_assert_eq(done, 5);

    for (i = 0, done = 0; i < 10000; i++) {
        done += (unsigned) gc_relay_pace(&pace, 1000 + i, 1000000, 5000000);
    }

    cr_assert_eq(done, 9);
}
