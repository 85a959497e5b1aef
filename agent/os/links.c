#include "os/links.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/desired.h"


/* Interfaces beyond this are more than a machine has. */
#define LINKS_MAX 65536


static void
links_text(const struct nlattr *attribute, char *text, size_t size)
{
    text[0] = '\0';

    if (attribute != NULL) {
        (void) nla_strlcpy(text, attribute, size);
    }
}


static void
links_begin(void *data)
{
    struct links_list *list = data;

    list->count = 0;
}


static int
links_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
    struct links_list *list = data;
    struct links_link *links, *link;
    struct ifinfomsg *message;
    char alias[ACTUAL_ALIAS_SIZE + 1];
    size_t room;

    if (header->nlmsg_type != RTM_NEWLINK ||
        nlmsg_parse(header, sizeof(*message), attributes, IFLA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    if (list->count == list->room) {
        room = list->room == 0 ? 32 : list->room * 2;
        links = room <= LINKS_MAX ? realloc(list->links, room * sizeof(*links))
                                  : NULL;

        if (links == NULL) {
            return ENOMEM;
        }

        list->links = links;
        list->room = room;
    }

    message = nlmsg_data(header);
    link = &list->links[list->count++];
    memset(link, 0, sizeof(*link));
    link->index = message->ifi_index;
    link->flags = message->ifi_flags;
    links_text(attributes[IFLA_IFNAME], link->name, sizeof(link->name));
    links_text(attributes[IFLA_IFALIAS], alias, sizeof(alias));
    link->alias = alias[0] != '\0';

    if (!desired_alias_parse(alias, link->network_id)) {
        link->network_id[0] = '\0';
    }

    if (attributes[IFLA_MTU] != NULL) {
        link->mtu = nla_get_u32(attributes[IFLA_MTU]);
    }

    if (attributes[IFLA_GROUP] != NULL) {
        link->group = nla_get_u32(attributes[IFLA_GROUP]);
    }

    if (attributes[IFLA_LINKINFO] != NULL &&
        nla_parse_nested(info, IFLA_INFO_MAX, attributes[IFLA_LINKINFO],
                         NULL) == 0) {
        links_text(info[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
    }

    return 0;
}


int
links_all(struct links_list *list, struct error *error)
{
    static const struct netlink_reader reader = {links_begin, links_message};
    struct ifinfomsg question;
    struct nl_msg *message;
    int number;

    memset(list, 0, sizeof(*list));
    memset(&question, 0, sizeof(question));
    message = nlmsg_alloc_simple(RTM_GETLINK, 0);

    if (message == NULL || nlmsg_append(message, &question, sizeof(question),
                                        NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return netlink_error(error, ENOMEM, "interfaces");
    }

    number = netlink_dump(NETLINK_ROUTE, message, &reader, list);

    if (number != 0) {
        free(list->links);
        memset(list, 0, sizeof(*list));
        return netlink_error(error, number, "cannot list the interfaces");
    }

    return 0;
}


bool
links_ours(const struct links_link *link)
{
    return link->network_id[0] != '\0' ||
           (link->group == ACTUAL_LINK_GROUP && !link->alias);
}


struct actual_interface *
links_append(struct actual *actual, const struct links_link *link)
{
    struct actual_interface *list, *interface;

    list = realloc(actual->interfaces,
                   (actual->interface_count + 1) * sizeof(*list));

    if (list == NULL) {
        return NULL;
    }

    actual->interfaces = list;
    interface = &list[actual->interface_count++];
    memset(interface, 0, sizeof(*interface));
    memcpy(interface->name, link->name, sizeof(interface->name));
    memcpy(interface->network_id, link->network_id,
           sizeof(interface->network_id));
    interface->up = (link->flags & IFF_UP) != 0;
    interface->mtu = link->mtu;

    return interface;
}


struct links_places {
    struct actual *actual;
    const int *indices;
};


static struct actual_interface *
links_by_index(const struct links_places *places, unsigned index)
{
    size_t i;

    for (i = 0; i < places->actual->interface_count; i++) {
        if (places->indices[i] > 0 && (unsigned) places->indices[i] == index) {
            return &places->actual->interfaces[i];
        }
    }

    return NULL;
}


static int
links_prefix_append(struct prefix **list, size_t *count,
                    const struct prefix *prefix)
{
    struct prefix *bigger;

    if (*count >= LINKS_MAX) {
        return E2BIG;
    }

    bigger = realloc(*list, (*count + 1) * sizeof(**list));

    if (bigger == NULL) {
        return ENOMEM;
    }

    bigger[*count] = *prefix;
    *list = bigger;
    (*count)++;

    return 0;
}


/* False for an attribute that is no address of the family. */
static bool
links_address(const struct nlattr *attribute, int family,
              struct address *address)
{
    size_t length;

    length = family == AF_INET ? 4 : 16;
    memset(address, 0, sizeof(*address));

    if (attribute == NULL || (size_t) nla_len(attribute) != length ||
        (family != AF_INET && family != AF_INET6)) {
        return false;
    }

    address->family = family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6;
    memcpy(address->bytes, nla_data(attribute), length);

    return true;
}


static void
links_addresses_begin(void *data)
{
    const struct links_places *places = data;
    size_t i;

    for (i = 0; i < places->actual->interface_count; i++) {
        places->actual->interfaces[i].address_count = 0;
    }
}


static int
links_addresses_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[IFA_MAX + 1], *local;
    const struct links_places *places = data;
    struct actual_interface *interface;
    struct ifaddrmsg *message;
    struct prefix prefix;

    if (header->nlmsg_type != RTM_NEWADDR ||
        nlmsg_parse(header, sizeof(*message), attributes, IFA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    message = nlmsg_data(header);
    interface = links_by_index(places, message->ifa_index);
    local = attributes[IFA_LOCAL] != NULL ? attributes[IFA_LOCAL]
                                          : attributes[IFA_ADDRESS];

    /* IPv6 link-local ones come and go by the kernel's own will */
    if (interface == NULL ||
        !links_address(local, message->ifa_family, &prefix.address) ||
        (message->ifa_family == AF_INET6 &&
         message->ifa_scope == RT_SCOPE_LINK)) {
        return 0;
    }

    prefix.length = message->ifa_prefixlen;

    return links_prefix_append(&interface->addresses, &interface->address_count,
                               &prefix);
}


static void
links_routes_begin(void *data)
{
    const struct links_places *places = data;
    size_t i;

    for (i = 0; i < places->actual->interface_count; i++) {
        places->actual->interfaces[i].route_count = 0;
    }
}


static int
links_routes_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[RTA_MAX + 1];
    const struct links_places *places = data;
    struct actual_interface *interface;
    struct rtmsg *message;
    struct prefix prefix;

    if (header->nlmsg_type != RTM_NEWROUTE ||
        nlmsg_parse(header, sizeof(*message), attributes, RTA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    message = nlmsg_data(header);

    /* the kernel has filtered if it can; be sure */
    if (message->rtm_protocol != ACTUAL_ROUTE_PROTOCOL ||
        message->rtm_table != RT_TABLE_MAIN ||
        (message->rtm_flags & RTM_F_CLONED) != 0 ||
        attributes[RTA_OIF] == NULL ||
        !links_address(attributes[RTA_DST], message->rtm_family,
                       &prefix.address)) {
        return 0;
    }

    interface = links_by_index(places, nla_get_u32(attributes[RTA_OIF]));

    if (interface == NULL) {
        return 0;
    }

    prefix.length = message->rtm_dst_len;

    return links_prefix_append(&interface->routes, &interface->route_count,
                               &prefix);
}


static int
links_dump_addresses(struct links_places *places)
{
    static const struct netlink_reader reader = {links_addresses_begin,
                                                 links_addresses_message};
    struct ifaddrmsg question;
    struct nl_msg *message;

    memset(&question, 0, sizeof(question));
    message = nlmsg_alloc_simple(RTM_GETADDR, 0);

    if (message == NULL || nlmsg_append(message, &question, sizeof(question),
                                        NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, &reader, places);
}


static int
links_dump_routes(struct links_places *places)
{
    static const struct netlink_reader reader = {links_routes_begin,
                                                 links_routes_message};
    struct rtmsg question;
    struct nl_msg *message;

    memset(&question, 0, sizeof(question));
    question.rtm_table = RT_TABLE_MAIN;
    question.rtm_protocol = ACTUAL_ROUTE_PROTOCOL;
    message = nlmsg_alloc_simple(RTM_GETROUTE, 0);

    if (message == NULL || nlmsg_append(message, &question, sizeof(question),
                                        NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, &reader, places);
}


int
links_places(struct actual *actual, const int *indices, struct error *error)
{
    struct links_places places;
    int number;

    places.actual = actual;
    places.indices = indices;

    number = links_dump_addresses(&places);

    if (number != 0) {
        return netlink_error(error, number, "cannot list the addresses");
    }

    number = links_dump_routes(&places);

    if (number != 0) {
        return netlink_error(error, number, "cannot list the routes");
    }

    return 0;
}


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
        (add && nla_put_u32(message, IFA_FLAGS,
                            IFA_F_NOPREFIXROUTE | IFA_F_NODAD) != 0)) {
        nlmsg_free(message);
        return ENOMEM;
    }

    number = netlink_request(rtnl, message);

    /* there, or gone, already: what was wanted */
    return number == (add ? EEXIST : EADDRNOTAVAIL) ? 0 : number;
}


static int
links_route(struct nl_sock *rtnl, const struct operation *operation,
            unsigned index)
{
    struct rtmsg body;
    struct nl_msg *message;
    const struct prefix *prefix;
    bool add;
    int number;

    prefix = &operation->prefix;
    add = operation->kind == OPERATION_ROUTE_ADD;

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
        nla_put_u32(message, RTA_OIF, index) != 0) {
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
        number = links_route(rtnl, operation, index);

        if (number == EEXIST) {
            return error_set(error, ERROR_ROUTE_IN_USE,
                             "%s: another route to %s exists on this device",
                             operation->name,
                             prefix_format(&operation->prefix, text));
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
