/*
 * WireGuard's packets as one who holds no private key sees them: which kind,
 * whose indices, and whether the first MAC is that of a public key (the
 * WireGuard paper, section 5.4).
 */


#ifndef GC_WG_PACKET_H
#define GC_WG_PACKET_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_blake2s.h"


#define GC_WG_KEY 32         /* bytes of a public key */
#define GC_WG_INITIATION 148 /* bytes of each kind */
#define GC_WG_RESPONSE 92
#define GC_WG_COOKIE 64
#define GC_WG_DATA_MIN 32 /* a keep-alive */
#define GC_WG_MAC 16


typedef enum {
    GC_WG_NONE = 0, /* not WireGuard's */
    GC_WG_TYPE_INITIATION = 1,
    GC_WG_TYPE_RESPONSE = 2,
    GC_WG_TYPE_COOKIE = 3,
    GC_WG_TYPE_DATA = 4
} gc_wg_type_e;


/* What mac1 of packets to the owner of a public key is made with. */
typedef gc_blake2s_key_t gc_wg_mac1_t;


/* The kind of a packet whose length is right for it. */
gc_wg_type_e gc_wg_packet_type(const unsigned char *packet, size_t len);

/* The sender's index of an initiation or a response. */
uint32_t gc_wg_packet_sender(const unsigned char *packet);

/* The receiver's index of any packet but an initiation. */
uint32_t gc_wg_packet_receiver(const unsigned char *packet, gc_wg_type_e type);

void gc_wg_mac1_init(gc_wg_mac1_t *mac1,
                     const unsigned char public_key[GC_WG_KEY]);

/*
 * Which of n keys, 1 to GC_BLAKE2S_LANES, an initiation or a response (of right
 * length, as the type says) was made for; n: none of them.  All are tried, in
 * constant time and for little more than the price of one.
 */
unsigned gc_wg_mac1_find(const gc_wg_mac1_t *const *keys, unsigned n,
                         const unsigned char *packet, gc_wg_type_e type);


#endif /* GC_WG_PACKET_H */
