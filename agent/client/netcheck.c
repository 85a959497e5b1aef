/* goconnect netcheck: what is between this device and the internet. */

#include "client/ask.h"
#include "client/client.h"

#include <stdio.h>
#include <string.h>


/* The words of --json (plan/nat_behaviour.h), for people. */
static const struct {
    const char *name;
    const char *mapping;
    const char *filtering;
} netcheck_words[] = {
    {"endpoint_independent", "the same towards everybody",
     "everybody, once this device has sent anything"},
    {"not_port_dependent", "the same towards every port",
     "every port of whom this device has sent to"},
    {"address_dependent", "another one towards every address",
     "every port of whom this device has sent to"},
    {"address_and_port_dependent", "another one towards everybody (symmetric)",
     "only the very port that this device has sent to"},
    {"port_dependent", "another one towards every port (symmetric)",
     "only the very port that this device has sent to"},
    {"unknown", "not known: the server has no other address or port",
     "not known"},
};


static const char *
netcheck_field(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}


static const char *
netcheck_word(const json_t *side, const char *what)
{
    const char *name = netcheck_field(side, what);
    size_t i;

    for (i = 0; i < sizeof(netcheck_words) / sizeof(netcheck_words[0]); i++) {
        if (strcmp(netcheck_words[i].name, name) == 0) {
            return strcmp(what, "mapping") == 0 ? netcheck_words[i].mapping
                                                : netcheck_words[i].filtering;
        }
    }

    return "not known";
}


static void
netcheck_print_side(const char *title, const json_t *side)
{
    int kept;

    if (!json_is_object(side)) {
        printf("%s      the server has no such address\n", title);
        return;
    }

    if (!json_is_true(json_object_get(side, "answered"))) {
        printf("%s      %s\n", title, netcheck_field(side, "error"));
        return;
    }

    kept = json_is_true(json_object_get(side, "port_kept"));
    printf("%s      seen as %s, answered in %d ms\n", title,
           netcheck_field(side, "mapped"),
           (int) (json_integer_value(json_object_get(side, "rtt")) / 1000));

    if (json_is_true(json_object_get(side, "nat"))) {
        printf("          a NAT is on the way, and %s\n",
               kept ? "keeps the port" : "gives it another port");
    } else {
        printf("          no NAT is on the way\n");
    }

    printf("          port outside: %s\n", netcheck_word(side, "mapping"));
    printf("          lets in: %s\n", netcheck_word(side, "filtering"));
}


static void
netcheck_print(const json_t *reply)
{
    const json_t *mapping = json_object_get(reply, "port_mapping");

    printf("Server    %s, asked from port %d", netcheck_field(reply, "server"),
           (int) json_integer_value(json_object_get(reply, "port")));

    if (*netcheck_field(reply, "network") != '\0') {
        printf(" of ");
        client_print(netcheck_field(reply, "network"));
    }

    printf("\n");
    netcheck_print_side("IPv4", json_object_get(reply, "ipv4"));
    netcheck_print_side("IPv6", json_object_get(reply, "ipv6"));

    if (*netcheck_field(mapping, "endpoint") != '\0') {
        printf("Router    lets others in at %s (%s)\n",
               netcheck_field(mapping, "endpoint"),
               netcheck_field(mapping, "protocol"));

    } else if (*netcheck_field(mapping, "error") != '\0') {
        printf("Router    ");
        client_print(netcheck_field(mapping, "error"));
        printf("\n");
    }
}


static int
netcheck_answered(const json_t *reply, const char *name)
{
    return json_is_true(
        json_object_get(json_object_get(reply, name), "answered"));
}


int
netcheck_ask(client_t *client)
{
    err_t err;
    json_t *reply, *request = json_pack("{s:s}", "command", "netcheck");
    int answered;

    if (client->operands == 1) {
        json_object_set_new(request, "server", json_string(client->operand[0]));
    }

    reply = ask_daemon(client, request, &err);

    if (reply == NULL) {
        return client_fail(client, &err);
    }

    json_object_del(reply, "ok");
    answered =
        netcheck_answered(reply, "ipv4") || netcheck_answered(reply, "ipv6");

    if (!client_json(client, json_incref(reply))) {
        netcheck_print(reply);
    }

    json_decref(reply);
    return answered ? CLIENT_OK : CLIENT_FAILED;
}
