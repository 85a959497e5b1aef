#ifndef GC_CLIENT_FIND_H
#define GC_CLIENT_FIND_H

#include "client/client.h"

typedef struct {
    char id[40];
    char tenant_id[40];
    char name[300];
} find_t;

/*
 * Networks are named by id, slug, name, or TENANT/NETWORK by slugs. -1: code
 * "unknown_network" or "ambiguous", which lists the choices.
 */
int find_network(client_t *client, const char *text, find_t *found, err_t *err);

/* Among those that goconnectd has joined (status is its answer). */
int find_joined(const json_t *status, const char *text, find_t *found,
                err_t *err);

/* The same, asking goconnectd; NULL: the only one (client/mesh.c). */
int mesh_find(client_t *client, const char *text, find_t *found, err_t *err);

/* A tenant by id, slug or name. */
int find_tenant(client_t *client, const char *text, find_t *found, err_t *err);

/* All networks of the user's tenants (a new array); "tenant" is added. */
json_t *find_networks(client_t *client, err_t *err);

#endif
