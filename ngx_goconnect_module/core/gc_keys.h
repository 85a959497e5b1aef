/*
 * The key ring: the secrets that a server keeps in a file.
 *
 * One key a line: PURPOSE ID SECRET, where the secret is 32 bytes in base64.
 * Empty lines and lines that begin with # are skipped.  The first key of a
 * purpose is the current one, the others are still accepted.
 */


#ifndef GC_KEYS_H
#define GC_KEYS_H


#include <stddef.h>


#define GC_KEYS_MAX 64
#define GC_KEYS_ID_MAX 32
#define GC_KEYS_SECRET 32
#define GC_KEYS_TEXT (64 * 1024)


typedef enum {
    GC_KEY_JWT = 0,
    GC_KEY_INVITE,
    GC_KEY_SEAL,
    GC_KEY_AUDIT,
    GC_KEY_RELAY,
    GC_KEY_PURPOSES
} gc_key_purpose_e;


typedef struct {
    gc_key_purpose_e purpose;
    char id[GC_KEYS_ID_MAX + 1]; /* letters, digits, '.', '_', '-' */
    unsigned char secret[GC_KEYS_SECRET];
} gc_key_t;


typedef struct {
    size_t n;
    gc_key_t keys[GC_KEYS_MAX];
} gc_keys_t;


typedef struct {
    unsigned line;   /* from 1; 0: the file as a whole */
    const char *why; /* a constant sentence without secrets */
} gc_keys_error_t;


/* the word of the file, "jwt" for instance */
const char *gc_keys_purpose(gc_key_purpose_e purpose);

/*
 * Reads the text of a ring.  0, or -1 with *error filled and the ring wiped.
 * Whoever holds the ring ends it with gc_keys_wipe().
 */
int gc_keys_parse(gc_keys_t *ring, const char *text, size_t len,
                  gc_keys_error_t *error);

/* the current key of the purpose, or NULL */
const gc_key_t *gc_keys_current(const gc_keys_t *ring,
                                gc_key_purpose_e purpose);

/* the n-th key (from 0) of the purpose, or NULL */
const gc_key_t *gc_keys_nth(const gc_keys_t *ring, gc_key_purpose_e purpose,
                            size_t n);

/* overwrites the secrets, in a way that the compiler keeps */
void gc_keys_wipe(gc_keys_t *ring);


#endif /* GC_KEYS_H */
