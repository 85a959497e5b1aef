/* goconnect ping PEER: is it there, by which path, how long does it take. */

#include "client/ask.h"
#include "client/client.h"
#include "client/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PING_COUNT 4
#define PING_COUNT_MAX 1000

typedef struct {
    char network_id[40];
    char peer_id[40];
    char name[300];
    char address[64];
    int found;
} ping_peer_t;

typedef struct {
    int sent;
    int received;
    json_int_t least;
    json_int_t most;
    json_int_t sum;
} ping_tally_t;


static const char *
ping_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


/* By name, address or id; NAME.NETWORK too, by the network's slug. */
static int
ping_is(const json_t *peer, const json_t *network, const char *text)
{
    const char *name = ping_field(peer, "name");
    size_t length = strlen(name);

    if (strcmp(text, name) == 0 ||
        strcmp(text, ping_field(peer, "ip_address")) == 0 ||
        strcmp(text, ping_field(peer, "ip6_address")) == 0 ||
        strcmp(text, ping_field(peer, "peer_id")) == 0) {
        return *text != '\0';
    }

    return length > 0 && strncmp(text, name, length) == 0 &&
           text[length] == '.' &&
           strcmp(text + length + 1, ping_field(network, "slug")) == 0;
}


static int
ping_search(client_t *client, const json_t *network, const char *text,
            ping_peer_t *found, err_t *err)
{
    json_t *peer, *reply;
    size_t i;

    reply = ask_daemon(client,
                       json_pack("{s:s, s:s}", "command", "peers", "network_id",
                                 ping_field(network, "network_id")),
                       err);

    if (reply == NULL) {
        return -1;
    }

    json_array_foreach(json_object_get(reply, "peers"), i, peer)
    {
        if (json_is_true(json_object_get(peer, "self")) ||
            !ping_is(peer, network, text)) {
            continue;
        }

        found->found++;
        snprintf(found->network_id, sizeof(found->network_id), "%s",
                 ping_field(network, "network_id"));
        snprintf(found->peer_id, sizeof(found->peer_id), "%s",
                 ping_field(peer, "peer_id"));
        snprintf(found->name, sizeof(found->name), "%s",
                 ping_field(peer, "name"));
        snprintf(found->address, sizeof(found->address), "%s",
                 ping_field(peer, "ip_address"));
    }

    json_decref(reply);
    return 0;
}


static int
ping_find(client_t *client, const char *text, ping_peer_t *found, err_t *err)
{
    find_t only;
    json_t *network, *status;
    size_t i;
    int rc;

    memset(found, 0, sizeof(*found));
    memset(&only, 0, sizeof(only));
    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);

    if (status == NULL) {
        return -1;
    }

    rc = client->network[0] != NULL
             ? find_joined(status, client->network[0], &only, err)
             : 0;

    json_array_foreach(json_object_get(status, "networks"), i, network)
    {
        if (rc == 0 &&
            (only.id[0] == '\0' ||
             strcmp(only.id, ping_field(network, "network_id")) == 0)) {
            rc = ping_search(client, network, text, found, err);
        }
    }

    json_decref(status);

    if (rc == -1) {
        return -1;
    }

    if (found->found == 0) {
        return err_set(err, "unknown_network",
                       "no network of this device has a peer \"%.64s\": "
                       "goconnect peers",
                       text);
    }

    if (found->found > 1) {
        return err_set(err, "ambiguous",
                       "%d peers are called \"%.64s\": say --network, or the "
                       "address",
                       found->found, text);
    }

    return 0;
}


static void
ping_print(const json_t *reply, int number)
{
    json_int_t us = json_integer_value(json_object_get(reply, "rtt"));

    if (!json_is_true(json_object_get(reply, "answered"))) {
        printf("%d: no answer\n", number);

    } else {
        printf("%d: %" JSON_INTEGER_FORMAT ".%03d ms, %s", number, us / 1000,
               (int) (us % 1000), ping_field(reply, "path"));

        if (*ping_field(reply, "endpoint") != '\0') {
            printf(" by ");
            client_print(ping_field(reply, "endpoint"));
        }

        printf("\n");
    }

    (void) fflush(stdout);
}


static void
ping_count(ping_tally_t *tally, const json_t *reply)
{
    json_int_t us = json_integer_value(json_object_get(reply, "rtt"));

    tally->sent++;

    if (!json_is_true(json_object_get(reply, "answered"))) {
        return;
    }

    if (tally->received++ == 0 || us < tally->least) {
        tally->least = us;
    }

    if (us > tally->most) {
        tally->most = us;
    }

    tally->sum += us;
}


static int
ping_end(client_t *client, const ping_peer_t *peer, const ping_tally_t *tally,
         json_t *answers)
{
    json_t *document;
    int any = tally->received > 0;

    document = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "network_id",
        peer->network_id, "peer_id", peer->peer_id, "name", peer->name,
        "ip_address", peer->address, "sent", tally->sent, "received",
        tally->received, "min", any ? json_integer(tally->least) : json_null(),
        "avg", any ? json_integer(tally->sum / tally->received) : json_null(),
        "max", any ? json_integer(tally->most) : json_null(), "answers",
        answers);

    if (!client_json(client, document)) {
        printf("%d sent, %d answered", tally->sent, tally->received);

        if (any) {
            printf(", %.3f/%.3f/%.3f ms least, average, most",
                   (double) tally->least / 1000,
                   (double) tally->sum / tally->received / 1000,
                   (double) tally->most / 1000);
        }

        printf("\n");
    }

    return any ? CLIENT_OK : CLIENT_FAILED;
}


int
ping_run(client_t *client)
{
    char *end;
    err_t err;
    json_t *answers, *reply;
    ping_peer_t peer;
    ping_tally_t tally = {0};
    long i, count = PING_COUNT;

    if (client->count != NULL) {
        count = strtol(client->count, &end, 10);

        if (*end != '\0' || count < 1 || count > PING_COUNT_MAX) {
            err_set(&err, "usage", "--count is 1 to %d", PING_COUNT_MAX);
            return client_fail(client, &err);
        }
    }

    if (ping_find(client, client->operand[0], &peer, &err) == -1) {
        return client_fail(client, &err);
    }

    if (!client->json) {
        client_print(peer.name);
        printf(" (%s)\n", peer.address);
    }

    answers = json_array();

    for (i = 0; i < count; i++) {
        reply = ask_daemon(client,
                           json_pack("{s:s, s:s, s:s}", "command", "ping",
                                     "network_id", peer.network_id, "peer_id",
                                     peer.peer_id),
                           &err);

        if (reply == NULL) {
            json_decref(answers);
            return client_fail(client, &err);
        }

        ping_count(&tally, reply);

        if (!client->json) {
            ping_print(reply, (int) i + 1);
        }

        json_object_del(reply, "ok");
        json_array_append_new(answers, reply);

        if (i + 1 < count) {
            (void) sleep(1); /* as ping(8) does */
        }
    }

    return ping_end(client, &peer, &tally, answers);
}
