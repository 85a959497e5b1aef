/*
 * STUN messages (RFC 8489): read where they lie, written into the caller's
 * buffer.  Nothing is allocated.  The relay's own methods and attributes are
 * in gc_relay_message.h.
 */


#ifndef GC_STUN_H
#define GC_STUN_H


#include <stddef.h>
#include <stdint.h>


#define GC_STUN_HEADER 20
#define GC_STUN_COOKIE 0x2112a442
#define GC_STUN_TRANSACTION 12
#define GC_STUN_MAX 1280 /* more than any message of ours */
#define GC_STUN_MAC 32
#define GC_STUN_PORT 3478


typedef enum {
    GC_STUN_REQUEST = 0,
    GC_STUN_INDICATION = 1,
    GC_STUN_SUCCESS = 2,
    GC_STUN_ERROR = 3
} gc_stun_class_e;


enum {
    GC_STUN_BINDING = 0x001
}; /* methods: 12 bits */


/* RFC 8489, 18.3; RFC 8445, 16.1; RFC 5780, 7; RFC 8656, 18 */
enum {
    GC_STUN_MAPPED_ADDRESS = 0x0001,
    GC_STUN_CHANGE_REQUEST = 0x0003,
    GC_STUN_USERNAME = 0x0006,
    GC_STUN_MESSAGE_INTEGRITY = 0x0008,
    GC_STUN_ERROR_CODE = 0x0009,
    GC_STUN_UNKNOWN_ATTRIBUTES = 0x000a,
    GC_STUN_LIFETIME = 0x000d,
    GC_STUN_NONCE = 0x0015,
    GC_STUN_MESSAGE_INTEGRITY_SHA256 = 0x001c,
    GC_STUN_XOR_MAPPED_ADDRESS = 0x0020,
    GC_STUN_PRIORITY = 0x0024,
    GC_STUN_USE_CANDIDATE = 0x0025,
    GC_STUN_PADDING = 0x0026,
    GC_STUN_RESPONSE_PORT = 0x0027,
    GC_STUN_SOFTWARE = 0x8022,
    GC_STUN_FINGERPRINT = 0x8028,
    GC_STUN_ICE_CONTROLLED = 0x8029,
    GC_STUN_ICE_CONTROLLING = 0x802a,
    GC_STUN_RESPONSE_ORIGIN = 0x802b,
    GC_STUN_OTHER_ADDRESS = 0x802c
};


/* CHANGE-REQUEST (RFC 5780, 7.2) */
#define GC_STUN_CHANGE_IP 4
#define GC_STUN_CHANGE_PORT 2


/* Points into the datagram, which has to outlive it. */
typedef struct {
    uint16_t method;
    gc_stun_class_e class;
    const uint8_t *transaction; /* GC_STUN_TRANSACTION bytes */
    const uint8_t *data;
    size_t size;
} gc_stun_t;


typedef struct {
    uint16_t type;
    uint16_t size;
    const uint8_t *value; /* NULL: before the first one */
} gc_stun_attribute_t;


typedef struct {
    uint8_t family;    /* 4 or 6 */
    uint8_t bytes[16]; /* network order; IPv4 in the first 4, the rest 0 */
    uint16_t port;
} gc_stun_address_t;


/*
 * 0, or -1: not a whole STUN message (RFC 8489, 5 and 6.3): the two first
 * bits, the cookie, a length that is the datagram's, attributes that fit.
 */
int gc_stun_read(gc_stun_t *message, const uint8_t *data, size_t size);

/* Whether the datagram may be one: what a filter looks at. */
int gc_stun_like(const uint8_t *data, size_t size);

/*
 * The next attribute, from a zeroed one on; 0: there is no more.  What stands
 * behind MESSAGE-INTEGRITY(-SHA256) is not authenticated and not given (RFC
 * 8489, 14.5).
 */
int gc_stun_next(const gc_stun_t *message, gc_stun_attribute_t *attribute);

/* The first one of this type; 0: there is none. */
int gc_stun_find(const gc_stun_t *message, uint16_t type,
                 gc_stun_attribute_t *attribute);

/* Values of these types; -1: there is none, or it has another size. */
int gc_stun_u32(const gc_stun_t *message, uint16_t type, uint32_t *value);
int gc_stun_u64(const gc_stun_t *message, uint16_t type, uint64_t *value);

/* XOR-MAPPED-ADDRESS, or the plain form of the other address attributes. */
int gc_stun_address(const gc_stun_t *message, uint16_t type,
                    gc_stun_address_t *address);

/* 300 to 699; -1: there is none. */
int gc_stun_error(const gc_stun_t *message);

/*
 * Attributes below 0x8000 that are none of known (a list of count): writes
 * at most room of them, returns how many were written.
 */
size_t gc_stun_unknown(const gc_stun_t *message, const uint16_t *known,
                       size_t count, uint16_t *unknown, size_t room);

/*
 * 0 if the message carries a MESSAGE-INTEGRITY-SHA256 of this key (RFC 8489,
 * 14.6; not truncated); -1: it has none, or another's.
 */
int gc_stun_verify(const gc_stun_t *message, const void *key, size_t key_size);


/* Errors are remembered until gc_stun_end(). */
typedef struct {
    uint8_t *data;
    size_t room;
    size_t size;
    int failed;
} gc_stun_writer_t;


/* A NULL transaction is the caller's to fill in (data + 8) before a MAC. */
void gc_stun_begin(gc_stun_writer_t *writer, uint8_t *data, size_t room,
                   gc_stun_class_e class, uint16_t method,
                   const uint8_t *transaction);

void gc_stun_put(gc_stun_writer_t *writer, uint16_t type, const void *value,
                 size_t size);
void gc_stun_put_u32(gc_stun_writer_t *writer, uint16_t type, uint32_t value);
void gc_stun_put_u64(gc_stun_writer_t *writer, uint16_t type, uint64_t value);

/* XOR-MAPPED-ADDRESS is written as that, every other type plainly. */
void gc_stun_put_address(gc_stun_writer_t *writer, uint16_t type,
                         const gc_stun_address_t *address);

/* code is 300 to 699; the reason is UTF-8. */
void gc_stun_put_error(gc_stun_writer_t *writer, int code, const char *reason);

/* MESSAGE-INTEGRITY-SHA256 over all that was written; nothing follows it. */
void gc_stun_sign(gc_stun_writer_t *writer, const void *key, size_t key_size);

/* How many bytes the message has; 0: it did not fit. */
size_t gc_stun_end(gc_stun_writer_t *writer);


#endif /* GC_STUN_H */
