#ifndef GC_CLIENT_ENROLL_H
#define GC_CLIENT_ENROLL_H

#include "client/client.h"

/*
 * Makes this device known at the user's server, unless it is: goconnectd
 * makes its identity, the user's session registers it, goconnectd gets the
 * device's own tokens. -1: code "no_daemon", "other_account" or the server's.
 */
int enroll_device(client_t *client, err_t *err);

/*
 * For a login without a user. 0: goconnectd waits to be enrolled. 1: it is, at
 * the session's server; whose then names it. -1: somewhere else, or refused.
 */
int enroll_is_free(client_t *client, char *whose, size_t size, err_t *err);

/* What the server is told of this device (a new object), or NULL. */
json_t *enroll_body(client_t *client, err_t *err);

/*
 * Hands the server's answer over to goconnectd: tokens, device, user, and the
 * networks that it joins by itself, if the answer has any.
 */
int enroll_hand_over(client_t *client, const json_t *answer, err_t *err);

#endif
