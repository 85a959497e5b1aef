#include "client/place.h"

#include "client/api.h"
#include "client/show.h"
#include "core/gc_uuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PLACE_YEAR_S 31536000


static int
place_take(place_t *place, int network)
{
    place->network = network;
    snprintf(place->path, sizeof(place->path), "/v1/%s/%.36s",
             network ? "networks" : "tenants", place->found.id);
    return 0;
}


static int
place_tenant(client_t *client, const char *text, place_t *place, err_t *err)
{
    if (gc_uuid_valid(text, strlen(text))) {
        memset(&place->found, 0, sizeof(place->found));
        snprintf(place->found.id, sizeof(place->found.id), "%s", text);
        snprintf(place->found.name, sizeof(place->found.name), "%s", text);
        return place_take(place, 0);
    }

    return find_tenant(client, text, &place->found, err) == 0
               ? place_take(place, 0)
               : -1;
}


/* An id alone does not tell what it is of: the server knows. */
static int
place_id(client_t *client, const char *text, place_t *place, err_t *err)
{
    char path[64];
    json_t *network = NULL;

    snprintf(path, sizeof(path), "/v1/networks/%.36s", text);

    if (api_call(client, "GET", path, NULL, &network, err) != 0) {
        return strcmp(err->code, "not_found") == 0
                   ? place_tenant(client, text, place, err)
                   : -1;
    }

    snprintf(place->found.id, sizeof(place->found.id), "%s", text);
    snprintf(place->found.tenant_id, sizeof(place->found.tenant_id), "%.36s",
             show_field(network, "tenant_id"));
    snprintf(place->found.name, sizeof(place->found.name), "%.255s",
             show_field(network, "name"));
    json_decref(network);

    return place_take(place, 1);
}


int
place_find(client_t *client, const char *text, place_t *place, err_t *err)
{
    err_t other;

    if (strncmp(text, "tenant:", 7) == 0) {
        return place_tenant(client, text + 7, place, err);
    }

    if (strncmp(text, "network:", 8) == 0) {
        return find_network(client, text + 8, &place->found, err) == 0
                   ? place_take(place, 1)
                   : -1;
    }

    if (gc_uuid_valid(text, strlen(text))) {
        return place_id(client, text, place, err);
    }

    if (find_network(client, text, &place->found, err) == 0) {
        return place_take(place, 1);
    }

    if (strcmp(err->code, "unknown_network") != 0) {
        return -1;
    }

    if (place_tenant(client, text, place, &other) == 0) {
        return 0;
    }

    return strcmp(other.code, "unknown_network") == 0
               ? err_set(err, "unknown_network",
                         "no network or tenant of yours is called \"%.64s\"",
                         text)
               : (*err = other, -1);
}


/* 1: found; 0: nobody of that name; -1 */
static int
place_user_in(client_t *client, const char *path, const char *name, char id[40],
              err_t *err)
{
    json_t *items, *item;
    size_t i;

    items = api_list(client, path, err);
    if (items == NULL) {
        return -1;
    }

    json_array_foreach(items, i, item)
    {
        if (strcasecmp(show_field(item, "username"), name) == 0) {
            snprintf(id, 40, "%.36s", show_field(item, "user_id"));
        }
    }

    json_decref(items);
    return id[0] != '\0';
}


int
place_user(client_t *client, const place_t *place, const char *list,
           const char *text, char id[40], err_t *err)
{
    char path[96];
    int rc;

    id[0] = '\0';

    if (gc_uuid_valid(text, strlen(text))) {
        snprintf(id, 40, "%s", text);
        return 0;
    }

    snprintf(path, sizeof(path), "%s/%s", place->path, list);
    rc = place_user_in(client, path, text, id, err);

    /* a moderator of the tenant need not be in the network, nor whom he bans */
    if (rc != 1 && place->network && place->found.tenant_id[0] != '\0' &&
        strcmp(list, "members") == 0 &&
        (rc == 0 || strcmp(err->code, "membership_required") == 0)) {
        snprintf(path, sizeof(path), "/v1/tenants/%.36s/members",
                 place->found.tenant_id);
        rc = place_user_in(client, path, text, id, err);
    }

    return rc == 0
               ? err_set(err, "unknown_user",
                         "nobody called \"%.64s\" is among the %s", text, list)
           : rc == 1 ? 0
                     : -1;
}


int
place_duration(const char *text, json_int_t *seconds, err_t *err)
{
    static const struct {
        char letter;
        json_int_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    char *end;
    long long n;
    size_t i;

    n = strtoll(text, &end, 10);

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (end != text && end[0] == units[i].letter && end[1] == '\0' &&
            n > 0 && n <= PLACE_YEAR_S / units[i].seconds) {
            *seconds = n * units[i].seconds;
            return 0;
        }
    }

    return err_set(
        err, "usage",
        "a duration is a number with s, m, h, d or w, such as 12h or "
        "7d, at most a year; not \"%.32s\"",
        text);
}
