/*
 * The VXLANs of LAN mode on this machine, by rtnetlink: alike for both back
 * ends, as they stand on WireGuard's interface, whoever serves that.
 */

#ifndef OS_VXLAN_H
#define OS_VXLAN_H

#include "os/netlink.h"
#include "plan/error.h"
#include "plan/lan.h"

#define VXLAN_KIND "vxlan"

struct vxlan; /* opaque */

struct vxlan *vxlan_open(struct error *error);
void vxlan_close(struct vxlan *vxlan); /* leaves all; NULL is fine */

/* All that are ours, by alias or mark: 0 and *actual, which the caller
 * destroys. */
int vxlan_observe(struct vxlan *vxlan, struct lan_actual **actual,
                  struct error *error);

/* Applies one operation.  ERROR_GONE: observe and reconcile again. */
int vxlan_apply(struct vxlan *vxlan, const struct lan_operation *operation,
                struct error *error);

/*
 * Lays lan_filter()'s commands (taken in every case) unless they stand
 * already; anew says that interfaces were made since.  nothing: they are
 * those that remove it all.  0, or -1: no interface may be up then.
 */
int vxlan_filter(struct vxlan *vxlan, char *commands, bool nothing, bool anew,
                 struct error *error);

/* Readable when rules of this machine changed; -1 as long as there is no
 * filter. */
int vxlan_fd(const struct vxlan *vxlan);

/* Whether somebody else has changed the filter. */
bool vxlan_changed(struct vxlan *vxlan);

/* vxlan_read.c */

/* Fills *actual, which is empty. */
int vxlan_read(struct lan_actual *actual, struct error *error);

#endif
