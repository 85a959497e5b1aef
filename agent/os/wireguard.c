#include "os/wireguard.h"

#include <errno.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdlib.h>
#include <string.h>

/*
 * The length of an attribute is 16 bits, and nla_nest_end() drops a nest
 * that is longer: messages are split well before (some 450 peers).
 */
#define WIREGUARD_MESSAGE (48 * 1024)

/* What a peer takes without its allowed ips, and one allowed ip, at most. */
#define WIREGUARD_PEER_ROOM 160
#define WIREGUARD_ALLOWED_ROOM 48

/* A message without peers. */
#define WIREGUARD_SHORT 1024

/* Peers and allowed ips that we are ready to read. */
#define WIREGUARD_PEERS_MAX (4 * NETMAP_PEERS_MAX)
#define WIREGUARD_ALLOWED_MAX (4 * NETMAP_PEERS_MAX)


struct wireguard {
    struct nl_sock *socket;
    int family;
};


struct wireguard *
wireguard_open(struct error *error)
{
    struct wireguard *wireguard;

    wireguard = calloc(1, sizeof(*wireguard));

    if (wireguard == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    wireguard->socket = netlink_open(NETLINK_GENERIC, error);

    if (wireguard->socket == NULL) {
        free(wireguard);
        return NULL;
    }

    /* asking by name loads the module, if there is one */
    wireguard->family = genl_ctrl_resolve(wireguard->socket, WG_GENL_NAME);

    if (wireguard->family < 0) {
        (void) error_set(error, ERROR_UNSUPPORTED,
                         "this kernel has no WireGuard");
        wireguard_close(wireguard);
        return NULL;
    }

    return wireguard;
}


void
wireguard_close(struct wireguard *wireguard)
{
    if (wireguard != NULL) {
        netlink_close(wireguard->socket);
        free(wireguard);
    }
}


/* A message about one interface; NULL when memory is out. */
static struct nl_msg *
wireguard_message(const struct wireguard *wireguard, uint8_t command,
                  const char *name, size_t size)
{
    struct nl_msg *message;

    message = nlmsg_alloc_size(size);

    /* exactly one of IFNAME and IFINDEX, else EBADR */
    if (message == NULL ||
        genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, wireguard->family, 0,
                    NLM_F_REQUEST, command, WG_GENL_VERSION) == NULL ||
        nla_put_string(message, WGDEVICE_A_IFNAME, name) != 0) {
        nlmsg_free(message);
        return NULL;
    }

    return message;
}


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
        memset(&interface->public_key, 0, sizeof(interface->public_key));
        (void) wireguard_copy(attributes[WGDEVICE_A_LISTEN_PORT],
                              &interface->listen_port,
                              sizeof(interface->listen_port));
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


/* A SET under way: the message, and the nests that are open in it. */
struct wireguard_writer {
    struct wireguard *wireguard;
    const char *name;
    struct nl_msg *message;
    struct nlattr *peers;
};


static size_t
wireguard_room(const struct wireguard_writer *writer)
{
    return nlmsg_get_max_size(writer->message) -
           nlmsg_hdr(writer->message)->nlmsg_len;
}


/* Sends what has been gathered.  0 or an errno. */
static int
wireguard_flush(struct wireguard_writer *writer)
{
    struct nl_msg *message;

    message = writer->message;
    writer->message = NULL;

    if (message == NULL) {
        return 0;
    }

    if (nla_nest_end(message, writer->peers) < 0) {
        nlmsg_free(message);
        return EMSGSIZE;
    }

    return netlink_request(writer->wireguard->socket, message);
}


/* Makes sure that so many bytes fit into the present message. */
static int
wireguard_reserve(struct wireguard_writer *writer, size_t size)
{
    int number;

    if (writer->message != NULL && wireguard_room(writer) >= size) {
        return 0;
    }

    number = wireguard_flush(writer);

    if (number != 0) {
        return number;
    }

    writer->message = wireguard_message(writer->wireguard, WG_CMD_SET_DEVICE,
                                        writer->name, WIREGUARD_MESSAGE);

    if (writer->message == NULL) {
        return ENOMEM;
    }

    writer->peers = nla_nest_start(writer->message, WGDEVICE_A_PEERS);

    return writer->peers == NULL ? ENOMEM : 0;
}


/* Exactly sockaddr_in or sockaddr_in6: other lengths are silently ignored. */
static int
wireguard_put_endpoint(struct nl_msg *message, const struct endpoint *endpoint)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (endpoint->address.family == ADDRESS_IPV4) {
        memset(&in, 0, sizeof(in));
        in.sin_family = AF_INET;
        in.sin_port = htons(endpoint->port);
        memcpy(&in.sin_addr, endpoint->address.bytes, 4);
        return nla_put(message, WGPEER_A_ENDPOINT, sizeof(in), &in);
    }

    memset(&in6, 0, sizeof(in6));
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(endpoint->port);
    memcpy(&in6.sin6_addr, endpoint->address.bytes, 16);

    return nla_put(message, WGPEER_A_ENDPOINT, sizeof(in6), &in6);
}


static int
wireguard_put_allowed(struct nl_msg *message, const struct prefix *prefix)
{
    struct nlattr *entry;
    bool ipv4;

    ipv4 = prefix->address.family == ADDRESS_IPV4;
    entry = nla_nest_start(message, 0);

    if (entry == NULL ||
        nla_put_u16(message, WGALLOWEDIP_A_FAMILY, ipv4 ? AF_INET : AF_INET6) !=
            0 ||
        nla_put(message, WGALLOWEDIP_A_IPADDR, ipv4 ? 4 : 16,
                prefix->address.bytes) != 0 ||
        nla_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, prefix->length) != 0) {
        return -1;
    }

    return nla_nest_end(message, entry);
}


static uint32_t
wireguard_flags(const struct peer_change *change, bool first)
{
    uint32_t flags;

    if ((change->flags & PEER_REMOVE) != 0) {
        return WGPEER_F_REMOVE_ME;
    }

    flags = (change->flags & PEER_UPDATE_ONLY) != 0 ? WGPEER_F_UPDATE_ONLY : 0;

    /* in a later part it would throw the earlier parts' away */
    if (first && (change->flags & PEER_ALLOWED) != 0) {
        flags |= WGPEER_F_REPLACE_ALLOWEDIPS;
    }

    return flags;
}


static int
wireguard_put_fields(struct nl_msg *message, const struct peer_change *change,
                     bool first)
{
    if (nla_put(message, WGPEER_A_PUBLIC_KEY, KEY_BYTES,
                change->public_key.bytes) != 0 ||
        nla_put_u32(message, WGPEER_A_FLAGS, wireguard_flags(change, first)) !=
            0) {
        return -1;
    }

    if (!first || (change->flags & PEER_REMOVE) != 0) {
        return 0;
    }

    if ((change->flags & PEER_ENDPOINT) != 0 &&
        wireguard_put_endpoint(message, &change->endpoint) != 0) {
        return -1;
    }

    if ((change->flags & PEER_KEEPALIVE) != 0) {
        return nla_put_u16(message, WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL,
                           change->keepalive);
    }

    return 0;
}


/* As many of the allowed ips, from *next on, as fit into the message. */
static int
wireguard_put_list(struct wireguard_writer *writer,
                   const struct peer_change *change, size_t *next)
{
    struct nlattr *list;
    size_t i;

    if ((change->flags & PEER_ALLOWED) == 0 || *next == change->allowed_count) {
        *next = change->allowed_count;
        return 0;
    }

    list = nla_nest_start(writer->message, WGPEER_A_ALLOWEDIPS);

    if (list == NULL) {
        return -1;
    }

    for (i = *next; i < change->allowed_count; i++) {
        if (wireguard_room(writer) < WIREGUARD_ALLOWED_ROOM) {
            break;
        }

        if (wireguard_put_allowed(writer->message, &change->allowed[i]) != 0) {
            return -1;
        }
    }

    *next = i;

    return nla_nest_end(writer->message, list);
}


/* One peer, in several parts if its allowed ips are many.  An errno. */
static int
wireguard_write_peer(struct wireguard_writer *writer,
                     const struct peer_change *change)
{
    struct nlattr *entry;
    bool first;
    size_t next;
    int number;

    next = 0;
    first = true;

    do {
        number = wireguard_reserve(writer, WIREGUARD_PEER_ROOM +
                                               2 * WIREGUARD_ALLOWED_ROOM);

        if (number != 0) {
            return number;
        }

        entry = nla_nest_start(writer->message, 0);

        if (entry == NULL ||
            wireguard_put_fields(writer->message, change, first) != 0 ||
            wireguard_put_list(writer, change, &next) != 0 ||
            nla_nest_end(writer->message, entry) < 0) {
            return EMSGSIZE;
        }

        first = false;

    } while (next < change->allowed_count);

    return 0;
}


/* SET is not atomic: after an error the device has a part of it. */
static int
wireguard_set_peers(struct wireguard *wireguard,
                    const struct operation *operation)
{
    struct wireguard_writer writer;
    size_t i;
    int number;

    memset(&writer, 0, sizeof(writer));
    writer.wireguard = wireguard;
    writer.name = operation->name;
    number = 0;

    for (i = 0; i < operation->peers.count && number == 0; i++) {
        number = wireguard_write_peer(&writer, &operation->peers.changes[i]);
    }

    if (number == 0) {
        return wireguard_flush(&writer);
    }

    nlmsg_free(writer.message);

    return number;
}


static int
wireguard_set_device(struct wireguard *wireguard,
                     const struct operation *operation)
{
    const struct key *key;
    struct nl_msg *message;
    uint16_t port;
    int number;

    key = operation->device.private_key;
    port = operation->device.listen_port;
    message = wireguard_message(wireguard, WG_CMD_SET_DEVICE, operation->name,
                                WIREGUARD_SHORT);

    if (message == NULL ||
        (key != NULL && nla_put(message, WGDEVICE_A_PRIVATE_KEY, KEY_BYTES,
                                key->bytes) != 0) ||
        (port != 0 &&
         nla_put_u16(message, WGDEVICE_A_LISTEN_PORT, port) != 0)) {
        number = ENOMEM;

    } else {
        nlmsg_get(message);
        number = netlink_request(wireguard->socket, message);
    }

    if (message != NULL) {
        key_wipe(nlmsg_hdr(message), nlmsg_hdr(message)->nlmsg_len);
        nlmsg_free(message);
    }

    return number;
}


int
wireguard_set(struct wireguard *wireguard, const struct operation *operation,
              struct error *error)
{
    char what[160];
    int number;

    number = operation->kind == OPERATION_PEERS
                 ? wireguard_set_peers(wireguard, operation)
                 : wireguard_set_device(wireguard, operation);

    if (number == 0) {
        return 0;
    }

    return netlink_error(error, number,
                         operation_describe(operation, what, sizeof(what)));
}
