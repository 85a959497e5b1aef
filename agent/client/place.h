#ifndef GC_CLIENT_PLACE_H
#define GC_CLIENT_PLACE_H

#include "client/find.h"

/* Where a community command acts: in a whole tenant, or in one network. */
typedef struct {
    find_t found;
    int network;   /* 1: a network */
    char path[64]; /* "/v1/tenants/ID" or "/v1/networks/ID" */
} place_t;

/*
 * A network or a tenant by name, slug or id (networks come first;
 * "tenant:NAME" and "network:NAME" say which). -1: as find_network().
 */
int place_find(client_t *client, const char *text, place_t *place, err_t *err);

/*
 * Somebody by user name or id, looked for in a list of the place ("members",
 * "requests", "bans"). -1: code "unknown_user".
 */
int place_user(client_t *client, const place_t *place, const char *list,
               const char *text, char id[40], err_t *err);

/*
 * Seconds of "90s", "15m", "12h", "7d" or "4w". -1: code "usage".
 */
int place_duration(const char *text, json_int_t *seconds, err_t *err);

#endif
