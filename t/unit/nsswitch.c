#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/nsswitch.h"


/* What is with the module and without it; back and forth is the same. */
Test(nsswitch, the_module_stands_before_what_asks_others)
{
    static const struct {
        const char *without;
        const char *with;
    } cases[] = {
        {"hosts: files dns\n", "hosts: files goconnect dns\n"},
        {"passwd: files\nhosts:\t\tfiles mdns4_minimal [NOTFOUND=return] dns\n"
         "networks: files\n",
         "passwd: files\nhosts:\t\tfiles goconnect mdns4_minimal "
         "[NOTFOUND=return] dns\nnetworks: files\n"},
        {"hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n",
         "hosts: mymachines goconnect resolve [!UNAVAIL=return] files "
         "myhostname dns\n"},
        {"hosts: files [SUCCESS=merge] dns\n",
         "hosts: files [SUCCESS=merge] goconnect dns\n"},
        {"hosts: files # dns\n", "hosts: files goconnect # dns\n"},
        {"hosts: dns files", "hosts: goconnect dns files"},
        {"hosts: files", "hosts: files goconnect"},
        {"  hosts :files dns", "  hosts :files goconnect dns"},
    };
    char *text, *again;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_not(nsswitch_has(cases[i].without));
        cr_expect(nsswitch_has(cases[i].with), "case %zu", i);

        text = nsswitch_edit(cases[i].without, 1);
        cr_expect_str_eq(text, cases[i].with, "case %zu: %s", i, text);
        again = nsswitch_edit(text, 1);
        cr_expect_str_eq(again, text);
        free(again);
        again = nsswitch_edit(text, 0);
        cr_expect_str_eq(again, cases[i].without, "case %zu: %s", i, again);
        free(text);
        text = nsswitch_edit(again, 0);
        cr_expect_str_eq(text, cases[i].without);
        free(text);
        free(again);
    }
}


Test(nsswitch, what_it_cannot_know)
{
    char *text;

    text = nsswitch_edit("# hosts: files dns\n", 1);
    cr_expect_str_eq(text, "# hosts: files dns\n"
                           "hosts:          files goconnect dns\n");
    free(text);

    text = nsswitch_edit("", 1);
    cr_expect_str_eq(text, "hosts:          files goconnect dns\n");
    free(text);

    text = nsswitch_edit("hosts:\n", 1);
    cr_expect_str_eq(text, "hosts: goconnect\n");
    free(text);

    /* an action of ours is not left to another one */
    text = nsswitch_edit("hosts: files goconnect [NOTFOUND=return] dns\n", 0);
    cr_expect_str_eq(text, "hosts: files dns\n");
    free(text);

    cr_expect_not(nsswitch_has("hosts: files goconnect2 xgoconnect dns\n"));
    cr_expect_not(nsswitch_has("hostsx: goconnect\nnetworks: goconnect\n"));
    cr_expect_not(nsswitch_has(""));
    cr_expect(nsswitch_has("hosts: files [!UNAVAIL=return]goconnect"));
}
