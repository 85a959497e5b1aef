/*
 * Our table of nftables, and the forwarding switch of the interfaces that its
 * routes and devices are about, no other and not the machine's.  Rules come
 * before the switch and go after it, so that nothing is forwarded without
 * them.  All survives us; the next one knows it by the table.
 */

#ifndef OS_FORWARD_H
#define OS_FORWARD_H

#include "plan/actual.h"
#include "plan/error.h"
#include "plan/firewall.h"

struct forward; /* what we did; opaque */

struct forward *forward_open(struct error *error);
void forward_close(struct forward *forward); /* leaves all; NULL is fine */

/*
 * The rules alone, and only if they are others than those that stand: before
 * interfaces are made, so that none is open.  0, or -1 with *error.
 */
int forward_lay(struct forward *forward, const struct firewall *want,
                struct error *error);

/*
 * Rules and switches: makes it so, and only so.  Of the interfaces in ours
 * (all that are ours) those that forward no more get the machine's default
 * back.  Nothing is touched as long as nothing was ever wanted.  Idempotent.
 * 0, or -1 with *error: nothing is forwarded then.
 */
int forward_apply(struct forward *forward, const struct firewall *want,
                  const struct actual *ours, struct error *error);

/*
 * Readable when somebody changes rules of the machine; -1: nobody tells.
 * forward_changed() says whether they were ours: apply again then.
 */
int forward_fd(const struct forward *forward);
bool forward_changed(struct forward *forward);

/* Whether IPv6 too is forwarded by the interface, as it is now. */
bool forward_has_ipv6(const char *name);

#endif
