#ifndef GC_LINK_UPNP_H
#define GC_LINK_UPNP_H

#include "link/work.h"
#include "plan/address.h"

/*
 * A UDP port opened at a router that speaks UPnP IGD alone. libminiupnpc finds
 * the router and speaks with it, on a helper thread: it takes seconds.
 */

#define UPNP_LIFETIME_S 7200
#define UPNP_TIMEOUT_MS 20000

typedef struct {
    struct address inner; /* ours, IPv4 */
    uint16_t port;
    uint16_t wanted; /* outside */
    /* the result */
    struct endpoint outer; /* ADDRESS_NONE: problem says why */
    uint32_t lifetime_s;
    char problem[120];
} upnp_port_t;


/*
 * Opens port->port, or asks for it to stay open. done gets an upnp_port_t, or
 * NULL after UPNP_TIMEOUT_MS.
 */
work_t *upnp_open(loop_t *loop, const upnp_port_t *port, work_done_pt done,
                  void *arg, err_t *err);

/* Closes port->outer; nobody waits for it. */
void upnp_close(const upnp_port_t *port);

#endif
