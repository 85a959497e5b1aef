#ifndef GC_CLIENT_LOGIN_H
#define GC_CLIENT_LOGIN_H

#include "client/client.h"

/*
 * Logins of the device alone, without a user at this machine; each returns an
 * exit code.
 */

/* By an enrolment key, of --key or --key-file. */
int login_by_key(client_t *client);

/* By a code that a user approves elsewhere (RFC 8628). */
int login_by_code(client_t *client);

#endif
