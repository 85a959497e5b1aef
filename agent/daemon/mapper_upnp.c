/* Ports by UPnP, for routers that speak nothing better. */

#include "daemon/mapper_parts.h"

#include <stdio.h>
#include <string.h>


static void
mapper_upnp_done(void *arg, const void *data)
{
    struct mapper *mapper = arg;
    const upnp_port_t *port = data;
    uint64_t now = (uint64_t) loop_now();
    struct member_mapping *mapping = &mapper->working->mapping;

    mapper->work = NULL;
    mapper->working = NULL;
    mapping->upnp_next = now + PORT_MAPPING_SILENT_MS;

    if (port == NULL) {
        snprintf(mapping->upnp.problem, sizeof(mapping->upnp.problem), "%s",
                 "the router did not answer by UPnP");

    } else {
        mapping->upnp = *port;
    }

    if (port != NULL && port->outer.address.family != ADDRESS_NONE) {
        mapping->upnp_until = now + port->lifetime_s * 1000ULL;
        mapping->upnp_next = now + port->lifetime_s * 500ULL;
    }

    mapper_tick(mapper);
}


static void
mapper_upnp_ask(struct mapper *mapper, member_t *member, uint64_t now)
{
    err_t err;
    struct member_mapping *mapping = &member->mapping;
    uint16_t wanted = mapping->upnp_until > now ? mapping->upnp.outer.port
                                                : member->listen_port;

    memset(&mapping->upnp, 0, sizeof(mapping->upnp));
    mapping->upnp.inner = mapper->inner;
    mapping->upnp.port = member->listen_port;
    mapping->upnp.wanted = wanted;

    mapper->work = upnp_open(mapper->daemon->loop, &mapping->upnp,
                             mapper_upnp_done, mapper, &err);

    if (mapper->work != NULL) {
        mapper->working = member;
        return;
    }

    mapping->upnp_next = now + PORT_MAPPING_SILENT_MS;
    snprintf(mapping->upnp.problem, sizeof(mapping->upnp.problem), "%.100s",
             err.text);
}


uint64_t
mapper_upnp_tick(struct mapper *mapper, member_t *member, uint64_t now)
{
    struct member_mapping *mapping = &member->mapping;

    if (mapping->port.state != PORT_MAPPING_SILENT &&
        mapping->port.state != PORT_MAPPING_REFUSED &&
        mapping->upnp_until <= now) {
        return UINT64_MAX;
    }

    if (mapper->work != NULL) {
        return UINT64_MAX; /* its end looks again */
    }

    if (now >= mapping->upnp_next) {
        mapper_upnp_ask(mapper, member, now);
    }

    return mapper->work != NULL ? UINT64_MAX : mapping->upnp_next;
}


void
mapper_upnp_stop(struct mapper *mapper, member_t *member)
{
    struct member_mapping *mapping = &member->mapping;

    if (mapper->working == member) {
        work_cancel(mapper->work);
        mapper->work = NULL;
        mapper->working = NULL;
    }

    if (mapping->upnp_until > (uint64_t) loop_now()) {
        upnp_close(&mapping->upnp);
    }

    mapping->upnp_until = 0;
    mapping->upnp_next = 0;
}
