#ifndef GC_CLIENT_ENROLL_H
#define GC_CLIENT_ENROLL_H

#include "client/client.h"

/*
 * Makes this device known at the user's server, unless it is: goconnectd
 * makes its identity, the user's session registers it, goconnectd gets the
 * device's own tokens. -1: code "no_daemon", "other_account" or the server's.
 */
int enroll_device(client_t *client, err_t *err);

#endif
