#include "plan/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_LIVE_S 180 /* Reject-After-Time of the WireGuard paper, 6.1 */
#define ROUTES_OFFERS_MAX 64


static bool
routes_has(const struct prefix *list, size_t count, const struct prefix *prefix)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (prefix_compare(&list[i], prefix) == 0) {
            return true;
        }
    }

    return false;
}


static bool
routes_add(struct prefix *list, size_t *count, const struct prefix *prefix)
{
    if (routes_has(list, *count, prefix)) {
        return true;
    }

    if (*count == ROUTES_MAX) {
        return false;
    }

    list[(*count)++] = *prefix;

    return true;
}


static void
routes_remove(struct prefix *list, size_t *count, const struct prefix *prefix)
{
    size_t i;

    for (i = 0; i < *count; i++) {
        if (prefix_compare(&list[i], prefix) == 0) {
            list[i] = list[--*count];
            return;
        }
    }
}


bool
routes_accepted(const struct routes *routes, const struct prefix *prefix)
{
    if (prefix->length == 0) {
        return false;
    }

    return routes->all
               ? !routes_has(routes->refused, routes->refused_count, prefix)
               : routes_has(routes->accepted, routes->accepted_count, prefix);
}


bool
routes_accept(struct routes *routes, const struct prefix *prefix, bool on)
{
    struct prefix *list = routes->all ? routes->refused : routes->accepted;
    size_t *count =
        routes->all ? &routes->refused_count : &routes->accepted_count;

    if (on != routes->all) {
        return routes_add(list, count, prefix);
    }

    routes_remove(list, count, prefix);

    return true;
}


void
routes_accept_all(struct routes *routes, bool on)
{
    routes->all = on;
    routes->accepted_count = 0;
    routes->refused_count = 0;
}


const struct routes_subnet *
routes_find(const struct routes *routes, const struct prefix *prefix)
{
    size_t i;

    for (i = 0; i < routes->count; i++) {
        if (prefix_compare(&routes->subnets[i].prefix, prefix) == 0) {
            return &routes->subnets[i];
        }
    }

    return NULL;
}


bool
routes_foreign(struct routes *routes, const struct prefix *prefix,
               uint64_t now_ms)
{
    struct routes_subnet *subnet;

    subnet = (struct routes_subnet *) routes_find(routes, prefix);

    if (subnet != NULL) {
        subnet->foreign_ms = now_ms + ROUTES_FOREIGN_MS;
    }

    return subnet != NULL;
}


void
routes_forget_foreign(struct routes *routes)
{
    size_t i;

    for (i = 0; i < routes->count; i++) {
        routes->subnets[i].foreign_ms = 0;
    }
}


void
routes_clear(struct routes *routes)
{
    free(routes->subnets);
    routes->subnets = NULL;
    routes->count = 0;
}


static bool
routes_overlap(const struct prefix *a, const struct prefix *b)
{
    return a->address.family == b->address.family &&
           a->address.family != ADDRESS_NONE &&
           (a->length <= b->length ? prefix_contains(a, &b->address)
                                   : prefix_contains(b, &a->address));
}


/*
 * A local subnet that lies inside the prefix stays reachable, as the longer
 * route wins; a prefix that is inside a local subnet, or is it, would take
 * hosts away from it.
 */
bool
routes_conflict(const struct netmap *map, const struct routes_around *around,
                const struct prefix *prefix, char *text, size_t size)
{
    char mine[ADDRESS_TEXT], other[ADDRESS_TEXT];
    const struct prefix *range;
    struct prefix subnet;
    size_t i;

    prefix_format(prefix, mine);

    for (i = 0; i < around->local_count; i++) {
        subnet = prefix_masked(&around->local[i]);

        if (subnet.length <= prefix->length && subnet.length > 0 &&
            routes_overlap(&subnet, prefix)) {
            snprintf(text, size,
                     "%s of network %.64s is inside %s, which this device "
                     "sits in itself",
                     mine, map->name, prefix_format(&subnet, other));
            return true;
        }
    }

    for (i = 0; i < around->network_count; i++) {
        range = prefix->address.family == ADDRESS_IPV4
                    ? &around->networks[i].cidr
                    : &around->networks[i].cidr6;

        if (routes_overlap(range, prefix)) {
            snprintf(text, size,
                     "%s of network %.64s overlaps network %.64s (%s)", mine,
                     map->name, around->networks[i].name,
                     prefix_format(range, other));
            return true;
        }
    }

    return false;
}


static bool
routes_offers(const struct netmap_peer *peer, const struct prefix *prefix)
{
    const struct prefix *list;
    size_t count;

    list = netmap_routes(peer, &count);

    return routes_has(list, count, prefix);
}


/* A peer that may carry what it offers. */
static bool
routes_carrier(const struct netmap_peer *peer, const char *self)
{
    return !peer->agentless && strcmp(peer->id, self) != 0;
}


/* False when memory is out. */
static bool
routes_keep(struct routes *routes, const struct prefix *prefix)
{
    struct routes_subnet *grown, *subnet;

    subnet = (struct routes_subnet *) routes_find(routes, prefix);

    if (subnet == NULL && routes->count < ROUTES_MAX) {
        grown = realloc(routes->subnets, (routes->count + 1) * sizeof(*grown));

        if (grown == NULL) {
            return false;
        }

        routes->subnets = grown;
        subnet = &grown[routes->count++];
        memset(subnet, 0, sizeof(*subnet));
        subnet->prefix = *prefix;
    }

    if (subnet != NULL) {
        subnet->kept = true;
    }

    return true;
}


/* The list of subnets as the netmap and what is accepted have it now. */
static int
routes_collect(struct routes *routes, const struct netmap *map,
               const char *self)
{
    const struct prefix *list;
    size_t i, k, count, kept;

    for (i = 0; i < routes->count; i++) {
        routes->subnets[i].kept = false;
    }

    for (i = 0; i < map->peer_count; i++) {
        list = netmap_routes(&map->peers[i], &count);

        if (!routes_carrier(&map->peers[i], self)) {
            continue;
        }

        for (k = 0; k < count; k++) {
            if (routes_accepted(routes, &list[k]) &&
                !routes_keep(routes, &list[k])) {
                return -1;
            }
        }
    }

    for (i = 0, kept = 0; i < routes->count; i++) {
        if (routes->subnets[i].kept) {
            routes->subnets[kept++] = routes->subnets[i];
        }
    }

    routes->count = kept;

    return 0;
}


/* Whoever has it since before we were started goes on with it. */
static void
routes_adopt(struct routes_subnet *subnet, const struct netmap *map,
             const struct actual_interface *interface)
{
    const struct actual_peer *peer;
    size_t i;

    if (subnet->choice.peer_id[0] != '\0' || interface == NULL) {
        return;
    }

    for (i = 0; i < map->peer_count; i++) {
        if (!routes_offers(&map->peers[i], &subnet->prefix)) {
            continue;
        }

        peer = actual_peer(interface, &map->peers[i].public_key);

        if (peer != NULL &&
            routes_has(peer->allowed, peer->allowed_count, &subnet->prefix)) {
            memcpy(subnet->choice.peer_id, map->peers[i].id,
                   sizeof(subnet->choice.peer_id));
            return;
        }
    }
}


static const struct netmap_peer *
routes_choose(struct routes_subnet *subnet, const struct netmap *map,
              const struct routes_around *around)
{
    struct routing_offer offers[ROUTES_OFFERS_MAX];
    const struct netmap_peer *peer;
    size_t i, count;

    routes_adopt(subnet, map, around->interface);

    for (i = 0, count = 0; i < map->peer_count && count < ROUTES_OFFERS_MAX;
         i++) {
        peer = &map->peers[i];

        if (routes_carrier(peer, around->peer_id) &&
            routes_offers(peer, &subnet->prefix)) {
            offers[count].peer_id = peer->id;
            offers[count].rtt_us = 0;
            offers[count].alive =
                around->alive(around->arg, peer, &offers[count].rtt_us);
            count++;
        }
    }

    subnet->offers = count;

    if (routing_choose(&subnet->choice, offers, count, around->now_ms)) {
        subnet->bytes = 0;
        subnet->sent = 0;
        subnet->asked_ms = 0;
    }

    return netmap_find(map, subnet->choice.peer_id);
}


static struct desired_peer *
routes_slot(struct desired *desired, const struct key *key)
{
    size_t i;

    for (i = 0; i < desired->peer_count; i++) {
        if (key_compare(&desired->peers[i].public_key, key) == 0) {
            return &desired->peers[i];
        }
    }

    return NULL;
}


static int
routes_by_prefix(const void *a, const void *b)
{
    return prefix_compare(a, b);
}


/* 0, or -1 when memory is out. */
static int
routes_allow(struct desired_peer *slot, const struct prefix *prefix)
{
    struct prefix *grown;

    grown = realloc(slot->allowed, (slot->allowed_count + 1) * sizeof(*grown));

    if (grown == NULL) {
        return -1;
    }

    grown[slot->allowed_count++] = *prefix;
    slot->allowed = grown;
    qsort(grown, slot->allowed_count, sizeof(*grown), routes_by_prefix);

    return 0;
}


static bool
routes_is_local(const struct routes_around *around, const struct prefix *prefix,
                const struct address *address)
{
    size_t i;

    for (i = 0; i < around->local_count; i++) {
        if (around->local[i].length > prefix->length &&
            prefix_contains(&around->local[i], address)) {
            return true;
        }
    }

    return false;
}


/*
 * What a peer tells of its addresses may lie in the subnet behind it.  Once
 * that goes by the tunnel, the tunnel's own packets must not.
 */
static void
routes_spare(const struct routes_around *around, struct desired *desired,
             const struct prefix *prefix)
{
    struct endpoint *endpoint;
    size_t i;

    for (i = 0; i < desired->peer_count; i++) {
        endpoint = &desired->peers[i].endpoint;

        if (endpoint->address.family == prefix->address.family &&
            prefix_contains(prefix, &endpoint->address) &&
            !routes_is_local(around, prefix, &endpoint->address)) {
            memset(endpoint, 0, sizeof(*endpoint));
        }
    }
}


/* Whether the peer is reached by an address in the subnet itself. */
static bool
routes_inside(const struct routes_around *around, const struct key *key,
              const struct prefix *prefix)
{
    const struct actual_peer *peer;

    peer =
        around->interface != NULL ? actual_peer(around->interface, key) : NULL;

    return peer != NULL &&
           peer->endpoint.address.family == prefix->address.family &&
           prefix_contains(prefix, &peer->endpoint.address) &&
           !routes_is_local(around, prefix, &peer->endpoint.address);
}


/* Fills subnet->problem and is false where it cannot be used. */
static bool
routes_usable(struct routes_subnet *subnet, const struct netmap *map,
              const struct routes_around *around,
              const struct netmap_peer *peer)
{
    char text[ADDRESS_TEXT];

    prefix_format(&subnet->prefix, text);

    if (map->lan) {
        snprintf(subnet->problem, sizeof(subnet->problem),
                 "%s: a network of mode l2 carries no subnets", text);

    } else if (subnet->prefix.address.family == ADDRESS_IPV6 && !around->ipv6) {
        snprintf(subnet->problem, sizeof(subnet->problem),
                 "%s: IPv6 is switched off on this device", text);

    } else if (routes_conflict(map, around, &subnet->prefix, subnet->problem,
                               sizeof(subnet->problem))) {
        return false;

    } else if (around->now_ms < subnet->foreign_ms) {
        snprintf(subnet->problem, sizeof(subnet->problem),
                 "%s of network %.64s: this device has another route there "
                 "(ip route show %s)",
                 text, map->name, text);

    } else if (routes_inside(around, &peer->public_key, &subnet->prefix)) {
        snprintf(subnet->problem, sizeof(subnet->problem),
                 "%s: %.64s is itself reached by an address of it", text,
                 peer->name);

    } else {
        subnet->problem[0] = '\0';
    }

    return subnet->problem[0] == '\0';
}


int
routes_desire(struct routes *routes, const struct netmap *map,
              const struct routes_around *around, struct desired *desired)
{
    const struct netmap_peer *peer;
    struct desired_peer *slot;
    struct routes_subnet *subnet;
    size_t i;

    if (routes_collect(routes, map, around->peer_id) != 0) {
        return -1;
    }

    for (i = 0; i < routes->count; i++) {
        subnet = &routes->subnets[i];
        peer = routes_choose(subnet, map, around);
        slot = peer != NULL ? routes_slot(desired, &peer->public_key) : NULL;
        subnet->used = false;

        if (slot == NULL || !routes_usable(subnet, map, around, peer) ||
            desired->route_count == DESIRED_ROUTES_MAX) {
            continue;
        }

        if (routes_allow(slot, &subnet->prefix) != 0) {
            return -1;
        }

        desired->routes[desired->route_count++] = subnet->prefix;
        routes_spare(around, desired, &subnet->prefix);
        subnet->used = true;
    }

    return 0;
}


static void
routes_ask_all(const struct routes_subnet *subnet, const struct netmap *map,
               void (*ask)(void *arg, const char *peer_id), void *arg)
{
    size_t i;

    for (i = 0; i < map->peer_count; i++) {
        if (!map->peers[i].agentless &&
            routes_offers(&map->peers[i], &subnet->prefix)) {
            ask(arg, map->peers[i].id);
        }
    }
}


bool
routes_look(struct routes *routes, const struct netmap *map,
            const struct actual_interface *interface, int64_t now_s,
            uint64_t now_ms, void (*ask)(void *arg, const char *peer_id),
            void *arg)
{
    const struct netmap_peer *from;
    const struct actual_peer *peer;
    struct routes_subnet *subnet;
    bool busy, live, sent;
    size_t i;

    for (i = 0, busy = false; i < routes->count; i++) {
        subnet = &routes->subnets[i];
        from = netmap_find(map, subnet->choice.peer_id);
        peer = subnet->used && subnet->offers > 1 && from != NULL &&
                       interface != NULL
                   ? actual_peer(interface, &from->public_key)
                   : NULL;

        if (peer == NULL) {
            continue;
        }

        live = now_s - peer->handshake_s < ROUTES_LIVE_S;
        sent = subnet->sent != 0 && peer->tx_bytes > subnet->sent;

        if (live && subnet->bytes != 0 &&
            peer->rx_bytes + peer->tx_bytes > subnet->bytes + ROUTES_QUIET) {
            busy = true;
            routes_ask_all(subnet, map, ask, arg);

        } else if (!live && sent &&
                   (subnet->asked_ms == 0 ||
                    now_ms - subnet->asked_ms > ROUTES_AGAIN_MS)) {
            busy = true;
            subnet->asked_ms = now_ms;
            routes_ask_all(subnet, map, ask, arg);
        }

        subnet->bytes = peer->rx_bytes + peer->tx_bytes + 1;
        subnet->sent = peer->tx_bytes + 1;
    }

    return busy;
}
