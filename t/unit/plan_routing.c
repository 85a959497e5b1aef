/* Who carries a subnet that several offer, with simulated time. */

#include <criterion/criterion.h>

#include "plan/routing.h"


Test(routing, takes_the_nearest_and_fails_over_at_once)
{
    struct routing_choice choice = {0};
    struct routing_offer offers[] = {
        {"a", true, 0}, {"b", true, 30000}, {"c", true, 10000}};

    cr_assert(routing_choose(&choice, offers, 3, 0));
    cr_assert_str_eq(choice.peer_id, "c");
    cr_assert_not(routing_choose(&choice, offers, 3, 1));

    offers[2].alive = false;
    cr_assert(routing_choose(&choice, offers, 3, 2));
    cr_assert_str_eq(choice.peer_id, "b");

    /* who no longer offers it is left as well */
    cr_assert(routing_choose(&choice, offers, 1, 3));
    cr_assert_str_eq(choice.peer_id, "a");
}


Test(routing, changes_only_for_what_stays_much_better)
{
    struct routing_choice choice = {0};
    struct routing_offer offers[] = {{"a", true, 20000}, {"b", true, 21000}};
    uint64_t now = 0;

    cr_assert(routing_choose(&choice, offers, 2, now));

    /* a little better, for ever */
    offers[1].rtt_us = 17000;
    cr_assert_not(routing_choose(&choice, offers, 2, now += 3600000));

    /* much better, with a relapse just before its time */
    offers[1].rtt_us = 5000;
    cr_assert_not(routing_choose(&choice, offers, 2, now));
    now += ROUTING_HOLD_MS - 1;
    cr_assert_not(routing_choose(&choice, offers, 2, now));
    offers[1].rtt_us = 20000;
    cr_assert_not(routing_choose(&choice, offers, 2, now));
    offers[1].rtt_us = 5000;
    cr_assert_not(routing_choose(&choice, offers, 2, now += 1));
    now += ROUTING_HOLD_MS - 1;
    cr_assert_not(routing_choose(&choice, offers, 2, now));
    cr_assert(routing_choose(&choice, offers, 2, now + 1));
    cr_assert_str_eq(choice.peer_id, "b");
}


Test(routing, stays_where_nobody_is_alive)
{
    struct routing_choice choice = {0};
    struct routing_offer offers[] = {{"a", false, 1}, {"b", true, 1}};

    cr_assert(routing_choose(&choice, offers, 2, 0));
    cr_assert_str_eq(choice.peer_id, "b");

    offers[1].alive = false;
    cr_assert_not(routing_choose(&choice, offers, 2, 1));
    cr_assert_str_eq(choice.peer_id, "b");

    cr_assert(routing_choose(&choice, offers, 0, 2));
    cr_assert_str_eq(choice.peer_id, "");
    cr_assert_not(routing_choose(&choice, offers, 0, 3));
}
