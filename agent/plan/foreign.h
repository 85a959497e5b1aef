/*
 * Firewalls of others, in nftables' own words: whether one keeps out what our
 * rules let in.
 */

#ifndef PLAN_FOREIGN_H
#define PLAN_FOREIGN_H

#include <stdbool.h>

#define FOREIGN_CHAIN_SIZE 160

/*
 * The first chain that by its policy drops what comes to this host, as
 * "inet filter input", in what `list chains` says; false: there is none.
 */
bool foreign_drops(const char *listing, char chain[FOREIGN_CHAIN_SIZE]);

/*
 * Whether the chain, as `list chain` says it, has a word on both the interface
 * and the port.
 */
bool foreign_names(const char *listing, const char *interface, unsigned port);

#endif
