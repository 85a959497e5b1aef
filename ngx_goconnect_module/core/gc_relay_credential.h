/*
 * What lets a peer use a relay: issued by the control plane, verified by the
 * relay without a database.  All numbers are big-endian.
 *
 *     0  version 1 | 3 zero bytes | id of the relay's key (4)
 *     8  the peer's UUID (16) | its network's UUID (16)
 *    40  public key (32) | next public key (32, zeros: none)
 *   104  issued (8) | expires (8), Unix seconds
 *   120  HMAC-SHA256 (32) under the relay's key of all before
 *
 * A relay's key is HMAC-SHA256(master, "goconnect relay" || relay's UUID): who
 * takes one relay over has gained nothing at another.  The device's secret is
 * HMAC-SHA256(relay's key, "secret" || credential): it follows from what the
 * device shows, so a relay keeps no list of devices.
 */


#ifndef GC_RELAY_CREDENTIAL_H
#define GC_RELAY_CREDENTIAL_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_wg_packet.h"


#define GC_RELAY_ID 16 /* bytes of a UUID */
#define GC_RELAY_KEY 32
#define GC_RELAY_KEY_ID 4
#define GC_RELAY_SECRET 32
#define GC_RELAY_CREDENTIAL 152
#define GC_RELAY_CREDENTIAL_LIFE (24 * 3600) /* seconds, renewed at half */


typedef enum {
    GC_RELAY_CREDENTIAL_OK = 0,
    GC_RELAY_CREDENTIAL_MALFORMED,
    GC_RELAY_CREDENTIAL_NO_KEY, /* of a key that this relay does not hold */
    GC_RELAY_CREDENTIAL_FORGED,
    GC_RELAY_CREDENTIAL_EXPIRED, /* or of the future, or good for too long */
    GC_RELAY_CREDENTIAL_FAILED   /* the library has failed */
} gc_relay_credential_result_e;


/* Secret; its owner wipes it. */
typedef struct {
    unsigned char secret[GC_RELAY_KEY];
    unsigned char id[GC_RELAY_KEY_ID];
} gc_relay_key_t;


typedef struct {
    unsigned char peer[GC_RELAY_ID];
    unsigned char network[GC_RELAY_ID];
    unsigned char public_key[GC_WG_KEY];
    unsigned char next_key[GC_WG_KEY]; /* zeros: none */
    uint64_t issued;                   /* Unix seconds */
    uint64_t expires;
} gc_relay_credential_t;


/* The key of one relay out of the key ring's "relay" key; 0, or -1. */
int gc_relay_key_derive(gc_relay_key_t *key,
                        const unsigned char master[GC_RELAY_KEY],
                        const unsigned char relay[GC_RELAY_ID]);

/* Names a relay's key that was derived elsewhere; 0, or -1. */
int gc_relay_key_set(gc_relay_key_t *key,
                     const unsigned char secret[GC_RELAY_KEY]);

/* Writes a credential; 0, or -1. */
int gc_relay_credential_issue(const gc_relay_key_t *key,
                              const gc_relay_credential_t *credential,
                              unsigned char out[GC_RELAY_CREDENTIAL]);

/*
 * Verifies len bytes by the one of nkeys keys that they name, at Unix time
 * now, and then reads them; *used is that key's place.  Nothing is written
 * unless it is GC_RELAY_CREDENTIAL_OK.
 */
gc_relay_credential_result_e
gc_relay_credential_verify(const gc_relay_key_t *keys, size_t nkeys,
                           const unsigned char *bytes, size_t len, uint64_t now,
                           gc_relay_credential_t *credential, size_t *used);

/* The secret of the device that holds a verified credential; 0, or -1. */
int gc_relay_secret(const gc_relay_key_t *key,
                    const unsigned char credential[GC_RELAY_CREDENTIAL],
                    unsigned char secret[GC_RELAY_SECRET]);


#endif /* GC_RELAY_CREDENTIAL_H */
