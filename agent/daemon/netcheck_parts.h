#ifndef GC_DAEMON_NETCHECK_PARTS_H
#define GC_DAEMON_NETCHECK_PARTS_H

#include "daemon/netcheck.h"
#include "link/resolve.h"
#include "link/url.h"
#include "os/borrowed_port.h"
#include "plan/nat_behaviour.h"

/* What the files of netcheck share. */

#define NETCHECK_SIDES 2 /* IPv4 and IPv6 */

struct netcheck_side {
    struct netcheck *check;
    enum address_family family;
    int on; /* the server has an address of this family */
    loop_fd_t io;
    struct nat_behaviour nat;
    struct stun_client stun;
    char problem[200]; /* why nothing could be sent */
};

struct netcheck {
    daemon_t *daemon;
    control_call_t *call;
    resolve_t *resolve;
    loop_timer_t timer;
    struct borrowed_port *borrowed;
    uint16_t port;  /* that we ask from, WireGuard's where it has one */
    int own;        /* holds it, where not */
    uint16_t aside; /* the one to ask about filtering from */
    int held;       /* holds it */
    char server[URL_HOST_SIZE];
    uint16_t server_port;
    struct netcheck_side side[NETCHECK_SIDES];
};

typedef struct netcheck netcheck_t;
typedef struct netcheck_side netcheck_side_t;

/* The network whose port this is; NULL: none's (any more). */
const member_t *netcheck_member(const netcheck_t *check);

/* All that was found out (netcheck_tell.c). */
json_t *netcheck_tell(const netcheck_t *check);

#endif
