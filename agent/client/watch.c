/* goconnect status --watch: status and peers, again and again. */

#include "client/ask.h"
#include "client/client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WATCH_EVERY_S 2
#define WATCH_CLEAR "\033[H\033[2J" /* ECMA-48: CUP, ED */


/* Status, with "peer_list" in each network; NULL with err. */
static json_t *
watch_ask(client_t *client, err_t *err)
{
    json_t *network, *reply, *status;
    size_t i;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);

    if (status == NULL) {
        return NULL;
    }

    json_object_del(status, "ok");

    json_array_foreach(json_object_get(status, "networks"), i, network)
    {
        reply =
            ask_daemon(client,
                       json_pack("{s:s, s:O}", "command", "peers", "network_id",
                                 json_object_get(network, "network_id")),
                       err);

        if (reply == NULL && strcmp(err->code, "no_daemon") == 0) {
            json_decref(status);
            return NULL;
        }

        if (reply == NULL) {
            continue; /* left, a moment ago */
        }

        json_object_set(network, "peer_list", json_object_get(reply, "peers"));
        json_decref(reply);
    }

    return status;
}


static void
watch_print(const json_t *status)
{
    const json_t *network, *peer;
    size_t i, k;

    if (isatty(STDOUT_FILENO)) {
        printf(WATCH_CLEAR);
    }

    mesh_print_status(status);

    json_array_foreach(json_object_get(status, "networks"), i, network)
    {
        printf("\n");
        client_print(json_string_value(json_object_get(network, "name")));
        printf("\n");
        mesh_print_peers_head();

        json_array_foreach(json_object_get(network, "peer_list"), k, peer)
        {
            mesh_print_peer(peer);
        }
    }
}


int
watch_run(client_t *client)
{
    err_t err;
    json_t *status;

    for (;;) {
        status = watch_ask(client, &err);

        if (status == NULL) {
            return client_fail(client, &err);
        }

        if (client->json) {
            (void) json_dumpf(status, stdout, JSON_COMPACT);
            printf("\n");

        } else {
            watch_print(status);
        }

        json_decref(status);

        if (fflush(stdout) != 0) {
            return CLIENT_FAILED; /* nobody reads any more */
        }

        (void) sleep(WATCH_EVERY_S);
    }
}
