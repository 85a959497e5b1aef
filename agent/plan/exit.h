/*
 * The internet by way of a peer: a routing table of our own, the rules that
 * lead to it and the marks that keep the tunnel's own packets out of it.  Pure:
 * the wish and what is there go in, what has to be done comes out.
 *
 * The table ends with a route to nowhere, of either family: what may only leave
 * by the exit does not leave otherwise.
 */

#ifndef PLAN_EXIT_H
#define PLAN_EXIT_H

#include "plan/actual.h"

#define EXIT_MARK 0x6763U        /* of packets and connections that go beside */
#define EXIT_TABLE 26467U        /* as the interface group: ours */
#define EXIT_PRIORITY 26460U     /* of the first rule; some more follow */
#define EXIT_MAIN 254U           /* RT_TABLE_MAIN */
#define EXIT_NOWHERE 4278198272U /* metric: behind every other route */
#define EXIT_NFT "goconnect_exit"
#define EXIT_SERVERS_MAX 4
#define EXIT_RULES_MAX 32
#define EXIT_ROUTES_MAX 16
#define EXIT_OPERATIONS_MAX (2 * (EXIT_RULES_MAX + EXIT_ROUTES_MAX))

/* What a rule of the policy database says. */
struct exit_rule {
    uint8_t family; /* enum address_family */
    uint32_t priority;
    uint32_t table;
    struct prefix to;  /* ADDRESS_NONE: everywhere */
    uint32_t unmarked; /* for packets without this mark; 0: for all */
    bool suppress;     /* not by a default route */
};

/* A default route of our table. */
struct exit_route {
    uint8_t family;
    char name[ACTUAL_NAME_SIZE]; /* "": to nowhere */
    uint32_t metric;
};

/* Those of ours that are there, by protocol 201 and by table. */
struct exit_actual {
    struct exit_rule rules[EXIT_RULES_MAX];
    size_t rule_count;
    struct exit_route routes[EXIT_ROUTES_MAX];
    size_t route_count;
};

struct exit_wish {
    bool on;
    char name[ACTUAL_NAME_SIZE]; /* the interface; "": there is none now */
    bool ipv4;                   /* what the exit takes */
    bool ipv6;
    struct address servers[EXIT_SERVERS_MAX]; /* control connections */
    size_t server_count;
};

enum exit_kind {
    EXIT_RULE_DELETE,
    EXIT_ROUTE_DELETE,
    EXIT_ROUTE_ADD,
    EXIT_RULE_ADD
};

struct exit_operation {
    enum exit_kind kind;
    union {
        struct exit_rule rule;
        struct exit_route route;
    };
};

struct exit_operations {
    struct exit_operation list[EXIT_OPERATIONS_MAX];
    size_t count;
};

/*
 * What leads from the actual to the wish, in an order in which nothing leaves
 * beside a wished exit: rules to the table come last and go first.
 */
void exit_reconcile(const struct exit_wish *wish,
                    const struct exit_actual *actual,
                    struct exit_operations *operations);

/*
 * The commands that lay the table of nftables which marks the connections that
 * others begin to this host (they are answered the way that they came) and
 * those of marked packets.  names are the interfaces of our networks; noted are
 * those whose switch we changed.  A new text, or NULL: memory is out.
 */
char *exit_filter(const char (*names)[ACTUAL_NAME_SIZE], size_t count,
                  const char (*noted)[ACTUAL_NAME_SIZE], size_t noted_count);

#endif
