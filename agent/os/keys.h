/* X25519 keys for WireGuard, by OpenSSL.  Private keys never leave this
 * device; wipe them with key_wipe() when done. */

#ifndef OS_KEYS_H
#define OS_KEYS_H

#include "plan/error.h"
#include "plan/key.h"

/* A new private key and its public one. */
int keys_generate(struct key *private_key, struct key *public_key,
                  struct error *error);

/* The public key of a private one (RFC 7748, 6.1). */
int keys_public(const struct key *private_key, struct key *public_key,
                struct error *error);

#endif
