/* goconnect doctor: what is wrong here, and what to do about it. */

#include "client/ask.h"
#include "client/client.h"

#include <stdio.h>
#include <string.h>


static const char *
doctor_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


int
doctor_ask(client_t *client)
{
    err_t err;
    int failed = 0;
    json_t *check, *reply;
    size_t i;

    reply = ask_daemon(client, json_pack("{s:s}", "command", "doctor"), &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    json_array_foreach(json_object_get(reply, "checks"), i, check)
    {
        failed |= strcmp(doctor_field(check, "level"), "fail") == 0;

        if (client->json) {
            continue;
        }

        printf("%-4s  %-10s ", doctor_field(check, "level"),
               doctor_field(check, "name"));
        client_print(doctor_field(check, "text"));
        printf("\n");

        if (*doctor_field(check, "fix") != '\0') {
            printf("                 -> ");
            client_print(doctor_field(check, "fix"));
            printf("\n");
        }
    }

    if (!client_json(client, json_incref(reply)) && !failed) {
        printf("Nothing here keeps this device from its networks.\n");
    }

    json_decref(reply);
    return failed ? CLIENT_FAILED : CLIENT_OK;
}
