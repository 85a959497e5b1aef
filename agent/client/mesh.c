#include "client/ask.h"
#include "client/client.h"
#include "client/find.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>


static const char *
mesh_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


static json_t *
mesh_status_of(client_t *client, err_t *err)
{
    json_t *status;

    status = ask_daemon(client, json_pack("{s:s}", "command", "status"), err);

    if (status != NULL) {
        json_object_del(status, "ok");
    }

    return status;
}


static int
mesh_switch(client_t *client, const char *command, const char *done)
{
    err_t err;
    find_t found;
    json_t *status, *request, *reply;

    request = json_pack("{s:s}", "command", command);

    if (client->operands > 0) {
        status = mesh_status_of(client, &err);

        if (status == NULL ||
            find_joined(status, client->operand[0], &found, &err) == -1) {
            json_decref(status);
            json_decref(request);
            return client_fail(client, &err);
        }

        json_decref(status);
        json_object_set_new(request, "network_id", json_string(found.id));
    }

    reply = ask_daemon(client, request, &err);
    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, reply)) {
        printf("%s.\n", done);
    }

    return CLIENT_OK;
}


int
mesh_up(client_t *client)
{
    return mesh_switch(client, "up", "Up");
}


int
mesh_down(client_t *client)
{
    return mesh_switch(client, "down", "Down");
}


static void
mesh_print_problem(const json_t *network, const char *name)
{
    if (*mesh_field(network, name) != '\0') {
        printf("  problem    ");
        client_print(mesh_field(network, name));
        printf("\n");
    }
}


/* Since when the network's key is used, and whether it is being changed. */
static void
mesh_print_key(const json_t *network)
{
    json_int_t days, at;

    at = json_integer_value(json_object_get(network, "keyed_at"));
    days = ((json_int_t) time(NULL) - at) / 86400;

    if (at > 0) {
        printf("  key        %" JSON_INTEGER_FORMAT " day%s old%s\n",
               days > 0 ? days : 0, days == 1 ? "" : "s",
               strcmp(mesh_field(network, "rotation"), "none") == 0
                   ? ""
                   : ", is being changed");
    }
}


static void
mesh_print_network(const json_t *network)
{
    const char *endpoint;

    printf("\n");
    client_print(mesh_field(network, "name"));
    printf(" (%s)\n", mesh_field(network, "state"));
    printf("  address    %s\n", mesh_field(network, "ip_address"));

    if (*mesh_field(network, "ip6_address") != '\0') {
        printf("             %s\n", mesh_field(network, "ip6_address"));
    }

    printf("  interface  %s, port %" JSON_INTEGER_FORMAT "\n",
           mesh_field(network, "interface"),
           json_integer_value(json_object_get(network, "listen_port")));
    printf("  peers      %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
           " talked to lately\n",
           json_integer_value(json_object_get(network, "peers")),
           json_integer_value(json_object_get(network, "peers_active")));

    endpoint = mesh_field(json_object_get(network, "port_mapping"), "endpoint");

    if (*endpoint != '\0') {
        printf("  router     lets others in at %s\n", endpoint);
    }

    mesh_print_key(network);

    if (strcmp(mesh_field(network, "gateway"), "off") != 0) {
        printf("  gateway    %s\n", mesh_field(network, "gateway"));
    }

    mesh_print_problem(network, "error");
    mesh_print_problem(network, "overlap");
    mesh_print_problem(network, "gateway_error");
}


static void
mesh_print_exit(const json_t *used)
{
    if (!json_is_object(used)) {
        return;
    }

    printf("exit       ");
    client_print(*mesh_field(used, "peer") != '\0'
                     ? mesh_field(used, "peer")
                     : mesh_field(used, "peer_id"));
    printf(" of ");
    client_print(mesh_field(used, "network"));
    printf("\n");

    if (*mesh_field(used, "error") != '\0') {
        printf("problem    ");
        client_print(mesh_field(used, "error"));
        printf("\n");
    }
}


void
mesh_print_status(const json_t *status)
{
    json_t *network;
    size_t i;

    printf("goconnectd %s, WireGuard in %s\n", mesh_field(status, "version"),
           mesh_field(status, "backend"));

    if (*mesh_field(status, "server") == '\0') {
        printf("server     none: goconnect login URL\n");

    } else {
        printf("server     %s (%s)\n", mesh_field(status, "server"),
               mesh_field(status, "control"));
        printf("device     ");
        client_print(mesh_field(json_object_get(status, "device"), "name"));
        printf(", of ");
        client_print(mesh_field(json_object_get(status, "user"), "username"));
        printf("\n");
    }

    mesh_print_exit(json_object_get(status, "exit"));

    if (*mesh_field(status, "error") != '\0') {
        printf("problem    ");
        client_print(mesh_field(status, "error"));
        printf("\n");
    }

    json_array_foreach(json_object_get(status, "networks"), i, network)
    {
        mesh_print_network(network);
    }
}


int
mesh_status(client_t *client)
{
    err_t err;
    json_t *status;

    if (client->watch) {
        return watch_run(client);
    }

    status = mesh_status_of(client, &err);
    if (status == NULL) {
        return client_fail(client, &err);
    }

    if (!client_json(client, json_incref(status))) {
        mesh_print_status(status);
    }

    json_decref(status);
    return CLIENT_OK;
}


static void
mesh_ago(json_int_t then, char *text, size_t size)
{
    long long ago = (long long) time(NULL) - then;

    if (then == 0) {
        snprintf(text, size, "never");

    } else if (ago < 120) {
        snprintf(text, size, "%lld s", ago > 0 ? ago : 0);

    } else if (ago < 7200) {
        snprintf(text, size, "%lld min", ago / 60);

    } else {
        snprintf(text, size, "%lld h", ago / 3600);
    }
}


static void
mesh_print_measured(const json_t *peer)
{
    char rtt[24] = "-", loss[24] = "-";
    const json_t *us = json_object_get(peer, "rtt");
    const json_t *lost = json_object_get(peer, "loss");

    if (json_is_integer(us)) {
        snprintf(rtt, sizeof(rtt), "%.1f ms",
                 (double) json_integer_value(us) / 1000);
    }

    if (json_is_integer(lost)) {
        snprintf(loss, sizeof(loss), "%d %%", (int) json_integer_value(lost));
    }

    printf("%-8s %9s %5s ", mesh_field(peer, "path"), rtt, loss);
}


void
mesh_print_peer(const json_t *peer)
{
    char ago[32] = "-"; /* this device has no session with itself */
    int self = json_is_true(json_object_get(peer, "self"));

    if (!self) {
        mesh_ago(json_integer_value(json_object_get(peer, "handshake")), ago,
                 sizeof(ago));
    }

    printf("%-20.20s %-15s %-8s ", mesh_field(peer, "name"),
           mesh_field(peer, "ip_address"),
           self ? "self" : mesh_field(peer, "status"));
    mesh_print_measured(peer);
    printf("%-24s %8s %10" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT "\n",
           mesh_field(peer, "endpoint"), ago,
           json_integer_value(json_object_get(peer, "rx_bytes")),
           json_integer_value(json_object_get(peer, "tx_bytes")));
}


void
mesh_print_peers_head(void)
{
    printf("%-20s %-15s %-8s %-8s %9s %5s %-24s %8s %10s %10s\n", "NAME",
           "ADDRESS", "STATUS", "PATH", "RTT", "LOSS", "ENDPOINT", "SEEN",
           "RECEIVED", "SENT");
}


static json_t *
mesh_peers_of(client_t *client, err_t *err)
{
    find_t found;
    int rc;
    json_t *status, *reply;

    status = mesh_status_of(client, err);
    if (status == NULL) {
        return NULL;
    }

    rc = find_joined(status, client->operands > 0 ? client->operand[0] : NULL,
                     &found, err);
    json_decref(status);

    if (rc == -1) {
        return NULL;
    }

    reply = ask_daemon(
        client,
        json_pack("{s:s, s:s}", "command", "peers", "network_id", found.id),
        err);

    if (reply != NULL) {
        json_object_del(reply, "ok");
    }

    return reply;
}


int
mesh_peers(client_t *client)
{
    err_t err;
    json_t *reply, *peer;
    size_t i;

    reply = mesh_peers_of(client, &err);
    if (reply == NULL) {
        return client_fail(client, &err);
    }

    if (client_json(client, json_incref(reply))) {
        json_decref(reply);
        return CLIENT_OK;
    }

    mesh_print_peers_head();

    json_array_foreach(json_object_get(reply, "peers"), i, peer)
    {
        mesh_print_peer(peer);
    }

    json_decref(reply);
    return CLIENT_OK;
}


int
mesh_find(client_t *client, const char *text, find_t *found, err_t *err)
{
    int rc;
    json_t *status;

    status = mesh_status_of(client, err);
    if (status == NULL) {
        return -1;
    }

    rc = find_joined(status, text, found, err);
    json_decref(status);

    return rc;
}


/* A private address is of no use to a phone out there. */
static void
mesh_print_reachable(const json_t *reply)
{
    const json_t *endpoint;
    json_int_t port = json_integer_value(json_object_get(reply, "listen_port"));
    size_t i;

    printf("It can be reached at");

    json_array_foreach(json_object_get(reply, "endpoints"), i, endpoint)
    {
        printf("%s %s", i > 0 ? "," : "", json_string_value(endpoint));
    }

    printf(".\n");

    if (!json_is_true(json_object_get(reply, "public"))) {
        printf(
            "Those are private addresses. For devices elsewhere let your "
            "router forward\na UDP port to port %" JSON_INTEGER_FORMAT
            " here, and run it again with --endpoint\nPUBLIC_ADDRESS:PORT.\n",
            port);
    }
}


static void
mesh_print_gateway(const json_t *reply)
{
    const char *name = mesh_field(reply, "name");

    if (json_is_true(json_object_get(reply, "gateway"))) {
        printf("This device is the gateway of ");
        client_print(name);
        printf(": it forwards between its members and the devices without an "
               "agent%s.\n",
               json_is_true(json_object_get(reply, "ipv6")) ? ""
                                                            : ", IPv4 alone");
        mesh_print_reachable(reply);

    } else if (json_is_true(json_object_get(reply, "offered"))) {
        printf("This device offers itself as the gateway of ");
        client_print(name);
        printf(". An admin of the network has to approve it.\n");
        mesh_print_reachable(reply);

    } else {
        printf("This device does not offer itself as the gateway of ");
        client_print(name);
        printf(" any more.\n");
    }
}


int
mesh_gateway(client_t *client)
{
    err_t err;
    find_t found;
    int on = strcmp(client->operand[0], "on") == 0;
    json_t *reply, *request;

    if (!on && strcmp(client->operand[0], "off") != 0) {
        err_set(&err, "usage", "usage: goconnect gateway on|off [NETWORK]");
        return client_fail(client, &err);
    }

    if (mesh_find(client, client->operands > 1 ? client->operand[1] : NULL,
                  &found, &err) == -1) {
        return client_fail(client, &err);
    }

    request = json_pack("{s:s, s:s, s:b}", "command", "gateway", "network_id",
                        found.id, "on", on);

    if (client->endpoint != NULL) {
        json_object_set_new(request, "endpoint", json_string(client->endpoint));
    }

    reply = ask_daemon(client, request, &err);
    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, json_incref(reply))) {
        mesh_print_gateway(reply);
    }

    json_decref(reply);
    return CLIENT_OK;
}


int
mesh_rotate(client_t *client)
{
    err_t err;
    find_t found;
    json_t *reply;

    if (mesh_find(client, client->operands > 0 ? client->operand[0] : NULL,
                  &found, &err) == -1) {
        return client_fail(client, &err);
    }

    reply = ask_daemon(
        client,
        json_pack("{s:s, s:s}", "command", "rotate", "network_id", found.id),
        &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");

    if (!client_json(client, json_incref(reply))) {
        printf("This device has a new key in ");
        client_print(mesh_field(reply, "name"));
        printf(".\n");
    }

    json_decref(reply);
    return CLIENT_OK;
}
