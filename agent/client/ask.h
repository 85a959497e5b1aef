#ifndef GC_CLIENT_ASK_H
#define GC_CLIENT_ASK_H

#include "client/client.h"

#define ASK_TIMEOUT_MS 60000

/*
 * Asks goconnectd over its control socket and waits. Takes the request.
 * Returns the reply (a new reference), or NULL: code "no_daemon" if nobody
 * listens, else what goconnectd said.
 */
json_t *ask_daemon(client_t *client, json_t *request, err_t *err);

#endif
