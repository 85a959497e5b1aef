/* Makes, changes and deletes interfaces, addresses and routes. */

#include "os/links.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

#include "plan/desired.h"


/* A link message that names the interface; NULL when memory is out. */
static struct nl_msg *
links_link_message(int type, int flags, const char *name, unsigned up)
{
    struct ifinfomsg body;
    struct nl_msg *message;

    memset(&body, 0, sizeof(body));
    body.ifi_flags = up;
    body.ifi_change = up;
    message = nlmsg_alloc_simple(type, flags);

    if (message != NULL &&
        (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
         nla_put_string(message, IFLA_IFNAME, name) != 0)) {
        nlmsg_free(message);
        message = NULL;
    }

    return message;
}


static int
links_put_kind(struct nl_msg *message, const char *kind)
{
    struct nlattr *info;

    info = nla_nest_start(message, IFLA_LINKINFO);

    if (info == NULL || nla_put_string(message, IFLA_INFO_KIND, kind) != 0) {
        return -1;
    }

    return nla_nest_end(message, info);
}


int
links_create(struct nl_sock *rtnl, const char *name, const char *kind,
             struct error *error)
{
    struct nl_msg *message;
    int number;

    message =
        links_link_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, name, 0);

    if (message == NULL ||
        nla_put_u32(message, IFLA_GROUP, ACTUAL_LINK_GROUP) != 0 ||
        links_put_kind(message, kind) != 0) {
        nlmsg_free(message);
        return netlink_error(error, ENOMEM, name);
    }

    number = netlink_request(rtnl, message);

    if (number == EEXIST) {
        return error_set(error, ERROR_NAME_IN_USE,
                         "an interface %s exists already", name);
    }

    return number == 0 ? 0
                       : netlink_error(error, number, "cannot make interface");
}


void
links_queue(struct nl_sock *rtnl, const char *name)
{
    struct nl_msg *message;
    struct tcmsg body;

    memset(&body, 0, sizeof(body));
    body.tcm_family = AF_UNSPEC;
    body.tcm_ifindex = (int) if_nametoindex(name);
    body.tcm_parent = TC_H_ROOT;
    message = nlmsg_alloc_simple(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE);

    if (message == NULL ||
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        nla_put_string(message, TCA_KIND, "pfifo_fast") != 0) {
        nlmsg_free(message);
        return;
    }

    /* a kernel without queueing disciplines does all else */
    (void) netlink_request(rtnl, message);
}


int
links_mark(struct nl_sock *rtnl, const char *name, struct error *error)
{
    struct nl_msg *message;
    int number;

    message = links_link_message(RTM_NEWLINK, 0, name, 0);

    if (message == NULL ||
        nla_put_u32(message, IFLA_GROUP, ACTUAL_LINK_GROUP) != 0) {
        nlmsg_free(message);
        return netlink_error(error, ENOMEM, name);
    }

    number = netlink_request(rtnl, message);

    return number == 0 ? 0
                       : netlink_error(error, number, "cannot mark interface");
}


/* Whether an interface of this name exists and is ours. */
static int
links_is_ours(const char *name, bool *ours, struct error *error)
{
    struct links_list list;
    size_t i;

    *ours = false;

    if (links_all(&list, error) != 0) {
        return -1;
    }

    for (i = 0; i < list.count; i++) {
        if (strcmp(list.links[i].name, name) == 0) {
            *ours = links_ours(&list.links[i]);
        }
    }

    free(list.links);

    return 0;
}


int
links_delete(struct nl_sock *rtnl, const char *name, struct error *error)
{
    struct nl_msg *message;
    bool ours;
    int number;

    if (links_is_ours(name, &ours, error) != 0) {
        return -1;
    }

    if (!ours) {
        return 0;
    }

    message = links_link_message(RTM_DELLINK, 0, name, 0);

    if (message == NULL) {
        return netlink_error(error, ENOMEM, name);
    }

    number = netlink_request(rtnl, message);

    if (number == 0 || number == ENODEV) {
        return 0;
    }

    return netlink_error(error, number, "cannot delete interface");
}


/* ALIAS, MTU, UP */
static int
links_change(struct nl_sock *rtnl, const struct operation *operation)
{
    char alias[ACTUAL_ALIAS_SIZE];
    struct nl_msg *message;
    int rc;

    message = links_link_message(RTM_NEWLINK, 0, operation->name,
                                 operation->kind == OPERATION_UP ? IFF_UP : 0);
    rc = message == NULL ? -1 : 0;

    if (rc == 0 && operation->kind == OPERATION_ALIAS) {
        desired_alias(operation->network_id, alias);
        rc = nla_put(message, IFLA_IFALIAS, (int) strlen(alias), alias);

    } else if (rc == 0 && operation->kind == OPERATION_MTU) {
        rc = nla_put_u32(message, IFLA_MTU, operation->mtu);
    }

    if (rc != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_request(rtnl, message);
}


static int
links_put_address(struct nl_msg *message, int type,
                  const struct address *address)
{
    return nla_put(message, type, address_bits(address) / 8, address->bytes);
}


/* The address for all of the subnet: programs ask the interface for it. */
static int
links_put_broadcast(struct nl_msg *message, const struct prefix *prefix)
{
    struct address broadcast;
    unsigned bit;

    if (prefix->address.family != ADDRESS_IPV4 || prefix->length > 30) {
        return 0;
    }

    broadcast = prefix->address;

    for (bit = prefix->length; bit < 32; bit++) {
        broadcast.bytes[bit / 8] |= (uint8_t) (0x80 >> bit % 8);
    }

    return links_put_address(message, IFA_BROADCAST, &broadcast);
}


static int
links_family(const struct prefix *prefix)
{
    return prefix->address.family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
}


/*
 * IFA_F_NOPREFIXROUTE: the route to the network is ours, marked and
 * reconciled, so the kernel makes none.  IFA_F_NODAD: WireGuard has no
 * neighbour discovery to ask.
 */
static int
links_place(struct nl_sock *rtnl, const struct operation *operation,
            unsigned index)
{
    struct ifaddrmsg body;
    struct nl_msg *message;
    const struct prefix *prefix;
    bool add;
    int number;

    prefix = &operation->prefix;
    add = operation->kind == OPERATION_ADDRESS_ADD;

    memset(&body, 0, sizeof(body));
    body.ifa_family = (uint8_t) links_family(prefix);
    body.ifa_prefixlen = prefix->length;
    body.ifa_index = index;

    message = nlmsg_alloc_simple(add ? RTM_NEWADDR : RTM_DELADDR,
                                 add ? NLM_F_CREATE | NLM_F_EXCL : 0);

    if (message == NULL ||
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        links_put_address(message, IFA_LOCAL, &prefix->address) != 0 ||
        links_put_address(message, IFA_ADDRESS, &prefix->address) != 0 ||
        (add && links_put_broadcast(message, prefix) != 0) ||
        (add && nla_put_u32(message, IFA_FLAGS,
                            IFA_F_NOPREFIXROUTE | IFA_F_NODAD) != 0)) {
        nlmsg_free(message);
        return ENOMEM;
    }

    number = netlink_request(rtnl, message);

    /* there, or gone, already: what was wanted */
    return number == (add ? EEXIST : EADDRNOTAVAIL) ? 0 : number;
}


/* What the route takes at most, for packets that we send. */
static int
links_put_mtu(struct nl_msg *message, uint32_t mtu)
{
    struct nlattr *metrics;

    metrics = nla_nest_start(message, RTA_METRICS);

    if (metrics == NULL || nla_put_u32(message, RTAX_MTU, mtu) != 0) {
        return ENOMEM;
    }

    (void) nla_nest_end(message, metrics);

    return 0;
}


static int
links_route(struct nl_sock *rtnl, const struct operation *operation,
            unsigned index)
{
    struct rtmsg body;
    struct nl_msg *message;
    const struct prefix *prefix;
    uint32_t mtu;
    bool add;
    int number;

    mtu = operation->kind == OPERATION_NARROW_ADD ? operation->narrow.mtu : 0;
    prefix = mtu != 0 || operation->kind == OPERATION_NARROW_DELETE
                 ? &operation->narrow.prefix
                 : &operation->prefix;
    add = mtu != 0 || operation->kind == OPERATION_ROUTE_ADD;

    memset(&body, 0, sizeof(body));
    body.rtm_family = (uint8_t) links_family(prefix);
    body.rtm_dst_len = prefix->length;
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_protocol = ACTUAL_ROUTE_PROTOCOL;
    body.rtm_type = RTN_UNICAST;
    body.rtm_scope =
        body.rtm_family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;

    /* never NLM_F_REPLACE: it would take the place of a foreign route */
    message = nlmsg_alloc_simple(add ? RTM_NEWROUTE : RTM_DELROUTE,
                                 add ? NLM_F_CREATE | NLM_F_EXCL : 0);

    if (message == NULL ||
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        links_put_address(message, RTA_DST, &prefix->address) != 0 ||
        nla_put_u32(message, RTA_OIF, index) != 0 ||
        (mtu != 0 && links_put_mtu(message, mtu) != 0)) {
        nlmsg_free(message);
        return ENOMEM;
    }

    number = netlink_request(rtnl, message);

    return !add && number == ESRCH ? 0 : number;
}


int
links_apply(struct nl_sock *rtnl, const struct operation *operation,
            struct error *error)
{
    char what[160], text[ADDRESS_TEXT];
    unsigned index;
    int number;

    number = EINVAL;
    index = if_nametoindex(operation->name);

    if (index == 0) {
        return error_set(error, ERROR_GONE, "interface %s is gone",
                         operation->name);
    }

    switch (operation->kind) {

    case OPERATION_ALIAS:
    case OPERATION_MTU:
    case OPERATION_UP:
        number = links_change(rtnl, operation);
        break;

    case OPERATION_ADDRESS_ADD:
    case OPERATION_ADDRESS_DELETE:
        number = links_place(rtnl, operation, index);
        break;

    case OPERATION_ROUTE_ADD:
    case OPERATION_ROUTE_DELETE:
    case OPERATION_NARROW_ADD:
    case OPERATION_NARROW_DELETE:
        number = links_route(rtnl, operation, index);

        if (number == EEXIST) {
            return error_set(
                error, ERROR_ROUTE_IN_USE,
                "%s: another route to %s exists on this device",
                operation->name,
                prefix_format(operation->kind == OPERATION_NARROW_ADD
                                  ? &operation->narrow.prefix
                                  : &operation->prefix,
                              text));
        }

        break;

    case OPERATION_DELETE:
    case OPERATION_CREATE:
    case OPERATION_DEVICE:
    case OPERATION_PEERS:
        return error_set(error, ERROR_INVALID, "not an operation on links");
    }

    if (number == 0) {
        return 0;
    }

    return netlink_error(error, number,
                         operation_describe(operation, what, sizeof(what)));
}
