/*
 * Forwarding inside our interfaces: an nftables table of our own, and the
 * forwarding switch of the interfaces that it is about, no other and not the
 * machine's.  Rules come before the switch and go after it, so that nothing is
 * forwarded without them.  All survives us; the next one knows it by the table.
 */

#ifndef OS_FORWARD_H
#define OS_FORWARD_H

#include "plan/actual.h"
#include "plan/error.h"
#include "plan/forwarding.h"

struct forward; /* what we did; opaque */

struct forward *forward_open(struct error *error);
void forward_close(struct forward *forward); /* leaves all; NULL is fine */

/*
 * Makes it so, and only so: of the interfaces in ours (all that are ours)
 * those not wanted any more get the machine's default back.  Nothing is
 * touched as long as nothing was ever wanted.  Idempotent; looks whether the
 * table is still there.  0, or -1 with *error: nothing is forwarded then.
 */
int forward_apply(struct forward *forward, const struct forwarding *want,
                  const struct actual *ours, struct error *error);

/* Whether IPv6 too is forwarded by the interface, as it is now. */
bool forward_has_ipv6(const char *name);

#endif
