#include "daemon/wire_round.h"

#include "base/log.h"
#include "daemon/exits.h"
#include "daemon/firewall.h"
#include "daemon/lan.h"
#include "daemon/member.h"
#include "daemon/rotation.h"
#include "daemon/routes.h"
#include "daemon/probe.h"
#include "daemon/wire.h"
#include "plan/lan.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WIRE_ACTIVE_S 180 /* Reject-After-Time of the WireGuard paper, 6.1 */


static void
wire_problem(member_t *member, const char *text)
{
    if (strncmp(member->problem, text, sizeof(member->problem) - 1) != 0) {
        log_error("network %s: %s", member->name, text);
        snprintf(member->problem, sizeof(member->problem), "%s", text);
    }
}


static bool
wire_name_taken(const char *name, void *data)
{
    char lan[ACTUAL_NAME_SIZE];
    daemon_t *daemon = data;
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (strcmp(member->interface, name) == 0) {
            return true;
        }
    }

    lan_name(name, lan);
    return backend_name_taken(name, NULL) || backend_name_taken(lan, NULL);
}


/* The name is on disk before the interface is made. */
static int
wire_name(member_t *member)
{
    char name[ACTUAL_NAME_SIZE];
    err_t err;

    if (member->interface[0] != '\0') {
        return 0;
    }

    if (!desired_name(member->map->slug, member->id, wire_name_taken,
                      member->daemon, name)) {
        wire_problem(member, "every name for its interface is taken");
        return -1;
    }

    memcpy(member->interface, name, sizeof(member->interface));

    if (member_write(member, &err) == -1) {
        member->interface[0] = '\0';
        wire_problem(member, err.text);
        return -1;
    }

    return 0;
}


/* The other network that is in the way of this one's range, or NULL. */
static const member_t *
wire_overlapped(const wire_round_t *round, const member_t *member)
{
    const member_t *other;
    bool here, there;

    here = actual_find(round->actual, member->id) != NULL;

    for (other = round->daemon->members; other != NULL; other = other->next) {
        if (other == member || !wire_buildable(other) ||
            (!prefix_overlaps(&other->map->cidr, &member->map->cidr) &&
             !prefix_overlaps(&other->map->cidr6, &member->map->cidr6))) {
            continue;
        }

        /* whoever was first stays, a restart of ours does not change it */
        there = actual_find(round->actual, other->id) != NULL;

        if (there == here ? strcmp(other->id, member->id) < 0 : there) {
            return other;
        }
    }

    return NULL;
}


/*
 * The server lets no device into two networks that overlap; should it fail to,
 * packets would go to whom they are not for.
 */
static int
wire_overlaps(wire_round_t *round, member_t *member)
{
    char cidr[ADDRESS_TEXT], text[sizeof(member->problem)];
    const member_t *other = wire_overlapped(round, member);

    if (other == NULL) {
        return 0;
    }

    snprintf(text, sizeof(text),
             "its range %s overlaps the one of \"%.64s\": a device can be in "
             "one of them; leave the other, or take it down (goconnect down)",
             prefix_format(&member->map->cidr, cidr), other->name);
    wire_problem(member, text);

    if (round->err != NULL) {
        err_set(round->err, "address_overlap", "network \"%.64s\": %s",
                member->name, text);
    }

    round->failed = 1;
    return 1;
}


static void
wire_desire(wire_round_t *round, member_t *member)
{
    struct desired *desired;
    struct desired_self self;
    struct error error;

    if (!wire_buildable(member) || wire_overlaps(round, member) ||
        wire_name(member) == -1) {
        return;
    }

    memset(&self, 0, sizeof(self));
    memcpy(self.peer_id, member->peer_id, sizeof(self.peer_id));
    memcpy(self.name, member->interface, sizeof(self.name));
    self.private_key = member->private_key;
    self.public_key = member->public_key;
    self.listen_port = member->listen_port;
    self.mtu = member->settings.mtu;
    self.ip_address = member->ip_address;

    /* a machine where IPv6 is switched off does without */
    if (member->daemon->wire->local.ipv6) {
        self.ip6_address = member->ip6_address;
    }

    desired = desired_create(member->map, &self, member->paths, &error);
    key_wipe(&self, sizeof(self));

    if (desired != NULL &&
        (routes_wish(member, actual_find(round->actual, member->id), desired) !=
             0 ||
         exits_wish(member, desired) != 0)) {
        (void) error_set(&error, ERROR_NO_MEMORY, "out of memory");
        desired_destroy(desired);
        desired = NULL;
    }

    if (desired != NULL &&
        rotations_desire(member->rotation.others, desired, &error) != 0) {
        desired_destroy(desired);
        desired = NULL;
    }

    if (desired == NULL) {
        wire_problem(member, error.text);
        round->failed = 1;
        return;
    }

    probe_desire(member, desired);
    round->desired[round->count++] = desired;
}


static member_t *
wire_member_of(daemon_t *daemon, const char *interface)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->interface[0] != '\0' &&
            strcmp(member->interface, interface) == 0) {
            return member;
        }
    }

    return NULL;
}


/*
 * An interface that is wanted, but cannot be described at the moment (its
 * netmap is being fetched), is left as it is.
 */
static int
wire_left_alone(wire_round_t *round, const char *interface)
{
    size_t i;
    member_t *member = wire_member_of(round->daemon, interface);

    if (member == NULL || !wire_wanted(member)) {
        return 0;
    }

    for (i = 0; i < round->count; i++) {
        if (strcmp(round->desired[i]->network_id, member->id) == 0) {
            return 0;
        }
    }

    return 1;
}


static void
wire_change_port(wire_round_t *round, member_t *member)
{
    err_t err;
    uint16_t taken = member->listen_port;

    member_new_port(member);
    log_info("network %s: port %u is in use, taking %u", member->name, taken,
             member->listen_port);

    if (member_write(member, &err) == -1) {
        wire_problem(member, err.text);
    }

    round->again = 1;
}


static void
wire_change_name(wire_round_t *round, member_t *member)
{
    member->interface[0] = '\0';
    round->again = wire_name(member) == 0;
}


static void
wire_failed(wire_round_t *round, const struct operation *operation,
            const struct error *error)
{
    char text[256];
    member_t *member = wire_member_of(round->daemon, operation->name);

    if (error->code == ERROR_GONE) {
        round->again = 1;
        return;
    }

    if (member != NULL && error->code == ERROR_PORT_IN_USE) {
        wire_change_port(round, member);
        return;
    }

    if (member != NULL && error->code == ERROR_NAME_IN_USE) {
        wire_change_name(round, member);
        return;
    }

    if (member != NULL && error->code == ERROR_ROUTE_IN_USE &&
        operation->kind == OPERATION_ROUTE_ADD &&
        routes_in_use(member, &operation->prefix)) {
        round->again = 1;
        return;
    }

    round->failed = 1;
    operation_describe(operation, text, sizeof(text));

    if (member != NULL) {
        wire_problem(member, error->text);

    } else {
        log_error("%s: %s", text, error->text);
    }

    if (round->err != NULL) {
        err_set(round->err, "interface", "%s: %s", text, error->text);
    }
}


static int
wire_apply(wire_round_t *round, const struct operations *operations)
{
    char text[256];
    int done = 0;
    size_t i;
    struct error error;
    const struct operation *operation;

    round->broken[0] = '\0';

    for (i = 0; i < operations->count; i++) {
        operation = &operations->list[i];

        if (wire_left_alone(round, operation->name) ||
            strcmp(operation->name, round->broken) == 0) {
            continue;
        }

        log_debug("%s", operation_describe(operation, text, sizeof(text)));

        if (backend_apply(round->daemon->backend, operation, &error) != 0) {
            memcpy(round->broken, operation->name, sizeof(round->broken));
            wire_failed(round, operation, &error);
            continue;
        }

        done++;
    }

    return done;
}


void
wire_round_clear(wire_round_t *round)
{
    size_t i;

    for (i = 0; i < round->count; i++) {
        desired_destroy(round->desired[i]);
    }

    round->count = 0;
    actual_destroy(round->actual);
    round->actual = NULL;
}


int
wire_round_observe(wire_round_t *round)
{
    struct error error;
    member_t *member;

    if (backend_observe(round->daemon->backend, &round->actual, &error) != 0) {
        log_error("cannot look at this machine's interfaces: %s", error.text);
        round->actual = NULL;

        if (round->err != NULL) {
            daemon_error(round->err, "interface", &error);
        }

        return -1;
    }

    for (member = round->daemon->members; member != NULL;
         member = member->next) {
        (void) paths_observe(member->paths,
                             actual_find(round->actual, member->id),
                             (uint64_t) loop_now());
        rotations_observe(member->rotation.others,
                          actual_find(round->actual, member->id),
                          (uint64_t) loop_now());
    }

    return 0;
}


int
wire_round_run(wire_round_t *round)
{
    int done;
    member_t *member;
    struct error error;
    struct operations operations;

    round->again = round->failed = 0;

    if (wire_round_observe(round) == -1) {
        return -1;
    }

    for (member = round->daemon->members; member != NULL;
         member = member->next) {
        wire_desire(round, member);
        routes_forward(member);
    }

    firewall_lay(round->daemon);

    if (reconcile((const struct desired *const *) round->desired, round->count,
                  round->actual, &operations, &error) != 0) {
        log_error("cannot plan: %s", error.text);

        if (round->err != NULL) {
            daemon_error(round->err, "interface", &error);
        }

        return -1;
    }

    done = wire_apply(round, &operations);
    operations_clear(&operations);
    return done;
}


void
wire_round_learn(wire_round_t *round)
{
    const struct actual_interface *interface;
    int64_t now = time(NULL);
    member_t *member;
    size_t i;

    for (member = round->daemon->members; member != NULL;
         member = member->next) {
        interface = actual_find(round->actual, member->id);
        member->live = wire_wanted(member) && interface != NULL &&
                       interface->device && interface->up && lan_ready(member);
        member->active = 0;

        for (i = 0; interface != NULL && i < interface->peer_count; i++) {
            if (now - interface->peers[i].handshake_s < WIRE_ACTIVE_S) {
                member->active++;
            }
        }

        probe_look(member, interface);
        routes_learn(member, interface);
    }
}
