#ifndef GC_CLIENT_API_H
#define GC_CLIENT_API_H

#include "client/client.h"

/*
 * One request to a server, waited for. body is borrowed, may be NULL.
 * Returns 0 and the answer (a new reference, NULL for an empty one; answer
 * may be NULL), else -1.
 */
int api_send(client_t *client, dial_server_t *server, const char *token,
             const char *method, const char *path, const json_t *body,
             json_t **answer, err_t *err);

/*
 * As the logged-in user: loads the session, refreshes its token before it
 * ends, and once more if the server refuses it.
 */
int api_call(client_t *client, const char *method, const char *path,
             const json_t *body, json_t **answer, err_t *err);

/* Loads the session into client, and a token that lives. */
int api_session(client_t *client, err_t *err);

/* The items of all pages of a list (a new array), at most 10,000. */
json_t *api_list(client_t *client, const char *path, err_t *err);

/* The loop, made with the session's or the option's authorities. */
int api_loop(client_t *client, err_t *err);

/* A random UUID (RFC 9562, 5.4), for idempotency keys. */
void api_uuid(char uuid[37]);

#endif
