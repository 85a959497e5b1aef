/*
 * What a relay does with what it receives (docs/relay.md).  No clock and no
 * socket: packets, addresses and times go in, what is to be sent comes out.
 */


#ifndef GC_RELAY_RULES_H
#define GC_RELAY_RULES_H


#include "core/gc_relay_message.h"
#include "core/gc_relay_table.h"


#define GC_RELAY_SLICE 1000 /* candidates that one call tries */
#define GC_RELAY_OUT 160    /* bytes of the longest message to a peer */
#define GC_RELAY_OUTS 2
#define GC_RELAY_HOLD_MAX 10 /* seconds */
#define GC_RELAY_ANSWERS 4   /* responses to one initiation */


/* What became of it; each is counted. */
typedef enum {
    GC_RELAY_FORWARDED = 0,
    GC_RELAY_ANSWERED,
    GC_RELAY_SEARCHING, /* call again with the same search */
    GC_RELAY_DROP_MALFORMED,
    GC_RELAY_DROP_STRANGER,   /* the source is not registered */
    GC_RELAY_DROP_OFFLINE,    /* the peer that it is for is not */
    GC_RELAY_DROP_UNBOUND,    /* no such index */
    GC_RELAY_DROP_NOBODY,     /* mac1 is of no peer of the network */
    GC_RELAY_DROP_TAKEN,      /* the index is another's */
    GC_RELAY_DROP_GLARE,      /* the other side has begun */
    GC_RELAY_DROP_HELD,       /* the pair goes direct */
    GC_RELAY_DROP_PAIR_RATE,  /* too many handshakes */
    GC_RELAY_DROP_BUDGET,     /* too many searches */
    GC_RELAY_DROP_ROOM,       /* the table is full */
    GC_RELAY_DROP_CREDENTIAL, /* forged, expired, of another relay */
    GC_RELAY_DROP_MAC,
    GC_RELAY_DROP_REPLAY,
    GC_RELAY_VERDICTS
} gc_relay_verdict_e;


/* A message of the relay's own. */
typedef struct {
    gc_relay_address_t to;
    size_t size;
    uint8_t data[GC_RELAY_OUT];
} gc_relay_out_t;


/* `to`: where the packet goes as it is, when it was GC_RELAY_FORWARDED */
typedef struct {
    gc_relay_address_t to;
    unsigned nouts;
    gc_relay_out_t outs[GC_RELAY_OUTS];
} gc_relay_send_t;


/* Where a search stands; zeros: at its beginning. */
typedef struct {
    uint32_t next;
    uint32_t tried;
    int begun;
} gc_relay_search_t;


/* A packet of type 4.  Without the lock. */
gc_relay_verdict_e gc_relay_data(const gc_relay_t *relay,
                                 const gc_stun_address_t *from,
                                 const unsigned char *packet, uint64_t now,
                                 gc_relay_send_t *send);

/*
 * A packet of types 1 to 3, of right length.  GC_RELAY_SEARCHING: the slice is
 * over; a copy of the packet and the search are to come again, soon.
 */
gc_relay_verdict_e
gc_relay_handshake(gc_relay_t *relay, const gc_stun_address_t *from,
                   const unsigned char *packet, gc_wg_type_e type, uint64_t now,
                   gc_relay_search_t *search, gc_relay_send_t *send);

/* What says to a stranger that it is one; nothing goes too often. */
void gc_relay_stranger(gc_relay_t *relay, const gc_relay_address_t *from,
                       uint64_t now, gc_relay_send_t *send);

/* A REGISTER that was read, at Unix time `date`. */
gc_relay_verdict_e gc_relay_register(gc_relay_t *relay,
                                     const gc_relay_key_t *keys, size_t nkeys,
                                     const gc_relay_message_t *message,
                                     const gc_relay_address_t *from,
                                     uint64_t now, uint64_t date,
                                     gc_relay_send_t *send);


#endif /* GC_RELAY_RULES_H */
