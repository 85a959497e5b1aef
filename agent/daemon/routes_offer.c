/* Subnets behind this device, and what the commands say of all of them. */

#include "daemon/routes.h"

#include "base/log.h"
#include "daemon/device.h"
#include "daemon/firewall.h"
#include "daemon/member.h"
#include "daemon/probe.h"
#include "daemon/wire.h"
#include "os/forward.h"
#include "os/route_out.h"

#include <stdio.h>
#include <string.h>


static int
routes_is_plain(const member_t *member, const struct prefix *prefix)
{
    size_t i;

    for (i = 0; member->routes != NULL && i < member->routes->plain_count;
         i++) {
        if (prefix_compare(&member->routes->plain[i], prefix) == 0) {
            return 1;
        }
    }

    return 0;
}


/* The way to what we offer. -1: there is none, or it is one of ours. */
static int
routes_way(const member_t *member, const struct prefix *prefix,
           char name[ACTUAL_NAME_SIZE], struct error *error)
{
    char text[ADDRESS_TEXT];
    const member_t *other;

    if (route_out(prefix, name, error) != 0) {
        return -1;
    }

    for (other = member->daemon->members; other != NULL; other = other->next) {
        if (strcmp(other->interface, name) == 0) {
            return error_set(error, ERROR_INVALID,
                             "%s leads into network %s here",
                             prefix_format(prefix, text), other->name);
        }
    }

    return 0;
}


static void
routes_problem(member_t *member, const char *text)
{
    struct member_routes *routes = routes_of(member);

    if (routes == NULL || strcmp(routes->problem, text) == 0) {
        return;
    }

    if (text[0] != '\0') {
        log_warn("network %s: not forwarded: %s", member->name, text);
    }

    snprintf(routes->problem, sizeof(routes->problem), "%s", text);
}


void
routes_forward(member_t *member)
{
    const struct netmap_peer *self = NULL;
    const struct prefix *prefixes = NULL;
    size_t i, count = 0, found = 0;
    struct error error;
    struct firewall_route list[NETMAP_ROUTES_MAX];

    error.text[0] = '\0';

    if (wire_buildable(member) && !member->map->lan) {
        self = netmap_find(member->map, member->peer_id);
    }

    if (self != NULL) {
        prefixes = netmap_routes(self, &count);
    }

    for (i = 0; i < count && found < NETMAP_ROUTES_MAX; i++) {
        if (routes_way(member, &prefixes[i], list[found].name, &error) == 0) {
            list[found].prefix = prefixes[i];
            list[found++].masquerade = !routes_is_plain(member, &prefixes[i]);
        }
    }

    if (count > 0 || member->routes != NULL) {
        routes_problem(member, error.text);
    }

    if ((found > 0 || member->firewall.route_count > 0) &&
        firewall_set_routes(member, list, found) == -1) {
        log_error("network %s: out of memory", member->name);
    }
}


static json_t *
routes_row(member_t *member, const struct netmap_peer *peer,
           const struct prefix *prefix)
{
    char text[ADDRESS_TEXT], name[ACTUAL_NAME_SIZE];
    const char *problem = NULL;
    const struct routes_subnet *subnet = NULL;
    int accepted = 0, used, self = strcmp(peer->id, member->peer_id) == 0;
    struct error error;
    uint32_t rtt = probe_rtt_us(member, peer->id);

    if (member->routes != NULL) {
        accepted = !self && routes_accepted(&member->routes->routes, prefix);
        subnet = self ? NULL : routes_find(&member->routes->routes, prefix);
    }

    used = subnet != NULL && subnet->used &&
           strcmp(subnet->choice.peer_id, peer->id) == 0;

    if (subnet != NULL && subnet->problem[0] != '\0') {
        problem = subnet->problem;
    }

    if (self) {
        used = routes_way(member, prefix, name, &error) == 0 &&
               member->firewall.on;
        problem = used || member->firewall.on ? NULL : "the network is down";
        problem = !used && problem == NULL ? error.text : problem;
    }

    return json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o, s:s?}", "prefix",
        prefix_format(prefix, text), "peer_id", peer->id, "peer", peer->name,
        "self", self, "approved", 1, "accepted", accepted, "in_use", used,
        "rtt", rtt != 0 ? json_integer(rtt) : json_null(), "problem", problem);
}


json_t *
routes_describe(member_t *member)
{
    const struct netmap *map = member->map;
    const struct prefix *prefixes;
    json_t *list = json_array();
    size_t i, k, count;

    for (i = 0; map != NULL && i < map->peer_count; i++) {
        prefixes = netmap_routes(&map->peers[i], &count);

        for (k = 0; k < count; k++) {
            if (prefixes[k].length > 0) {
                json_array_append_new(
                    list, routes_row(member, &map->peers[i], &prefixes[k]));
            }
        }
    }

    return json_pack("{s:s, s:s, s:b, s:o}", "network_id", member->id, "name",
                     member->name, "accept_all",
                     member->routes != NULL && member->routes->routes.all,
                     "routes", list);
}


/* ---------------------------------------------------------------- offering */


static void
routes_end(member_t *member)
{
    struct member_routes *routes = member->routes;

    routes->call = NULL;

    if (routes->asking != NULL) {
        device_call_cancel(routes->asking);
        routes->asking = NULL;
    }
}


void
routes_fail(member_t *member, const err_t *err)
{
    control_call_t *call = member->routes != NULL ? member->routes->call : NULL;

    if (member->routes != NULL) {
        routes_end(member);
    }

    if (call != NULL) {
        control_fail(call, err);
    }
}


static int
routes_listed(const json_t *list, const char *text)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (json_is_string(item) &&
            strcmp(json_string_value(item), text) == 0) {
            return 1;
        }
    }

    return 0;
}


/* Of the server's list, how many are those of the offer. */
static size_t
routes_count(const struct member_routes *routes, const json_t *list)
{
    char text[ADDRESS_TEXT];
    size_t i, n;

    for (i = 0, n = 0; i < routes->offer_count; i++) {
        n += (size_t) routes_listed(list,
                                    prefix_format(&routes->offer[i], text));
    }

    return n;
}


/* Whether packets for it can pass: IPv6 has one switch for the machine. */
static int
routes_forwarded(const member_t *member, const struct prefix *prefix)
{
    char name[ACTUAL_NAME_SIZE];
    struct error error;

    return prefix->address.family == ADDRESS_IPV4 ||
           (forward_has_ipv6(member->interface) &&
            routes_way(member, prefix, name, &error) == 0 &&
            forward_has_ipv6(name));
}


static void
routes_offered(void *arg, const http_answer_t *answer)
{
    char text[ADDRESS_TEXT];
    control_call_t *call;
    member_t *member = arg;
    size_t offered, approved;
    struct member_routes *routes = member->routes;

    routes->asking = NULL;

    if (answer->status != 200) {
        routes_fail(member, &answer->err);
        return;
    }

    offered =
        routes_count(routes, json_object_get(answer->json, "offered_routes"));
    approved = routes_count(routes, json_object_get(answer->json, "routes"));
    call = routes->call;
    routes->call = NULL;
    control_reply(
        call,
        json_pack(
            "{s:s, s:s, s:s, s:b, s:b, s:b, s:b}", "network_id", member->id,
            "name", member->name, "prefix",
            prefix_format(&routes->offer[0], text), "offered", offered > 0,
            "approved", offered > 0 && approved == offered, "masquerade",
            !routes_is_plain(member, &routes->offer[0]), "forwarded",
            routes_forwarded(member, &routes->offer[routes->offer_count - 1])));
}


/* What is offered now came: with the one more, or without it, it goes back. */
static void
routes_known(void *arg, const http_answer_t *answer)
{
    char path[80], text[ADDRESS_TEXT];
    json_t *list, *item;
    member_t *member = arg;
    size_t i;
    struct member_routes *routes = member->routes;

    routes->asking = NULL;

    if (answer->status != 200) {
        routes_fail(member, &answer->err);
        return;
    }

    list = json_deep_copy(json_object_get(answer->json, "offered_routes"));

    for (i = json_array_size(list); i > 0; i--) {
        item = json_pack("[O]", json_array_get(list, i - 1));

        if (routes_count(routes, item) > 0) {
            json_array_remove(list, i - 1);
        }

        json_decref(item);
    }

    for (i = 0; !routes->withdraw && i < routes->offer_count; i++) {
        json_array_append_new(
            list, json_string(prefix_format(&routes->offer[i], text)));
    }

    snprintf(path, sizeof(path), "/v1/peers/%s", member->peer_id);
    routes->asking =
        device_call(member->daemon, "PATCH", path,
                    json_pack("{s:o}", "routes", list), routes_offered, member);
}


/* How it is masqueraded is on disk before it is offered. */
static int
routes_keep_plain(member_t *member, const struct prefix *prefix, int plain,
                  err_t *err)
{
    size_t i;
    struct member_routes *routes = member->routes;

    if (routes_is_plain(member, prefix) == plain) {
        return 0;
    }

    if (!plain) {
        for (i = 0; prefix_compare(&routes->plain[i], prefix) != 0; i++) {
        }

        routes->plain[i] = routes->plain[--routes->plain_count];

    } else if (routes->plain_count < ROUTES_PLAIN_MAX) {
        routes->plain[routes->plain_count++] = *prefix;

    } else {
        return err_set(err, "too_large", "more than %d subnets",
                       ROUTES_PLAIN_MAX);
    }

    return member_write(member, err);
}


void
routes_offer(member_t *member, control_call_t *call,
             const struct prefix *prefixes, size_t count, int withdraw,
             int plain)
{
    char name[ACTUAL_NAME_SIZE], path[80];
    err_t err;
    struct error error;
    struct member_routes *routes = member->routes;

    if (routes->call != NULL) {
        err_set(&err, "busy", "this is being asked for already");

    } else if (member->state != MEMBER_JOINED || member->peer_id[0] == '\0' ||
               (!withdraw && !member->live)) {
        err_set(&err, "interface", "the network is not up: goconnect up");

    } else if (!withdraw && member->map != NULL && member->map->lan) {
        err_set(&err, "usage", "a network of mode l2 carries no subnets");

    } else if (!withdraw && routes_way(member, prefixes, name, &error) != 0) {
        err_set(&err, "usage", "%s", error.text);

    } else if (routes_keep_plain(member, prefixes, !withdraw && plain, &err) ==
               0) {
        routes->call = call;
        memcpy(routes->offer, prefixes, count * sizeof(*prefixes));
        routes->offer_count = count;
        routes->withdraw = withdraw;
        snprintf(path, sizeof(path), "/v1/peers/%s", member->peer_id);
        /* a change of nothing is answered with what there is */
        routes->asking = device_call(member->daemon, "PATCH", path,
                                     json_object(), routes_known, member);
        return;
    }

    control_fail(call, &err);
}


/* --------------------------------------------------------------- accepting */


static void
routes_answer(member_t *member, control_call_t *call)
{
    err_t err;

    /* another route may be gone: all is tried anew */
    routes_clear(&member->routes->routes);

    if (member_write(member, &err) == -1 ||
        wire_sync_now(member->daemon, &err) == -1) {
        control_fail(call, &err);
        return;
    }

    control_reply(call, routes_describe(member));
}


static void
routes_take(member_t *member, control_call_t *call, const char *text, int on)
{
    char problem[ROUTES_PROBLEM];
    err_t err;
    struct prefix prefix, masked;
    struct routes *routes = &member->routes->routes;

    if (strcmp(text, "all") == 0) {
        routes_accept_all(routes, on);
        routes_answer(member, call);
        return;
    }

    if (strchr(text, '/') == NULL || !prefix_parse(text, &prefix) ||
        (masked = prefix_masked(&prefix),
         prefix_compare(&masked, &prefix) != 0) ||
        prefix.length == 0) {
        err_set(&err, "usage",
                "\"%.64s\" is no subnet such as 192.168.5.0/24%s", text,
                strstr(text, "/0") != NULL
                    ? " (the whole internet: goconnect exit use)"
                    : "");

    } else if (on && member->map != NULL && member->map->lan) {
        err_set(&err, "usage", "a network of mode l2 carries no subnets");

    } else if (on &&
               routes_overlaps(member, &prefix, problem, sizeof(problem))) {
        err_set(&err, "overlap", "%s", problem);

    } else if (!routes_accept(routes, &prefix, on)) {
        err_set(&err, "too_large", "more than %d subnets", ROUTES_MAX);

    } else {
        routes_answer(member, call);
        return;
    }

    control_fail(call, &err);
}


void
routes_run(member_t *member, control_call_t *call, const json_t *request)
{
    const char *action = daemon_text(request, "action");
    const char *text = daemon_text(request, "prefix");
    err_t err;
    int withdraw = strcmp(action, "withdraw") == 0;
    struct prefix prefix, masked;

    if (routes_of(member) == NULL) {
        err_set(&err, "no_memory", "out of memory");

    } else if (strcmp(action, "accept") == 0 || strcmp(action, "refuse") == 0) {
        routes_take(member, call, text, action[0] == 'a');
        return;

    } else if (strcmp(action, "offer") != 0 && !withdraw) {
        err_set(&err, "bad_request",
                "action is offer, withdraw, accept or refuse");

    } else if (strchr(text, '/') == NULL || !prefix_parse(text, &prefix) ||
               (masked = prefix_masked(&prefix),
                prefix_compare(&masked, &prefix) != 0)) {
        err_set(&err, "usage",
                "\"%.64s\" is no subnet such as 192.168.5.0/24, without host "
                "bits",
                text);

    } else {
        routes_offer(member, call, &prefix, 1, withdraw,
                     json_is_false(json_object_get(request, "masquerade")));
        return;
    }

    control_fail(call, &err);
}
