#include "os/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/netlink.h"

#define FORWARD_IPV4 "/proc/sys/net/ipv4/conf/%s/forwarding"
#define FORWARD_IPV6 "/proc/sys/net/ipv6/conf/%s/forwarding"

/* Since Linux 6.17: for one interface, what "all" alone did before. */
#define FORWARD_FORCE "/proc/sys/net/ipv6/conf/%s/force_forwarding"


struct forward {
    struct nl_sock *rtnl;
    bool looked;    /* at what another one left */
    bool inherited; /* there was a table: its interfaces are not known */
    char *applied;  /* the rules that stand, or NULL */
    char (*names)[ACTUAL_NAME_SIZE]; /* interfaces that we switched on */
    size_t count;
};


struct forward *
forward_open(struct error *error)
{
    struct forward *forward;

    forward = calloc(1, sizeof(*forward));

    if (forward == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    forward->rtnl = netlink_open(NETLINK_ROUTE, error);

    if (forward->rtnl == NULL) {
        free(forward);
        return NULL;
    }

    return forward;
}


void
forward_close(struct forward *forward)
{
    if (forward != NULL) {
        netlink_close(forward->rtnl);
        free(forward->applied);
        free(forward->names);
        free(forward);
    }
}


/* The first line of what nftables complains of. */
static int
forward_error(struct error *error, const char *text)
{
    size_t length;

    length = strcspn(text, "\n");

    return error_set(error, ERROR_SYSTEM,
                     "nftables does not take the gateway's rules: %.*s",
                     (int) (length < 120 ? length : 120), text);
}


/* Runs commands of nft; error may be NULL. */
static int
forward_nft(const char *commands, struct error *error)
{
    struct nft_ctx *nft;
    int rc;

    nft = nft_ctx_new(NFT_CTX_DEFAULT);

    if (nft == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    if (nft_ctx_buffer_output(nft) != 0 || nft_ctx_buffer_error(nft) != 0) {
        nft_ctx_free(nft);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    rc = nft_run_cmd_from_buffer(nft, commands);

    if (rc != 0 && error != NULL) {
        (void) forward_error(error, nft_ctx_get_error_buffer(nft));
    }

    nft_ctx_free(nft);

    return rc == 0 ? 0 : -1;
}


static bool
forward_table(void)
{
    return forward_nft("list table inet " FORWARDING_TABLE, NULL) == 0;
}


/* What a switch says: 0 or more, -1 if there is no such switch. */
static int
forward_read(const char *format, const char *name)
{
    char path[128], value[16];
    ssize_t n;
    int fd;

    (void) snprintf(path, sizeof(path), format, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    n = read(fd, value, sizeof(value) - 1);
    (void) close(fd);

    if (n <= 0) {
        return -1;
    }

    return value[0] != '0';
}


static int
forward_write(const char *format, const char *name, int on)
{
    char path[128];
    ssize_t n;
    int fd;

    (void) snprintf(path, sizeof(path), format, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    n = write(fd, on ? "1" : "0", 1);
    (void) close(fd);

    return n == 1 ? 0 : -1;
}


/*
 * IPv4's switch by rtnetlink: /proc/sys is not ours to write where the
 * machine's services are confined.
 */
static int
forward_switch4(struct forward *forward, const char *name, int on,
                struct error *error)
{
    struct ifinfomsg body;
    struct nl_msg *message;
    struct nlattr *spec, *family, *conf;
    int number;

    memset(&body, 0, sizeof(body));
    message = nlmsg_alloc_simple(RTM_SETLINK, NLM_F_REQUEST);

    if (message == NULL ||
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        nla_put_string(message, IFLA_IFNAME, name) != 0 ||
        (spec = nla_nest_start(message, IFLA_AF_SPEC)) == NULL ||
        (family = nla_nest_start(message, AF_INET)) == NULL ||
        (conf = nla_nest_start(message, IFLA_INET_CONF)) == NULL ||
        nla_put_u32(message, IPV4_DEVCONF_FORWARDING, (uint32_t) on) != 0 ||
        nla_nest_end(message, conf) != 0 ||
        nla_nest_end(message, family) != 0 ||
        nla_nest_end(message, spec) != 0) {
        nlmsg_free(message);
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    number = netlink_request(forward->rtnl, message);

    return number == 0 ? 0
                       : netlink_error(error, number, "forwarding of packets");
}


/* On, or back to what the machine gives a new interface. */
static int
forward_switch(struct forward *forward, const char *name, bool on,
               struct error *error)
{
    int wanted, force;

    wanted = on ? 1 : forward_read(FORWARD_IPV4, "default") == 1;
    force = on ? 1 : forward_read(FORWARD_FORCE, "default") == 1;

    /* IPv6 is forwarded where the kernel can for one interface alone */
    if (forward_read(FORWARD_FORCE, name) == !force) {
        (void) forward_write(FORWARD_FORCE, name, force);
    }

    if (forward_read(FORWARD_IPV4, name) == wanted) {
        return 0;
    }

    return forward_switch4(forward, name, wanted, error);
}


bool
forward_has_ipv6(const char *name)
{
    return forward_read(FORWARD_IPV6, "all") == 1 ||
           forward_read(FORWARD_FORCE, name) == 1;
}


static bool
forward_wanted(const struct forwarding *want, const char *name)
{
    size_t i;

    for (i = 0; i < want->count; i++) {
        if (strcmp(want->networks[i].name, name) == 0) {
            return true;
        }
    }

    return false;
}


static bool
forward_done(const struct forward *forward, const char *name)
{
    size_t i;

    for (i = 0; i < forward->count; i++) {
        if (strcmp(forward->names[i], name) == 0) {
            return true;
        }
    }

    return forward->inherited;
}


/* Those of ours that forward and shall not any more. */
static int
forward_off(struct forward *forward, const struct forwarding *want,
            const struct actual *ours, struct error *error)
{
    const char *name;
    size_t i;
    int rc;

    rc = 0;

    for (i = 0; i < ours->interface_count; i++) {
        name = ours->interfaces[i].name;

        if (!forward_wanted(want, name) && forward_done(forward, name) &&
            forward_switch(forward, name, false, error) != 0) {
            rc = -1;
        }
    }

    return rc;
}


/* The names are noted first: what was begun is undone. */
static int
forward_on(struct forward *forward, const struct forwarding *want,
           struct error *error)
{
    char(*names)[ACTUAL_NAME_SIZE];
    size_t i;

    names = calloc(want->count + 1, sizeof(*names));

    if (names == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    for (i = 0; i < want->count; i++) {
        memcpy(names[i], want->networks[i].name, sizeof(names[i]));
    }

    free(forward->names);
    forward->names = names;
    forward->count = want->count;
    forward->inherited = false;

    for (i = 0; i < want->count; i++) {
        if (forward_switch(forward, names[i], true, error) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Our table, if it is not there as it shall be. Takes rules. */
static int
forward_table_apply(struct forward *forward, const struct forwarding *want,
                    char *rules, struct error *error)
{
    bool same;

    same = forward->applied != NULL && strcmp(forward->applied, rules) == 0;

    if (same && (want->count == 0 || forward_table())) {
        free(rules);
        return 0;
    }

    free(forward->applied);
    forward->applied = NULL;

    if (forward_nft(rules, error) != 0) {
        free(rules);
        return -1;
    }

    forward->applied = rules;

    return 0;
}


/* What another one left, who may have been killed. */
static void
forward_look(struct forward *forward)
{
    forward->looked = true;
    forward->inherited = forward_table();
}


int
forward_apply(struct forward *forward, const struct forwarding *want,
              const struct actual *ours, struct error *error)
{
    static const struct forwarding nothing;
    char *rules;

    if (!forward->looked) {
        forward_look(forward);
    }

    if (want->count == 0 && forward->applied == NULL && forward->count == 0 &&
        !forward->inherited) {
        return 0;
    }

    rules = forwarding_rules(want);

    if (rules == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    if (forward_off(forward, want, ours, error) != 0) {
        free(rules);
        return -1;
    }

    if (forward_table_apply(forward, want, rules, error) != 0) {
        (void) forward_off(forward, &nothing, ours, NULL);
        return -1;
    }

    return forward_on(forward, want, error);
}
