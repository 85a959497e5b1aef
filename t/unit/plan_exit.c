/* The internet by way of a peer: rules, routes and marks, from whatever is
 * there to whatever is wished. */

#include "plan_fixture.h"

#include "plan/exit.h"


static struct exit_wish
wish_on(const char *name, bool ipv6)
{
    struct exit_wish wish;

    memset(&wish, 0, sizeof(wish));
    wish.on = true;
    wish.ipv4 = true;
    wish.ipv6 = ipv6;
    (void) snprintf(wish.name, sizeof(wish.name), "%s", name);
    cr_assert(address_parse("192.0.2.1", &wish.servers[wish.server_count++]));

    return wish;
}


static void
apply_one(struct exit_actual *actual, const struct exit_operation *operation)
{
    size_t i;

    switch (operation->kind) {

    case EXIT_RULE_ADD:
        actual->rules[actual->rule_count++] = operation->rule;
        return;

    case EXIT_ROUTE_ADD:
        actual->routes[actual->route_count++] = operation->route;
        return;

    case EXIT_RULE_DELETE:
        for (i = 0; memcmp(&actual->rules[i], &operation->rule,
                           sizeof(operation->rule)) != 0;
             i++) {
            cr_assert_lt(i, actual->rule_count);
        }

        actual->rules[i] = actual->rules[--actual->rule_count];
        return;

    case EXIT_ROUTE_DELETE:
        for (i = 0; memcmp(&actual->routes[i], &operation->route,
                           sizeof(operation->route)) != 0;
             i++) {
            cr_assert_lt(i, actual->route_count);
        }

        actual->routes[i] = actual->routes[--actual->route_count];
        return;
    }
}


/* Whether unmarked packets of the family go into the table. */
static bool
is_led(const struct exit_actual *actual, uint8_t family)
{
    size_t i;

    for (i = 0; i < actual->rule_count; i++) {
        if (actual->rules[i].family == family &&
            actual->rules[i].table == EXIT_TABLE) {
            return true;
        }
    }

    return false;
}


/* Whether the table keeps what it gets: by the exit or nowhere. */
static bool
is_closed(const struct exit_actual *actual, uint8_t family)
{
    size_t i;

    for (i = 0; i < actual->route_count; i++) {
        if (actual->routes[i].family == family &&
            actual->routes[i].name[0] == '\0') {
            return true;
        }
    }

    return false;
}


/* All of them, and that nothing passes the table at any moment. */
static void
apply(struct exit_actual *actual, const struct exit_wish *wish)
{
    struct exit_operations operations;
    size_t i;

    exit_reconcile(wish, actual, &operations);

    for (i = 0; i < operations.count; i++) {
        apply_one(actual, &operations.list[i]);
        cr_assert(!is_led(actual, ADDRESS_IPV4) ||
                  is_closed(actual, ADDRESS_IPV4));
        cr_assert(!is_led(actual, ADDRESS_IPV6) ||
                  is_closed(actual, ADDRESS_IPV6));
    }

    exit_reconcile(wish, actual, &operations);
    cr_assert_eq(operations.count, 0);
}


Test(exit, on_another_and_off)
{
    struct exit_actual actual;
    struct exit_wish wish = wish_on("gc-a", true), nothing;

    memset(&actual, 0, sizeof(actual));
    memset(&nothing, 0, sizeof(nothing));
    apply(&actual, &wish);
    cr_assert_eq(actual.rule_count, 5); /* one server, of IPv4 */
    cr_assert_eq(actual.route_count, 4);
    cr_assert(is_led(&actual, ADDRESS_IPV4) && is_led(&actual, ADDRESS_IPV6));

    /* while it changes nothing opens */
    wish = wish_on("gc-b", false);
    apply(&actual, &wish);
    cr_assert_eq(actual.route_count, 3);
    cr_assert(is_led(&actual, ADDRESS_IPV6), "IPv6 leads nowhere");

    wish.name[0] = '\0';
    wish.server_count = 0;
    apply(&actual, &wish);
    cr_assert_eq(actual.rule_count, 4);
    cr_assert_eq(actual.route_count, 2);

    apply(&actual, &nothing);
    cr_assert_eq(actual.rule_count + actual.route_count, 0);
}


/* Killed after each operation, the next run comes to the same end. */
Test(exit, killed_anywhere)
{
    struct exit_actual actual, start;
    struct exit_operations operations;
    struct exit_wish wishes[] = {wish_on("gc-a", true), wish_on("gc-b", false),
                                 wish_on("", false), wish_on("", false)};
    size_t from, i, k, stop, to;

    wishes[3].on = false;

    for (from = 0; from < 4; from++) {
        for (to = 0; to < 4; to++) {
            memset(&start, 0, sizeof(start));
            apply(&start, &wishes[from]);
            exit_reconcile(&wishes[to], &start, &operations);

            for (stop = 0; stop <= operations.count; stop++) {
                actual = start;

                for (i = 0; i < stop; i++) {
                    apply_one(&actual, &operations.list[i]);
                }

                for (k = 0; k < 4; k++) {
                    struct exit_actual next = actual;

                    apply(&next, &wishes[k]);
                }
            }
        }
    }
}


Test(exit, the_filter_is_whole)
{
    const char names[][ACTUAL_NAME_SIZE] = {"gc-a", "gc-b"};
    const char noted[][ACTUAL_NAME_SIZE] = {"eth0"};
    char *text = exit_filter(names, 2, noted, 1);

    cr_assert_not_null(text);
    cr_assert_not_null(strstr(text, "{ \"lo\", \"gc-a\", \"gc-b\" }"));
    cr_assert_not_null(strstr(text, "elements = { \"eth0\" }"));
    cr_assert_str_eq(text + strlen(text) - 5, " }\n}\n");
    free(text);
    text = exit_filter(NULL, 0, NULL, 0);
    cr_assert_not_null(strstr(text, "{ \"lo\" }"));
    cr_assert_null(strstr(text, "switched"));
    free(text);
}
