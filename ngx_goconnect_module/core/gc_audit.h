/*
 * The chain of the audit trail: what makes a row's hash, and what signs a
 * chain's head and anchor.
 *
 * A row's hash is HMAC-SHA256 (RFC 2104) under a key of the ring's purpose
 * "audit", over the hash of the row before, the chain, the row's number in it
 * and the row.  So whoever has the database but not the key can neither change
 * a row, nor take one out, nor put them in another order.  The head says how
 * many there are, so that none is missing at the end; the anchor stands for
 * those that were pruned at the beginning.
 *
 * All fields are JSON texts as PostgreSQL writes them (a string with its
 * quotes, null, ...), each behind its length in four bytes, big-endian; hashes
 * are their 32 bytes.  A field that is about a person enters by its salted
 * hash, SHA-256 of salt and value, and may be erased later.
 */


#ifndef GC_AUDIT_H
#define GC_AUDIT_H


#include <stddef.h>
#include <stdint.h>

#include "core/gc_json_slice.h"
#include "core/gc_keys.h"


#define GC_AUDIT_HASH 32
#define GC_AUDIT_SALT 16


typedef enum {
    GC_AUDIT_OK = 0,
    GC_AUDIT_MALFORMED, /* not what the database should have sent */
    GC_AUDIT_FAILED     /* the library has failed */
} gc_audit_result_e;


/* slices of the row's JSON, which outlives them */
typedef struct {
    gc_slice_t id;
    gc_slice_t actor;
    gc_slice_t device;
    gc_slice_t action;
    gc_slice_t target_kind;
    gc_slice_t target;
    gc_slice_t detail;
    gc_slice_t created_at; /* microseconds since 1970 */
    gc_slice_t personal;   /* [[field, hash, salt, value], ...], by field */

    int64_t number;                    /* 0: not chained yet */
    unsigned char hash[GC_AUDIT_HASH]; /* as it is stored */
    gc_slice_t key;                    /* id; empty: not chained yet */
} gc_audit_row_t;


typedef enum {
    GC_AUDIT_HEAD = 0,
    GC_AUDIT_ANCHOR
} gc_audit_mark_e;


/* The end of a chain, or the place up to which it was pruned. */
typedef struct {
    int64_t number;
    unsigned char hash[GC_AUDIT_HASH]; /* of the row of that number */
    int64_t signed_at;                 /* microseconds since 1970 */
} gc_audit_point_t;


/* What the personal fields of a row came to. */
typedef struct {
    unsigned fields;
    unsigned erased; /* value and salt are gone */
    unsigned wrong;  /* value and salt do not make the hash */
} gc_audit_personal_t;


/* A MAC that is used again and again; NULL: the library has failed. */
typedef struct gc_audit_mac_s gc_audit_mac_t;

gc_audit_mac_t *gc_audit_mac_create(void);
void gc_audit_mac_destroy(gc_audit_mac_t *mac);

/*
 * Reads [id, actor, device, action, target_kind, target, detail, created_at,
 * personal, number, hash, key]; the last three are null before the row is
 * chained.
 */
gc_audit_result_e gc_audit_row_parse(gc_audit_row_t *row, gc_slice_t json);

/*
 * The hash of a row that is the number-th of its chain (JSON of the tenant's
 * id, null for the server's chain), behind one whose hash is prev; all zero
 * before the first.
 */
gc_audit_result_e gc_audit_row_hash(gc_audit_mac_t *mac, const gc_key_t *key,
                                    gc_slice_t chain, int64_t number,
                                    const unsigned char *prev,
                                    const gc_audit_row_t *row,
                                    unsigned char *hash);

/* The signature of a chain's head or anchor. */
gc_audit_result_e gc_audit_sign(gc_audit_mac_t *mac, const gc_key_t *key,
                                gc_audit_mark_e mark, gc_slice_t chain,
                                const gc_audit_point_t *point,
                                unsigned char *signature);

/* Compares the personal fields' values with their hashes. */
gc_audit_result_e gc_audit_personal(const gc_audit_row_t *row,
                                    gc_audit_personal_t *personal);

/* the audit key of this id, whichever place it has in the ring, or NULL */
const gc_key_t *gc_audit_key(const gc_keys_t *ring, gc_slice_t id);

/* 32 bytes out of a JSON string of 64 hexadecimal digits: 1; 0: it is none */
int gc_audit_unhex(gc_slice_t json, unsigned char *hash);

/* the same hash or signature?  in constant time */
int gc_audit_equal(const unsigned char *a, const unsigned char *b);


#endif /* GC_AUDIT_H */
