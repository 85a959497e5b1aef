#include "plan/forwarding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* A text that grows; failed stays set once memory was short. */
struct forwarding_text {
    char *data;
    size_t length;
    size_t room;
    bool failed;
};


__attribute__((format(printf, 2, 3))) static void
forwarding_say(struct forwarding_text *text, const char *format, ...)
{
    va_list args;
    char *data;
    size_t room;
    int n;

    if (text->failed) {
        return;
    }

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);

    if (n < 0) {
        text->failed = true;
        return;
    }

    if (text->length + (size_t) n >= text->room) {
        room = 2 * (text->length + (size_t) n) + 1024;
        data = realloc(text->data, room);

        if (data == NULL) {
            text->failed = true;
            return;
        }

        text->data = data;
        text->room = room;
    }

    va_start(args, format);
    (void) vsnprintf(text->data + text->length, text->room - text->length,
                     format, args);
    va_end(args);
    text->length += (size_t) n;
}


bool
forwarding_is_gateway(const struct netmap *map, const char *peer_id)
{
    const struct netmap_peer *self;

    self = netmap_find(map, peer_id);

    return self != NULL && self->gateway && !self->agentless;
}


static int
forwarding_by_address(const void *a, const void *b)
{
    return address_compare(a, b);
}


/* Both addresses of every device that goes by the peer. */
static int
forwarding_devices(struct forwarding_network *network, const struct netmap *map,
                   const char *peer_id)
{
    const struct netmap_peer *peer;
    size_t i;

    network->devices = calloc(2 * map->peer_count + 1, sizeof(struct address));

    if (network->devices == NULL) {
        return -1;
    }

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];

        if (!peer->agentless || strcmp(peer->via, peer_id) != 0) {
            continue;
        }

        network->devices[network->device_count++] = peer->ip_address;

        if (peer->ip6_address.family != ADDRESS_NONE) {
            network->devices[network->device_count++] = peer->ip6_address;
        }
    }

    qsort(network->devices, network->device_count, sizeof(struct address),
          forwarding_by_address);

    return 0;
}


int
forwarding_add(struct forwarding *forwarding, const struct netmap *map,
               const char *peer_id, const char *name, struct error *error)
{
    struct forwarding_network network, *networks;

    if (!forwarding_is_gateway(map, peer_id)) {
        return 0;
    }

    memset(&network, 0, sizeof(network));
    memcpy(network.name, name, strnlen(name, sizeof(network.name) - 1));

    /* it stands between quotes in the rules */
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0') {
        return error_set(error, ERROR_INVALID, "an interface of ours is odd");
    }

    networks = realloc(forwarding->networks,
                       (forwarding->count + 1) * sizeof(network));

    if (networks == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    forwarding->networks = networks;

    if (forwarding_devices(&network, map, peer_id) != 0) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    networks[forwarding->count++] = network;

    return 0;
}


/* Accepts what comes from or goes to a device, inside the interface. */
static void
forwarding_say_devices(struct forwarding_text *text,
                       const struct forwarding_network *network,
                       enum address_family family, const char *words)
{
    char address[ADDRESS_TEXT];
    bool begun;
    size_t i;

    begun = false;

    for (i = 0; i < network->device_count; i++) {
        if (network->devices[i].family != family) {
            continue;
        }

        if (!begun) {
            forwarding_say(text, "  iifname \"%s\" oifname \"%s\" %s { ",
                           network->name, network->name, words);
        }

        forwarding_say(text, "%s%s", begun ? ", " : "",
                       address_format(&network->devices[i], address));
        begun = true;
    }

    if (begun) {
        forwarding_say(text, " } accept\n");
    }
}


static void
forwarding_say_network(struct forwarding_text *text,
                       const struct forwarding_network *network)
{
    static const struct {
        enum address_family family;
        const char *words;
    } ways[] = {
        {ADDRESS_IPV4, "ip saddr"},
        {ADDRESS_IPV4, "ip daddr"},
        {ADDRESS_IPV6, "ip6 saddr"},
        {ADDRESS_IPV6, "ip6 daddr"},
    };
    size_t i;

    for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        forwarding_say_devices(text, network, ways[i].family, ways[i].words);
    }

    forwarding_say(text, "  iifname \"%s\" drop\n", network->name);
    forwarding_say(text, "  oifname \"%s\" drop\n", network->name);
}


/*
 * Forwarding back into the interface that a packet came from makes the kernel
 * tell the sender of a shorter way (RFC 792): there is none.
 */
static void
forwarding_say_redirects(struct forwarding_text *text,
                         const struct forwarding_network *network)
{
    forwarding_say(text, "  oifname \"%s\" icmp type redirect drop\n",
                   network->name);
    forwarding_say(text, "  oifname \"%s\" icmpv6 type nd-redirect drop\n",
                   network->name);
}


char *
forwarding_rules(const struct forwarding *forwarding)
{
    struct forwarding_text text;
    size_t i;

    memset(&text, 0, sizeof(text));

    /* removed whether it was there or not, and made anew, in one step */
    forwarding_say(&text, "add table inet " FORWARDING_TABLE "\n"
                          "delete table inet " FORWARDING_TABLE "\n");

    if (forwarding->count > 0) {
        forwarding_say(&text, "table inet " FORWARDING_TABLE " {\n"
                              " chain forward {\n"
                              "  type filter hook forward priority filter; "
                              "policy accept;\n");

        for (i = 0; i < forwarding->count; i++) {
            forwarding_say_network(&text, &forwarding->networks[i]);
        }

        forwarding_say(&text, " }\n"
                              " chain output {\n"
                              "  type filter hook output priority filter; "
                              "policy accept;\n");

        for (i = 0; i < forwarding->count; i++) {
            forwarding_say_redirects(&text, &forwarding->networks[i]);
        }

        forwarding_say(&text, " }\n}\n");
    }

    if (text.failed) {
        free(text.data);
        return NULL;
    }

    return text.data;
}


void
forwarding_clear(struct forwarding *forwarding)
{
    size_t i;

    for (i = 0; i < forwarding->count; i++) {
        free(forwarding->networks[i].devices);
    }

    free(forwarding->networks);
    memset(forwarding, 0, sizeof(*forwarding));
}
