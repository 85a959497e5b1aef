/* goconnect reload: goconnectd's settings, read anew. */

#include "client/ask.h"
#include "client/client.h"

#include <stdio.h>
#include <string.h>


int
reload_run(client_t *client)
{
    const char *changed, *later;
    err_t err;
    json_t *reply;

    reply = ask_daemon(client, json_pack("{s:s}", "command", "reload"), &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, json_incref(reply))) {
        changed = json_string_value(json_object_get(reply, "changed"));
        later = json_string_value(json_object_get(reply, "needs_restart"));

        printf("Changed: %s.\n",
               changed != NULL && *changed != '\0' ? changed : "nothing");

        if (later != NULL && *later != '\0') {
            printf("Only a restart of goconnectd changes: %s.\n", later);
        }
    }

    json_decref(reply);
    return CLIENT_OK;
}
