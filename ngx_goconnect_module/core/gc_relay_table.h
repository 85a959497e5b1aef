/*
 * What a relay remembers, in one area of memory that processes share: peers,
 * their addresses, whose index is whose, and pairs.  Bounded when it is made;
 * nothing is ever allocated, and what is out of date makes room.
 *
 * Whoever changes it holds one lock, which is the caller's.  Forwarding data
 * does not: it reads an address as one word, and peers and buckets by their
 * sequence, odd while somebody writes.  A writer that was killed leaves an odd
 * one: gc_relay_repair() forgets just that and links the rest anew.
 *
 * Times are milliseconds since boot.
 */


#ifndef GC_RELAY_TABLE_H
#define GC_RELAY_TABLE_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_relay_credential.h"
#include "core/gc_siphash.h"
#include "core/gc_stun.h"
#include "core/gc_wg_packet.h"


#define GC_RELAY_WAYS 7
#define GC_RELAY_PARTNERS 8
#define GC_RELAY_PEER_HOLDS 4
#define GC_RELAY_PEERS_MAX (1 << 20)

#define GC_RELAY_REGISTERED_MS 75000
#define GC_RELAY_PENDING_MS 15000
#define GC_RELAY_LIVE_MS 190000 /* REJECT_AFTER_TIME is 180 s */
#define GC_RELAY_NONCE_MS 600000
#define GC_RELAY_TOLD_MS 60000 /* a pair is told of once in that time */
/* a record outlives its nonces, and all bindings that name it */
#define GC_RELAY_RECORD_MS (GC_RELAY_NONCE_MS + 60000)


/* Where a peer is, and which of the relay's sockets and addresses it asked. */
typedef struct {
    gc_stun_address_t remote;
    uint8_t local[16];
    uint32_t socket;
} gc_relay_address_t;


typedef struct {
    uint32_t peer;
    uint64_t until;
} gc_relay_held_t;


/* What forwarding reads of a peer. */
typedef struct {
    gc_relay_address_t address;
    uint64_t seen;       /* the last registration; 0: none that counts */
    uint64_t held_until; /* the last of the holds */
    gc_relay_held_t holds[GC_RELAY_PEER_HOLDS];
} gc_relay_place_t;


typedef struct {
    uint32_t seq;
    uint32_t used;
    gc_relay_place_t place;
    uint8_t id[GC_RELAY_ID];
    uint8_t network[GC_RELAY_ID];
    gc_wg_mac1_t mac1;
    gc_wg_mac1_t next_mac1;
    uint32_t has_next;
    uint32_t chain; /* the next of its hash, or the next free one */
    uint32_t after; /* in the list of its network's hash */
    uint32_t before;
    uint8_t secret[GC_RELAY_SECRET];
    uint64_t serial;
    uint64_t issued; /* Unix seconds */
    uint64_t expires;
    uint64_t moved;
    uint64_t search_pace;
    uint64_t hint_pace;
    uint32_t partners[GC_RELAY_PARTNERS];
} gc_relay_peer_t;


typedef enum {
    GC_RELAY_FREE = 0,
    GC_RELAY_PENDING,
    GC_RELAY_LIVE
} gc_relay_state_e;


/* Packets that `sender` sends with this receiver index are for `owner`. */
typedef struct {
    uint32_t sender;
    uint32_t index;
    uint32_t owner;
    uint16_t state;
    uint16_t answers;
    uint64_t expires;
} gc_relay_binding_t;


/* What `from` does towards `to`. */
typedef struct {
    uint32_t from;
    uint32_t to;
    uint64_t used;
    uint64_t pace;
    uint64_t pending; /* when an initiation went, 0: it was answered */
    uint64_t told;    /* when `to` was told of `from` */
} gc_relay_pair_t;


typedef struct gc_relay_s gc_relay_t;


/* Bytes of a table for so many peers, 1 to GC_RELAY_PEERS_MAX. */
size_t gc_relay_size(uint32_t peers);

/*
 * Makes a table in size bytes that are zero.  random is 64 bytes that nobody
 * else knows; boot names this start of the relay.
 */
gc_relay_t *gc_relay_create(void *area, uint32_t peers, uint64_t boot,
                            const unsigned char random[64]);

/* A table that lies there already; NULL: it has another layout or size. */
gc_relay_t *gc_relay_attach(void *area, size_t size, uint32_t peers);

/* After a lock whose owner had died.  Returns how much had to be forgotten. */
unsigned gc_relay_repair(gc_relay_t *relay);

uint64_t gc_relay_boot(const gc_relay_t *relay);
uint32_t gc_relay_used(const gc_relay_t *relay);

/* What is below needs the lock, but for what says that it does not. */

/* Peers are told by numbers, 0 is none. */
gc_relay_peer_t *gc_relay_peer(const gc_relay_t *relay, uint32_t peer);
uint32_t gc_relay_peer_find(const gc_relay_t *relay, const uint8_t *id);

/* 0: there is no room.  An old record makes some. */
uint32_t gc_relay_peer_make(gc_relay_t *relay, const uint8_t *id,
                            const uint8_t *network, uint64_t now);
void gc_relay_peer_begin(gc_relay_peer_t *peer);
void gc_relay_peer_end(gc_relay_peer_t *peer);

/* The first of those that may be of this network. */
uint32_t gc_relay_network_first(const gc_relay_t *relay,
                                const uint8_t *network);

/* Gives the address to the peer, whoever had it.  -1: there is no room. */
int gc_relay_address_set(gc_relay_t *relay, uint32_t peer,
                         const gc_relay_address_t *address, uint64_t now);

/* Without the lock: who is at this address, 0: nobody; and its place. */
uint32_t gc_relay_address_find(const gc_relay_t *relay,
                               const gc_stun_address_t *remote, uint64_t now,
                               gc_relay_place_t *place);

/* Without the lock: -1 if it is not registered (any more). */
int gc_relay_place_read(const gc_relay_t *relay, uint32_t peer, uint64_t now,
                        gc_relay_place_t *place);

/* Without the lock: -1, or what is bound to that index. */
int gc_relay_binding_read(const gc_relay_t *relay, uint32_t sender,
                          uint32_t index, uint64_t now,
                          gc_relay_binding_t *binding);

/* Binds it as it says; -1: there is no room. */
int gc_relay_binding_write(gc_relay_t *relay, const gc_relay_binding_t *binding,
                           uint64_t now);

/* The pair, made if need be; NULL: there is no room. */
gc_relay_pair_t *gc_relay_pair(gc_relay_t *relay, uint32_t from, uint32_t to,
                               uint64_t now);

/*
 * Whether something that costs so many microseconds of a pace may be done now;
 * as much as `burst` at once.
 */
int gc_relay_pace(uint64_t *pace, uint64_t now, uint64_t cost, uint64_t burst);

/* The pace of all searches, and of indications to this address's prefix. */
uint64_t *gc_relay_search_pace(gc_relay_t *relay);
uint64_t *gc_relay_prefix_pace(gc_relay_t *relay,
                               const gc_stun_address_t *remote);

/* What an address must show to prove that it is asked from there. */
int gc_relay_nonce(const gc_relay_t *relay, const gc_stun_address_t *remote,
                   uint64_t now, uint8_t nonce[16]);
int gc_relay_nonce_valid(const gc_relay_t *relay,
                         const gc_stun_address_t *remote, uint64_t now,
                         const uint8_t nonce[16]);


#endif /* GC_RELAY_TABLE_H */
