#include "daemon/lan.h"

#include "base/log.h"
#include "daemon/wire.h"
#include "os/vxlan.h"
#include "plan/desired.h"
#include "plan/lan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* What is wished for takes one, and one more to see that it stands. */
#define LAN_ROUNDS 4

#define LAN_AGAIN_MS 300 /* who flushes rules often does so in vain */

typedef struct {
    daemon_t *daemon;
    struct vxlan *vxlan;
    struct lan *lans[DAEMON_MEMBERS_MAX];
    member_t *members[DAEMON_MEMBERS_MAX]; /* of lans[i] */
    size_t count;
    struct lan_operations operations;
    int failed;
    int made; /* an interface is new */
    int done;
    int again;
} lan_round_t;


int
lan_ready(const member_t *member)
{
    return member->map == NULL || !member->map->lan || member->lan.ready;
}


void
lan_status(const member_t *member, json_t *network)
{
    char name[ACTUAL_NAME_SIZE];
    int lan = member->map != NULL && member->map->lan;

    if (network == NULL) {
        return;
    }

    json_object_set_new(network, "mode", json_string(lan ? "l2" : "l3"));

    if (lan && member->interface[0] != '\0') {
        lan_name(member->interface, name);
        json_object_set_new(network, "lan_interface", json_string(name));

    } else {
        json_object_set_new(network, "lan_interface", json_null());
    }
}


static void
lan_fail(lan_round_t *round, member_t *member, const char *text)
{
    round->failed = 1;

    if (member == NULL) {
        log_error("LAN mode: %s", text);
        return;
    }

    member->lan.ready = 0;

    if (strncmp(member->problem, text, sizeof(member->problem) - 1) != 0) {
        log_error("network %s: %s", member->name, text);
        snprintf(member->problem, sizeof(member->problem), "%s", text);
    }
}


static void
lan_fail_all(lan_round_t *round, const char *text)
{
    size_t i;

    if (round->count == 0) {
        lan_fail(round, NULL, text);
    }

    for (i = 0; i < round->count; i++) {
        lan_fail(round, round->members[i], text);
    }
}


/* Its tunnel stands, so that a VXLAN can. */
static const struct actual_interface *
lan_tunnel(const member_t *member, const struct actual *ours)
{
    const struct actual_interface *interface;

    if (!wire_buildable(member) || !member->map->lan) {
        return NULL;
    }

    interface = actual_find(ours, member->id);

    return interface != NULL && interface->device && interface->up ? interface : NULL;
}


static void
lan_wish(lan_round_t *round, member_t *member,
         const struct actual_interface *tunnel)
{
    struct desired_self self;
    struct error error;
    struct lan *lan;

    memset(&self, 0, sizeof(self));
    memcpy(self.peer_id, member->peer_id, sizeof(self.peer_id));
    memcpy(self.name, tunnel->name, sizeof(self.name));
    self.ip_address = member->ip_address;
    self.ip6_address = member->ip6_address;
    lan = lan_create(member->map, &self, tunnel->mtu, &error);

    if (lan == NULL) {
        lan_fail(round, member, error.text);
        return;
    }

    member->lan.ready = 1;
    round->members[round->count] = member;
    round->lans[round->count++] = lan;
}


static member_t *
lan_member(const lan_round_t *round, const char *name)
{
    size_t i;

    for (i = 0; i < round->count; i++) {
        if (strcmp(round->lans[i]->name, name) == 0) {
            return round->members[i];
        }
    }

    return NULL;
}


/* From the first to the last but one; what follows a failure is left out. */
static void
lan_apply(lan_round_t *round, size_t first, size_t last)
{
    char text[256];
    const struct lan_operation *operation;
    member_t *member;
    struct error error;
    size_t i;

    for (i = first; i < last; i++) {
        operation = &round->operations.list[i];
        member = lan_member(round, operation->name);

        if (member != NULL && !member->lan.ready) {
            continue;
        }

        log_debug("%s", lan_describe(operation, text, sizeof(text)));

        if (vxlan_apply(round->vxlan, operation, &error) == 0) {
            round->done++;
            round->made |= operation->kind == LAN_CREATE;

        } else if (error.code == ERROR_GONE && member != NULL) {
            member->lan.ready = 0;
            round->again = 1;

        } else {
            lan_fail(round, member, error.text);
        }
    }
}


/* What may not be up without the filter goes where it cannot be laid. */
static void
lan_refuse(lan_round_t *round, const char *text)
{
    struct lan_operation operation;
    size_t i;

    memset(&operation, 0, sizeof(operation));
    operation.kind = LAN_DELETE;

    for (i = 0; i < round->count; i++) {
        memcpy(operation.name, round->lans[i]->name, sizeof(operation.name));
        (void) vxlan_apply(round->vxlan, &operation, NULL);
    }

    lan_fail_all(round, text);
}


static int
lan_filter_lay(lan_round_t *round)
{
    struct error error;
    char *commands;

    commands =
        lan_filter((const struct lan *const *) round->lans, round->count);

    if (commands == NULL) {
        lan_refuse(round, "out of memory");
        return -1;
    }

    if (vxlan_filter(round->vxlan, commands, round->count == 0, round->made,
                     &error) != 0) {
        lan_refuse(round, error.text);
        return -1;
    }

    return 0;
}


/* 0 when it stood already or stands now, -1 when it does not. */
static int
lan_round(lan_round_t *round)
{
    struct error error;
    struct lan_actual *actual;
    size_t i;
    int rc;

    round->again = round->made = round->done = 0;

    for (i = 0; i < round->count; i++) {
        round->members[i]->lan.ready = 1;
    }

    if (vxlan_observe(round->vxlan, &actual, &error) != 0) {
        lan_fail_all(round, error.text);
        return -1;
    }

    rc = lan_reconcile((const struct lan *const *) round->lans, round->count,
                       actual, &round->operations, &error);

    if (rc != 0) {
        lan_fail_all(round, error.text);

    } else {
        lan_apply(round, 0, round->operations.guarded);
        rc = lan_filter_lay(round);
    }

    if (rc == 0) {
        lan_apply(round, round->operations.guarded, round->operations.count);
    }

    lan_operations_clear(&round->operations);
    lan_actual_destroy(actual);

    return rc;
}


static void
lan_again(void *arg)
{
    wire_t *wire = arg;

    wire_sync(wire->daemon);
}


static void
lan_event(void *arg, uint32_t events)
{
    wire_t *wire = arg;

    (void) events;

    if (vxlan_changed(wire->vxlan) && wire->lan_timer.fn == NULL) {
        log_warn("somebody changed the tables " LAN_TABLE
                 " of nftables: they are laid again");
        wire->lan_timer.fn = lan_again;
        wire->lan_timer.arg = wire;
        loop_timer_set(wire->daemon->loop, &wire->lan_timer, LAN_AGAIN_MS);
    }
}


/* From the first filter on. */
static void
lan_watch(wire_t *wire)
{
    loop_timer_cancel(&wire->lan_timer);
    wire->lan_timer.fn = NULL;

    if (wire->lan_watched || vxlan_fd(wire->vxlan) == -1) {
        return;
    }

    wire->lan_io.fd = vxlan_fd(wire->vxlan);
    wire->lan_io.fn = lan_event;
    wire->lan_io.arg = wire;
    wire->lan_watched =
        loop_fd_add(wire->daemon->loop, &wire->lan_io, EPOLLIN) == 0;
}


void
lan_close(wire_t *wire)
{
    loop_timer_cancel(&wire->lan_timer);

    if (wire->lan_watched) {
        loop_fd_remove(wire->daemon->loop, &wire->lan_io);
    }
}


int
lan_sync(daemon_t *daemon, const struct actual *ours)
{
    const struct actual_interface *tunnel;
    lan_round_t round = {.daemon = daemon, .vxlan = daemon->wire->vxlan};
    member_t *member;
    int rounds = 0, refused;
    size_t i;

    for (member = daemon->members; member != NULL; member = member->next) {
        tunnel = lan_tunnel(member, ours);
        member->lan.ready = 0;

        if (tunnel != NULL) {
            lan_wish(&round, member, tunnel);
        }
    }

    /* the first look finds what another one left */
    if (round.count == 0 && daemon->wire->lan_idle) {
        return round.failed ? -1 : 0;
    }

    refused = round.failed;

    do {
        round.failed = 0;
        rounds++;
    } while (lan_round(&round) == 0 && (round.again || round.done > 0) &&
             rounds < LAN_ROUNDS);

    lan_watch(daemon->wire);
    daemon->wire->lan_idle = round.count == 0 && !round.failed;

    for (i = 0; i < round.count; i++) {
        free(round.lans[i]);
    }

    return refused || round.failed || round.again ? -1 : 0;
}
