/* What the kernel tells of interfaces, addresses and routes. */

#include "os/links.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
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


bool
links_tunnel(const struct links_link *link)
{
    return strcmp(link->kind, "vxlan") != 0;
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
        places->actual->interfaces[i].narrow_count = 0;
    }
}


/* The route's own MTU; 0: it has none. */
static uint32_t
links_route_mtu(struct nlattr *metrics)
{
    struct nlattr *metric[RTAX_MAX + 1];

    if (metrics == NULL ||
        nla_parse_nested(metric, RTAX_MAX, metrics, NULL) < 0 ||
        metric[RTAX_MTU] == NULL ||
        nla_len(metric[RTAX_MTU]) != sizeof(uint32_t)) {
        return 0;
    }

    return nla_get_u32(metric[RTAX_MTU]);
}


static int
links_narrow_append(struct actual_interface *interface,
                    const struct prefix *prefix, uint32_t mtu)
{
    struct actual_narrow *bigger;

    if (interface->narrow_count >= LINKS_MAX) {
        return E2BIG;
    }

    bigger = realloc(interface->narrow,
                     (interface->narrow_count + 1) * sizeof(*bigger));

    if (bigger == NULL) {
        return ENOMEM;
    }

    bigger[interface->narrow_count].prefix = *prefix;
    bigger[interface->narrow_count].mtu = mtu;
    interface->narrow = bigger;
    interface->narrow_count++;

    return 0;
}


static int
links_routes_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[RTA_MAX + 1];
    const struct links_places *places = data;
    struct actual_interface *interface;
    struct rtmsg *message;
    struct prefix prefix;
    uint32_t mtu;

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
    mtu = links_route_mtu(attributes[RTA_METRICS]);

    if (mtu != 0) {
        return links_narrow_append(interface, &prefix, mtu);
    }

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
