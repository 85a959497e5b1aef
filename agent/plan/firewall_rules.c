/* What nftables reads: the table as text. */

#include "plan/firewall_text.h"
#include "plan/lan.h"

#include <stdlib.h>
#include <string.h>


/*
 * By the network's interface this host is reached at its address there, not
 * at any other that it has, except one that lies in what it offers.
 */
static void
firewall_say_local(struct firewall_text *text,
                   const struct firewall_network *network, size_t index)
{
    char prefix[ADDRESS_TEXT];
    const struct address *own;
    size_t i, way;

    firewall_say(text, " chain local_%zu {\n", index);

    for (way = 0; way < FIREWALL_FAMILIES; way++) {
        own = firewall_own(network, way);

        if (own->family != ADDRESS_NONE) {
            firewall_say(text, "  %s daddr %s return\n",
                         firewall_families[way].ip,
                         address_format(own, prefix));
        }
    }

    for (i = 0; i < network->route_count; i++) {
        if (network->routes[i].prefix.length > 0) {
            way = network->routes[i].prefix.address.family != ADDRESS_IPV4;
            firewall_say(text, "  %s daddr %s return\n",
                         firewall_families[way].ip,
                         prefix_format(&network->routes[i].prefix, prefix));
        }
    }

    firewall_say(text, "  ip6 daddr fe80::/10 return\n"
                       "  drop\n"
                       " }\n");
}


static void
firewall_say_input(struct firewall_text *text, const struct firewall *firewall)
{
    const struct firewall_network *network;
    size_t i;

    for (i = 0; i < firewall->count; i++) {
        network = &firewall->networks[i];
        firewall_say_local(text, network, i);

        if (network->rule_count > 0) {
            firewall_say_rules(text, network, i);
        }

        firewall_say(text,
                     " chain input_%zu {\n"
                     "  fib daddr type local jump local_%zu\n"
                     "  udp dport %d return\n",
                     i, i, FIREWALL_AGENT_PORT);

        /* what VXLAN carries is looked at where it comes out */
        if (network->lan[0] != '\0') {
            firewall_say(text, "  iifname \"%s\" udp dport %d return\n",
                         network->name, LAN_PORT);
        }

        if (network->rule_count > 0) {
            firewall_say(text, "  jump rules_%zu\n", i);
        }

        firewall_say(text, " }\n");
    }

    firewall_say(text, " chain input {\n"
                       "  type filter hook input priority filter; "
                       "policy accept;\n");

    for (i = 0; i < firewall->count; i++) {
        firewall_say(text, "  iifname { ");
        firewall_say_names(text, &firewall->networks[i]);
        firewall_say(text, " } jump input_%zu\n", i);
    }

    firewall_say(text, " }\n");
}


/*
 * Nobody is a member by writing an address of the network on what comes by
 * another interface.  Only as far as the address is reached by ours: where a
 * local subnet lies inside the range, its hosts are heard.
 */
static void
firewall_say_spoofed(struct firewall_text *text,
                     const struct firewall *firewall)
{
    char prefix[ADDRESS_TEXT];
    const struct prefix *range;
    size_t i, way;

    firewall_say(text, " chain prerouting {\n"
                       "  type filter hook prerouting priority raw; "
                       "policy accept;\n");

    for (i = 0; i < firewall->count; i++) {
        for (way = 0; way < FIREWALL_FAMILIES; way++) {
            range = firewall_range(&firewall->networks[i], way);

            if (range->address.family == ADDRESS_NONE) {
                continue;
            }

            firewall_say(text, "  iifname != { ");
            firewall_say_names(text, &firewall->networks[i]);
            firewall_say(text, " } %s saddr %s fib saddr oifname { ",
                         firewall_families[way].ip,
                         prefix_format(range, prefix));
            firewall_say_names(text, &firewall->networks[i]);
            firewall_say(text, " } drop\n");
        }
    }

    firewall_say(text, " }\n");
}


char *
firewall_rules(const struct firewall *firewall,
               const char (*guarded)[ACTUAL_NAME_SIZE], size_t guarded_count)
{
    struct firewall_text text;

    memset(&text, 0, sizeof(text));

    /* removed whether it was there or not, and made anew, in one step */
    firewall_say(&text, "add table inet " FIREWALL_TABLE "\n"
                        "delete table inet " FIREWALL_TABLE "\n");

    if (firewall->count > 0) {
        firewall_say(&text, "table inet " FIREWALL_TABLE " {\n");
        firewall_say_switched(&text, guarded, guarded_count);
        firewall_say_spoofed(&text, firewall);
        firewall_say_input(&text, firewall);
        firewall_say_forward(&text, firewall, guarded_count);
        firewall_say_redirects(&text, firewall);
        firewall_say_nat(&text, firewall);
        firewall_say(&text, "}\n");
    }

    if (text.failed) {
        free(text.data);
        return NULL;
    }

    return text.data;
}
