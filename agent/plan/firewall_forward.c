/* What is passed on: to devices without an agent, subnets and the internet. */

#include "plan/firewall_text.h"

#include <stdlib.h>
#include <string.h>

/* Where an exit does not lead to: what is not the internet (RFC 6890). */
static const char *const firewall_private[FIREWALL_FAMILIES] = {
    "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, "
    "172.16.0.0/12, 192.168.0.0/16, 224.0.0.0/3",
    "::/127, fc00::/7, fe80::/10, ff00::/8",
};


/* Accepts what comes from or goes to a device, inside the interface. */
static void
firewall_say_devices(struct firewall_text *text,
                     const struct firewall_network *network, size_t way,
                     const char *side)
{
    char address[ADDRESS_TEXT];
    bool begun;
    size_t i;

    begun = false;

    for (i = 0; i < network->device_count; i++) {
        if (network->devices[i].family != firewall_families[way].family) {
            continue;
        }

        if (!begun) {
            firewall_say(text, "  oifname \"%s\" %s %s { ", network->name,
                         firewall_families[way].ip, side);
        }

        firewall_say(text, "%s%s", begun ? ", " : "",
                     address_format(&network->devices[i], address));
        begun = true;
    }

    if (begun) {
        firewall_say(text, " } accept\n");
    }
}


/* What leads from the network to a route, or (in: false) from there. */
static void
firewall_say_route(struct firewall_text *text,
                   const struct firewall_network *network,
                   const struct firewall_route *route, bool in)
{
    char range[ADDRESS_TEXT], prefix[ADDRESS_TEXT];
    size_t way = route->prefix.address.family != ADDRESS_IPV4;
    const char *ip = firewall_families[way].ip;

    if (firewall_range(network, way)->address.family == ADDRESS_NONE) {
        return;
    }

    (void) prefix_format(firewall_range(network, way), range);
    (void) prefix_format(&route->prefix, prefix);

    if (!in && route->prefix.length > 0) {
        firewall_say(text, "  iifname \"%s\" %s saddr %s %s daddr %s accept\n",
                     route->name, ip, prefix, ip, range);

    } else if (in && route->prefix.length > 0) {
        firewall_say(text, "  oifname \"%s\" %s saddr %s %s daddr %s accept\n",
                     route->name, ip, range, ip, prefix);

    } else if (in) {
        firewall_say(text,
                     "  oifname \"%s\" %s saddr %s %s daddr != { %s } "
                     "accept\n",
                     route->name, ip, range, ip, firewall_private[way]);
    }
}


static void
firewall_say_from(struct firewall_text *text,
                  const struct firewall_network *network, size_t index)
{
    size_t i, way;

    firewall_say(text, " chain from_%zu {\n", index);

    if (network->rule_count > 0) {
        firewall_say(text, "  jump rules_%zu\n", index);
    }

    for (way = 0; way < FIREWALL_FAMILIES; way++) {
        firewall_say_devices(text, network, way, "saddr");
        firewall_say_devices(text, network, way, "daddr");
    }

    for (i = 0; i < network->route_count; i++) {
        firewall_say_route(text, network, &network->routes[i], true);
    }

    firewall_say(text,
                 "  drop\n"
                 " }\n"
                 " chain to_%zu {\n",
                 index);

    if (network->route_count > 0) {
        firewall_say(text, "  ct state related accept\n"
                           "  ct direction reply accept\n");
    }

    for (i = 0; i < network->route_count; i++) {
        firewall_say_route(text, network, &network->routes[i], false);
    }

    firewall_say(text, "  drop\n"
                       " }\n");
}


/* Those that forward for our sake do so into our networks alone. */
static void
firewall_say_guards(struct firewall_text *text, const struct firewall *firewall,
                    size_t count)
{
    size_t i;

    if (count == 0 || firewall->count == 0) {
        return;
    }

    firewall_say(text, "  iifname @switched oifname != { ");

    for (i = 0; i < firewall->count; i++) {
        firewall_say(text, "%s", i > 0 ? ", " : "");
        firewall_say_names(text, &firewall->networks[i]);
    }

    firewall_say(text, " } drop\n");
}


void
firewall_say_forward(struct firewall_text *text,
                     const struct firewall *firewall, size_t guarded)
{
    const struct firewall_network *network;
    size_t i;

    for (i = 0; i < firewall->count; i++) {
        if (firewall_forwards(&firewall->networks[i])) {
            firewall_say_from(text, &firewall->networks[i], i);
        }
    }

    firewall_say(text, " chain forward {\n"
                       "  type filter hook forward priority filter; "
                       "policy accept;\n");
    firewall_say_guards(text, firewall, guarded);

    for (i = 0; i < firewall->count; i++) {
        network = &firewall->networks[i];

        if (firewall_forwards(network)) {
            firewall_say(text,
                         "  iifname \"%s\" jump from_%zu\n"
                         "  oifname \"%s\" jump to_%zu\n",
                         network->name, i, network->name, i);

        } else {
            firewall_say(text,
                         "  iifname \"%s\" drop\n"
                         "  oifname \"%s\" drop\n",
                         network->name, network->name);
        }

        if (network->lan[0] != '\0') {
            firewall_say(text,
                         "  iifname \"%s\" drop\n"
                         "  oifname \"%s\" drop\n",
                         network->lan, network->lan);
        }
    }

    firewall_say(text, " }\n");
}


/*
 * Forwarding back into the interface that a packet came from makes the kernel
 * tell the sender of a shorter way (RFC 792): there is none.
 */
void
firewall_say_redirects(struct firewall_text *text,
                       const struct firewall *firewall)
{
    size_t i;

    firewall_say(text, " chain output {\n"
                       "  type filter hook output priority filter; "
                       "policy accept;\n");

    for (i = 0; i < firewall->count; i++) {
        if (firewall->networks[i].gateway) {
            firewall_say(text,
                         "  oifname \"%s\" icmp type redirect drop\n"
                         "  oifname \"%s\" icmpv6 type nd-redirect drop\n",
                         firewall->networks[i].name,
                         firewall->networks[i].name);
        }
    }

    firewall_say(text, " }\n");
}


/* 0: nothing is to be said of it. */
static int
firewall_say_masquerade(struct firewall_text *text,
                        const struct firewall_network *network, size_t index)
{
    char range[ADDRESS_TEXT], prefix[ADDRESS_TEXT];
    const struct firewall_route *route = &network->routes[index];
    size_t way = route->prefix.address.family != ADDRESS_IPV4;

    if (!route->masquerade ||
        firewall_range(network, way)->address.family == ADDRESS_NONE) {
        return 0;
    }

    firewall_say(text, "  oifname \"%s\" %s saddr %s %s daddr %s masquerade\n",
                 route->name, firewall_families[way].ip,
                 prefix_format(firewall_range(network, way), range),
                 firewall_families[way].ip,
                 prefix_format(&route->prefix, prefix));

    return 1;
}


void
firewall_say_nat(struct firewall_text *text, const struct firewall *firewall)
{
    struct firewall_text rules;
    size_t i, k;
    int said;

    memset(&rules, 0, sizeof(rules));
    said = 0;

    for (i = 0; i < firewall->count; i++) {
        for (k = 0; k < firewall->networks[i].route_count; k++) {
            said += firewall_say_masquerade(&rules, &firewall->networks[i], k);
        }
    }

    if (rules.failed) {
        text->failed = true;

    } else if (said > 0) {
        firewall_say(text,
                     " chain postrouting {\n"
                     "  type nat hook postrouting priority srcnat; "
                     "policy accept;\n%s }\n",
                     rules.data);
    }

    free(rules.data);
}


void
firewall_say_switched(struct firewall_text *text,
                      const char (*guarded)[ACTUAL_NAME_SIZE], size_t count)
{
    size_t i;

    if (count == 0) {
        return;
    }

    firewall_say(text, " set switched { type ifname; elements = { ");

    for (i = 0; i < count; i++) {
        firewall_say(text, "%s\"%s\"", i > 0 ? ", " : "", guarded[i]);
    }

    firewall_say(text, " }; }\n");
}
