/*
 * BLAKE2s (RFC 7693) as WireGuard uses it.  The relay tries one packet against
 * the keys of many peers, so what a key costs is paid once and kept; a
 * library's context for each try costs several times the hash.
 */


#ifndef GC_BLAKE2S_H
#define GC_BLAKE2S_H


#include <stddef.h>
#include <stdint.h>


#define GC_BLAKE2S_SIZE 32 /* bytes, of the longest hash and key */
#define GC_BLAKE2S_LANES 4 /* hashes that are made at once */


/* A key, already mixed in.  Wipe it when the key is secret. */
typedef struct {
    uint32_t h[8];
} gc_blake2s_key_t;


/* The plain hash of 32 bytes. */
void gc_blake2s(const void *data, size_t len,
                unsigned char out[GC_BLAKE2S_SIZE]);

/*
 * Prepares for hashes of out_len bytes under a key of key_len bytes, both from
 * 1 to GC_BLAKE2S_SIZE.
 */
void gc_blake2s_key(gc_blake2s_key_t *key, const void *secret, size_t key_len,
                    size_t out_len);

/*
 * The keyed hashes of len bytes, at least one, under each of n keys, 1 to
 * GC_BLAKE2S_LANES; out has room for n times the out_len of the keys, which is
 * told again.
 */
void gc_blake2s_macs(const gc_blake2s_key_t *const *keys, unsigned n,
                     const void *data, size_t len, unsigned char *out,
                     size_t out_len);


#endif /* GC_BLAKE2S_H */
