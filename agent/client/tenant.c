#include "client/api.h"
#include "client/place.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const show_column_t tenant_columns[] = {
    {"TENANT", "name", 28},         {"SLUG", "slug", 20},
    {"ACCESS", "access", 12},       {"ROLE", "role", 10},
    {"MEMBERS", "member_count", 0}, {NULL, NULL, 0},
};


static int
tenant_show(client_t *client, const char *path, const char *empty)
{
    err_t err;
    json_t *list;

    list = api_list(client, path, &err);
    if (list == NULL) {
        return client_fail(client, &err);
    }

    return show_list(client, "tenants", list, tenant_columns, empty);
}


int
tenant_list(client_t *client)
{
    return tenant_show(client, "/v1/tenants?scope=mine",
                       "No tenants yet: goconnect tenant create NAME");
}


/* Everything but letters and digits as %XX (RFC 3986, section 2.1). */
static void
tenant_escape(const char *text, char *out, size_t size)
{
    const unsigned char *p = (const unsigned char *) text;
    size_t used = 0;

    for (; *p != '\0' && used + 4 < size; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
            (*p >= '0' && *p <= '9')) {
            out[used++] = (char) *p;

        } else {
            used += (size_t) snprintf(out + used, size - used, "%%%02X", *p);
        }
    }

    out[used] = '\0';
}


int
tenant_search(client_t *client)
{
    char path[900], text[800] = "";

    if (client->operands > 0) {
        tenant_escape(client->operand[0], text, sizeof(text));
    }

    snprintf(path, sizeof(path), "/v1/tenants?scope=public%s%s",
             text[0] != '\0' ? "&q=" : "", text);

    return tenant_show(client, path, "No public tenant has that in its name.");
}


int
tenant_create(client_t *client)
{
    err_t err;
    json_t *body, *tenant = NULL;
    int rc;

    body = json_pack("{s:s, s:s, s:s}", "name", client->operand[0],
                     "visibility", client->is_public ? "public" : "private",
                     "access", client->open ? "open" : "invite_only");
    rc = api_call(client, "POST", "/v1/tenants", body, &tenant, &err);
    json_decref(body);

    if (rc != 0) {
        return client_fail(client, &err);
    }

    return show_done(client, tenant,
                     "Made %s. Next: goconnect network create %s NAME",
                     show_field(tenant, "name"), show_field(tenant, "slug"));
}


int
tenant_network_create(client_t *client)
{
    char path[96];
    err_t err;
    find_t found;
    json_t *body, *network = NULL;
    int rc;

    if (api_session(client, &err) == -1 ||
        find_tenant(client, client->operand[0], &found, &err) == -1) {
        return client_fail(client, &err);
    }

    body = json_pack("{s:s, s:s}", "name", client->operand[1], "visibility",
                     client->is_public ? "public" : "private");

    if (client->cidr != NULL) {
        json_object_set_new(body, "cidr", json_string(client->cidr));
    }

    if (client->policy != NULL) {
        json_object_set_new(body, "join_policy", json_string(client->policy));
    }

    if (client->mode != NULL) {
        json_object_set_new(body, "mode", json_string(client->mode));
    }

    snprintf(path, sizeof(path), "/v1/tenants/%.36s/networks", found.id);
    rc = api_call(client, "POST", path, body, &network, &err);
    json_decref(body);

    if (rc != 0) {
        return client_fail(client, &err);
    }

    return show_done(client, network,
                     "Made %s (%s). Next: goconnect invite create %s",
                     show_field(network, "name"), show_field(network, "cidr"),
                     show_field(network, "slug"));
}
