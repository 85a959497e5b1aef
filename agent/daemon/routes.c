/* Subnets behind peers, as this device uses them, and its record of that. */

#include "daemon/routes.h"

#include "base/log.h"
#include "daemon/probe.h"
#include "daemon/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often counters are looked at: under traffic, and while nothing is sent.
 * That is of what this host knows; it sends nothing. */
#define ROUTES_BUSY_MS 2000
#define ROUTES_IDLE_MS 10000

/* What routes_alive() needs. */
struct routes_view {
    const member_t *member;
    const struct actual_interface *interface;
};


struct member_routes *
routes_of(member_t *member)
{
    if (member->routes == NULL) {
        member->routes = calloc(1, sizeof(*member->routes));
    }

    return member->routes;
}


static bool
routes_alive(void *arg, const struct netmap_peer *peer, uint32_t *rtt_us)
{
    const struct routes_view *view = arg;
    const struct actual_peer *wg = NULL;

    if (view->interface != NULL) {
        wg = actual_peer(view->interface, &peer->public_key);
    }

    *rtt_us = probe_rtt_us(view->member, peer->id);

    return strcmp(probe_state(view->member, peer, wg), "down") != 0;
}


/* The caller frees around->networks. -1: memory is out. */
static int
routes_around(const member_t *member, const struct actual_interface *interface,
              struct routes_view *view, struct routes_around *around)
{
    const struct local_addresses *local = &member->daemon->wire->local;
    const member_t *other;
    struct routes_network *networks;

    networks = calloc(member->daemon->member_count + 1, sizeof(*networks));

    if (networks == NULL) {
        return -1;
    }

    view->member = member;
    view->interface = interface;
    memset(around, 0, sizeof(*around));
    around->peer_id = member->peer_id;
    around->local = local->addresses;
    around->local_count = local->count;
    around->networks = networks;
    around->interface = interface;
    around->ipv6 = local->ipv6 && member->ip6_address.family != ADDRESS_NONE;
    around->now_ms = (uint64_t) loop_now();
    around->alive = routes_alive;
    around->arg = view;

    for (other = member->daemon->members; other != NULL; other = other->next) {
        if (other != member && wire_wanted(other) && other->map != NULL) {
            networks[around->network_count].name = other->name;
            networks[around->network_count].cidr = other->map->cidr;
            networks[around->network_count++].cidr6 = other->map->cidr6;
        }
    }

    return 0;
}


/* What is new about a subnet is said once. */
static void
routes_say(const member_t *member, const struct routes_subnet *was,
           size_t was_count)
{
    char text[ADDRESS_TEXT];
    const struct netmap_peer *peer;
    const struct routes_subnet *old, *now;
    size_t i, k;

    for (i = 0; i < member->routes->routes.count; i++) {
        now = &member->routes->routes.subnets[i];

        for (k = 0, old = NULL; k < was_count; k++) {
            if (prefix_compare(&was[k].prefix, &now->prefix) == 0) {
                old = &was[k];
            }
        }

        if (now->problem[0] != '\0' &&
            (old == NULL || strcmp(old->problem, now->problem) != 0)) {
            log_warn("not used: %s", now->problem);
        }

        peer = netmap_find(member->map, now->choice.peer_id);

        if (now->used && peer != NULL &&
            (old == NULL || !old->used ||
             strcmp(old->choice.peer_id, peer->id) != 0)) {
            log_info("network %s: %s goes by %s", member->name,
                     prefix_format(&now->prefix, text), peer->name);
        }
    }
}


int
routes_wish(member_t *member, const struct actual_interface *interface,
            struct desired *desired)
{
    int rc;
    size_t count;
    struct routes *routes;
    struct routes_around around;
    struct routes_subnet *was;
    struct routes_view view;

    if (member->routes == NULL) {
        return 0;
    }

    routes = &member->routes->routes;

    if (!routes->all && routes->accepted_count == 0) {
        routes_clear(routes);
        return 0;
    }

    count = routes->count;
    was = calloc(count + 1, sizeof(*was));

    if (was == NULL || routes_around(member, interface, &view, &around) == -1) {
        free(was);
        return -1;
    }

    if (count > 0) {
        memcpy(was, routes->subnets, count * sizeof(*was));
    }

    rc = routes_desire(routes, member->map, &around, desired);

    if (rc == 0) {
        routes_say(member, was, count);
    }

    free(was);
    free((struct routes_network *) around.networks);
    return rc;
}


int
routes_in_use(member_t *member, const struct prefix *prefix)
{
    return member->routes != NULL &&
           routes_foreign(&member->routes->routes, prefix,
                          (uint64_t) loop_now());
}


void
routes_room(member_t *member)
{
    if (member->routes != NULL) {
        routes_forget_foreign(&member->routes->routes);
    }
}


static void
routes_ask(void *arg, const char *peer_id)
{
    member_t *member = arg;

    if (strcmp(peer_id, member->peer_id) != 0) {
        probe_want(member, peer_id);
    }
}


void
routes_learn(member_t *member, const struct actual_interface *interface)
{
    struct member_routes *routes = member->routes;

    if (routes == NULL || routes->routes.count == 0 || member->map == NULL) {
        return;
    }

    routes->busy = routes_look(&routes->routes, member->map,
                               member->live ? interface : NULL, time(NULL),
                               (uint64_t) loop_now(), routes_ask, member);
}


uint64_t
routes_deadline(const daemon_t *daemon)
{
    const member_t *member;
    const struct routes *routes;
    size_t i;
    uint64_t wait = UINT64_MAX;

    for (member = daemon->members; member != NULL; member = member->next) {
        if (member->routes == NULL || !member->live) {
            continue;
        }

        routes = &member->routes->routes;

        for (i = 0; i < routes->count; i++) {
            if (!routes->subnets[i].used || routes->subnets[i].offers < 2) {
                continue;
            }

            if (member->routes->busy) {
                wait = ROUTES_BUSY_MS;

            } else if (wait > ROUTES_IDLE_MS) {
                wait = ROUTES_IDLE_MS;
            }
        }
    }

    return wait != UINT64_MAX ? (uint64_t) loop_now() + wait : wait;
}


/*
 * Who carries a subnet and is gone, as the server says, may still have a
 * session with us: it is asked, so that the next one can take over.
 */
void
routes_peer_status(member_t *member)
{
    const char *status;
    size_t i;
    struct routes *routes;

    if (member->routes == NULL || member->routes->routes.count == 0) {
        return;
    }

    routes = &member->routes->routes;

    for (i = 0; i < routes->count; i++) {
        status = json_string_value(
            json_object_get(member->online, routes->subnets[i].choice.peer_id));

        if (routes->subnets[i].offers > 1 && status != NULL &&
            strcmp(status, "offline") == 0) {
            probe_want(member, routes->subnets[i].choice.peer_id);
            member->routes->busy = 1;
        }
    }

    wire_sync(member->daemon);
}


int
routes_overlaps(member_t *member, const struct prefix *prefix, char *text,
                size_t size)
{
    int rc;
    struct routes_around around;
    struct routes_view view;

    if (member->map == NULL ||
        routes_around(member, NULL, &view, &around) == -1) {
        return 0;
    }

    rc = routes_conflict(member->map, &around, prefix, text, size);
    free((struct routes_network *) around.networks);
    return rc;
}


static json_t *
routes_list(const struct prefix *prefixes, size_t count)
{
    char text[ADDRESS_TEXT];
    json_t *list = json_array();
    size_t i;

    for (i = 0; i < count; i++) {
        json_array_append_new(list,
                              json_string(prefix_format(&prefixes[i], text)));
    }

    return list;
}


int
routes_to_json(const member_t *member, json_t *document)
{
    const struct member_routes *routes = member->routes;
    json_t *kept;

    if (routes == NULL) {
        return 0;
    }

    kept = json_pack(
        "{s:s, s:b, s:o, s:o, s:o}", "exit", routes->exit, "all",
        routes->routes.all, "accepted",
        routes_list(routes->routes.accepted, routes->routes.accepted_count),
        "refused",
        routes_list(routes->routes.refused, routes->routes.refused_count),
        "plain", routes_list(routes->plain, routes->plain_count));

    return kept != NULL ? json_object_set_new(document, "routes", kept) : -1;
}


static void
routes_read(const json_t *list, struct prefix *prefixes, size_t *count,
            size_t max)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (*count < max && json_is_string(item) &&
            prefix_parse(json_string_value(item), &prefixes[*count])) {
            (*count)++;
        }
    }
}


int
routes_from_json(member_t *member, const json_t *document)
{
    const json_t *kept = json_object_get(document, "routes");
    struct member_routes *routes;

    if (!json_is_object(kept)) {
        return 0;
    }

    routes = routes_of(member);

    if (routes == NULL) {
        return -1;
    }

    snprintf(routes->exit, sizeof(routes->exit), "%s",
             daemon_text(kept, "exit"));
    routes->routes.all = json_is_true(json_object_get(kept, "all"));
    routes_read(json_object_get(kept, "accepted"), routes->routes.accepted,
                &routes->routes.accepted_count, ROUTES_MAX);
    routes_read(json_object_get(kept, "refused"), routes->routes.refused,
                &routes->routes.refused_count, ROUTES_MAX);
    routes_read(json_object_get(kept, "plain"), routes->plain,
                &routes->plain_count, ROUTES_PLAIN_MAX);
    return 0;
}


void
routes_stop(member_t *member)
{
    err_t err;

    if (member->routes == NULL) {
        return;
    }

    err_set(&err, "cancelled", "goconnectd ends");
    routes_fail(member, &err);
    routes_clear(&member->routes->routes);
    free(member->routes);
    member->routes = NULL;
}
