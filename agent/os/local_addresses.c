#include "os/local_addresses.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/links.h"
#include "os/netlink.h"

/* Default routes looked at; a machine with more has enough of them. */
#define LOCAL_DEFAULTS_MAX 16

_Static_assert(LOCAL_ADDRESSES_MAX <= PATHS_SUBNETS_MAX,
               "every address of ours has its place in paths");

enum local_rank {
    LOCAL_DEFAULT = 0, /* the way to the internet */
    LOCAL_OTHER,
    LOCAL_VIRTUAL, /* inside this machine, or a tunnel */
    LOCAL_RANKS
};

struct local_entry {
    struct prefix prefix;
    enum local_rank rank;
};

struct local {
    struct links_list links;
    unsigned defaults[LOCAL_DEFAULTS_MAX]; /* their interfaces' indices */
    size_t default_count;
    bool default4;
    bool default6;
    struct address gateway;
    uint32_t metric; /* of the gateway's route */
    struct local_entry entries[LOCAL_ADDRESSES_MAX];
    size_t count;
};


static void
local_routes_begin(void *data)
{
    struct local *local = data;

    local->default_count = 0;
    local->default4 = false;
    local->default6 = false;
    local->gateway.family = ADDRESS_NONE;
}


/* The gateway of the IPv4 default route that the kernel prefers. */
static void
local_gateway(struct local *local, struct nlattr **attributes)
{
    uint32_t metric;

    metric = attributes[RTA_PRIORITY] != NULL
                 ? nla_get_u32(attributes[RTA_PRIORITY])
                 : 0;

    if (attributes[RTA_GATEWAY] == NULL ||
        nla_len(attributes[RTA_GATEWAY]) != 4 ||
        (local->gateway.family != ADDRESS_NONE && metric >= local->metric)) {
        return;
    }

    local->metric = metric;
    local->gateway.family = ADDRESS_IPV4;
    memcpy(local->gateway.bytes, nla_data(attributes[RTA_GATEWAY]), 4);
}


static int
local_routes_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[RTA_MAX + 1];
    struct local *local = data;
    struct rtmsg *message;

    if (header->nlmsg_type != RTM_NEWROUTE ||
        nlmsg_parse(header, sizeof(*message), attributes, RTA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    message = nlmsg_data(header);

    if (message->rtm_dst_len != 0 || message->rtm_type != RTN_UNICAST ||
        message->rtm_table != RT_TABLE_MAIN ||
        (message->rtm_flags & RTM_F_CLONED) != 0) {
        return 0;
    }

    if (message->rtm_family == AF_INET) {
        local->default4 = true;
        local_gateway(local, attributes);

    } else if (message->rtm_family == AF_INET6) {
        local->default6 = true;
    }

    if (attributes[RTA_OIF] != NULL &&
        local->default_count < LOCAL_DEFAULTS_MAX) {
        local->defaults[local->default_count++] =
            nla_get_u32(attributes[RTA_OIF]);
    }

    return 0;
}


static const struct links_link *
local_link(const struct local *local, unsigned index)
{
    size_t i;

    for (i = 0; i < local->links.count; i++) {
        if ((unsigned) local->links.links[i].index == index) {
            return &local->links.links[i];
        }
    }

    return NULL;
}


/*
 * A bridge without the default route is one of containers or virtual
 * machines; what others tunnel is a way, but hardly the best.
 */
static enum local_rank
local_rank(const struct local *local, const struct links_link *link)
{
    static const char *const kinds[] = {"bridge", "tun", "wireguard", "dummy"};
    size_t i;

    for (i = 0; i < local->default_count; i++) {
        if (local->defaults[i] == (unsigned) link->index) {
            return LOCAL_DEFAULT;
        }
    }

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(link->kind, kinds[i]) == 0) {
            return LOCAL_VIRTUAL;
        }
    }

    return LOCAL_OTHER;
}


static void
local_addresses_begin(void *data)
{
    struct local *local = data;

    local->count = 0;
}


/* False for what nobody else can send to. */
static bool
local_usable(const struct links_link *link, uint32_t flags,
             const struct prefix *prefix)
{
    return link != NULL && (link->flags & IFF_UP) != 0 &&
           (link->flags & IFF_LOOPBACK) == 0 && !links_ours(link) &&
           (flags & (IFA_F_TEMPORARY | IFA_F_TENTATIVE | IFA_F_DADFAILED |
                     IFA_F_DEPRECATED)) == 0 &&
           !address_is_special(&prefix->address);
}


static int
local_addresses_message(struct nlmsghdr *header, void *data)
{
    struct nlattr *attributes[IFA_MAX + 1], *address;
    const struct links_link *link;
    struct local *local = data;
    struct ifaddrmsg *message;
    struct prefix prefix;
    uint32_t flags;

    if (header->nlmsg_type != RTM_NEWADDR ||
        nlmsg_parse(header, sizeof(*message), attributes, IFA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    message = nlmsg_data(header);
    link = local_link(local, message->ifa_index);
    address = attributes[IFA_LOCAL] != NULL ? attributes[IFA_LOCAL]
                                            : attributes[IFA_ADDRESS];
    flags = attributes[IFA_FLAGS] != NULL ? nla_get_u32(attributes[IFA_FLAGS])
                                          : message->ifa_flags;

    memset(&prefix, 0, sizeof(prefix));
    prefix.length = message->ifa_prefixlen;

    /* IFA_F_TEMPORARY and IFA_F_SECONDARY are one bit: IPv6 and IPv4 */
    if (message->ifa_family == AF_INET) {
        flags &= ~(uint32_t) IFA_F_SECONDARY;
    }

    if (address == NULL ||
        nla_len(address) != (message->ifa_family == AF_INET ? 4 : 16)) {
        return 0;
    }

    prefix.address.family =
        message->ifa_family == AF_INET ? ADDRESS_IPV4 : ADDRESS_IPV6;
    memcpy(prefix.address.bytes, nla_data(address), (size_t) nla_len(address));

    if (!local_usable(link, flags, &prefix) ||
        local->count == LOCAL_ADDRESSES_MAX) {
        return 0;
    }

    local->entries[local->count].prefix = prefix;
    local->entries[local->count++].rank = local_rank(local, link);

    return 0;
}


/* A question of `size` bytes of zeros: everything of this type. */
static int
local_dump(int type, size_t size, const struct netlink_reader *reader,
           struct local *local)
{
    char zeros[64];
    struct nl_msg *message;

    memset(zeros, 0, sizeof(zeros));
    message = nlmsg_alloc_simple(type, 0);

    if (message == NULL ||
        nlmsg_append(message, zeros, size, NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, reader, local);
}


/*
 * Where IPv6 is switched off (or not built in), setting an address of it
 * fails, and new interfaces inherit this setting.
 */
static bool
local_ipv6(void)
{
    char value;
    bool enabled;
    int fd;

    fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6",
              O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }

    enabled = read(fd, &value, 1) == 1 && value == '0';
    (void) close(fd);

    return enabled;
}


static void
local_result(const struct local *local, struct local_addresses *result)
{
    const struct local_entry *entry;
    unsigned rank;
    size_t i;

    memset(result, 0, sizeof(*result));
    result->ipv6 = local_ipv6();
    result->gateway = local->gateway;
    result->paths.default4 = local->default4;
    result->paths.default6 = local->default6;

    for (rank = 0; rank < LOCAL_RANKS; rank++) {
        for (i = 0; i < local->count; i++) {
            entry = &local->entries[i];

            if (entry->rank != rank) {
                continue;
            }

            result->addresses[result->count++] = entry->prefix;
            result->paths.own[result->paths.own_count++] =
                entry->prefix.address;

            if (rank != LOCAL_VIRTUAL) {
                result->paths.subnets[result->paths.subnet_count++] =
                    entry->prefix;
            }
        }
    }
}


int
local_addresses_get(struct local_addresses *result, struct error *error)
{
    static const struct netlink_reader routes = {local_routes_begin,
                                                 local_routes_message};
    static const struct netlink_reader addresses = {local_addresses_begin,
                                                    local_addresses_message};
    struct local local;
    int number;

    memset(&local, 0, sizeof(local));

    if (links_all(&local.links, error) != 0) {
        return -1;
    }

    number = local_dump(RTM_GETROUTE, sizeof(struct rtmsg), &routes, &local);

    if (number == 0) {
        number = local_dump(RTM_GETADDR, sizeof(struct ifaddrmsg), &addresses,
                            &local);
    }

    free(local.links.links);

    if (number != 0) {
        return netlink_error(error, number, "cannot list the addresses");
    }

    local_result(&local, result);

    return 0;
}
