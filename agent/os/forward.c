#include "os/forward.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/netlink.h"
#include "os/nft.h"

#define FORWARD_IPV4 "/proc/sys/net/ipv4/conf/%s/forwarding"
#define FORWARD_IPV6 "/proc/sys/net/ipv6/conf/%s/forwarding"

/* Since Linux 6.17: for one interface, what "all" alone did before. */
#define FORWARD_FORCE "/proc/sys/net/ipv6/conf/%s/force_forwarding"

#define FORWARD_SWITCHED_MAX 16
#define FORWARD_OLD_TABLE "goconnect_gateway" /* of versions before */


struct forward {
    struct nl_sock *rtnl;
    struct nft_watch *watch;
    bool looked;    /* at what another one left */
    bool inherited; /* there was a table: its interfaces are not known */
    char *applied;  /* the rules that stand, or NULL */
    char (*names)[ACTUAL_NAME_SIZE]; /* ours that we switched on */
    size_t count;
    /* this host's, that forward for our sake; as the table says too */
    char switched[FORWARD_SWITCHED_MAX][ACTUAL_NAME_SIZE];
    size_t switched_count;
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

    /* without it nobody tells us; the rules are laid all the same */
    forward->watch = nft_watch_open(FIREWALL_TABLE, error);

    return forward;
}


void
forward_close(struct forward *forward)
{
    if (forward != NULL) {
        netlink_close(forward->rtnl);
        nft_watch_close(forward->watch);
        free(forward->applied);
        free(forward->names);
        free(forward);
    }
}


static bool
forward_table(void)
{
    return nft_run("list table inet " FIREWALL_TABLE, NULL, NULL) == 0;
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
forward_wanted(const struct firewall *want, const char *name)
{
    size_t i;

    for (i = 0; i < want->count; i++) {
        if (firewall_forwards(&want->networks[i]) &&
            strcmp(want->networks[i].name, name) == 0) {
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
forward_off(struct forward *forward, const struct firewall *want,
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
forward_on(struct forward *forward, const struct firewall *want,
           struct error *error)
{
    char(*names)[ACTUAL_NAME_SIZE];
    size_t i, count;

    names = calloc(want->count + 1, sizeof(*names));

    if (names == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    count = 0;

    for (i = 0; i < want->count; i++) {
        if (firewall_forwards(&want->networks[i])) {
            memcpy(names[count++], want->networks[i].name, sizeof(names[0]));
        }
    }

    free(forward->names);
    forward->names = names;
    forward->count = count;
    forward->inherited = false;

    for (i = 0; i < count; i++) {
        if (forward_switch(forward, names[i], true, error) != 0) {
            return -1;
        }
    }

    for (i = 0; i < forward->switched_count; i++) {
        if (forward_switch(forward, forward->switched[i], true, error) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Whether a route leads out by an interface of this host. */
static bool
forward_routed(const struct firewall *want, const char *name)
{
    size_t i, k;

    for (i = 0; i < want->count; i++) {
        for (k = 0; k < want->networks[i].route_count; k++) {
            if (strcmp(want->networks[i].routes[k].name, name) == 0) {
                return true;
            }
        }
    }

    return false;
}


/*
 * This host's that need not forward for us any more get back what the machine
 * gives a new one; where the machine became a router they are its own.
 */
static void
forward_release(struct forward *forward, const struct firewall *want)
{
    const char *name;
    size_t i, kept;
    bool router;

    router = forward_read(FORWARD_IPV4, "default") == 1;
    kept = 0;

    for (i = 0; i < forward->switched_count; i++) {
        name = forward->switched[i];

        if (!router && forward_routed(want, name)) {
            memmove(forward->switched[kept++], name,
                    sizeof(forward->switched[0]));

        } else if (forward_read(FORWARD_IPV4, name) != -1) {
            (void) forward_switch(forward, name, false, NULL);
        }
    }

    forward->switched_count = kept;
}


/* Notes which of this host's have to forward and do not. */
static int
forward_need(struct forward *forward, const struct firewall *want,
             struct error *error)
{
    const char *name;
    size_t i, k, n;

    for (i = 0; i < want->count; i++) {
        for (k = 0; k < want->networks[i].route_count; k++) {
            name = want->networks[i].routes[k].name;

            for (n = 0; n < forward->switched_count; n++) {
                if (strcmp(forward->switched[n], name) == 0) {
                    break;
                }
            }

            if (n < forward->switched_count ||
                forward_read(FORWARD_IPV4, name) != 0) {
                continue;
            }

            if (n == FORWARD_SWITCHED_MAX) {
                return error_set(error, ERROR_TOO_BIG,
                                 "routes by more than %d interfaces",
                                 FORWARD_SWITCHED_MAX);
            }

            memcpy(forward->switched[n], name, sizeof(forward->switched[0]));
            forward->switched_count++;
        }
    }

    return 0;
}


/* Our table, if it is not there as it shall be.  Takes rules. */
static int
forward_table_apply(struct forward *forward, char *rules, struct error *error)
{
    int rc;

    if (forward->applied != NULL && strcmp(forward->applied, rules) == 0) {
        free(rules);
        return 0;
    }

    free(forward->applied);
    forward->applied = NULL;
    rc = nft_run(rules, NULL, error);

    if (forward->watch != NULL && nft_watch_read(forward->watch, true)) {
        (void) nft_run(rules, NULL, NULL); /* somebody was as quick */
    }

    if (rc != 0) {
        free(rules);
        return -1;
    }

    forward->applied = rules;

    return 0;
}


/* The names between quotes that nftables lists. */
static void
forward_take_switched(struct forward *forward, const char *text)
{
    const char *end;
    size_t length;

    while ((text = strchr(text, '"')) != NULL &&
           forward->switched_count < FORWARD_SWITCHED_MAX) {
        end = strchr(++text, '"');

        if (end == NULL) {
            return;
        }

        length = (size_t) (end - text);

        if (length > 0 && length < ACTUAL_NAME_SIZE) {
            memcpy(forward->switched[forward->switched_count++], text, length);
        }

        text = end + 1;
    }
}


/* What another one left, who may have been killed. */
static void
forward_look(struct forward *forward)
{
    char *text;

    forward->looked = true;
    forward->inherited = forward_table();

    if (forward->inherited &&
        nft_run("list set inet " FIREWALL_TABLE " switched", &text, NULL) ==
            0) {
        forward_take_switched(forward, text);
        free(text);
    }

    if (nft_run("list table inet " FORWARD_OLD_TABLE, NULL, NULL) == 0) {
        forward->inherited = true;
        (void) nft_run("delete table inet " FORWARD_OLD_TABLE, NULL, NULL);
    }
}


int
forward_fd(const struct forward *forward)
{
    return forward->watch != NULL ? nft_watch_fd(forward->watch) : -1;
}


bool
forward_changed(struct forward *forward)
{
    if (!nft_watch_read(forward->watch, false)) {
        return false;
    }

    free(forward->applied);
    forward->applied = NULL;

    return true;
}


int
forward_lay(struct forward *forward, const struct firewall *want,
            struct error *error)
{
    char *rules;

    if (!forward->looked) {
        forward_look(forward);
    }

    if (want->count == 0 && forward->applied == NULL && !forward->inherited) {
        return 0;
    }

    rules = firewall_rules(want,
                           (const char(*)[ACTUAL_NAME_SIZE]) forward->switched,
                           forward->switched_count);

    if (rules == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    return forward_table_apply(forward, rules, error);
}


int
forward_apply(struct forward *forward, const struct firewall *want,
              const struct actual *ours, struct error *error)
{
    static const struct firewall nothing;

    if (!forward->looked) {
        forward_look(forward);
    }

    if (want->count == 0 && forward->applied == NULL && forward->count == 0 &&
        !forward->inherited) {
        return 0;
    }

    if (forward_off(forward, want, ours, error) != 0) {
        return -1;
    }

    forward_release(forward, want);

    if (forward_need(forward, want, error) != 0 ||
        forward_lay(forward, want, error) != 0) {
        (void) forward_off(forward, &nothing, ours, NULL);
        return -1;
    }

    return forward_on(forward, want, error);
}
