/*
 * What peers and relays say to each other beside WireGuard's packets: STUN
 * messages with methods and attributes of our own (docs/relay.md).
 */


#ifndef GC_RELAY_MESSAGE_H
#define GC_RELAY_MESSAGE_H


#include "core/gc_relay_credential.h"
#include "core/gc_stun.h"


#define GC_RELAY_NONCE 16
#define GC_RELAY_HINTS 16 /* in one message; more are not read */
#define GC_RELAY_HOLDS 4


/* methods; RFC 8489 assigns none of these */
enum {
    GC_RELAY_METHOD_REGISTER = 0x0f1,
    GC_RELAY_METHOD_PAIR = 0x0f2,
    GC_RELAY_METHOD_REVOKE = 0x0f3
};


enum {
    GC_RELAY_ATTR_CREDENTIAL = 0xc0e1, /* gc_relay_credential.h */
    GC_RELAY_ATTR_PEER = 0xc0e2,       /* UUID (16) */
    GC_RELAY_ATTR_SERIAL = 0xc0e3,     /* u64, greater than the one before */
    GC_RELAY_ATTR_HINT = 0xc0e4,       /* index (4, as in packets) | peer */
    GC_RELAY_ATTR_HOLD = 0xc0e5,       /* seconds (4) | peer */
    GC_RELAY_ATTR_BOOT = 0xc0e6        /* u64, the relay's start */
};


/* error codes */
enum {
    GC_RELAY_PROVE = 401,  /* repeat it with this nonce */
    GC_RELAY_REFUSE = 403, /* the credential is not, or no more, good */
    GC_RELAY_SHOW = 437,   /* not known here: repeat it with the credential */
    GC_RELAY_FULL = 486    /* no room; another relay may have some */
};


typedef enum {
    GC_RELAY_NONE = 0,     /* nothing of this list, or malformed */
    GC_RELAY_BINDING,      /* plain STUN request */
    GC_RELAY_REGISTER,     /* peer to relay */
    GC_RELAY_REGISTERED,   /* its answer */
    GC_RELAY_ERROR,        /* its other answer */
    GC_RELAY_UNREGISTERED, /* indication: your address is not known */
    GC_RELAY_PAIR,         /* indication: that peer begins to talk to you */
    GC_RELAY_REVOKE,       /* control plane to relay */
    GC_RELAY_REVOKED,      /* its answer */
    GC_RELAY_KINDS
} gc_relay_kind_e;


typedef struct {
    uint32_t index;
    const uint8_t *peer;
} gc_relay_hint_t;


typedef struct {
    uint32_t seconds;
    const uint8_t *peer;
} gc_relay_hold_t;


/* Pointers go into the datagram that was read, or to what shall be written;
 * NULL and 0 are what there is not. */
typedef struct {
    gc_relay_kind_e kind;
    gc_stun_t stun; /* only of what was read */
    const uint8_t *transaction;
    const uint8_t *credential;
    const uint8_t *peer;
    const uint8_t *nonce;
    uint64_t serial;
    uint64_t boot;
    uint32_t lifetime; /* seconds */
    int error;
    gc_stun_address_t mapped; /* family 0: none */
    unsigned nhints;
    unsigned nholds;
    gc_relay_hint_t hints[GC_RELAY_HINTS];
    gc_relay_hold_t holds[GC_RELAY_HOLDS];
} gc_relay_message_t;


/*
 * Reads a datagram.  The kind is GC_RELAY_NONE, and -1 returned, when it is no
 * message of ours or an attribute has a wrong size.  Nothing of it is to be
 * trusted before gc_relay_message_verify().
 */
int gc_relay_message_read(gc_relay_message_t *message, const uint8_t *data,
                          size_t size);

/* 0 if it carries a MAC by this secret; -1 otherwise. */
int gc_relay_message_verify(const gc_relay_message_t *message,
                            const unsigned char secret[GC_RELAY_SECRET]);

/*
 * Writes what the message has, with a MAC if secret is not NULL; returns its
 * size, 0 if it does not fit into room.
 */
size_t gc_relay_message_write(const gc_relay_message_t *message,
                              const unsigned char *secret, uint8_t *out,
                              size_t room);


#endif /* GC_RELAY_MESSAGE_H */
