/* goconnect set: what this device does differently in a network. */

#include "client/ask.h"
#include "client/client.h"
#include "client/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "1300" or "auto" as goconnectd takes it; NULL with err. */
static json_t *
settings_mtu(const char *text, err_t *err)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (strcmp(text, "auto") == 0) {
        return json_null();
    }

    if (*text == '\0' || *end != '\0' || strlen(text) > 5) {
        err_set(err, "usage",
                "mtu is a number of bytes, or auto, not \"%.40s\"", text);
        return NULL;
    }

    return json_integer(value);
}


static void
settings_show_mtu(const json_t *value)
{
    if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));

    } else {
        printf("auto\n");
    }
}


static const struct {
    const char *name;  /* as people write it */
    const char *field; /* as goconnectd does */
    json_t *(*read)(const char *text, err_t *err);
    void (*show)(const json_t *value);
} settings_table[] = {
    {"mtu", "mtu", settings_mtu, settings_show_mtu},
};

#define SETTINGS_COUNT (sizeof(settings_table) / sizeof(settings_table[0]))


static json_t *
settings_value(const char *name, const char *text, const char **field,
               err_t *err)
{
    size_t i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        if (strcmp(settings_table[i].name, name) == 0) {
            *field = settings_table[i].field;
            return settings_table[i].read(text, err);
        }
    }

    err_set(err, "usage", "there is no setting \"%.40s\" (goconnect help set)",
            name);
    return NULL;
}


/* NAME VALUE NAME VALUE ... behind the network; NULL with err. */
static json_t *
settings_wanted(const client_t *client, err_t *err)
{
    const char *field;
    int i;
    json_t *value, *wanted = json_object();

    for (i = 1; i < client->operands; i += 2) {
        if (i + 1 == client->operands) {
            err_set(err, "usage", "\"%.40s\" has no value (goconnect help set)",
                    client->operand[i]);
            value = NULL;

        } else {
            value = settings_value(client->operand[i], client->operand[i + 1],
                                   &field, err);
        }

        if (value == NULL) {
            json_decref(wanted);
            return NULL;
        }

        json_object_set_new(wanted, field, value);
    }

    return wanted;
}


static void
settings_print(const json_t *reply)
{
    const json_t *settings = json_object_get(reply, "settings");
    size_t i;

    for (i = 0; i < SETTINGS_COUNT; i++) {
        printf("%-14s ", settings_table[i].name);
        settings_table[i].show(
            json_object_get(settings, settings_table[i].field));
    }
}


int
settings_set(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply, *wanted;

    wanted = settings_wanted(client, &err);

    if (wanted == NULL ||
        mesh_find(client, client->operand[0], &found, &err) == -1) {
        json_decref(wanted);
        return client_fail(client, &err);
    }

    reply = ask_daemon(client,
                       json_pack("{s:s, s:s, s:o}", "command", "set",
                                 "network_id", found.id, "settings", wanted),
                       &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, json_incref(reply))) {
        settings_print(reply);
    }

    json_decref(reply);
    return CLIENT_OK;
}
