/*
 * The internet by way of a peer, in the kernel: rules, a routing table, marks
 * (plan/exit.h).  What is ours is known by route protocol 201, by the table's
 * number and by the name of the table of nftables.
 */

#ifndef OS_EXIT_H
#define OS_EXIT_H

#include "plan/error.h"
#include "plan/exit.h"

struct exit_os;

struct exit_os *exit_os_open(struct error *error);
void exit_os_close(struct exit_os *exit); /* what is laid stays */

/*
 * Brings the kernel in step with the wish; names are the interfaces of our
 * networks.  What another one left is found at the first call.  0, or -1 with
 * *error: what is missing is tried by the next call, and nothing leaves beside
 * a wished exit meanwhile as far as rules could be laid.
 */
int exit_os_apply(struct exit_os *exit, const struct exit_wish *wish,
                  const char (*names)[ACTUAL_NAME_SIZE], size_t count,
                  struct error *error);

/* Somebody may have changed nftables: the next call lays the table again. */
void exit_os_again(struct exit_os *exit);

#endif
