#include "client/api.h"
#include "client/find.h"
#include "client/show.h"

#include <stdio.h>
#include <string.h>

static const show_column_t rules_columns[] = {
    {"ACTION", "action", 7},
    {"SOURCE", "source", 42},
    {"DESTINATION", "destination", 42},
    {"PROTOCOL", "protocol", 9},
    {"PORTS", "ports", 0},
    {NULL, NULL, 0},
};


/* The network that the first operand names: its id and the rules' path. */
static int
rules_place(client_t *client, find_t *found, char path[80], err_t *err)
{
    if (api_session(client, err) == -1 ||
        find_network(client, client->operand[0], found, err) == -1) {
        return -1;
    }

    snprintf(path, 80, "/v1/networks/%.36s/rules", found->id);
    return 0;
}


/* "80", "80-90" or "" as one text, for the table. */
static void
rules_ports(json_t *rule)
{
    char text[32] = "";
    json_int_t first = json_integer_value(json_object_get(rule, "port_first"));
    json_int_t last = json_integer_value(json_object_get(rule, "port_last"));

    if (first > 0 && last > first) {
        snprintf(text, sizeof(text), "%d-%d", (int) first, (int) last);

    } else if (first > 0) {
        snprintf(text, sizeof(text), "%d", (int) first);
    }

    json_object_set_new(rule, "ports", json_string(text));
}


int
rules_list(client_t *client)
{
    char path[80];
    err_t err;
    find_t found;
    json_t *answer = NULL, *list, *rule;
    size_t i;

    if (rules_place(client, &found, path, &err) == -1 ||
        api_call(client, "GET", path, NULL, &answer, &err) != 0) {
        return client_fail(client, &err);
    }

    list = json_incref(json_object_get(answer, "rules"));
    json_decref(answer);

    json_array_foreach(list, i, rule)
    {
        if (!client->json) {
            rules_ports(rule);
        }
    }

    return show_list(client, "rules", list, rules_columns,
                     "No rules: everybody reaches everything, as on a LAN.");
}


/* {"rules": [...]}, as `rules --json` prints it, or the list alone. */
static json_t *
rules_read(const char *file, err_t *err)
{
    json_error_t error;
    json_t *json, *rule;
    size_t i;

    json = strcmp(file, "-") == 0 ? json_loadf(stdin, 0, &error)
                                  : json_load_file(file, 0, &error);

    if (json == NULL) {
        err_set(err, "usage", "%.200s, line %d: %.100s", file, error.line,
                error.text);
        return NULL;
    }

    if (json_is_array(json)) {
        json = json_pack("{s:o}", "rules", json);
    }

    if (!json_is_array(json_object_get(json, "rules"))) {
        json_decref(json);
        err_set(err, "usage",
                "%.200s: not a list of rules: see goconnect "
                "rules set --help",
                file);
        return NULL;
    }

    /* what the server gave is its own to give */
    json_array_foreach(json_object_get(json, "rules"), i, rule)
    {
        json_object_del(rule, "id");
    }

    return json;
}


int
rules_set(client_t *client)
{
    char path[80];
    err_t err;
    find_t found;
    int rc;
    json_t *body, *answer = NULL;
    size_t count;

    body = rules_read(client->operand[1], &err);

    if (body == NULL) {
        return client_fail(client, &err);
    }

    count = json_array_size(json_object_get(body, "rules"));
    rc = rules_place(client, &found, path, &err);

    if (rc == 0) {
        rc = api_call(client, "PUT", path, body, &answer, &err);
    }

    json_decref(body);

    return rc == 0 ? show_done(client, answer, "%s has %zu rules now.",
                               found.name, count)
                   : client_fail(client, &err);
}
