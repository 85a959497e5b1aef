#ifndef GC_CLIENT_ACCOUNT_H
#define GC_CLIENT_ACCOUNT_H

#include "client/client.h"

/* The server of this run, into the session: the operand, else the last one. */
int account_server(client_t *client, err_t *err);

#endif
