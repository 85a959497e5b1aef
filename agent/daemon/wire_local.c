#include "daemon/wire_local.h"

#include "base/log.h"
#include "daemon/mapper.h"
#include "daemon/roam.h"
#include "daemon/routes.h"
#include "daemon/wire.h"

#include <string.h>
#include <sys/epoll.h>

#define WIRE_SETTLE_MS 300 /* address changes come in bursts */
#define WIRE_LISTEN_MS 5000


/* 1 if this machine's addresses are others than before. */
static int
wire_local_read(wire_t *wire)
{
    member_t *member;
    struct error error;
    struct local_addresses now;

    memset(&now, 0, sizeof(now));

    if (local_addresses_get(&now, &error) != 0) {
        log_warn("cannot read this machine's addresses: %s", error.text);
        return 0;
    }

    if (memcmp(&now, &wire->local, sizeof(now)) == 0) {
        return 0;
    }

    wire->local = now;

    for (member = wire->daemon->members; member != NULL;
         member = member->next) {
        paths_set_local(member->paths, &wire->local.paths);
    }

    return 1;
}


static void wire_local_event(void *arg, uint32_t events);


static int
wire_local_listen(wire_t *wire, err_t *err)
{
    struct error error;

    wire->monitor = monitor_open(&error);

    if (wire->monitor == NULL) {
        return daemon_error(err, "no_monitor", &error);
    }

    wire->monitor_io.fd = monitor_fd(wire->monitor);
    wire->monitor_io.fn = wire_local_event;
    wire->monitor_io.arg = wire;

    if (loop_fd_add(wire->daemon->loop, &wire->monitor_io, EPOLLIN) == -1) {
        err_errno(err, "no_monitor", "cannot watch address changes");
        monitor_close(wire->monitor);
        wire->monitor = NULL;
        return -1;
    }

    return 0;
}


static void
wire_local_deafen(wire_t *wire)
{
    if (wire->monitor != NULL) {
        loop_fd_remove(wire->daemon->loop, &wire->monitor_io);
        monitor_close(wire->monitor);
        wire->monitor = NULL;
    }
}


static void
wire_local_settle(wire_t *wire, int64_t ms)
{
    wire->settling = 1;
    loop_timer_set(wire->daemon->loop, &wire->settle, ms);
}


/* All of it is looked at, so that nothing that went by unheard stays. */
static void
wire_local_settled(void *arg)
{
    err_t err;
    wire_t *wire = arg;

    wire->settling = 0;

    if (wire->monitor == NULL && wire_local_listen(wire, &err) == -1) {
        log_error("address changes are not noticed: %s", err.text);
        wire_local_settle(wire, WIRE_LISTEN_MS);
    }

    roam_look(wire->roam);

    if (wire_local_read(wire)) {
        roam_moved(wire->daemon);
    }

    wire_sync(wire->daemon);
}


static void
wire_local_event(void *arg, uint32_t events)
{
    struct monitor_news news;
    struct error error;
    member_t *member;
    wire_t *wire = arg;

    (void) events;

    if (monitor_read(wire->monitor, &news, &error) != 0) {
        log_warn("%s; listening anew", error.text);
        wire_local_deafen(wire);
        news = (struct monitor_news){.changed = true, .room = true};
    }

    for (member = wire->daemon->members; news.room && member != NULL;
         member = member->next) {
        routes_room(member);
    }

    /* once, or a burst without an end would be waited for */
    if (news.changed && !wire->settling) {
        wire_local_settle(wire, WIRE_SETTLE_MS);
    }
}


int
wire_local_open(wire_t *wire, err_t *err)
{
    wire->settle.fn = wire_local_settled;
    wire->settle.arg = wire;

    if (wire_local_listen(wire, err) == -1) {
        return -1;
    }

    (void) wire_local_read(wire);
    return 0;
}


void
wire_local_close(wire_t *wire)
{
    loop_timer_cancel(&wire->settle);
    wire_local_deafen(wire);
}


void
wire_local_member(daemon_t *daemon, member_t *member)
{
    if (daemon->wire != NULL) {
        paths_set_local(member->paths, &daemon->wire->local.paths);
    }
}


json_t *
wire_local_endpoints(daemon_t *daemon, const member_t *member)
{
    char text[ADDRESS_TEXT];
    json_t *list = json_array();
    size_t i;
    struct endpoint endpoint;
    const struct local_addresses *local = &daemon->wire->local;

    if (member->announced.address.family != ADDRESS_NONE) {
        json_array_append_new(
            list, json_string(endpoint_format(&member->announced, text)));
    }

    if (mapper_endpoint(member) != NULL) {
        json_array_append_new(
            list, json_string(endpoint_format(mapper_endpoint(member), text)));
    }

    for (i = 0;
         i < local->count && json_array_size(list) < NETMAP_ENDPOINTS_MAX;
         i++) {
        endpoint.address = local->addresses[i].address;
        endpoint.port = member->listen_port;
        json_array_append_new(list,
                              json_string(endpoint_format(&endpoint, text)));
    }

    return list;
}
