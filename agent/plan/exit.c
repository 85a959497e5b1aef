#include "plan/exit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t exit_families[] = {ADDRESS_IPV4, ADDRESS_IPV6};


static bool
exit_same_rule(const struct exit_rule *a, const struct exit_rule *b)
{
    return a->family == b->family && a->priority == b->priority &&
           a->table == b->table && a->unmarked == b->unmarked &&
           a->suppress == b->suppress && prefix_compare(&a->to, &b->to) == 0;
}


static bool
exit_same_route(const struct exit_route *a, const struct exit_route *b)
{
    return a->family == b->family && a->metric == b->metric &&
           strcmp(a->name, b->name) == 0;
}


static struct exit_rule *
exit_add_rule(struct exit_actual *want, uint8_t family, uint32_t nth,
              uint32_t table)
{
    struct exit_rule *rule = &want->rules[want->rule_count++];

    memset(rule, 0, sizeof(*rule));
    rule->family = family;
    rule->priority = EXIT_PRIORITY + nth;
    rule->table = table;

    return rule;
}


static void
exit_add_route(struct exit_actual *want, uint8_t family, const char *name)
{
    struct exit_route *route = &want->routes[want->route_count++];

    memset(route, 0, sizeof(*route));
    route->family = family;
    (void) snprintf(route->name, sizeof(route->name), "%s", name);

    if (name[0] == '\0') {
        route->metric = EXIT_NOWHERE;

    } else if (family == ADDRESS_IPV6) {
        route->metric = 1024; /* what the kernel makes of 0 */
    }
}


/*
 * First the server, then all that this host reaches by a route that is no
 * default route (its local networks, ours), then the exit.
 */
static void
exit_want(const struct exit_wish *wish, struct exit_actual *want)
{
    struct exit_rule *rule;
    size_t i, k;
    uint8_t family;

    memset(want, 0, sizeof(*want));

    if (!wish->on) {
        return;
    }

    for (k = 0; k < sizeof(exit_families); k++) {
        family = exit_families[k];
        exit_add_route(want, family, "");

        if (wish->name[0] != '\0' &&
            (family == ADDRESS_IPV4 ? wish->ipv4 : wish->ipv6)) {
            exit_add_route(want, family, wish->name);
        }

        for (i = 0; i < wish->server_count; i++) {
            if (wish->servers[i].family == family) {
                rule = exit_add_rule(want, family, 0, EXIT_MAIN);
                rule->to.address = wish->servers[i];
                rule->to.length = address_bits(&wish->servers[i]);
            }
        }

        exit_add_rule(want, family, 1, EXIT_MAIN)->suppress = true;
        exit_add_rule(want, family, 2, EXIT_TABLE)->unmarked = EXIT_MARK;
    }
}


static bool
exit_has_rule(const struct exit_actual *set, const struct exit_rule *rule)
{
    size_t i;

    for (i = 0; i < set->rule_count; i++) {
        if (exit_same_rule(&set->rules[i], rule)) {
            return true;
        }
    }

    return false;
}


static bool
exit_has_route(const struct exit_actual *set, const struct exit_route *route)
{
    size_t i;

    for (i = 0; i < set->route_count; i++) {
        if (exit_same_route(&set->routes[i], route)) {
            return true;
        }
    }

    return false;
}


static void
exit_rules(struct exit_operations *operations, enum exit_kind kind,
           const struct exit_actual *set, const struct exit_actual *other,
           bool to_table)
{
    struct exit_operation *operation;
    size_t i;

    for (i = 0; i < set->rule_count; i++) {
        if ((set->rules[i].table == EXIT_TABLE) == to_table &&
            !exit_has_rule(other, &set->rules[i])) {
            operation = &operations->list[operations->count++];
            operation->kind = kind;
            operation->rule = set->rules[i];
        }
    }
}


static void
exit_routes(struct exit_operations *operations, enum exit_kind kind,
            const struct exit_actual *set, const struct exit_actual *other)
{
    struct exit_operation *operation;
    size_t i;

    for (i = 0; i < set->route_count; i++) {
        if (!exit_has_route(other, &set->routes[i])) {
            operation = &operations->list[operations->count++];
            operation->kind = kind;
            operation->route = set->routes[i];
        }
    }
}


void
exit_reconcile(const struct exit_wish *wish, const struct exit_actual *actual,
               struct exit_operations *operations)
{
    struct exit_actual want;

    operations->count = 0;
    exit_want(wish, &want);
    exit_rules(operations, EXIT_RULE_DELETE, actual, &want, true);
    exit_rules(operations, EXIT_RULE_DELETE, actual, &want, false);
    exit_routes(operations, EXIT_ROUTE_DELETE, actual, &want);
    exit_routes(operations, EXIT_ROUTE_ADD, &want, actual);
    exit_rules(operations, EXIT_RULE_ADD, &want, actual, false);
    exit_rules(operations, EXIT_RULE_ADD, &want, actual, true);
}


/* "lo", "gc-lan" */
static size_t
exit_names(char *text, size_t size, const char (*names)[ACTUAL_NAME_SIZE],
           size_t count)
{
    size_t i, n;

    for (i = 0, n = 0; i < count; i++) {
        n += (size_t) snprintf(text + n, size - n, "%s\"%s\"",
                               i > 0 ? ", " : "", names[i]);
    }

    return n;
}


char *
exit_filter(const char (*names)[ACTUAL_NAME_SIZE], size_t count,
            const char (*noted)[ACTUAL_NAME_SIZE], size_t noted_count)
{
    size_t size = 2048 + (count + noted_count) * (ACTUAL_NAME_SIZE + 4);
    char *text = malloc(size);
    size_t n;

    if (text == NULL) {
        return NULL;
    }

    n = (size_t) snprintf(text, size,
                          "add table inet " EXIT_NFT "\n"
                          "delete table inet " EXIT_NFT "\n"
                          "table inet " EXIT_NFT " {\n");

    if (noted_count > 0) {
        n += (size_t) snprintf(text + n, size - n,
                               " set switched { type ifname; elements = { ");
        n += exit_names(text + n, size - n, noted, noted_count);
        n += (size_t) snprintf(text + n, size - n, " }; }\n");
    }

    n += (size_t) snprintf(text + n, size - n,
                           " chain prerouting {\n"
                           "  type filter hook prerouting priority mangle; "
                           "policy accept;\n"
                           "  iifname != { \"lo\"%s",
                           count > 0 ? ", " : "");
    n += exit_names(text + n, size - n, names, count);
    (void) snprintf(text + n, size - n,
                    " } fib daddr type local ct state new "
                    "ct mark set 0x%x\n"
                    "  ct mark 0x%x meta mark set 0x%x\n"
                    " }\n"
                    " chain output {\n"
                    "  type route hook output priority mangle; policy accept;\n"
                    "  ct mark 0x%x ct direction reply meta mark set 0x%x\n"
                    " }\n"
                    " chain postrouting {\n"
                    "  type filter hook postrouting priority mangle; "
                    "policy accept;\n"
                    "  meta mark 0x%x ct mark set 0x%x\n"
                    " }\n"
                    "}\n",
                    EXIT_MARK, EXIT_MARK, EXIT_MARK, EXIT_MARK, EXIT_MARK,
                    EXIT_MARK, EXIT_MARK);

    return text;
}
