/*
 * Commands of nftables, run by its library in a child process: what it takes
 * of memory goes with it.
 */

#ifndef OS_NFT_H
#define OS_NFT_H

#include <stdbool.h>

#include "plan/error.h"

/*
 * Runs commands in one transaction and waits for its end.  *output, unless
 * NULL, becomes what it said, for the caller to free.  0, or -1 with *error
 * (which may be NULL).
 */
int nft_run(const char *commands, char **output, struct error *error);

/* Notices who else changes our table. */
struct nft_watch;

struct nft_watch *nft_watch_open(const char *table, struct error *error);
void nft_watch_close(struct nft_watch *watch); /* NULL is fine */
int nft_watch_fd(const struct nft_watch *watch);

/*
 * Takes all that was told.  True if somebody else touched the table, or may
 * have: what was told exceeded what is kept.  After our own nft_run() that is
 * no reason (ours).
 */
bool nft_watch_read(struct nft_watch *watch, bool ours);

#endif
