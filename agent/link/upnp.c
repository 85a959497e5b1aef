#include "link/upnp.h"

#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>
#include <stdio.h>
#include <string.h>

#define UPNP_SEARCH_MS 2000
#define UPNP_TTL 2   /* of the search (UPnP Device Architecture 1.1, 1.3.2) */
#define UPNP_TRIES 4 /* ports outside that may be somebody else's */

/* AddPortMapping of WANIPConnection:1 */
#define UPNP_CONFLICT 718
#define UPNP_ONLY_PERMANENT 725

/* A router that was found; whatever else, it is to be freed. */
typedef struct {
    struct UPNPDev *devices;
    struct UPNPUrls urls;
    struct IGDdatas data;
    int found;
} upnp_router_t;


static int
upnp_find(upnp_router_t *router, const struct address *inner)
{
    char own[ADDRESS_TEXT], lan[ADDRESS_TEXT];
    int error;

    memset(router, 0, sizeof(*router));
    router->devices =
        upnpDiscover(UPNP_SEARCH_MS, address_format(inner, own), NULL,
                     UPNP_LOCAL_PORT_ANY, 0, UPNP_TTL, &error);

    if (router->devices != NULL) {
        router->found = UPNP_GetValidIGD(router->devices, &router->urls,
                                         &router->data, lan, sizeof(lan));
    }

    return router->found == 1 ? 0 : -1;
}


static void
upnp_leave(upnp_router_t *router)
{
    if (router->found != 0) {
        FreeUPNPUrls(&router->urls);
    }

    freeUPNPDevlist(router->devices);
}


/* 0 or the router's code. */
static int
upnp_add(upnp_router_t *router, upnp_port_t *port, uint16_t outer)
{
    char inside[8], outside[8], own[ADDRESS_TEXT], lifetime[16];
    int rc;

    snprintf(inside, sizeof(inside), "%u", port->port);
    snprintf(outside, sizeof(outside), "%u", outer);
    snprintf(lifetime, sizeof(lifetime), "%d", UPNP_LIFETIME_S);
    address_format(&port->inner, own);
    port->lifetime_s = UPNP_LIFETIME_S;

    rc = UPNP_AddPortMapping(router->urls.controlURL,
                             router->data.first.servicetype, outside, inside,
                             own, "GoConnect", "UDP", NULL, lifetime);

    if (rc == UPNP_ONLY_PERMANENT) {
        /* renewed all the same: the router may have started anew */
        rc = UPNP_AddPortMapping(router->urls.controlURL,
                                 router->data.first.servicetype, outside,
                                 inside, own, "GoConnect", "UDP", NULL, "0");
    }

    return rc;
}


static void
upnp_ask(upnp_router_t *router, upnp_port_t *port)
{
    char text[ADDRESS_TEXT] = "";
    int i, rc = UPNP_CONFLICT;
    const char *why;
    uint16_t outer = port->wanted;

    if (UPNP_GetExternalIPAddress(router->urls.controlURL,
                                  router->data.first.servicetype,
                                  text) != UPNPCOMMAND_SUCCESS ||
        !address_parse(text, &port->outer.address) ||
        address_is_special(&port->outer.address)) {
        port->outer.address.family = ADDRESS_NONE;
        snprintf(port->problem, sizeof(port->problem), "%s",
                 "the router itself has no address on the internet");
        return;
    }

    for (i = 0; i < UPNP_TRIES && rc == UPNP_CONFLICT; i++) {
        rc = upnp_add(router, port, outer);
        port->outer.port = outer;
        /* somewhere else above the well-known ports */
        outer = (uint16_t) (1024 + (outer * 31U + 7919U) % 64000U);
    }

    if (rc != UPNPCOMMAND_SUCCESS) {
        why = strupnperror(rc);
        port->outer.address.family = ADDRESS_NONE;
        snprintf(port->problem, sizeof(port->problem),
                 "the router refused to open a port: %.60s (%d)",
                 why != NULL ? why : "it did not say why", rc);
    }
}


static void
upnp_run_open(void *data)
{
    upnp_port_t *port = data;
    upnp_router_t router;

    memset(&port->outer, 0, sizeof(port->outer));

    if (upnp_find(&router, &port->inner) == 0) {
        upnp_ask(&router, port);

    } else {
        snprintf(port->problem, sizeof(port->problem), "%s",
                 "the router speaks neither PCP, NAT-PMP nor UPnP");
    }

    upnp_leave(&router);
}


static void
upnp_run_close(void *data)
{
    char outside[8];
    const upnp_port_t *port = data;
    upnp_router_t router;

    if (upnp_find(&router, &port->inner) == 0) {
        snprintf(outside, sizeof(outside), "%u", port->outer.port);
        (void) UPNP_DeletePortMapping(router.urls.controlURL,
                                      router.data.first.servicetype, outside,
                                      "UDP", NULL);
    }

    upnp_leave(&router);
}


work_t *
upnp_open(loop_t *loop, const upnp_port_t *port, work_done_pt done, void *arg,
          err_t *err)
{
    static const work_kind_t kind = {sizeof(upnp_port_t), upnp_run_open};

    return work_start(loop, &kind, port, UPNP_TIMEOUT_MS, done, arg, err);
}


void
upnp_close(const upnp_port_t *port)
{
    static const work_kind_t kind = {sizeof(upnp_port_t), upnp_run_close};

    /* what cannot be closed ends with its lifetime */
    (void) work_detach(&kind, port);
}
