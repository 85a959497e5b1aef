#include "daemon/mapper_parts.h"

#include "base/log.h"
#include "core/gc_siphash.h"
#include "daemon/uplink.h"
#include "daemon/wire.h"
#include "os/gateway_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAPPER_BURST 32 /* datagrams taken at once */

static void mapper_event(void *arg, uint32_t events);


struct mapper *
mapper_create(daemon_t *daemon, err_t *err)
{
    struct mapper *mapper = calloc(1, sizeof(*mapper));

    if (mapper == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    mapper->daemon = daemon;
    mapper->io.fd = -1;
    mapper->io.fn = mapper_event;
    mapper->io.arg = mapper;
    mapper->timer.fn = mapper_tick;
    mapper->timer.arg = mapper;

    return mapper;
}


static void
mapper_close(struct mapper *mapper)
{
    if (mapper->io.fd != -1) {
        loop_fd_remove(mapper->daemon->loop, &mapper->io);
        (void) close(mapper->io.fd);
        mapper->io.fd = -1;
    }
}


void
mapper_stop(member_t *member)
{
    uint8_t data[PCP_REQUEST_MAX];
    size_t size;
    struct mapper *mapper = member->daemon->mapper;

    if (member->mapping.on && mapper != NULL && mapper->io.fd != -1) {
        size = port_mapping_release(&member->mapping.port, data);

        /* said once: what is lost of it ends with its lifetime */
        if (size != 0) {
            (void) send(mapper->io.fd, data, size, MSG_DONTWAIT);
        }
    }

    if (member->mapping.on && mapper != NULL) {
        mapper_upnp_stop(mapper, member);
    }

    member->mapping.on = 0;
    memset(&member->mapping.told, 0, sizeof(member->mapping.told));
}


void
mapper_destroy(struct mapper *mapper)
{
    if (mapper == NULL) {
        return;
    }

    if (mapper->work != NULL) {
        work_cancel(mapper->work);
    }

    loop_timer_cancel(&mapper->timer);
    mapper_close(mapper);
    free(mapper);
}


const struct endpoint *
mapper_endpoint(const member_t *member)
{
    uint64_t now = (uint64_t) loop_now();
    const struct endpoint *endpoint;

    if (!member->mapping.on) {
        return NULL;
    }

    endpoint = port_mapping_endpoint(&member->mapping.port, now);

    return endpoint == NULL && member->mapping.upnp_until > now
               ? &member->mapping.upnp.outer
               : endpoint;
}


/* What the others shall know is another thing than before. */
static void
mapper_tell(member_t *member)
{
    static const struct endpoint none;
    char text[ADDRESS_TEXT];
    const struct endpoint *now = mapper_endpoint(member);

    if (now == NULL) {
        now = &none;
    }

    if (endpoint_compare(now, &member->mapping.told) == 0) {
        return;
    }

    member->mapping.told = *now;

    if (now->address.family != ADDRESS_NONE) {
        log_info("network %s: the router lets others in at %s", member->name,
                 endpoint_format(now, text));

    } else {
        log_info("network %s: the router lets nobody in any more",
                 member->name);
    }

    uplink_endpoints(member->daemon->uplink);
}


void
mapper_tick(void *arg)
{
    uint8_t data[PCP_REQUEST_MAX];
    size_t size;
    uint64_t deadline, next = UINT64_MAX, now = (uint64_t) loop_now();
    member_t *member;
    struct mapper *mapper = arg;

    for (member = mapper->daemon->members; member != NULL;
         member = member->next) {
        if (!member->mapping.on) {
            continue;
        }

        while ((size = port_mapping_due(&member->mapping.port, now, data)) !=
               0) {
            /* what could not be sent is as good as lost: asked again */
            (void) send(mapper->io.fd, data, size, MSG_DONTWAIT);
        }

        deadline = mapper_upnp_tick(mapper, member, now);
        next = deadline < next ? deadline : next;
        deadline = port_mapping_deadline(&member->mapping.port);
        next = deadline < next ? deadline : next;
        mapper_tell(member);
    }

    if (next != UINT64_MAX) {
        loop_timer_set(mapper->daemon->loop, &mapper->timer,
                       next > now ? (int64_t) (next - now) : 0);

    } else {
        loop_timer_cancel(&mapper->timer);
    }
}


static void
mapper_take(struct mapper *mapper, const uint8_t *data, size_t size)
{
    bool lost = false;
    uint64_t now = (uint64_t) loop_now();
    member_t *member;

    for (member = mapper->daemon->members; member != NULL;
         member = member->next) {
        lost |= member->mapping.on &&
                port_mapping_answer(&member->mapping.port, data, size, now);
    }

    if (!lost) {
        return;
    }

    log_info("the router has started anew: all ports are asked for again");

    for (member = mapper->daemon->members; member != NULL;
         member = member->next) {
        port_mapping_renew(&member->mapping.port, now);
    }
}


static void
mapper_event(void *arg, uint32_t events)
{
    uint8_t data[PCP_ANSWER_MAX];
    int i;
    ssize_t size;
    member_t *member;
    struct mapper *mapper = arg;

    (void) events;

    for (i = 0; i < MAPPER_BURST; i++) {
        size = recv(mapper->io.fd, data, sizeof(data), MSG_DONTWAIT);

        if (size >= 0) {
            mapper_take(mapper, data, (size_t) size);
            continue;
        }

        /* the router said that nobody listens there */
        for (member = mapper->daemon->members;
             member != NULL && errno == ECONNREFUSED; member = member->next) {
            port_mapping_closed(&member->mapping.port, (uint64_t) loop_now());
        }

        break;
    }

    mapper_tick(mapper);
}


/* Whether the address that the gateway knows is still one of ours. */
static int
mapper_here(const struct mapper *mapper)
{
    size_t i;
    const struct paths_local *local = &mapper->daemon->wire->local.paths;

    for (i = 0; i < local->own_count; i++) {
        if (address_compare(&local->own[i], &mapper->inner) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Speaks with the gateway that there is now, if that may be of use. */
static void
mapper_move(struct mapper *mapper)
{
    member_t *member;
    const struct address *gateway = &mapper->daemon->wire->local.gateway;

    if (address_compare(gateway, &mapper->gateway) == 0 &&
        mapper_here(mapper)) {
        return;
    }

    /* nothing is given back: that router is not there any more */
    mapper_close(mapper);
    mapper->gateway = *gateway;

    for (member = mapper->daemon->members; member != NULL;
         member = member->next) {
        member->mapping.upnp_until = 0;
        mapper_stop(member);
    }

    if (gateway->family == ADDRESS_NONE) {
        return;
    }

    mapper->io.fd = gateway_socket_open(gateway, PCP_PORT, &mapper->inner);

    if (mapper->io.fd == -1) {
        return;
    }

    if (address_is_public(&mapper->inner) ||
        loop_fd_add(mapper->daemon->loop, &mapper->io, EPOLLIN) == -1) {
        (void) close(mapper->io.fd);
        mapper->io.fd = -1;
    }
}


/*
 * The same in every run, or the router would take a restart of ours for a
 * stranger who asks for our port (RFC 6887, 11.3); secret, since it is what
 * forged answers lack.
 */
static void
mapper_nonce(const member_t *member, uint8_t nonce[PCP_NONCE])
{
    char text[DAEMON_ID_SIZE];
    uint64_t half[2];

    memcpy(text, member->id, sizeof(text));
    half[0] =
        gc_siphash(member->daemon->device.identity.bytes, text, sizeof(text));
    half[1] = gc_siphash(member->daemon->device.identity.bytes, &half[0],
                         sizeof(half[0]));
    memcpy(nonce, half, PCP_NONCE);
}


static void
mapper_start(struct mapper *mapper, member_t *member)
{
    uint8_t nonce[PCP_NONCE];

    mapper_nonce(member, nonce);
    member->mapping.on = 1;
    port_mapping_start(&member->mapping.port, &mapper->inner,
                       member->listen_port, nonce, (uint64_t) loop_now());
}


void
mapper_sync(struct mapper *mapper)
{
    int wanted;
    member_t *member;

    mapper_move(mapper);

    for (member = mapper->daemon->members; member != NULL;
         member = member->next) {
        wanted = mapper->io.fd != -1 && mapper->daemon->config->port_mapping &&
                 wire_wanted(member) && member->live;

        if (member->mapping.on &&
            (!wanted || member->mapping.port.port != member->listen_port)) {
            mapper_stop(member);
        }

        if (wanted && !member->mapping.on) {
            mapper_start(mapper, member);
        }
    }

    mapper_tick(mapper);
}


/* Why nothing is open; NULL: nothing is wrong, or it is not known yet. */
static const char *
mapper_problem(const member_t *member)
{
    const struct member_mapping *mapping = &member->mapping;

    if (!mapping->on || (mapping->port.state != PORT_MAPPING_SILENT &&
                         mapping->port.state != PORT_MAPPING_REFUSED)) {
        return NULL;
    }

    if (mapping->port.state == PORT_MAPPING_REFUSED) {
        return pcp_result_text(mapping->port.result);
    }

    return mapping->upnp.problem[0] != '\0' ? mapping->upnp.problem : NULL;
}


json_t *
mapper_describe(const member_t *member)
{
    char text[ADDRESS_TEXT];
    const struct endpoint *endpoint = mapper_endpoint(member);
    const struct member_mapping *mapping = &member->mapping;

    if (endpoint == NULL) {
        return json_pack("{s:n, s:n, s:s?}", "protocol", "endpoint", "error",
                         mapper_problem(member));
    }

    return json_pack("{s:s, s:s, s:n}", "protocol",
                     endpoint == &mapping->upnp.outer ? "upnp"
                     : mapping->port.kind == PCP_MAP  ? "pcp"
                                                      : "nat-pmp",
                     "endpoint", endpoint_format(endpoint, text), "error");
}
