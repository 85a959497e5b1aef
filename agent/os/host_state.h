/* What of this machine decides whether the agent can do its work. */

#ifndef OS_HOST_STATE_H
#define OS_HOST_STATE_H

#include <stdbool.h>

struct host_state {
    bool net_admin;        /* CAP_NET_ADMIN */
    bool net_raw;          /* CAP_NET_RAW */
    bool wireguard_module; /* the kernel has WireGuard */
    bool vxlan;            /* ... VXLAN, in use or built in */
    bool nftables;         /* the kernel answers nftables' netlink */
    bool ufw;              /* is switched on */
    bool firewalld;        /* runs */
};

void host_state_get(struct host_state *state);

#endif
