/* Who may reach which ports: a network's rules. */

#include "plan/firewall_text.h"


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
void
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
