/*
 * The table as nftables reads it: a text that grows, and the parts of it that
 * stand in files of their own.
 */

#ifndef PLAN_FIREWALL_TEXT_H
#define PLAN_FIREWALL_TEXT_H

#include "plan/firewall.h"

#define FIREWALL_FAMILIES 2

/* A text that grows; failed stays set once memory was short. */
struct firewall_text {
    char *data;
    size_t length;
    size_t room;
    bool failed;
};

struct firewall_family {
    enum address_family family;
    const char *ip; /* the words of nftables */
    const char *type;
};

extern const struct firewall_family firewall_families[FIREWALL_FAMILIES];

__attribute__((format(printf, 2, 3))) void
firewall_say(struct firewall_text *text, const char *format, ...);

/* "gc-lan", or in mode l2 "gc-lan", "gv-lan": for between braces. */
void firewall_say_names(struct firewall_text *text,
                        const struct firewall_network *network);

/* The network's range, and this device's address in it, of a family. */
const struct prefix *firewall_range(const struct firewall_network *network,
                                    size_t way);
const struct address *firewall_own(const struct firewall_network *network,
                                   size_t way);


/* firewall_members.c */

/* The chain of a network's rules, and the sets that it names. */
void firewall_say_rules(struct firewall_text *text,
                        const struct firewall_network *network, size_t index);


/* firewall_forward.c */

/* Interfaces that forward for our sake, as a set. */
void firewall_say_switched(struct firewall_text *text,
                           const char (*guarded)[ACTUAL_NAME_SIZE],
                           size_t count);

/* What is passed on; guarded: so many interfaces are in that set. */
void firewall_say_forward(struct firewall_text *text,
                          const struct firewall *firewall, size_t guarded);
void firewall_say_redirects(struct firewall_text *text,
                            const struct firewall *firewall);

/* What is passed on under an address of this host's own. */
void firewall_say_nat(struct firewall_text *text,
                      const struct firewall *firewall);

#endif
