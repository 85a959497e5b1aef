/* goconnect local: where this device's own page is. */

#include "client/ask.h"
#include "client/client.h"

#include <stdio.h>


int
local_run(client_t *client)
{
    err_t err;
    json_t *reply;

    reply = ask_daemon(client, json_pack("{s:s}", "command", "local"), &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, json_incref(reply))) {
        client_print(json_string_value(json_object_get(reply, "url")));
        putchar('\n');
    }

    json_decref(reply);
    return CLIENT_OK;
}
