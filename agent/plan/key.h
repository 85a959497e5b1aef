/*
 * WireGuard keys (Curve25519, 32 bytes) and their text forms.  Encoding and
 * decoding take the same time for every key, as a private key goes through
 * them too.
 */

#ifndef PLAN_KEY_H
#define PLAN_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32
#define KEY_BASE64_SIZE 45 /* 44 characters and a NUL */
#define KEY_HEX_SIZE 65

struct key {
    uint8_t bytes[KEY_BYTES];
};

/* False unless text is exactly 44 characters of canonical base64. */
bool key_from_base64(const char *text, struct key *key);
void key_to_base64(const struct key *key, char text[KEY_BASE64_SIZE]);

/* False unless text starts with 64 hexadecimal digits and ends there. */
bool key_from_hex(const char *text, struct key *key);
void key_to_hex(const struct key *key, char text[KEY_HEX_SIZE]);

/* Total order for public keys (not constant time). */
int key_compare(const struct key *a, const struct key *b);

/* Constant time, for secrets. */
bool key_equal(const struct key *a, const struct key *b);
bool key_is_zero(const struct key *key);

/* Overwrites memory in a way that the compiler may not leave out. */
void key_wipe(void *memory, size_t length);

#endif
