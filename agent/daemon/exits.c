#include "daemon/exits.h"

#include "base/log.h"
#include "daemon/member.h"
#include "daemon/probe.h"
#include "daemon/routes.h"
#include "daemon/wire.h"
#include "os/exit.h"
#include "os/route_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXITS_RETRY_MS 5000

struct exits {
    struct exit_os *os;
    char problem[256]; /* of the last try to lay it */
};


int
exits_open(wire_t *wire, err_t *err)
{
    struct error error;

    wire->exits = calloc(1, sizeof(*wire->exits));

    if (wire->exits == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    wire->exits->os = exit_os_open(&error);

    if (wire->exits->os == NULL) {
        free(wire->exits);
        wire->exits = NULL;
        return daemon_error(err, "failed", &error);
    }

    return 0;
}


void
exits_close(wire_t *wire)
{
    exit_os_close(wire->exits->os);
    free(wire->exits);
}


/* The network whose exit is used; NULL: none is. */
static member_t *
exits_member(const daemon_t *daemon)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->routes != NULL && member->routes->exit[0] != '\0' &&
            wire_wanted(member)) {
            return member;
        }
    }

    return NULL;
}


/* The families that a peer may be the exit for. */
static void
exits_families(const struct netmap_peer *peer, bool *ipv4, bool *ipv6)
{
    const struct prefix *list;
    size_t i, count;

    *ipv4 = *ipv6 = false;
    list = netmap_routes(peer, &count);

    for (i = 0; i < count; i++) {
        if (list[i].length == 0) {
            *ipv4 |= list[i].address.family == ADDRESS_IPV4;
            *ipv6 |= list[i].address.family == ADDRESS_IPV6;
        }
    }
}


/* Whether the peer may be an exit for us. */
static int
exits_usable(const member_t *member, const struct netmap_peer *peer)
{
    bool ipv4, ipv6;

    if (peer == NULL || peer->agentless || member->map->lan ||
        strcmp(peer->id, member->peer_id) == 0) {
        return 0;
    }

    exits_families(peer, &ipv4, &ipv6);
    return ipv4 || ipv6;
}


static const struct netmap_peer *
exits_peer(const member_t *member)
{
    const struct netmap_peer *peer = NULL;

    if (member->map != NULL) {
        peer = netmap_find(member->map, member->routes->exit);
    }

    return exits_usable(member, peer) ? peer : NULL;
}


int
exits_wish(member_t *member, struct desired *desired)
{
    bool ipv4, ipv6;
    const member_t *used = exits_member(member->daemon);
    const struct netmap_peer *peer;

    if (used == NULL) {
        return 0;
    }

    /* also of the other networks: their tunnels go beside the exit */
    desired->mark = EXIT_MARK;
    peer = used == member ? exits_peer(member) : NULL;

    if (peer == NULL) {
        return 0;
    }

    exits_families(peer, &ipv4, &ipv6);
    ipv6 = ipv6 && member->daemon->wire->local.ipv6;

    return desired_allow_all(desired, &peer->public_key, ipv4, ipv6);
}


static void
exits_servers(const daemon_t *daemon, struct exit_wish *wish)
{
    const char *texts[] = {daemon->device.server.good,
                           daemon->device.server.url.host};
    struct address address;
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (address_parse(texts[i], &address) &&
            (wish->server_count == 0 ||
             address_compare(&wish->servers[0], &address) != 0)) {
            wish->servers[wish->server_count++] = address;
        }
    }
}


static void
exits_apply(daemon_t *daemon, const struct exit_wish *wish)
{
    char(*names)[ACTUAL_NAME_SIZE];
    member_t *member;
    size_t count = 0;
    struct error error;
    struct exits *exits = daemon->wire->exits;

    names = calloc(daemon->member_count + 1, sizeof(*names));

    if (names == NULL) {
        log_error("out of memory");
        return;
    }

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->interface[0] != '\0') {
            memcpy(names[count++], member->interface, sizeof(*names));
        }
    }

    if (exit_os_apply(exits->os, wish, (const char(*)[ACTUAL_NAME_SIZE]) names,
                      count, &error) == 0) {
        exits->problem[0] = '\0';

    } else if (strcmp(exits->problem, error.text) != 0) {
        log_error("exit: %s", error.text);
        snprintf(exits->problem, sizeof(exits->problem), "%s", error.text);
    }

    free(names);
}


void
exits_before(daemon_t *daemon)
{
    static const struct exit_wish nothing;

    if (exits_member(daemon) == NULL) {
        exits_apply(daemon, &nothing);
    }
}


void
exits_sync(daemon_t *daemon)
{
    const member_t *member = exits_member(daemon);
    const struct netmap_peer *peer;
    struct exit_wish wish = {.on = true};

    if (member == NULL) {
        return;
    }

    exits_servers(daemon, &wish);
    peer = exits_peer(member);

    /* else the table leads nowhere */
    if (peer != NULL && member->live) {
        memcpy(wish.name, member->interface, sizeof(wish.name));
        exits_families(peer, &wish.ipv4, &wish.ipv6);
        wish.ipv6 = wish.ipv6 && daemon->wire->local.ipv6 &&
                    member->ip6_address.family != ADDRESS_NONE;
    }

    exits_apply(daemon, &wish);
}


void
exits_connected(daemon_t *daemon)
{
    if (exits_member(daemon) != NULL) {
        wire_sync(daemon);
    }
}


void
exits_again(daemon_t *daemon)
{
    exit_os_again(daemon->wire->exits->os);
}


uint64_t
exits_deadline(const daemon_t *daemon)
{
    return daemon->wire->exits->problem[0] != '\0'
               ? (uint64_t) loop_now() + EXITS_RETRY_MS
               : UINT64_MAX;
}


const char *
exits_problem(daemon_t *daemon, char *text, size_t size)
{
    const char *why;
    const member_t *member = exits_member(daemon);
    const struct netmap_peer *peer;

    if (member == NULL) {
        return NULL;
    }

    peer = exits_peer(member);
    text[0] = '\0';

    if (daemon->wire->exits->problem[0] != '\0') {
        snprintf(text, size, "the exit cannot be set up: %s",
                 daemon->wire->exits->problem);
        return text;
    }

    if (peer == NULL) {
        why = "does not offer itself any more, or is not approved";

    } else if (!member->live) {
        why = "waits for its network";

    } else if (strcmp(probe_state(member, peer, NULL), "down") == 0) {
        why = "does not answer";

    } else {
        return text;
    }

    snprintf(text, size,
             "the exit %.64s of %.64s %s: nothing leaves for the internet "
             "until it is back, or goconnect exit off",
             peer != NULL ? peer->name : member->routes->exit, member->name,
             why);
    return text;
}


json_t *
exits_status(daemon_t *daemon)
{
    char text[400];
    const char *problem = exits_problem(daemon, text, sizeof(text));
    const member_t *member = exits_member(daemon);
    const struct netmap_peer *peer;

    if (problem == NULL) {
        return json_null();
    }

    peer = exits_peer(member);

    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s?}", "network_id",
                     member->id, "network", member->name, "peer_id",
                     member->routes->exit, "peer",
                     peer != NULL ? peer->name : NULL, "state",
                     *problem != '\0' ? "blocked" : "on", "error",
                     *problem != '\0' ? problem : NULL);
}


/* ------------------------------------------------------------- the command */


static json_t *
exits_describe(daemon_t *daemon)
{
    bool ipv4, ipv6;
    const member_t *member, *used = exits_member(daemon);
    const struct netmap_peer *peer;
    json_t *list = json_array();
    size_t i;

    for (member = daemon->members; member != NULL; member = member->next) {
        for (i = 0; member->map != NULL && i < member->map->peer_count; i++) {
            peer = &member->map->peers[i];
            exits_families(peer, &ipv4, &ipv6);

            if (ipv4 || ipv6) {
                json_array_append_new(
                    list,
                    json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b}",
                              "network_id", member->id, "network", member->name,
                              "peer_id", peer->id, "peer", peer->name, "self",
                              strcmp(peer->id, member->peer_id) == 0, "ipv4",
                              ipv4, "ipv6", ipv6, "in_use",
                              used == member &&
                                  strcmp(member->routes->exit, peer->id) == 0));
            }
        }
    }

    return json_pack("{s:o, s:o}", "exit", exits_status(daemon), "exits", list);
}


/* One at a time: the others' records are changed first. */
static int
exits_set(daemon_t *daemon, member_t *wanted, const char *peer_id, err_t *err)
{
    member_t *member;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member != wanted && member->routes != NULL &&
            member->routes->exit[0] != '\0') {
            member->routes->exit[0] = '\0';

            if (member_write(member, err) == -1) {
                return -1;
            }
        }
    }

    if (wanted == NULL) {
        return 0;
    }

    if (routes_of(wanted) == NULL) {
        return err_set(err, "no_memory", "out of memory");
    }

    snprintf(wanted->routes->exit, sizeof(wanted->routes->exit), "%s", peer_id);
    return member_write(wanted, err);
}


static int
exits_use(daemon_t *daemon, member_t *member, const char *peer_id, err_t *err)
{
    const struct netmap_peer *peer = NULL;

    if (!wire_buildable(member)) {
        return err_set(err, "interface", "the network is not up: goconnect up");
    }

    peer = netmap_find(member->map, peer_id);

    if (!exits_usable(member, peer)) {
        return err_set(err, "usage",
                       "%.64s is no exit that an admin of %.64s has approved: "
                       "goconnect exit",
                       peer != NULL ? peer->name : "that", member->name);
    }

    return exits_set(daemon, member, peer_id, err);
}


/* Both families where this device has a way out for them. */
static void
exits_offer(member_t *member, control_call_t *call, int withdraw)
{
    char name[ACTUAL_NAME_SIZE];
    err_t err;
    size_t i, count = 0;
    struct prefix all[2];
    struct error error;

    memset(all, 0, sizeof(all));

    for (i = 0; i < 2; i++) {
        all[count].address.family = i == 0 ? ADDRESS_IPV4 : ADDRESS_IPV6;
        count += withdraw || route_out(&all[count], name, &error) == 0;
    }

    if (count == 0) {
        err_set(&err, "usage", "this device has no way to the internet itself");

    } else if (routes_of(member) == NULL) {
        err_set(&err, "no_memory", "out of memory");

    } else {
        routes_offer(member, call, all, count, withdraw, 0);
        return;
    }

    control_fail(call, &err);
}


void
exits_run(daemon_t *daemon, control_call_t *call, json_t *request)
{
    const char *action = daemon_text(request, "action");
    err_t err;
    int rc;
    member_t *member = member_find(daemon, daemon_text(request, "network_id"));

    if (strcmp(action, "show") == 0) {
        wire_look(daemon);
        control_reply(call, exits_describe(daemon));
        return;
    }

    if (strcmp(action, "off") == 0) {
        rc = exits_set(daemon, NULL, NULL, &err);

    } else if (member == NULL) {
        rc = err_set(&err, "unknown_network",
                     "this device is not in that network");

    } else if (strcmp(action, "offer") == 0 ||
               strcmp(action, "withdraw") == 0) {
        exits_offer(member, call, action[0] == 'w');
        return;

    } else if (strcmp(action, "use") == 0) {
        rc = exits_use(daemon, member, daemon_text(request, "peer_id"), &err);

    } else {
        rc = err_set(&err, "bad_request",
                     "action is show, use, off, offer or withdraw");
    }

    if (rc == -1 || wire_sync_now(daemon, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    control_reply(call, exits_describe(daemon));
}
