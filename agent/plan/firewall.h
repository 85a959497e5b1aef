/*
 * The agent's own table of nftables: a network's rules, as they are about this
 * device, what else may not enter by its interface, and what is forwarded.
 * Pure: netmaps and what this device offers go in, the commands that replace
 * the table in one transaction come out.
 *
 * Sources and destinations of rules are addresses inside the network: a peer's
 * selectors stand for its own addresses, not for a subnet behind it.
 */

#ifndef PLAN_FIREWALL_H
#define PLAN_FIREWALL_H

#include "plan/actual.h"
#include "plan/error.h"
#include "plan/netmap.h"

/* Our table, by which the rules are known as ours also after a crash. */
#define FIREWALL_TABLE "goconnect"

/* The agents' own datagrams, which no rule is about (docs/agent.md). */
#define FIREWALL_AGENT_PORT 51821

/* All networks' sets together: what a kernel takes without trouble. */
#define FIREWALL_ELEMENTS_MAX 262144

/* A subnet or, of length 0, the internet that this device forwards to. */
struct firewall_route {
    struct prefix prefix;
    char name[ACTUAL_NAME_SIZE]; /* the interface that it is behind */
    bool masquerade; /* members appear there with this host's address */
};

/* What a rule says, resolved. */
struct firewall_rule {
    const struct netmap_rule *rule; /* of the map */
    size_t source;                  /* number of a selector; 0: any */
    size_t destination;             /* 0: any, or this device alone */
};

/* A selector of rules and the addresses that it stands for. */
struct firewall_selector {
    const char *text;        /* of the map */
    bool is_range;           /* of the rule, addresses[0] */
    struct prefix *prefixes; /* sorted by family */
    size_t count;
};

struct firewall_network {
    char name[ACTUAL_NAME_SIZE]; /* the interface */
    char lan[ACTUAL_NAME_SIZE];  /* the one above it, of a mode l2, or "" */
    struct address ip_address;   /* ours; ADDRESS_NONE if there is none */
    struct address ip6_address;
    struct prefix cidr;
    struct prefix cidr6;
    bool gateway;
    struct address *devices; /* of devices that go by us, sorted */
    size_t device_count;
    struct firewall_route *routes; /* that we offer and may */
    size_t route_count;
    struct firewall_rule *rules;
    size_t rule_count;
    struct firewall_selector *selectors; /* the first is "any" */
    size_t selector_count;
};

struct firewall {
    struct firewall_network *networks;
    size_t count;
    size_t elements;
};

/* What the device knows of its place in a network. */
struct firewall_self {
    const char *peer_id;
    const char *name; /* the interface */
    const char *lan;  /* the one above it in mode l2, or "" */
    struct address ip_address;
    struct address ip6_address;
    const struct firewall_route *routes; /* offered and approved */
    size_t route_count;
};

/* Whether the map says that the peer is the network's gateway. */
bool firewall_is_gateway(const struct netmap *map, const char *peer_id);

/* Whether anything is forwarded by the network's interface. */
bool firewall_forwards(const struct firewall_network *network);

/*
 * Adds a network; its map has to stay as long as *firewall does.  Returns 0,
 * or -1 with *error and *firewall as it was.
 */
int firewall_add(struct firewall *firewall, const struct netmap *map,
                 const struct firewall_self *self, struct error *error);

/*
 * The commands that replace our table by these rules in one transaction; with
 * no network, the ones that remove it.  guarded are interfaces of this host
 * that forward only for our sake: from them nothing is forwarded but into our
 * networks.  A new text, or NULL: memory is out.
 */
char *firewall_rules(const struct firewall *firewall,
                     const char (*guarded)[ACTUAL_NAME_SIZE],
                     size_t guarded_count);

/* Frees what hangs below, and forgets it. */
void firewall_clear(struct firewall *firewall);

#endif
