#include "plan/firewall.h"

#include <stdlib.h>
#include <string.h>


bool
firewall_is_gateway(const struct netmap *map, const char *peer_id)
{
    const struct netmap_peer *self;

    self = netmap_find(map, peer_id);

    return self != NULL && self->gateway && !self->agentless;
}


bool
firewall_forwards(const struct firewall_network *network)
{
    return network->gateway || network->route_count > 0;
}


static int
firewall_by_address(const void *a, const void *b)
{
    return address_compare(a, b);
}


static int
firewall_by_prefix(const void *a, const void *b)
{
    return prefix_compare(a, b);
}


/* Both addresses of every device that goes by the peer. */
static int
firewall_devices(struct firewall_network *network, const struct netmap *map,
                 const char *peer_id)
{
    const struct netmap_peer *peer;
    size_t i;

    network->devices = calloc(2 * map->peer_count + 1, sizeof(struct address));

    if (network->devices == NULL) {
        return -1;
    }

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];

        if (!peer->agentless || strcmp(peer->via, peer_id) != 0) {
            continue;
        }

        network->devices[network->device_count++] = peer->ip_address;

        if (peer->ip6_address.family != ADDRESS_NONE) {
            network->devices[network->device_count++] = peer->ip6_address;
        }
    }

    qsort(network->devices, network->device_count, sizeof(struct address),
          firewall_by_address);

    return 0;
}


/* Whether a selector of whom there may be several means the peer. */
static bool
firewall_means(const char *selector, const struct netmap_peer *peer)
{
    if (strncmp(selector, "role:", 5) == 0) {
        return strcmp(selector + 5, peer->role) == 0;
    }

    if (strncmp(selector, "tag:", 4) == 0) {
        return netmap_tagged(peer, selector + 4);
    }

    return strncmp(selector, "peer:", 5) == 0 &&
           strcmp(selector + 5, peer->id) == 0;
}


static void
firewall_take(struct firewall_selector *selector, const struct address *address)
{
    struct prefix *prefix;

    if (address->family != ADDRESS_NONE) {
        prefix = &selector->prefixes[selector->count++];
        prefix->address = *address;
        prefix->length = address_bits(address);
    }
}


/* Of those that have a role, a tag or an id. */
static int
firewall_select_peers(struct firewall_selector *selector,
                      const struct netmap *map)
{
    const struct netmap_peer *peer;
    size_t i, count;

    count = 0;

    for (i = 0; i < map->peer_count; i++) {
        count += firewall_means(selector->text, &map->peers[i]);
    }

    selector->prefixes = calloc(2 * count + 1, sizeof(struct prefix));

    if (selector->prefixes == NULL) {
        return -1;
    }

    for (i = 0; i < map->peer_count && count > 0; i++) {
        peer = &map->peers[i];

        if (firewall_means(selector->text, peer)) {
            firewall_take(selector, &peer->ip_address);
            firewall_take(selector, &peer->ip6_address);
        }
    }

    qsort(selector->prefixes, selector->count, sizeof(struct prefix),
          firewall_by_prefix);

    return 0;
}


/* The number of a selector, made if it is new; SIZE_MAX: memory is out. */
static size_t
firewall_select(struct firewall_network *network, const struct netmap *map,
                const char *text)
{
    struct firewall_selector *selector;
    struct prefix range;
    size_t i;

    for (i = 0; i < network->selector_count; i++) {
        if (strcmp(network->selectors[i].text, text) == 0) {
            return i;
        }
    }

    selector = &network->selectors[network->selector_count++];
    selector->text = text;

    if (prefix_parse(text, &range)) {
        selector->is_range = true;
        selector->prefixes = calloc(1, sizeof(range));

        if (selector->prefixes == NULL) {
            return SIZE_MAX;
        }

        selector->prefixes[selector->count++] = prefix_masked(&range);
        return i;
    }

    return firewall_select_peers(selector, map) == 0 ? i : SIZE_MAX;
}


/* Whether a rule's destination is this device, or may be. */
static bool
firewall_is_about_us(const struct firewall_network *network,
                     const struct netmap_peer *self, const char *selector)
{
    struct prefix range;

    if (strcmp(selector, "any") == 0) {
        return true;
    }

    if (prefix_parse(selector, &range)) {
        return prefix_contains(&range, &network->ip_address) ||
               prefix_contains(&range, &network->ip6_address);
    }

    return self != NULL && firewall_means(selector, self);
}


static int
firewall_resolve(struct firewall_network *network, const struct netmap *map,
                 const char *peer_id)
{
    const struct netmap_peer *self;
    struct firewall_rule *rule;
    struct prefix range;
    size_t i;

    self = netmap_find(map, peer_id);
    network->rules = calloc(map->rule_count + 1, sizeof(*network->rules));
    network->selectors =
        calloc(2 * map->rule_count + 1, sizeof(*network->selectors));

    if (network->rules == NULL || network->selectors == NULL) {
        return -1;
    }

    network->selectors[network->selector_count++].text = "any";

    for (i = 0; i < map->rule_count; i++) {
        if (!firewall_forwards(network) &&
            !firewall_is_about_us(network, self, map->rules[i].destination)) {
            continue;
        }

        rule = &network->rules[network->rule_count++];
        rule->rule = &map->rules[i];
        rule->source = firewall_select(network, map, map->rules[i].source);

        if (rule->source == SIZE_MAX) {
            return -1;
        }

        /* what arrives here is for us, unless a range says which of both */
        if (firewall_forwards(network) ||
            prefix_parse(map->rules[i].destination, &range)) {
            rule->destination =
                firewall_select(network, map, map->rules[i].destination);
        }

        if (rule->destination == SIZE_MAX) {
            return -1;
        }
    }

    return 0;
}


static void
firewall_forget(struct firewall_network *network)
{
    size_t i;

    for (i = 0; i < network->selector_count; i++) {
        free(network->selectors[i].prefixes);
    }

    free(network->selectors);
    free(network->rules);
    free(network->routes);
    free(network->devices);
}


/* It stands between quotes in the rules. */
static bool
firewall_name_is_odd(const char *name)
{
    return strpbrk(name, "\"\\*\n ") != NULL ||
           strlen(name) >= ACTUAL_NAME_SIZE;
}


static int
firewall_take_routes(struct firewall_network *network,
                     const struct firewall_self *self)
{
    size_t i;

    network->routes = calloc(self->route_count + 1, sizeof(*network->routes));

    if (network->routes == NULL) {
        return -1;
    }

    for (i = 0; i < self->route_count; i++) {
        if (!firewall_name_is_odd(self->routes[i].name) &&
            self->routes[i].name[0] != '\0') {
            network->routes[network->route_count++] = self->routes[i];
        }
    }

    return 0;
}


static int
firewall_build(struct firewall_network *network, const struct netmap *map,
               const struct firewall_self *self)
{
    memcpy(network->name, self->name, strlen(self->name));
    memcpy(network->lan, self->lan, strlen(self->lan));
    network->ip_address = self->ip_address;
    network->ip6_address = self->ip6_address;
    network->cidr = prefix_masked(&map->cidr);

    if (map->cidr6.address.family != ADDRESS_NONE) {
        network->cidr6 = prefix_masked(&map->cidr6);
    }

    network->gateway = firewall_is_gateway(map, self->peer_id);

    if (firewall_take_routes(network, self) != 0 ||
        (network->gateway &&
         firewall_devices(network, map, self->peer_id) != 0)) {
        return -1;
    }

    return firewall_resolve(network, map, self->peer_id);
}


int
firewall_add(struct firewall *firewall, const struct netmap *map,
             const struct firewall_self *self, struct error *error)
{
    struct firewall_network network, *networks;
    size_t i, elements;

    memset(&network, 0, sizeof(network));

    if (firewall_name_is_odd(self->name) || firewall_name_is_odd(self->lan)) {
        return error_set(error, ERROR_INVALID, "an interface of ours is odd");
    }

    networks =
        realloc(firewall->networks, (firewall->count + 1) * sizeof(network));

    if (networks == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    firewall->networks = networks;

    if (firewall_build(&network, map, self) != 0) {
        firewall_forget(&network);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    elements = firewall->elements;

    for (i = 0; i < network.selector_count; i++) {
        elements += network.selectors[i].count;
    }

    if (elements > FIREWALL_ELEMENTS_MAX) {
        firewall_forget(&network);
        return error_set(error, ERROR_TOO_BIG,
                         "its rules are about more than %d addresses: use "
                         "ranges, or fewer tags",
                         FIREWALL_ELEMENTS_MAX);
    }

    firewall->elements = elements;
    networks[firewall->count++] = network;

    return 0;
}


void
firewall_clear(struct firewall *firewall)
{
    size_t i;

    for (i = 0; i < firewall->count; i++) {
        firewall_forget(&firewall->networks[i]);
    }

    free(firewall->networks);
    memset(firewall, 0, sizeof(*firewall));
}
