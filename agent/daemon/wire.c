#include "daemon/wire.h"

#include "base/log.h"
#include "base/state.h"
#include "daemon/member.h"
#include "daemon/uplink.h"
#include "plan/desired.h"
#include "plan/reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define WIRE_SOON_MS 10
#define WIRE_RETRY_MS 5000
#define WIRE_PAUSE_MS 200
#define WIRE_SETTLE_MS 300 /* address changes come in bursts */
#define WIRE_ROUNDS 8
#define WIRE_ACTIVE_S 180 /* Reject-After-Time of the WireGuard paper, 6.1 */

struct wire {
    daemon_t *daemon;
    struct monitor *monitor;
    loop_fd_t monitor_io;
    struct local_addresses local;
    loop_timer_t soon;
    loop_timer_t settle;
    int soon_armed;
};

/* One round of wire_sync_now(). */
typedef struct {
    daemon_t *daemon;
    struct actual *actual;
    struct desired *desired[DAEMON_MEMBERS_MAX];
    size_t count;
    int again; /* something was changed that another round takes up */
    int failed;
    char broken[ACTUAL_NAME_SIZE]; /* interface whose operation failed */
    err_t *err;
} wire_round_t;


static int
wire_wanted(const member_t *member)
{
    return member->up && member->state == MEMBER_JOINED;
}


static int
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
    daemon_t *daemon = data;
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (strcmp(member->interface, name) == 0) {
            return true;
        }
    }

    return backend_name_taken(name, NULL);
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


static void
wire_desire(wire_round_t *round, member_t *member)
{
    struct desired *desired;
    struct desired_self self;
    struct error error;

    if (!wire_buildable(member) || wire_name(member) == -1) {
        return;
    }

    memset(&self, 0, sizeof(self));
    memcpy(self.peer_id, member->peer_id, sizeof(self.peer_id));
    memcpy(self.name, member->interface, sizeof(self.name));
    self.private_key = member->private_key;
    self.public_key = member->public_key;
    self.listen_port = member->listen_port;
    self.ip_address = member->ip_address;

    /* a machine where IPv6 is switched off does without */
    if (member->daemon->wire->local.ipv6) {
        self.ip6_address = member->ip6_address;
    }

    desired = desired_create(member->map, &self, member->paths, &error);
    key_wipe(&self, sizeof(self));

    if (desired == NULL) {
        wire_problem(member, error.text);
        round->failed = 1;
        return;
    }

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


static void
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


static int
wire_observe(wire_round_t *round)
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
    }

    return 0;
}


/* Returns how many operations were applied, -1 if it could not begin. */
static int
wire_round(wire_round_t *round)
{
    int done;
    member_t *member;
    struct error error;
    struct operations operations;

    round->again = round->failed = 0;

    if (wire_observe(round) == -1) {
        return -1;
    }

    for (member = round->daemon->members; member != NULL;
         member = member->next) {
        wire_desire(round, member);
    }

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


/* What the last observation says of each network. */
static void
wire_learn(wire_round_t *round)
{
    const struct actual_interface *interface;
    int64_t now = time(NULL);
    member_t *member;
    size_t i;

    for (member = round->daemon->members; member != NULL;
         member = member->next) {
        interface = actual_find(round->actual, member->id);
        member->live = wire_wanted(member) && interface != NULL &&
                       interface->device && interface->up;
        member->active = 0;

        for (i = 0; interface != NULL && i < interface->peer_count; i++) {
            if (now - interface->peers[i].handshake_s < WIRE_ACTIVE_S) {
                member->active++;
            }
        }
    }
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
 * When to look again: as the paths want it (UINT64_MAX: never), after a
 * failure anyway, and never at once: a round takes time too.
 */
static void
wire_schedule(wire_t *wire, int failed)
{
    member_t *member;
    uint64_t deadline, now = (uint64_t) loop_now();
    uint64_t next = failed ? now + WIRE_RETRY_MS : UINT64_MAX;

    for (member = wire->daemon->members; member != NULL;
         member = member->next) {
        if (wire_buildable(member)) {
            deadline = paths_deadline(member->paths);

            if (deadline < next) {
                next = deadline;
            }
        }
    }

    if (next == UINT64_MAX) {
        return;
    }

    if (next < now + WIRE_PAUSE_MS) {
        next = now + WIRE_PAUSE_MS;
    }

    loop_timer_set(wire->daemon->loop, &wire->soon, (int64_t) (next - now));
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

    do {
        wire_round_clear(&round);
        done = wire_round(&round);
        rounds++;
    } while ((round.again || done > 0) && rounds < WIRE_ROUNDS);

    if (round.actual != NULL) {
        wire_learn(&round);
    }

    wire_round_clear(&round);
    wire_tell_waiting(daemon, round.failed);
    wire_schedule(wire, done == -1 || round.failed || round.again);
    uplink_endpoints(daemon->uplink);

    return done == -1 || round.failed ? -1 : 0;
}


void
wire_look(daemon_t *daemon)
{
    wire_round_t round = {.daemon = daemon};

    if (wire_observe(&round) == 0) {
        wire_learn(&round);
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


json_t *
wire_endpoints(daemon_t *daemon, const member_t *member)
{
    char text[ADDRESS_TEXT];
    json_t *list = json_array();
    size_t i;
    struct endpoint endpoint;
    const struct local_addresses *local = &daemon->wire->local;

    for (i = 0; i < local->count && i < NETMAP_ENDPOINTS_MAX; i++) {
        endpoint.address = local->addresses[i].address;
        endpoint.port = member->listen_port;
        json_array_append_new(list,
                              json_string(endpoint_format(&endpoint, text)));
    }

    return list;
}


/* 1 if this machine's addresses are others than before. */
static int
wire_read_local(wire_t *wire)
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


void
wire_member_local(daemon_t *daemon, member_t *member)
{
    if (daemon->wire != NULL) {
        paths_set_local(member->paths, &daemon->wire->local.paths);
    }
}


static void
wire_settled(void *arg)
{
    wire_t *wire = arg;

    if (wire_read_local(wire)) {
        log_info("this machine's addresses changed");
        uplink_nudge(wire->daemon->uplink);
    }

    wire_sync(wire->daemon);
}


static void
wire_monitor_event(void *arg, uint32_t events)
{
    bool changed = false;
    struct error error;
    wire_t *wire = arg;

    (void) events;

    if (monitor_read(wire->monitor, &changed, &error) != 0) {
        log_error("address changes are not noticed any more: %s", error.text);
        loop_fd_remove(wire->daemon->loop, &wire->monitor_io);
        return;
    }

    if (changed) {
        loop_timer_set(wire->daemon->loop, &wire->settle, WIRE_SETTLE_MS);
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
    struct error error;
    wire_t *wire = calloc(1, sizeof(*wire));

    if (wire == NULL) {
        err_set(err, "no_memory", "out of memory");
        return NULL;
    }

    wire->daemon = daemon;
    wire->soon.fn = wire_soon;
    wire->soon.arg = wire;
    wire->settle.fn = wire_settled;
    wire->settle.arg = wire;

    if (wire_open_backend(daemon, err) == -1) {
        free(wire);
        return NULL;
    }

    wire->monitor = monitor_open(&error);
    if (wire->monitor == NULL) {
        daemon_error(err, "no_monitor", &error);
        backend_close(daemon->backend);
        free(wire);
        return NULL;
    }

    wire->monitor_io.fd = monitor_fd(wire->monitor);
    wire->monitor_io.fn = wire_monitor_event;
    wire->monitor_io.arg = wire;

    if (loop_fd_add(daemon->loop, &wire->monitor_io, EPOLLIN) == -1) {
        err_errno(err, "no_monitor", "cannot watch address changes");
        wire_destroy(wire);
        return NULL;
    }

    (void) wire_read_local(wire);
    return wire;
}


void
wire_destroy(wire_t *wire)
{
    loop_timer_cancel(&wire->soon);
    loop_timer_cancel(&wire->settle);
    loop_fd_remove(wire->daemon->loop, &wire->monitor_io);
    monitor_close(wire->monitor);
    backend_close(wire->daemon->backend);
    free(wire);
}


static json_t *
wire_peer(const member_t *member, const struct netmap_peer *peer,
          const struct actual_peer *wg)
{
    char key[KEY_BASE64_SIZE], ip[ADDRESS_TEXT] = "", ip6[ADDRESS_TEXT] = "";
    char endpoint[ADDRESS_TEXT] = "";
    const char *online;
    int self = strcmp(peer->id, member->peer_id) == 0;

    key_to_base64(&peer->public_key, key);
    address_format(&peer->ip_address, ip);

    if (peer->ip6_address.family != ADDRESS_NONE) {
        address_format(&peer->ip6_address, ip6);
    }

    if (wg != NULL && wg->endpoint.address.family != ADDRESS_NONE) {
        endpoint_format(&wg->endpoint, endpoint);
    }

    online = json_string_value(json_object_get(member->online, peer->id));

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s?, s:s, s:s, s:s?, s:I, s:I, s:I, s:b}",
        "peer_id", peer->id, "device_id", peer->device_id, "name", peer->name,
        "username", peer->username, "ip_address", ip, "ip6_address",
        ip6[0] != '\0' ? ip6 : NULL, "public_key", key, "status",
        online != NULL ? online : "unknown", "endpoint",
        endpoint[0] != '\0' ? endpoint : NULL, "handshake",
        (json_int_t) (wg != NULL ? wg->handshake_s : 0), "rx_bytes",
        (json_int_t) (wg != NULL ? wg->rx_bytes : 0), "tx_bytes",
        (json_int_t) (wg != NULL ? wg->tx_bytes : 0), "self", self);
}


json_t *
wire_peers(daemon_t *daemon, member_t *member, err_t *err)
{
    const struct actual_interface *interface;
    json_t *list;
    size_t i;
    struct actual *actual = NULL;
    struct error error;
    const struct netmap *map = member->map;

    if (backend_observe(daemon->backend, &actual, &error) != 0) {
        daemon_error(err, "interface", &error);
        return NULL;
    }

    interface = actual_find(actual, member->id);
    list = json_array();

    for (i = 0; map != NULL && i < map->peer_count; i++) {
        json_array_append_new(
            list,
            wire_peer(member, &map->peers[i],
                      interface != NULL
                          ? actual_peer(interface, &map->peers[i].public_key)
                          : NULL));
    }

    actual_destroy(actual);
    return list;
}
