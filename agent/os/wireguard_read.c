/* What the kernel tells of a WireGuard device and its peers. */

#include "os/wireguard_message.h"

#include <errno.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>

/* Peers and allowed ips that we are ready to read. */
#define WIREGUARD_PEERS_MAX (4 * NETMAP_PEERS_MAX)
#define WIREGUARD_ALLOWED_MAX (4 * NETMAP_PEERS_MAX)


static void
wireguard_forget(void *data)
{
    struct actual_interface *interface = data;
    size_t i;

    for (i = 0; i < interface->peer_count; i++) {
        free(interface->peers[i].allowed);
    }

    free(interface->peers);
    interface->peers = NULL;
    interface->peer_count = 0;
    interface->device = false;
}


/* Copies an attribute of exactly this length; false: it is another one. */
static bool
wireguard_copy(const struct nlattr *attribute, void *value, size_t length)
{
    if (attribute == NULL || (size_t) nla_len(attribute) != length) {
        return false;
    }

    memcpy(value, nla_data(attribute), length);

    return true;
}


static void
wireguard_read_endpoint(const struct nlattr *attribute,
                        struct endpoint *endpoint)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    memset(endpoint, 0, sizeof(*endpoint));

    if (wireguard_copy(attribute, &in, sizeof(in)) &&
        in.sin_family == AF_INET) {
        endpoint->address.family = ADDRESS_IPV4;
        memcpy(endpoint->address.bytes, &in.sin_addr, 4);
        endpoint->port = ntohs(in.sin_port);

    } else if (wireguard_copy(attribute, &in6, sizeof(in6)) &&
               in6.sin6_family == AF_INET6) {
        endpoint->address.family = ADDRESS_IPV6;
        memcpy(endpoint->address.bytes, &in6.sin6_addr, 16);
        endpoint->port = ntohs(in6.sin6_port);
    }
}


static int
wireguard_read_allowed(struct nlattr *list, struct actual_peer *peer)
{
    struct nlattr *attributes[WGALLOWEDIP_A_MAX + 1], *entry;
    struct prefix *bigger, *prefix;
    size_t count, length;
    uint16_t family;
    int left;

    count = 0;
    nla_for_each_nested(entry, list, left)
    {
        count++;
    }

    if (count + peer->allowed_count > WIREGUARD_ALLOWED_MAX) {
        return E2BIG;
    }

    bigger = realloc(peer->allowed,
                     (peer->allowed_count + count + 1) * sizeof(*bigger));

    if (bigger == NULL) {
        return ENOMEM;
    }

    peer->allowed = bigger;

    nla_for_each_nested(entry, list, left)
    {
        if (nla_parse_nested(attributes, WGALLOWEDIP_A_MAX, entry, NULL) != 0 ||
            !wireguard_copy(attributes[WGALLOWEDIP_A_FAMILY], &family,
                            sizeof(family))) {
            return EBADMSG;
        }

        prefix = &peer->allowed[peer->allowed_count];
        memset(prefix, 0, sizeof(*prefix));
        length = family == AF_INET ? 4 : 16;
        prefix->address.family =
            family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6;

        if (!wireguard_copy(attributes[WGALLOWEDIP_A_IPADDR],
                            prefix->address.bytes, length) ||
            !wireguard_copy(attributes[WGALLOWEDIP_A_CIDR_MASK],
                            &prefix->length, 1)) {
            return EBADMSG;
        }

        peer->allowed_count++;
    }

    return 0;
}


/* The peer's entry: a new one, or the last when a message cut it in two. */
static struct actual_peer *
wireguard_read_slot(struct actual_interface *interface, const struct key *key)
{
    struct actual_peer *peers;
    size_t count;

    count = interface->peer_count;

    if (count > 0 &&
        key_compare(&interface->peers[count - 1].public_key, key) == 0) {
        return &interface->peers[count - 1];
    }

    if (count >= WIREGUARD_PEERS_MAX) {
        return NULL;
    }

    /* room grows at powers of two, which the count alone tells */
    if ((count & (count - 1)) == 0) {
        peers = realloc(interface->peers,
                        (count == 0 ? 1 : count * 2) * sizeof(*peers));

        if (peers == NULL) {
            return NULL;
        }

        interface->peers = peers;
    }

    memset(&interface->peers[count], 0, sizeof(*peers));
    interface->peers[count].public_key = *key;
    interface->peer_count++;

    return &interface->peers[count];
}


static int
wireguard_read_peer(struct nlattr *entry, struct actual_interface *interface)
{
    struct nlattr *attributes[WGPEER_A_MAX + 1];
    struct actual_peer *peer;
    struct key key;
    int64_t handshake[2]; /* struct __kernel_timespec */

    if (nla_parse_nested(attributes, WGPEER_A_MAX, entry, NULL) != 0 ||
        !wireguard_copy(attributes[WGPEER_A_PUBLIC_KEY], &key, KEY_BYTES)) {
        return EBADMSG;
    }

    peer = wireguard_read_slot(interface, &key);

    if (peer == NULL) {
        return ENOMEM;
    }

    /* the second half of a peer has allowed ips alone */
    if (attributes[WGPEER_A_ENDPOINT] != NULL) {
        wireguard_read_endpoint(attributes[WGPEER_A_ENDPOINT], &peer->endpoint);
    }

    (void) wireguard_copy(attributes[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL],
                          &peer->keepalive, sizeof(peer->keepalive));
    (void) wireguard_copy(attributes[WGPEER_A_RX_BYTES], &peer->rx_bytes,
                          sizeof(peer->rx_bytes));
    (void) wireguard_copy(attributes[WGPEER_A_TX_BYTES], &peer->tx_bytes,
                          sizeof(peer->tx_bytes));

    if (wireguard_copy(attributes[WGPEER_A_LAST_HANDSHAKE_TIME], handshake,
                       sizeof(handshake))) {
        peer->handshake_s = handshake[0];
        peer->handshake_ns = (uint32_t) handshake[1];
    }

    if (attributes[WGPEER_A_ALLOWEDIPS] != NULL) {
        return wireguard_read_allowed(attributes[WGPEER_A_ALLOWEDIPS], peer);
    }

    return 0;
}


static int
wireguard_read(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[WGDEVICE_A_MAX + 1], *entry;
    struct actual_interface *interface = data;
    int left, number;

    if (genlmsg_parse(header, 0, attributes, WGDEVICE_A_MAX, NULL) < 0) {
        return EBADMSG;
    }

    /* the device's own attributes are in the first message alone */
    if (attributes[WGDEVICE_A_IFNAME] != NULL) {
        interface->device = true;
        interface->listen_port = 0;
        interface->mark = 0;
        memset(&interface->public_key, 0, sizeof(interface->public_key));
        (void) wireguard_copy(attributes[WGDEVICE_A_LISTEN_PORT],
                              &interface->listen_port,
                              sizeof(interface->listen_port));
        (void) wireguard_copy(attributes[WGDEVICE_A_FWMARK], &interface->mark,
                              sizeof(interface->mark));
        (void) wireguard_copy(attributes[WGDEVICE_A_PUBLIC_KEY],
                              &interface->public_key, KEY_BYTES);
    }

    if (attributes[WGDEVICE_A_PEERS] == NULL) {
        return 0;
    }

    number = 0;

    nla_for_each_nested(entry, attributes[WGDEVICE_A_PEERS], left)
    {
        if (number == 0) {
            number = wireguard_read_peer(entry, interface);
        }
    }

    return number;
}


int
wireguard_get(struct wireguard *wireguard, struct actual_interface *interface,
              struct error *error)
{
    static const struct netlink_reader reader = {wireguard_forget,
                                                 wireguard_read};
    struct nl_msg *message;
    int number;

    message = wireguard_message(wireguard, WG_CMD_GET_DEVICE, interface->name,
                                WIREGUARD_SHORT);

    if (message == NULL) {
        return netlink_error(error, ENOMEM, interface->name);
    }

    number = netlink_dump(NETLINK_GENERIC, message, &reader, interface);

    if (number == 0) {
        return 0;
    }

    wireguard_forget(interface);

    if (number == ENODEV || number == EOPNOTSUPP) {
        return 0;
    }

    return netlink_error(error, number, "cannot read the WireGuard device");
}
