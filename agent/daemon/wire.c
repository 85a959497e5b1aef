#include "daemon/wire.h"

#include "base/state.h"
#include "daemon/exits.h"
#include "daemon/firewall.h"
#include "daemon/lan.h"
#include "daemon/mapper.h"
#include "daemon/member.h"
#include "daemon/rotation.h"
#include "daemon/routes.h"
#include "daemon/naming.h"
#include "daemon/reflector.h"
#include "daemon/service.h"
#include "daemon/uplink.h"
#include "daemon/wire_local.h"
#include "daemon/wire_round.h"
#include "os/forward.h"
#include "os/vxlan.h"

#include <stdio.h>
#include <stdlib.h>

#define WIRE_SOON_MS 10
#define WIRE_RETRY_MS 5000
#define WIRE_LOOK_MS 300000 /* what WireGuard was told by hand is not heard */
#define WIRE_PAUSE_MS 200
#define WIRE_ROUNDS 8


int
wire_wanted(const member_t *member)
{
    return member->up && member->state == MEMBER_JOINED;
}


int
wire_buildable(const member_t *member)
{
    return wire_wanted(member) && member->map != NULL &&
           member->ip_address.family != ADDRESS_NONE;
}


const char *
wire_state(const member_t *member)
{
    switch (member->state) {
    case MEMBER_JOINING:
        return "joining";

    case MEMBER_LEAVING:
        return "leaving";

    case MEMBER_JOINED:
        break;
    }

    if (!member->up) {
        return "down";
    }

    if (member->live) {
        return "up";
    }

    return member->problem[0] != '\0' ? "failed" : "starting";
}


static void
wire_tell_waiting(daemon_t *daemon, int failed)
{
    err_t err;
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->live && !failed) {
            member->problem[0] = '\0';
        }

        if (member->waiting == NULL || !wire_buildable(member)) {
            continue;
        }

        if (member->live) {
            member_joined(member);

        } else if (member->problem[0] != '\0') {
            err_set(&err, "interface", "%s", member->problem);
            member_fail(member, &err);
        }
    }
}


/*
 * When to look again: as the paths want it, at the latest in a while, after a
 * failure anyway, and never at once: a round takes time too.
 */
static void
wire_schedule(wire_t *wire, int failed)
{
    member_t *member;
    uint64_t deadline, now = (uint64_t) loop_now();
    uint64_t next = now + (failed ? WIRE_RETRY_MS : WIRE_LOOK_MS);

    for (member = wire->daemon->members; member != NULL;
         member = member->next) {
        if (wire_buildable(member)) {
            deadline = paths_deadline(member->paths);

            if (deadline < next) {
                next = deadline;
            }
        }
    }

    deadline = firewall_deadline(wire->daemon);
    next = deadline < next ? deadline : next;
    deadline = exits_deadline(wire->daemon);
    next = deadline < next ? deadline : next;
    deadline = routes_deadline(wire->daemon);
    next = deadline < next ? deadline : next;

    if (next < now + WIRE_PAUSE_MS) {
        next = now + WIRE_PAUSE_MS;
    }

    /* a handshake with a new key is looked for at its own, short pace */
    deadline = rotation_deadline(wire->daemon);
    next = deadline < next ? deadline : next;

    loop_timer_set(wire->daemon->loop, &wire->soon,
                   next > now ? (int64_t) (next - now) : 1);
}


int
wire_sync_now(daemon_t *daemon, err_t *err)
{
    int done = 0, rounds = 0;
    wire_t *wire = daemon->wire;
    wire_round_t round = {.daemon = daemon, .err = err};

    if (wire == NULL) {
        return 0; /* not yet started: the first run follows */
    }

    loop_timer_cancel(&wire->soon);
    wire->soon_armed = 0;

    exits_before(daemon);

    do {
        wire_round_clear(&round);
        done = wire_round_run(&round);
        rounds++;
    } while ((round.again || done > 0) && rounds < WIRE_ROUNDS);

    if (round.actual != NULL) {
        round.failed |= lan_sync(daemon, round.actual) == -1;
        wire_round_learn(&round);
        firewall_sync(daemon, round.actual);
        exits_sync(daemon);
        rotation_sync(daemon, round.actual);
        reflector_sync(daemon);
        mapper_sync(daemon->mapper);
    }

    wire_round_clear(&round);
    naming_sync(daemon);
    wire_tell_waiting(daemon, round.failed);
    wire_schedule(wire, done == -1 || round.failed || round.again);
    uplink_endpoints(daemon->uplink);
    service_tell(daemon);

    return done == -1 || round.failed ? -1 : 0;
}


void
wire_look(daemon_t *daemon)
{
    wire_round_t round = {.daemon = daemon};

    if (wire_round_observe(&round) == 0) {
        wire_round_learn(&round);
    }

    wire_round_clear(&round);
}


static void
wire_soon(void *arg)
{
    wire_t *wire = arg;

    (void) wire_sync_now(wire->daemon, NULL);
}


void
wire_sync(daemon_t *daemon)
{
    wire_t *wire = daemon->wire;

    if (wire != NULL && !wire->soon_armed) {
        wire->soon_armed = 1;
        loop_timer_set(daemon->loop, &wire->soon, WIRE_SOON_MS);
    }
}


static int
wire_open_backend(daemon_t *daemon, err_t *err)
{
    char folder[PATH_MAX];
    struct backend_config config;
    struct error error;

    snprintf(folder, sizeof(folder), "%.4000s/wireguard",
             daemon->config->state);

    if (state_folder(folder, err) == -1) {
        return -1;
    }

    config.name = daemon->config->backend;
    config.state_dir = folder;
    daemon->backend = backend_open(&config, &error);

    return daemon->backend != NULL ? 0
                                   : daemon_error(err, "no_backend", &error);
}


wire_t *
wire_create(daemon_t *daemon, err_t *err)
{
    wire_t *wire = calloc(1, sizeof(*wire));
    struct error error;

    if (wire == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    wire->daemon = daemon;
    wire->soon.fn = wire_soon;
    wire->soon.arg = wire;

    if (wire_open_backend(daemon, err) == -1) {
        free(wire);
        return NULL;
    }

    wire->forward = forward_open(&error);

    if (wire->forward == NULL) {
        daemon_error(err, "failed", &error);
        backend_close(daemon->backend);
        free(wire);
        return NULL;
    }

    wire->vxlan = vxlan_open(&error);

    if (wire->vxlan == NULL) {
        daemon_error(err, "failed", &error);
        forward_close(wire->forward);
        backend_close(daemon->backend);
        free(wire);
        return NULL;
    }

    if (exits_open(wire, err) == -1) {
        vxlan_close(wire->vxlan);
        forward_close(wire->forward);
        backend_close(daemon->backend);
        free(wire);
        return NULL;
    }

    wire->roam = roam_create(daemon, err);

    if (wire->roam == NULL || firewall_open(wire, err) == -1) {
        roam_destroy(wire->roam);
        exits_close(wire);
        vxlan_close(wire->vxlan);
        forward_close(wire->forward);
        backend_close(daemon->backend);
        free(wire);
        return NULL;
    }

    if (wire_local_open(wire, err) == -1) {
        firewall_close(wire);
        roam_destroy(wire->roam);
        exits_close(wire);
        vxlan_close(wire->vxlan);
        forward_close(wire->forward);
        backend_close(daemon->backend);
        free(wire);
        return NULL;
    }

    return wire;
}


void
wire_destroy(wire_t *wire)
{
    loop_timer_cancel(&wire->soon);
    wire_local_close(wire);
    reflector_stop(wire->daemon);
    firewall_close(wire);
    roam_destroy(wire->roam);
    lan_close(wire);
    exits_close(wire);
    vxlan_close(wire->vxlan);
    forward_close(wire->forward);
    backend_close(wire->daemon->backend);
    free(wire);
}
