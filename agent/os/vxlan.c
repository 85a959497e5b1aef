#include "os/vxlan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/links.h"
#include "os/nft.h"

#define VXLAN_ACCEPT_RA "/proc/sys/net/ipv6/conf/%s/accept_ra"


struct vxlan {
    struct nl_sock *rtnl;
    char *filter;            /* the commands that stand, or NULL */
    bool looked;             /* whether another one left a filter */
    bool touched;            /* by somebody else, since they were laid */
    struct nft_watch *watch; /* of the filter, since there was one */
};


struct vxlan *
vxlan_open(struct error *error)
{
    struct vxlan *vxlan;

    vxlan = calloc(1, sizeof(*vxlan));

    if (vxlan == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    vxlan->rtnl = netlink_open(NETLINK_ROUTE, error);

    if (vxlan->rtnl == NULL) {
        free(vxlan);
        return NULL;
    }

    return vxlan;
}


void
vxlan_close(struct vxlan *vxlan)
{
    if (vxlan != NULL) {
        netlink_close(vxlan->rtnl);
        nft_watch_close(vxlan->watch);
        free(vxlan->filter);
        free(vxlan);
    }
}


int
vxlan_observe(struct vxlan *vxlan, struct lan_actual **actual,
              struct error *error)
{
    (void) vxlan;

    *actual = calloc(1, sizeof(**actual));

    if (*actual == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    if (vxlan_read(*actual, error) != 0) {
        lan_actual_destroy(*actual);
        *actual = NULL;
        return -1;
    }

    return 0;
}


static struct nl_msg *
vxlan_message(int type, int flags, int index)
{
    struct ifinfomsg body;
    struct nl_msg *message;

    memset(&body, 0, sizeof(body));
    body.ifi_index = index;
    message = nlmsg_alloc_simple(type, flags);

    if (message != NULL &&
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        message = NULL;
    }

    return message;
}


/* Nothing is learned, ARP is answered from what is known. */
static int
vxlan_put(struct nl_msg *message, const struct lan_identity *identity,
          unsigned under)
{
    struct nlattr *info, *data;

    info = nla_nest_start(message, IFLA_LINKINFO);

    if (info == NULL ||
        nla_put_string(message, IFLA_INFO_KIND, VXLAN_KIND) != 0 ||
        (data = nla_nest_start(message, IFLA_INFO_DATA)) == NULL ||
        nla_put_u32(message, IFLA_VXLAN_ID, identity->vni) != 0 ||
        nla_put_u32(message, IFLA_VXLAN_LINK, under) != 0 ||
        nla_put(message, IFLA_VXLAN_LOCAL6, 16, identity->local.bytes) != 0 ||
        nla_put_u16(message, IFLA_VXLAN_PORT, htons(identity->port)) != 0 ||
        nla_put_u8(message, IFLA_VXLAN_LEARNING, 0) != 0 ||
        nla_put_u8(message, IFLA_VXLAN_PROXY, 1) != 0 ||
        nla_nest_end(message, data) != 0) {
        return -1;
    }

    return nla_nest_end(message, info);
}


static int
vxlan_new(struct vxlan *vxlan, const struct lan_operation *operation,
          struct error *error)
{
    const struct lan_identity *identity;
    struct nl_msg *message;
    unsigned under;
    int number;

    identity = &operation->identity;
    under = if_nametoindex(identity->under);

    if (under == 0) {
        return error_set(error, ERROR_GONE, "interface %s is gone",
                         identity->under);
    }

    message = vxlan_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);

    if (message == NULL ||
        nla_put_string(message, IFLA_IFNAME, operation->name) != 0 ||
        nla_put_u32(message, IFLA_GROUP, ACTUAL_LINK_GROUP) != 0 ||
        nla_put(message, IFLA_ADDRESS, LAN_MAC_SIZE, identity->mac) != 0 ||
        vxlan_put(message, identity, under) != 0) {
        nlmsg_free(message);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    number = netlink_request(vxlan->rtnl, message);

    switch (number) {

    case 0:
        return 0;

    case EEXIST:
        return error_set(
            error, ERROR_NAME_IN_USE,
            "LAN mode needs the interface name %s and the VXLAN %u at port "
            "%u, and another interface has one of them: rename or remove it",
            operation->name, identity->vni, (unsigned) identity->port);

    case EOPNOTSUPP:
        return error_set(error, ERROR_UNSUPPORTED,
                         "LAN mode needs VXLAN, which this kernel does not "
                         "have: modprobe vxlan");

    default:
        return netlink_error(error, number, "cannot make the LAN's interface");
    }
}


/*
 * Its link-local address follows from its hardware address, as the others
 * expect.  That it heeds no router is the filter's work too, where /proc/sys
 * is not ours to write.
 */
static int
vxlan_ipv6(struct vxlan *vxlan, const char *name, struct error *error)
{
    struct nl_msg *message;
    struct nlattr *spec, *inet6;
    char path[80];
    unsigned index;
    int fd, number;

    index = if_nametoindex(name);
    (void) snprintf(path, sizeof(path), VXLAN_ACCEPT_RA, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd != -1) {
        (void) !write(fd, "0", 1);
        (void) close(fd);
    }

    message = vxlan_message(RTM_SETLINK, 0, (int) index);

    if (message == NULL ||
        (spec = nla_nest_start(message, IFLA_AF_SPEC)) == NULL ||
        (inet6 = nla_nest_start(message, AF_INET6)) == NULL ||
        nla_put_u8(message, IFLA_INET6_ADDR_GEN_MODE,
                   IN6_ADDR_GEN_MODE_EUI64) != 0 ||
        nla_nest_end(message, inet6) != 0 || nla_nest_end(message, spec) != 0) {
        nlmsg_free(message);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    number = netlink_request(vxlan->rtnl, message);

    return number == 0
               ? 0
               : netlink_error(error, number, "IPv6 on the LAN's interface");
}


static int
vxlan_delete(struct vxlan *vxlan, const char *name, struct error *error)
{
    return links_delete(vxlan->rtnl, name, error);
}


/* under: the interface that frames leave by, or 0. */
static struct nl_msg *
vxlan_entry_message(const struct lan_operation *operation, unsigned index,
                    unsigned under)
{
    const struct lan_entry *entry;
    struct ndmsg body;
    struct nl_msg *message;
    int flags;

    entry = &operation->entry.entry;
    flags = NLM_F_CREATE | NLM_F_REPLACE;
    memset(&body, 0, sizeof(body));
    body.ndm_family =
        entry->address.family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
    body.ndm_ifindex = (int) index;
    body.ndm_state = NUD_PERMANENT;

    /* appended: flooded frames go to many */
    if (entry->kind == LAN_FORWARD) {
        body.ndm_family = AF_BRIDGE;
        body.ndm_flags = NTF_SELF;
        body.ndm_state |= NUD_NOARP;
        flags = NLM_F_CREATE | NLM_F_APPEND;
    }

    message = operation->kind == LAN_ENTRY_ADD
                  ? nlmsg_alloc_simple(RTM_NEWNEIGH, flags)
                  : nlmsg_alloc_simple(RTM_DELNEIGH, 0);

    if (message == NULL ||
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        nla_put(message, NDA_LLADDR, LAN_MAC_SIZE, entry->mac) != 0 ||
        nla_put(message, NDA_DST, address_bits(&entry->address) / 8,
                entry->address.bytes) != 0 ||
        (under != 0 && nla_put_u32(message, NDA_IFINDEX, under) != 0)) {
        nlmsg_free(message);
        return NULL;
    }

    return message;
}


/* 0 or a positive errno. */
static int
vxlan_entry_send(struct vxlan *vxlan, const struct lan_operation *operation,
                 unsigned index, unsigned under)
{
    struct nl_msg *message;

    message = vxlan_entry_message(operation, index, under);

    return message != NULL ? netlink_request(vxlan->rtnl, message) : ENOMEM;
}


static int
vxlan_entry(struct vxlan *vxlan, const struct lan_operation *operation,
            struct error *error)
{
    char what[160];
    unsigned index, under;
    int number;

    index = if_nametoindex(operation->name);
    under = if_nametoindex(operation->entry.under);

    if (index == 0 || under == 0) {
        return error_set(error, ERROR_GONE, "interface %s is gone",
                         operation->name);
    }

    /* where to send it out: what goes astray does not leave the tunnel */
    if (operation->entry.entry.kind != LAN_FORWARD) {
        under = 0;
    }

    number = vxlan_entry_send(vxlan, operation, index, under);

    /* one added by hand may not say where, and the kernel not that it stays */
    if (operation->kind == LAN_ENTRY_DELETE && under != 0 &&
        (number == 0 || number == ENOENT)) {
        number = vxlan_entry_send(vxlan, operation, index, 0);
    }

    /* there, or gone, already: what was wanted */
    if (number == 0 ||
        number == (operation->kind == LAN_ENTRY_ADD ? EEXIST : ENOENT)) {
        return 0;
    }

    return netlink_error(error, number,
                         lan_describe(operation, what, sizeof(what)));
}


int
vxlan_apply(struct vxlan *vxlan, const struct lan_operation *operation,
            struct error *error)
{
    switch (operation->kind) {

    case LAN_DELETE:
        return vxlan_delete(vxlan, operation->name, error);

    case LAN_CREATE:
        return vxlan_new(vxlan, operation, error) == 0
                   ? vxlan_ipv6(vxlan, operation->name, error)
                   : -1;

    case LAN_ENTRY_ADD:
    case LAN_ENTRY_DELETE:
        return vxlan_entry(vxlan, operation, error);

    case LAN_LINK:
        break;
    }

    return links_apply(vxlan->rtnl, &operation->link, error);
}


static int
vxlan_nft(const char *commands, struct error *error)
{
    struct error reason;

    if (nft_run(commands, NULL, &reason) == 0) {
        return 0;
    }

    return error_set(error, reason.code,
                     "LAN mode needs nftables with an egress hook (Linux "
                     "5.16): %.160s",
                     reason.text);
}


int
vxlan_fd(const struct vxlan *vxlan)
{
    return vxlan->watch != NULL ? nft_watch_fd(vxlan->watch) : -1;
}


bool
vxlan_changed(struct vxlan *vxlan)
{
    if (vxlan->watch != NULL && nft_watch_read(vxlan->watch, false)) {
        vxlan->touched = true;
    }

    return vxlan->touched;
}


int
vxlan_filter(struct vxlan *vxlan, char *commands, bool nothing, bool anew,
             struct error *error)
{
    bool same;

    /* a machine that never had one may have no nftables at all */
    if (nothing && vxlan->filter == NULL &&
        (vxlan->looked ||
         (nft_run("list table inet " LAN_TABLE, NULL, NULL) != 0 &&
          nft_run("list table netdev " LAN_TABLE, NULL, NULL) != 0))) {
        vxlan->looked = true;
        free(commands);
        return 0;
    }

    vxlan->looked = true;
    same = vxlan->filter != NULL && strcmp(vxlan->filter, commands) == 0;

    if (same && !anew && !vxlan_changed(vxlan)) {
        free(commands);
        return 0;
    }

    if (vxlan->watch == NULL) {
        vxlan->watch = nft_watch_open(LAN_TABLE, NULL);
    }

    free(vxlan->filter);
    vxlan->filter = NULL;
    vxlan->touched = false;

    if (vxlan_nft(commands, error) != 0) {
        vxlan->looked = false;
        free(commands);
        return -1;
    }

    if (nothing) {
        free(commands);

    } else {
        vxlan->filter = commands;
    }

    return 0;
}
