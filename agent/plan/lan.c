#include "plan/lan.h"

#include <stdlib.h>
#include <string.h>

/* RFC 8200, 5: below it an interface has no IPv6. */
#define LAN_IPV6_MTU 1280


void
lan_name(const char *under, char name[ACTUAL_NAME_SIZE])
{
    memset(name, 0, ACTUAL_NAME_SIZE);
    memcpy(name, under, strnlen(under, ACTUAL_NAME_SIZE - 1));

    if (name[0] == 'g' && name[1] == 'c') {
        name[1] = 'v';
    }
}


/* FNV-1a, 64 bits: spreads an id, needs no secret. */
static uint64_t
lan_hash(const char *id)
{
    uint64_t hash;
    size_t i;

    hash = 14695981039346656037ULL;

    for (i = 0; id[i] != '\0'; i++) {
        hash = (hash ^ (uint8_t) id[i]) * 1099511628211ULL;
    }

    return hash;
}


void
lan_mac(const char *peer_id, uint8_t mac[LAN_MAC_SIZE])
{
    uint64_t hash;
    size_t i;

    hash = lan_hash(peer_id);

    for (i = 0; i < LAN_MAC_SIZE; i++) {
        mac[i] = (uint8_t) (hash >> (8 * i + 8));
    }

    mac[0] = (uint8_t) ((mac[0] & 0xfc) | 0x02);
}


uint32_t
lan_vni(const char *network_id)
{
    uint64_t hash;
    uint32_t vni;

    hash = lan_hash(network_id);
    vni = (uint32_t) (hash ^ hash >> 24 ^ hash >> 48) & 0xffffff;

    return vni != 0 ? vni : 1;
}


/* fe80::/64 and the mac as EUI-64 (RFC 4291, appendix A). */
static struct address
lan_link_local(const uint8_t mac[LAN_MAC_SIZE])
{
    struct address address;

    memset(&address, 0, sizeof(address));
    address.family = ADDRESS_IPV6;
    address.bytes[0] = 0xfe;
    address.bytes[1] = 0x80;
    memcpy(address.bytes + 8, mac, 3);
    address.bytes[8] ^= 0x02;
    address.bytes[11] = 0xff;
    address.bytes[12] = 0xfe;
    memcpy(address.bytes + 13, mac + 3, 3);

    return address;
}


int
lan_entry_compare(const void *a, const void *b)
{
    const struct lan_entry *x = a, *y = b;
    int order;

    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }

    order = memcmp(x->mac, y->mac, LAN_MAC_SIZE);

    return order != 0 ? order : address_compare(&x->address, &y->address);
}


static void
lan_entry(struct lan *lan, enum lan_entry_kind kind, const uint8_t *mac,
          const struct address *address)
{
    struct lan_entry *entry;

    entry = &lan->entries[lan->entry_count++];
    entry->kind = kind;
    memcpy(entry->mac, mac, LAN_MAC_SIZE);
    entry->address = *address;
}


static int
lan_peer(struct lan *lan, const struct netmap_peer *from, struct error *error)
{
    static const uint8_t all[LAN_MAC_SIZE];
    struct address link_local;
    struct lan_peer *peer;
    size_t i;

    peer = &lan->peers[lan->peer_count];
    lan_mac(from->id, peer->mac);
    peer->underlay = from->ip6_address;
    peer->address = from->ip_address;

    for (i = 0; i < lan->peer_count; i++) {
        if (memcmp(lan->peers[i].mac, peer->mac, LAN_MAC_SIZE) == 0) {
            break;
        }
    }

    if (i < lan->peer_count ||
        memcmp(lan->identity.mac, peer->mac, LAN_MAC_SIZE) == 0) {
        return error_set(error, ERROR_INVALID,
                         "two members of the LAN have the same hardware "
                         "address: take %s out of the network and let it "
                         "join again",
                         from->name);
    }

    lan->peer_count++;
    lan_entry(lan, LAN_FORWARD, all, &peer->underlay);
    lan_entry(lan, LAN_FORWARD, peer->mac, &peer->underlay);
    lan_entry(lan, LAN_NEIGHBOUR, peer->mac, &peer->address);

    if (lan->mtu >= LAN_IPV6_MTU) {
        link_local = lan_link_local(peer->mac);
        lan_entry(lan, LAN_NEIGHBOUR, peer->mac, &link_local);
    }

    return 0;
}


static int
lan_peers(struct lan *lan, const struct netmap *map,
          const struct desired_self *self, struct error *error)
{
    const struct netmap_peer *peer;
    size_t i;

    if (map->peer_count > LAN_MEMBERS_MAX) {
        return error_set(error, ERROR_TOO_BIG,
                         "a network of mode l2 holds %d members, this one "
                         "has %zu",
                         LAN_MEMBERS_MAX, map->peer_count);
    }

    for (i = 0; i < map->peer_count; i++) {
        peer = &map->peers[i];

        if (strcmp(peer->id, self->peer_id) != 0 && !peer->agentless &&
            peer->ip6_address.family == ADDRESS_IPV6 &&
            lan_peer(lan, peer, error) != 0) {
            return -1;
        }
    }

    qsort(lan->entries, lan->entry_count, sizeof(lan->entries[0]),
          lan_entry_compare);

    return 0;
}


struct lan *
lan_create(const struct netmap *map, const struct desired_self *self,
           uint32_t under_mtu, struct error *error)
{
    struct lan *lan;

    lan = calloc(1, sizeof(*lan));

    if (lan == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    memcpy(lan->network_id, map->network_id, sizeof(lan->network_id));
    lan_name(self->name, lan->name);
    lan->identity.vni = lan_vni(map->network_id);
    lan->identity.port = LAN_PORT;
    lan->identity.local = self->ip6_address;
    lan_mac(self->peer_id, lan->identity.mac);
    memcpy(lan->identity.under, self->name, sizeof(lan->identity.under));
    lan->mtu = under_mtu - LAN_OVERHEAD;
    lan->address.address = self->ip_address;
    lan->address.length = map->cidr.length;
    lan->route = map->cidr;

    if (strcmp(lan->name, self->name) == 0 || under_mtu < NETMAP_MTU_MIN) {
        (void) error_set(error, ERROR_INVALID,
                         "the interface %s carries no LAN", self->name);
        free(lan);
        return NULL;
    }

    if (lan_peers(lan, map, self, error) != 0) {
        free(lan);
        return NULL;
    }

    return lan;
}


void
lan_actual_destroy(struct lan_actual *actual)
{
    size_t i;

    if (actual == NULL) {
        return;
    }

    for (i = 0; actual->places != NULL && actual->facts != NULL &&
                i < actual->places->interface_count;
         i++) {
        free(actual->facts[i].entries);
    }

    actual_destroy(actual->places);
    free(actual->facts);
    free(actual->indices);
    free(actual);
}
