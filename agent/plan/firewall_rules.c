/* What nftables reads: the table as text. */

#include "plan/firewall.h"
#include "plan/lan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* A text that grows; failed stays set once memory was short. */
struct firewall_text {
    char *data;
    size_t length;
    size_t room;
    bool failed;
};

static const struct {
    enum address_family family;
    const char *ip; /* the words of nftables */
    const char *type;
} firewall_families[] = {
    {ADDRESS_IPV4, "ip", "ipv4_addr"},
    {ADDRESS_IPV6, "ip6", "ipv6_addr"},
};

#define FIREWALL_FAMILIES 2

/* Where an exit does not lead to: what is not the internet (RFC 6890). */
static const char *const firewall_private[FIREWALL_FAMILIES] = {
    "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, "
    "172.16.0.0/12, 192.168.0.0/16, 224.0.0.0/3",
    "::/127, fc00::/7, fe80::/10, ff00::/8",
};


__attribute__((format(printf, 2, 3))) static void
firewall_say(struct firewall_text *text, const char *format, ...)
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


/* "gc-lan", or in mode l2 "gc-lan", "gv-lan": for between braces. */
static void
firewall_say_names(struct firewall_text *text,
                   const struct firewall_network *network)
{
    firewall_say(text, "\"%s\"", network->name);

    if (network->lan[0] != '\0') {
        firewall_say(text, ", \"%s\"", network->lan);
    }
}


static const struct prefix *
firewall_range(const struct firewall_network *network, size_t way)
{
    return firewall_families[way].family == ADDRESS_IPV4 ? &network->cidr
                                                         : &network->cidr6;
}


static const struct address *
firewall_own(const struct firewall_network *network, size_t way)
{
    return firewall_families[way].family == ADDRESS_IPV4
               ? &network->ip_address
               : &network->ip6_address;
}


/* Of a family; they are sorted by it. */
static const struct prefix *
firewall_selected(const struct firewall_selector *selector,
                  enum address_family family, size_t *count)
{
    const struct prefix *first;
    size_t i;

    first = NULL;
    *count = 0;

    for (i = 0; i < selector->count; i++) {
        if (selector->prefixes[i].address.family == family) {
            first = first != NULL ? first : &selector->prefixes[i];
            (*count)++;
        }
    }

    return first;
}


/* The set of a selector's addresses of a family, if there are several. */
static void
firewall_say_set(struct firewall_text *text, size_t network, size_t number,
                 const struct firewall_selector *selector, size_t way)
{
    char address[ADDRESS_TEXT];
    const struct prefix *first;
    size_t i, count;

    first = firewall_selected(selector, firewall_families[way].family, &count);

    if (count < 2) {
        return;
    }

    firewall_say(text, " set s%zu_%zu_%s { type %s; elements = { ", network,
                 number, firewall_families[way].ip,
                 firewall_families[way].type);

    for (i = 0; i < count; i++) {
        firewall_say(text, "%s%s", i > 0 ? ", " : "",
                     address_format(&first[i].address, address));
    }

    firewall_say(text, " }; }\n");
}


/* Whether packets of the family can be meant at all. */
static bool
firewall_applies(const struct firewall_network *network, size_t number,
                 size_t way)
{
    size_t count;

    if (number == 0) {
        return true;
    }

    (void) firewall_selected(&network->selectors[number],
                             firewall_families[way].family, &count);

    return count > 0;
}


static void
firewall_say_selector(struct firewall_text *text,
                      const struct firewall_network *network, size_t index,
                      size_t number, size_t way, const char *side)
{
    char prefix[ADDRESS_TEXT];
    const char *ip = firewall_families[way].ip;
    const struct prefix *first;
    size_t count;

    if (number == 0) {
        return;
    }

    first = firewall_selected(&network->selectors[number],
                              firewall_families[way].family, &count);

    if (count == 1) {
        firewall_say(text, "%s %s %s ", ip, side, prefix_format(first, prefix));

    } else {
        firewall_say(text, "%s %s @s%zu_%zu_%s ", ip, side, index, number, ip);
    }
}


static void
firewall_say_verdict(struct firewall_text *text, const struct netmap_rule *rule)
{
    static const char *const words[] = {
        [NETMAP_ANY] = "",
        [NETMAP_TCP] = "meta l4proto tcp ",
        [NETMAP_UDP] = "meta l4proto udp ",
        [NETMAP_ICMP] = "meta l4proto { icmp, ipv6-icmp } ",
    };

    if (rule->port_first != 0 && rule->protocol == NETMAP_ANY) {
        firewall_say(text, "meta l4proto { tcp, udp } ");

    } else {
        firewall_say(text, "%s", words[rule->protocol]);
    }

    if (rule->port_first != 0 && rule->port_first == rule->port_last) {
        firewall_say(text, "th dport %u ", rule->port_first);

    } else if (rule->port_first != 0) {
        firewall_say(text, "th dport %u-%u ", rule->port_first,
                     rule->port_last);
    }

    firewall_say(text, "%s\n", rule->allow ? "return" : "drop");
}


static void
firewall_say_rule(struct firewall_text *text,
                  const struct firewall_network *network, size_t index,
                  const struct firewall_rule *rule)
{
    size_t way;

    if (rule->source == 0 && rule->destination == 0) {
        firewall_say(text, "  ");
        firewall_say_verdict(text, rule->rule);
        return;
    }

    for (way = 0; way < FIREWALL_FAMILIES; way++) {
        if (!firewall_applies(network, rule->source, way) ||
            !firewall_applies(network, rule->destination, way)) {
            continue;
        }

        firewall_say(text, "  ");
        firewall_say_selector(text, network, index, rule->source, way, "saddr");
        firewall_say_selector(text, network, index, rule->destination, way,
                              "daddr");
        firewall_say_verdict(text, rule->rule);
    }
}


/*
 * What this device began is answered.  A connection that a member began is
 * looked at for as long as it lasts, so that a new rule ends it.
 */
static void
firewall_say_rules(struct firewall_text *text,
                   const struct firewall_network *network, size_t index)
{
    size_t i, way;

    for (i = 0; i < network->selector_count; i++) {
        for (way = 0; way < FIREWALL_FAMILIES; way++) {
            firewall_say_set(text, index, i, &network->selectors[i], way);
        }
    }

    firewall_say(text,
                 " chain rules_%zu {\n"
                 "  ct state related return\n"
                 "  ct direction reply return\n"
                 "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } "
                 "return\n",
                 index);

    for (i = 0; i < network->rule_count; i++) {
        firewall_say_rule(text, network, index, &network->rules[i]);
    }

    firewall_say(text, " }\n");
}


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
                    const char (*guarded)[ACTUAL_NAME_SIZE], size_t count)
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
    (void) guarded;
}


static void
firewall_say_forward(struct firewall_text *text,
                     const struct firewall *firewall,
                     const char (*guarded)[ACTUAL_NAME_SIZE], size_t count)
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
    firewall_say_guards(text, firewall, guarded, count);

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
static void
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


static void
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


static void
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
        firewall_say_forward(&text, firewall, guarded, guarded_count);
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
