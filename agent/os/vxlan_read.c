/* What the kernel tells of our VXLANs. */

#include "os/vxlan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>

#include "os/links.h"

/* Static entries of one VXLAN: ours and some that others add by hand. */
#define VXLAN_ENTRIES_MAX 65536


/* The attributes of an interface that vxlan_create() sets. */
static void
vxlan_identity(struct nlattr **link, struct nlattr **data,
               struct lan_fact *fact)
{
    struct lan_identity *identity;

    identity = &fact->identity;
    memset(fact, 0, sizeof(*fact));

    if (data[IFLA_VXLAN_ID] != NULL) {
        identity->vni = nla_get_u32(data[IFLA_VXLAN_ID]);
    }

    if (data[IFLA_VXLAN_PORT] != NULL) {
        identity->port = ntohs(nla_get_u16(data[IFLA_VXLAN_PORT]));
    }

    if (data[IFLA_VXLAN_LINK] != NULL) {
        (void) if_indextoname(nla_get_u32(data[IFLA_VXLAN_LINK]),
                              identity->under);
    }

    if (data[IFLA_VXLAN_LOCAL6] != NULL &&
        nla_len(data[IFLA_VXLAN_LOCAL6]) == 16) {
        identity->local.family = ADDRESS_IPV6;
        memcpy(identity->local.bytes, nla_data(data[IFLA_VXLAN_LOCAL6]), 16);
    }

    if (link[IFLA_ADDRESS] != NULL &&
        nla_len(link[IFLA_ADDRESS]) == LAN_MAC_SIZE) {
        memcpy(identity->mac, nla_data(link[IFLA_ADDRESS]), LAN_MAC_SIZE);
    }

    fact->strange = data[IFLA_VXLAN_LEARNING] == NULL ||
                    nla_get_u8(data[IFLA_VXLAN_LEARNING]) != 0 ||
                    data[IFLA_VXLAN_PROXY] == NULL ||
                    nla_get_u8(data[IFLA_VXLAN_PROXY]) != 1;
}


struct vxlan_details {
    const struct lan_actual *actual;
    size_t found;
};


static void
vxlan_details_begin(void *data)
{
    struct vxlan_details *details = data;

    details->found = 0;
}


static int
vxlan_details_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *link[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
    struct nlattr *vxlan[IFLA_VXLAN_MAX + 1];
    const struct vxlan_details *details = data;
    const struct lan_actual *actual = details->actual;
    const struct ifinfomsg *message;
    size_t i;

    if (header->nlmsg_type != RTM_NEWLINK ||
        nlmsg_parse(header, sizeof(*message), link, IFLA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    message = nlmsg_data(header);

    for (i = 0; i < actual->places->interface_count; i++) {
        if (actual->indices[i] != message->ifi_index ||
            link[IFLA_LINKINFO] == NULL ||
            nla_parse_nested(info, IFLA_INFO_MAX, link[IFLA_LINKINFO], NULL) !=
                0 ||
            info[IFLA_INFO_DATA] == NULL ||
            nla_parse_nested(vxlan, IFLA_VXLAN_MAX, info[IFLA_INFO_DATA],
                             NULL) != 0) {
            continue;
        }

        vxlan_identity(link, vxlan, &actual->facts[i]);
    }

    return 0;
}


static int
vxlan_details(struct lan_actual *actual)
{
    static const struct netlink_reader reader = {vxlan_details_begin,
                                                 vxlan_details_message};
    struct vxlan_details details = {actual, 0};
    struct ifinfomsg question;
    struct nl_msg *message;

    memset(&question, 0, sizeof(question));
    message = nlmsg_alloc_simple(RTM_GETLINK, 0);

    if (message == NULL || nlmsg_append(message, &question, sizeof(question),
                                        NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, &reader, &details);
}


/* What a dump of one kind of entries is about. */
struct vxlan_entries {
    const struct lan_actual *actual;
    enum lan_entry_kind kind;
};


static void
vxlan_entries_begin(void *data)
{
    const struct vxlan_entries *entries = data;
    struct lan_fact *fact;
    size_t i, k, kept;

    for (i = 0; i < entries->actual->places->interface_count; i++) {
        fact = &entries->actual->facts[i];

        for (k = 0, kept = 0; k < fact->entry_count; k++) {
            if (fact->entries[k].kind != entries->kind) {
                fact->entries[kept++] = fact->entries[k];
            }
        }

        fact->entry_count = kept;
    }
}


static int
vxlan_entry_append(struct lan_fact *fact, const struct lan_entry *entry)
{
    struct lan_entry *bigger;

    if (fact->entry_count == VXLAN_ENTRIES_MAX) {
        return E2BIG;
    }

    /* grows by doubling: at powers of two */
    if ((fact->entry_count & (fact->entry_count - 1)) == 0) {
        bigger = realloc(fact->entries,
                         (2 * fact->entry_count + 1) * sizeof(*bigger));

        if (bigger == NULL) {
            return ENOMEM;
        }

        fact->entries = bigger;
    }

    fact->entries[fact->entry_count++] = *entry;

    return 0;
}


/* False for what the kernel keeps for itself (multicast, what it learned). */
static bool
vxlan_entry(const struct ndmsg *message, struct nlattr **attributes,
            struct lan_entry *entry)
{
    const struct nlattr *mac = attributes[NDA_LLADDR];
    const struct nlattr *address = attributes[NDA_DST];

    if ((message->ndm_state & NUD_PERMANENT) == 0 || mac == NULL ||
        nla_len(mac) != LAN_MAC_SIZE || address == NULL ||
        (nla_len(address) != 4 && nla_len(address) != 16)) {
        return false;
    }

    memcpy(entry->mac, nla_data(mac), LAN_MAC_SIZE);
    entry->address.family = nla_len(address) == 4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
    memcpy(entry->address.bytes, nla_data(address), (size_t) nla_len(address));

    return true;
}


static int
vxlan_entries_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[NDA_MAX + 1];
    const struct vxlan_entries *entries = data;
    const struct ndmsg *message;
    struct lan_entry entry;
    bool bridge;
    size_t i;

    if (header->nlmsg_type != RTM_NEWNEIGH ||
        nlmsg_parse(header, sizeof(*message), attributes, NDA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    message = nlmsg_data(header);
    bridge = message->ndm_family == AF_BRIDGE;
    memset(&entry, 0, sizeof(entry));
    entry.kind = entries->kind;

    if (bridge != (entries->kind == LAN_FORWARD) ||
        !vxlan_entry(message, attributes, &entry)) {
        return 0;
    }

    for (i = 0; i < entries->actual->places->interface_count; i++) {
        if (entries->actual->indices[i] == message->ndm_ifindex) {
            return vxlan_entry_append(&entries->actual->facts[i], &entry);
        }
    }

    return 0;
}


static int
vxlan_entries(struct lan_actual *actual, enum lan_entry_kind kind)
{
    static const struct netlink_reader reader = {vxlan_entries_begin,
                                                 vxlan_entries_message};
    struct vxlan_entries entries = {actual, kind};
    struct ndmsg question;
    struct nl_msg *message;

    memset(&question, 0, sizeof(question));
    question.ndm_family = kind == LAN_FORWARD ? AF_BRIDGE : AF_UNSPEC;
    message = nlmsg_alloc_simple(RTM_GETNEIGH, 0);

    if (message == NULL || nlmsg_append(message, &question, sizeof(question),
                                        NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, &reader, &entries);
}


/* Our VXLANs' names, places in the list and indices. */
static int
vxlan_list(struct lan_actual *actual, struct error *error)
{
    struct links_list list;
    size_t i;
    int rc;

    if (links_all(&list, error) != 0) {
        return -1;
    }

    rc = 0;
    actual->places = calloc(1, sizeof(*actual->places));
    actual->indices = calloc(list.count + 1, sizeof(*actual->indices));
    actual->facts = calloc(list.count + 1, sizeof(*actual->facts));

    if (actual->places == NULL || actual->indices == NULL ||
        actual->facts == NULL) {
        rc = -1;
    }

    for (i = 0; i < list.count && rc == 0; i++) {
        if (links_ours(&list.links[i]) && !links_tunnel(&list.links[i])) {
            actual->indices[actual->places->interface_count] =
                list.links[i].index;
            rc = links_append(actual->places, &list.links[i]) != NULL ? 0 : -1;
        }
    }

    free(list.links);

    return rc == 0 ? 0 : error_set(error, ERROR_NO_MEMORY, "out of memory");
}


int
vxlan_read(struct lan_actual *actual, struct error *error)
{
    size_t i;
    int number;

    if (vxlan_list(actual, error) != 0) {
        return -1;
    }

    if (actual->places->interface_count == 0) {
        return 0;
    }

    number = vxlan_details(actual);

    if (number == 0) {
        number = vxlan_entries(actual, LAN_FORWARD);
    }

    if (number == 0) {
        number = vxlan_entries(actual, LAN_NEIGHBOUR);
    }

    if (number != 0) {
        return netlink_error(error, number, "cannot list the LANs");
    }

    for (i = 0; i < actual->places->interface_count; i++) {
        if (actual->facts[i].entry_count > 1) {
            qsort(actual->facts[i].entries, actual->facts[i].entry_count,
                  sizeof(struct lan_entry), lan_entry_compare);
        }
    }

    return links_places(actual->places, actual->indices, error);
}
