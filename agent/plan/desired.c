#include "plan/desired.h"

#include <stdlib.h>
#include <string.h>

#include "core/gc_uuid.h"


#define DESIRED_SLUG_MAX 8


void
desired_alias(const char *network_id, char alias[ACTUAL_ALIAS_SIZE])
{
    size_t prefix, length;

    prefix = sizeof(ACTUAL_ALIAS_PREFIX) - 1;
    length = strnlen(network_id, NETMAP_ID_SIZE - 1);

    memcpy(alias, ACTUAL_ALIAS_PREFIX, prefix);
    memcpy(alias + prefix, network_id, length);
    alias[prefix + length] = '\0';
}


bool
desired_alias_parse(const char *alias, char network_id[NETMAP_ID_SIZE])
{
    size_t prefix;

    prefix = sizeof(ACTUAL_ALIAS_PREFIX) - 1;

    if (strncmp(alias, ACTUAL_ALIAS_PREFIX, prefix) != 0 ||
        !gc_uuid_valid(alias + prefix, strlen(alias + prefix))) {
        return false;
    }

    memcpy(network_id, alias + prefix, NETMAP_ID_SIZE);

    return true;
}


/* Letters, digits and inner hyphens of the slug; "net" if none is left. */
static size_t
desired_slug(const char *slug, char *text)
{
    size_t i, n;
    char c;

    for (i = 0, n = 0; slug[i] != '\0' && n < DESIRED_SLUG_MAX; i++) {
        c = slug[i];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            (c == '-' && n > 0)) {
            text[n++] = c;
        }
    }

    while (n > 0 && text[n - 1] == '-') {
        n--;
    }

    if (n == 0) {
        memcpy(text, "net", 3);
        n = 3;
    }

    return n;
}


bool
desired_name(const char *slug, const char *network_id,
             bool (*taken)(const char *name, void *data), void *data,
             char name[ACTUAL_NAME_SIZE])
{
    char digits[NETMAP_ID_SIZE];
    size_t i, n, length;

    memcpy(name, "gc-", 3);
    n = 3 + desired_slug(slug, name + 3);
    name[n] = '\0';

    if (!taken(name, data)) {
        return true;
    }

    for (i = 0, length = 0; network_id[i] != '\0' && length < 32; i++) {
        if (network_id[i] != '-') {
            digits[length++] = network_id[i];
        }
    }

    name[n] = '-';
    name[n + 4] = '\0';

    for (i = 0; i + 3 <= length; i++) {
        memcpy(name + n + 1, digits + i, 3);

        if (!taken(name, data)) {
            return true;
        }
    }

    return false;
}


void
desired_destroy(struct desired *desired)
{
    size_t i;

    if (desired == NULL) {
        return;
    }

    for (i = 0; i < desired->peer_count; i++) {
        free(desired->peers[i].allowed);
    }

    free(desired->peers);
    free(desired->narrow);
    key_wipe(&desired->private_key, sizeof(desired->private_key));
    free(desired);
}


static struct prefix
desired_host(const struct address *address)
{
    struct prefix prefix;

    prefix.address = *address;
    prefix.length = address_bits(address);

    return prefix;
}


/* Whether IPv4 goes by WireGuard itself: on a LAN it goes by what stands on
 * it (plan/lan.h). */
static bool
desired_ipv4(const struct netmap *map)
{
    return !map->lan;
}


/* Own addresses with the network's length, and the routes to the network. */
static int
desired_place(struct desired *desired, const struct netmap *map,
              const struct desired_self *self, struct error *error)
{
    const struct {
        const struct address *address;
        const struct prefix *cidr;
    } places[] = {
        {&self->ip_address, &map->cidr},
        {&self->ip6_address, &map->cidr6},
    };
    struct prefix prefix;
    size_t i;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i].address->family == ADDRESS_NONE ||
            (places[i].address->family == ADDRESS_IPV4 && !desired_ipv4(map))) {
            continue;
        }

        if (!prefix_contains(places[i].cidr, places[i].address)) {
            return error_set(error, ERROR_INVALID,
                             "network %s: our address is not of the network",
                             map->network_id);
        }

        prefix.address = *places[i].address;
        prefix.length = places[i].cidr->length;
        desired->addresses[desired->address_count++] = prefix;
        desired->routes[desired->route_count++] = *places[i].cidr;
    }

    if (desired->address_count == 0 && map->lan) {
        return error_set(error, ERROR_UNSUPPORTED,
                         "LAN mode needs IPv6, which is switched off on this "
                         "device: sysctl net.ipv6.conf.all.disable_ipv6=0");
    }

    if (desired->address_count == 0) {
        return error_set(error, ERROR_INVALID,
                         "network %s: we have no address in it",
                         map->network_id);
    }

    return 0;
}


/*
 * The peer that the packets for `peer` go to: itself, or the gateway that it
 * is behind.  NULL: it cannot be reached (it has no agent, and there is no
 * gateway), or it is ourselves.
 */
static const struct netmap_peer *
desired_carrier(const struct netmap *map, const struct desired_self *self,
                const struct netmap_peer *peer)
{
    const struct netmap_peer *carrier;

    carrier = peer;

    if (peer->via[0] != '\0' && strcmp(peer->via, self->peer_id) != 0) {
        carrier = netmap_find(map, peer->via);

    } else if (peer->agentless && peer->via[0] == '\0') {
        return NULL;
    }

    if (carrier == NULL || strcmp(carrier->id, self->peer_id) == 0 ||
        strcmp(peer->id, self->peer_id) == 0 ||
        key_compare(&carrier->public_key, &self->public_key) == 0) {
        return NULL;
    }

    return carrier;
}


/* Counts first, so that every list is allocated once. */
static void
desired_count(struct desired_peer *slots, const struct netmap *map,
              const struct desired_self *self)
{
    const struct netmap_peer *peer, *carrier;
    size_t i;

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];
        carrier = desired_carrier(map, self, peer);

        if (carrier != NULL) {
            slots[carrier - map->peers].allowed_count +=
                (size_t) desired_ipv4(map) +
                (size_t) (peer->ip6_address.family != ADDRESS_NONE);
        }
    }
}


static int
desired_allow(struct desired_peer *slots, const struct netmap *map,
              const struct desired_self *self, struct error *error)
{
    const struct netmap_peer *peer, *carrier;
    struct desired_peer *slot;
    size_t i;

    for (i = 0; i < map->peer_count; i++) {
        slot = &slots[i];

        if (slot->allowed_count == 0) {
            continue;
        }

        slot->allowed = calloc(slot->allowed_count, sizeof(struct prefix));
        slot->allowed_count = 0;

        if (slot->allowed == NULL) {
            return error_set(error, ERROR_NO_MEMORY, "out of memory");
        }
    }

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];
        carrier = desired_carrier(map, self, peer);

        if (carrier == NULL) {
            continue;
        }

        slot = &slots[carrier - map->peers];

        if (desired_ipv4(map)) {
            slot->allowed[slot->allowed_count++] =
                desired_host(&peer->ip_address);
        }

        if (peer->ip6_address.family != ADDRESS_NONE) {
            slot->allowed[slot->allowed_count++] =
                desired_host(&peer->ip6_address);
        }
    }

    return 0;
}


static int
desired_by_key(const void *a, const void *b)
{
    const struct desired_peer *x = a, *y = b;

    return key_compare(&x->public_key, &y->public_key);
}


static int
desired_by_prefix(const void *a, const void *b)
{
    return prefix_compare(a, b);
}


/*
 * Peers from the map, one slot for each of its peers at first; those that
 * carry nothing are squeezed out at the end.
 */
static int
desired_peers(struct desired *desired, const struct netmap *map,
              const struct desired_self *self, const struct paths *paths,
              struct error *error)
{
    struct desired_peer *slots, *slot;
    size_t i, kept;

    slots = calloc(map->peer_count + 1, sizeof(*slots));

    if (slots == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    desired->peers = slots;
    desired->peer_count = map->peer_count; /* what destroy has to look at */

    desired_count(slots, map, self);

    if (desired_allow(slots, map, self, error) != 0) {
        return -1;
    }

    for (i = 0, kept = 0; i < map->peer_count; i++) {
        slot = &slots[i];

        if (slot->allowed_count == 0) {
            continue;
        }

        slot->public_key = map->peers[i].public_key;

        if (paths == NULL ||
            !paths_endpoint(paths, &slot->public_key, &slot->endpoint)) {
            memset(&slot->endpoint, 0, sizeof(slot->endpoint));
        }

        slot->keepalive =
            paths != NULL ? paths_keepalive(paths, &slot->public_key) : 0;

        qsort(slot->allowed, slot->allowed_count, sizeof(struct prefix),
              desired_by_prefix);
        slots[kept++] = *slot;
    }

    desired->peer_count = kept;

    if (kept > 1) {
        qsort(slots, kept, sizeof(*slots), desired_by_key);
    }

    return 0;
}


struct desired *
desired_create(const struct netmap *map, const struct desired_self *self,
               const struct paths *paths, struct error *error)
{
    struct desired *desired;

    desired = calloc(1, sizeof(*desired));

    if (desired == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    memcpy(desired->network_id, map->network_id, sizeof(map->network_id));
    memcpy(desired->name, self->name, sizeof(self->name));
    desired->private_key = self->private_key;
    desired->public_key = self->public_key;
    desired->listen_port = self->listen_port;
    desired->mtu = self->mtu != 0           ? self->mtu
                   : map->settings.mtu != 0 ? map->settings.mtu
                                            : DESIRED_MTU;

    if (desired_place(desired, map, self, error) != 0 ||
        desired_peers(desired, map, self, paths, error) != 0) {
        desired_destroy(desired);
        return NULL;
    }

    return desired;
}


int
desired_allow_all(struct desired *desired, const struct key *peer, bool ipv4,
                  bool ipv6)
{
    const uint8_t families[] = {ipv4 ? ADDRESS_IPV4 : ADDRESS_NONE,
                                ipv6 ? ADDRESS_IPV6 : ADDRESS_NONE};
    struct desired_peer wanted, *slot;
    struct prefix *grown;
    size_t i;

    wanted.public_key = *peer;
    slot = bsearch(&wanted, desired->peers, desired->peer_count, sizeof(wanted),
                   desired_by_key);

    for (i = 0; slot != NULL && i < sizeof(families); i++) {
        if (families[i] == ADDRESS_NONE) {
            continue;
        }

        grown =
            realloc(slot->allowed, (slot->allowed_count + 1) * sizeof(*grown));

        if (grown == NULL) {
            return -1;
        }

        memset(&grown[slot->allowed_count], 0, sizeof(*grown));
        grown[slot->allowed_count++].address.family = families[i];
        slot->allowed = grown;
        qsort(grown, slot->allowed_count, sizeof(*grown), desired_by_prefix);
    }

    return 0;
}
