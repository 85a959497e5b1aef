#include "client/find.h"

#include "client/api.h"
#include "core/gc_uuid.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>


static const char *
find_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


static void
find_take(find_t *found, const json_t *object)
{
    const char *id = find_field(object, "id");

    if (*id == '\0') {
        id = find_field(object, "network_id");
    }

    snprintf(found->id, sizeof(found->id), "%s", id);
    snprintf(found->tenant_id, sizeof(found->tenant_id), "%s",
             find_field(object, "tenant_id"));
    snprintf(found->name, sizeof(found->name), "%s",
             find_field(object, "name"));
}


static int
find_matches(const json_t *object, const char *text)
{
    const char *slash = strchr(text, '/');
    const char *tenant;

    if (strcasecmp(find_field(object, "slug"), text) == 0 ||
        strcasecmp(find_field(object, "name"), text) == 0 ||
        strcmp(find_field(object, "id"), text) == 0 ||
        strcmp(find_field(object, "network_id"), text) == 0) {
        return 1;
    }

    if (slash == NULL) {
        return 0;
    }

    tenant = find_field(json_object_get(object, "tenant"), "slug");

    return strlen(tenant) == (size_t) (slash - text) &&
           strncasecmp(tenant, text, strlen(tenant)) == 0 &&
           strcasecmp(find_field(object, "slug"), slash + 1) == 0;
}


static int
find_in(const json_t *list, const char *text, const char *kind, find_t *found,
        err_t *err)
{
    json_t *entry;
    size_t i, count = 0;

    json_array_foreach(list, i, entry)
    {
        if (find_matches(entry, text)) {
            find_take(found, entry);
            count++;
        }
    }

    if (count == 1) {
        return 0;
    }

    if (count == 0) {
        return err_set(err, "unknown_network",
                       "no %s of yours is called \"%.64s\"", kind, text);
    }

    return err_set(err, "ambiguous",
                   "%zu %ss are called \"%.64s\": use TENANT/NETWORK or the id "
                   "(goconnect networks)",
                   count, kind, text);
}


json_t *
find_networks(client_t *client, err_t *err)
{
    char path[96];
    json_t *tenants, *tenant, *networks, *network, *all;
    size_t i, j;

    tenants = api_list(client, "/v1/tenants?scope=mine", err);
    if (tenants == NULL) {
        return NULL;
    }

    all = json_array();

    json_array_foreach(tenants, i, tenant)
    {
        snprintf(path, sizeof(path), "/v1/tenants/%.36s/networks",
                 find_field(tenant, "id"));
        networks = api_list(client, path, err);

        if (networks == NULL) {
            json_decref(tenants);
            json_decref(all);
            return NULL;
        }

        json_array_foreach(networks, j, network)
        {
            json_object_set_new(network, "tenant",
                                json_pack("{s:s, s:s, s:s}", "id",
                                          find_field(tenant, "id"), "slug",
                                          find_field(tenant, "slug"), "name",
                                          find_field(tenant, "name")));
        }

        json_array_extend(all, networks);
        json_decref(networks);
    }

    json_decref(tenants);
    return all;
}


int
find_network(client_t *client, const char *text, find_t *found, err_t *err)
{
    int rc;
    json_t *all;

    memset(found, 0, sizeof(*found));

    if (gc_uuid_valid(text, strlen(text))) {
        snprintf(found->id, sizeof(found->id), "%s", text);
        snprintf(found->name, sizeof(found->name), "%s", text);
        return 0;
    }

    all = find_networks(client, err);
    if (all == NULL) {
        return -1;
    }

    rc = find_in(all, text, "network", found, err);
    json_decref(all);
    return rc;
}


int
find_joined(const json_t *status, const char *text, find_t *found, err_t *err)
{
    json_t *networks = json_object_get(status, "networks");

    memset(found, 0, sizeof(*found));

    if (text != NULL) {
        return find_in(networks, text, "joined network", found, err);
    }

    if (json_array_size(networks) == 1) {
        find_take(found, json_array_get(networks, 0));
        return 0;
    }

    return err_set(err, "usage",
                   json_array_size(networks) == 0
                       ? "this device is in no network: goconnect join LINK"
                       : "which network? This device is in several "
                         "(goconnect status)");
}


int
find_tenant(client_t *client, const char *text, find_t *found, err_t *err)
{
    int rc;
    json_t *tenants;

    memset(found, 0, sizeof(*found));

    tenants = api_list(client, "/v1/tenants?scope=mine", err);
    if (tenants == NULL) {
        return -1;
    }

    rc = find_in(tenants, text, "tenant", found, err);
    json_decref(tenants);
    return rc;
}
