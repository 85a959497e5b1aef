#include "daemon/firewall.h"

#include "base/log.h"
#include "daemon/exits.h"
#include "daemon/gateway.h"
#include "daemon/wire.h"
#include "os/forward.h"
#include "plan/lan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define FIREWALL_RETRY_MS 10000
#define FIREWALL_AGAIN_MS 300 /* who flushes rules often does so in vain */


static int
firewall_wanted(const member_t *member)
{
    return wire_buildable(member) && member->interface[0] != '\0';
}


const char *
firewall_state(const member_t *member)
{
    if (member->firewall.problem[0] != '\0') {
        return "failed";
    }

    return member->firewall.on ? "on" : "off";
}


static void
firewall_set(member_t *member, int on, const char *problem)
{
    struct member_firewall *firewall = &member->firewall;

    if (problem != NULL && strcmp(firewall->problem, problem) != 0) {
        log_error("network %s: its rules are not enforced here: %s",
                  member->name, problem);
    }

    if (problem == NULL && on && firewall->problem[0] != '\0') {
        log_info("network %s: its rules are enforced here", member->name);
    }

    firewall->on = on && problem == NULL;
    snprintf(firewall->problem, sizeof(firewall->problem), "%s",
             problem != NULL ? problem : "");
}


/* The networks that rules are for; one that cannot have any says why. */
static void
firewall_collect(daemon_t *daemon, struct firewall *want, int before)
{
    char lan[ACTUAL_NAME_SIZE];
    member_t *member;
    struct error error;
    struct firewall_self self;

    memset(want, 0, sizeof(*want));

    for (member = daemon->members; member != NULL; member = member->next) {
        member->firewall.unfit = 0;

        if (!firewall_wanted(member) &&
            !(before && member->firewall.on && member->map != NULL)) {
            continue;
        }

        memset(&self, 0, sizeof(self));
        self.peer_id = member->peer_id;
        self.name = member->interface;
        self.lan = "";

        if (member->map->lan) {
            lan_name(member->interface, lan);
            self.lan = lan;
        }

        self.ip_address = member->ip_address;
        self.ip6_address = member->ip6_address;
        self.routes = member->firewall.routes;
        self.route_count = member->firewall.route_count;

        if (firewall_add(want, member->map, &self, &error) != 0) {
            member->firewall.unfit = 1;
            firewall_set(member, 0, error.text);
        }
    }
}


void
firewall_lay(daemon_t *daemon)
{
    struct error error;
    struct firewall want;

    firewall_collect(daemon, &want, 1);

    if (forward_lay(daemon->wire->forward, &want, &error) != 0) {
        log_debug("rules before interfaces: %s", error.text);
    }

    firewall_clear(&want);
}


void
firewall_sync(daemon_t *daemon, const struct actual *ours)
{
    struct error error;
    struct firewall want;
    const char *problem;
    member_t *member;

    firewall_collect(daemon, &want, 0);
    problem = forward_apply(daemon->wire->forward, &want, ours, &error) == 0
                  ? NULL
                  : error.text;
    firewall_clear(&want);

    for (member = daemon->members; member != NULL; member = member->next) {
        if (!member->firewall.unfit) {
            firewall_set(member, firewall_wanted(member),
                         firewall_wanted(member) ? problem : NULL);
        }

        gateway_learn(member, member->firewall.problem[0] != '\0'
                                  ? member->firewall.problem
                                  : NULL);
    }
}


uint64_t
firewall_deadline(const daemon_t *daemon)
{
    const member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->firewall.problem[0] != '\0') {
            return (uint64_t) loop_now() + FIREWALL_RETRY_MS;
        }
    }

    return UINT64_MAX;
}


int
firewall_set_routes(member_t *member, const struct firewall_route *routes,
                    size_t count)
{
    struct firewall_route *copy = NULL;

    if (count > 0) {
        copy = calloc(count, sizeof(*copy));

        if (copy == NULL) {
            return -1;
        }

        memcpy(copy, routes, count * sizeof(*copy));
    }

    free(member->firewall.routes);
    member->firewall.routes = copy;
    member->firewall.route_count = count;
    return 0;
}


void
firewall_stop(member_t *member)
{
    (void) firewall_set_routes(member, NULL, 0);
}


static void
firewall_again(void *arg)
{
    wire_t *wire = arg;

    wire->firewall_waits = 0;
    wire_sync(wire->daemon);
}


static void
firewall_event(void *arg, uint32_t events)
{
    wire_t *wire = arg;

    (void) events;

    if (forward_changed(wire->forward) && !wire->firewall_waits) {
        log_warn("somebody changed table inet " FIREWALL_TABLE
                 " of nftables: it is laid again");
        wire->firewall_waits = 1;
        exits_again(wire->daemon);
        loop_timer_set(wire->daemon->loop, &wire->firewall_timer,
                       FIREWALL_AGAIN_MS);
    }
}


int
firewall_open(wire_t *wire, err_t *err)
{
    wire->firewall_timer.fn = firewall_again;
    wire->firewall_timer.arg = wire;
    wire->firewall_io.fd = forward_fd(wire->forward);
    wire->firewall_io.fn = firewall_event;
    wire->firewall_io.arg = wire;

    if (wire->firewall_io.fd == -1) {
        log_warn("this kernel has no nf_tables: networks' rules cannot be "
                 "enforced here");
        return 0;
    }

    return loop_fd_add(wire->daemon->loop, &wire->firewall_io, EPOLLIN) == 0
               ? 0
               : err_errno(err, "failed", "cannot watch nftables");
}


void
firewall_close(wire_t *wire)
{
    loop_timer_cancel(&wire->firewall_timer);

    if (wire->firewall_io.fd != -1) {
        loop_fd_remove(wire->daemon->loop, &wire->firewall_io);
    }
}
