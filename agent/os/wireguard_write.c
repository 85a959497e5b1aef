/* Sets a WireGuard device's key, port and peers. */

#include "os/wireguard_message.h"

#include <errno.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <string.h>

/*
 * The length of an attribute is 16 bits, and nla_nest_end() drops a nest
 * that is longer: messages are split well before (some 450 peers).
 */
#define WIREGUARD_MESSAGE (48 * 1024)

/* What a peer takes without its allowed ips, and one allowed ip, at most. */
#define WIREGUARD_PEER_ROOM 160
#define WIREGUARD_ALLOWED_ROOM 48


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
         nla_put_u16(message, WGDEVICE_A_LISTEN_PORT, port) != 0) ||
        (operation->device.set_mark &&
         nla_put_u32(message, WGDEVICE_A_FWMARK, operation->device.mark) !=
             0)) {
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
