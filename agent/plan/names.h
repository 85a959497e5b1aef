/*
 * Names of peers: HOST.NETWORK.TENANT.SUFFIX for every one, and the short forms
 * HOST.NETWORK and HOST where they mean one peer only and shadow nothing of
 * the world's.  Pure: from the netmaps of the joined networks to what a name
 * means, to the reverse, and to a table of them all.
 */

#ifndef PLAN_NAMES_H
#define PLAN_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/error.h"
#include "plan/netmap.h"

#define NAMES_TEXT_MAX 253 /* RFC 1035, 2.3.4, as text */
#define NAMES_SIZE (NETMAP_LABEL_SIZE + NETMAP_DOMAIN_SIZE)
#define NAMES_DOMAIN_MIN 3  /* labels: none of ours covers a whole "com" */
#define NAMES_ZONES_MAX 140 /* of one network */

/* The lines of /etc/hosts that are ours stand between these. */
#define NAMES_BEGIN "# goconnect begin: these lines are goconnectd's"
#define NAMES_END "# goconnect end"

struct names_entry {
    const struct netmap *map; /* borrowed */
    const struct netmap_peer *peer;
    bool pair; /* HOST.NETWORK means it too */
    bool host; /* HOST too */
};

struct names {
    struct names_entry *list; /* sorted by host, then as the maps were given */
    size_t count;
};

struct names_zone {
    char name[NAMES_SIZE];
};

/* Whether it can stand in a name: 1 to 63 of a-z, 0-9 and inner hyphens. */
bool names_label(const char *label);

/* Whether the network has a domain that names can be made of. */
bool names_domain(const struct netmap *map);

/* Whether the name (lower case, no dot at its end) is the domain or below. */
bool names_inside(const struct netmap *map, const char *name);

/* The peer of that full name, or NULL. */
const struct netmap_peer *names_peer(const struct netmap *map,
                                     const char *name);

/* The peer that has the address, or NULL. */
const struct netmap_peer *names_peer_at(const struct netmap *map,
                                        const struct address *address);

/*
 * A name below in-addr.arpa or ip6.arpa as the addresses that it covers.
 * False: it is none.
 */
bool names_reverse(const char *name, struct prefix *prefix);

/*
 * How long the prefix is by which reverse names of a range are cut: whole
 * labels (RFC 1035, 3.5; RFC 3596, 2.5).
 */
uint8_t names_reverse_cut(const struct prefix *range);

/*
 * The domains that are the network's alone: its names and, label by label, the
 * reverse of its ranges.  At most NAMES_ZONES_MAX; returns how many.
 */
size_t names_zones(const struct netmap *map, struct names_zone *zones);

/* All names of these networks.  The maps outlive the list. */
int names_collect(struct names *names, const struct netmap *const *maps,
                  size_t count, struct error *error);

void names_clear(struct names *names);

/* Write the forms of an entry's name; both return text. */
const char *names_full(const struct names_entry *entry, char text[NAMES_SIZE]);
const char *names_pair(const struct names_entry *entry, char text[NAMES_SIZE]);

/* The table in the form of hosts(5).  A new text; NULL: memory is out. */
char *names_hosts(const struct names *names);

/*
 * What a hosts file becomes with the lines of table ("": none) as ours, all
 * else untouched.  A new text; NULL: memory is out.
 */
char *names_merge(const char *file, const char *table);

#endif
