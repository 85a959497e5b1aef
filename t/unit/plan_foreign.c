/* Other firewalls' chains, as nft lists them. */

#include <criterion/criterion.h>

#include "plan/foreign.h"

#include <stdio.h>


Test(foreign, a_chain_that_drops_by_policy)
{
    char chain[FOREIGN_CHAIN_SIZE];

    cr_assert(foreign_drops(
        "table inet goconnect {\n\tchain input {\n\t\ttype filter hook input "
        "priority filter - 10; policy accept;\n\t}\n}\n"
        "table ip filter {\n\tchain user {\n\t}\n\tchain INPUT {\n\t\ttype "
        "filter hook input priority filter; policy drop;\n\t}\n}\n",
        chain));
    cr_assert_str_eq(chain, "ip filter INPUT");
}


Test(foreign, none)
{
    char chain[FOREIGN_CHAIN_SIZE];

    cr_assert_not(foreign_drops("", chain));
    cr_assert_not(foreign_drops("\n\n", chain));
    cr_assert_not(foreign_drops("policy drop; hook input ", chain));
    cr_assert_not(foreign_drops("table ip filter {\n\tchain FORWARD "
                                "{\n\t\ttype filter hook forward "
                                "priority filter; policy drop;\n\t}\n}\n",
                                chain),
                  "what is passed on is no business of ours");
}


Test(foreign, names_that_are_too_long_are_cut)
{
    char chain[FOREIGN_CHAIN_SIZE], listing[1024];

    snprintf(listing, sizeof(listing),
             "table inet %0300d {\nchain %0300d {\ntype filter hook input "
             "priority 0; policy drop;\n}\n}\n",
             1, 2);
    (void) foreign_drops(listing, chain);
}


Test(foreign, what_is_let_in)
{
    static const char listing[] =
        "table inet filter {\n\tchain input {\n\t\tiifname \"gc-lan\" accept\n"
        "\t\tudp dport { 53, 51820 } accept\n\t}\n}\n";

    cr_assert(foreign_names(listing, "gc-lan", 51820));
    cr_assert_not(foreign_names(listing, "gc-la", 51820));
    cr_assert_not(foreign_names(listing, "gc-lan2", 51820));
    cr_assert_not(foreign_names(listing, "gc-lan", 5182));
    cr_assert_not(foreign_names(listing, "gc-lan", 1820));
    cr_assert(foreign_names("iifname \"gc-*\" accept udp dport 7 accept",
                            "gc-lan", 7));
    cr_assert_not(foreign_names("", "gc-lan", 7));
}
