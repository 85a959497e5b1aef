#include "os/exit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/links.h"
#include "os/netlink.h"
#include "os/nft.h"

#define EXIT_SWITCH "/proc/sys/net/ipv4/conf/%s/src_valid_mark"
#define EXIT_SWITCHED_MAX 64


struct exit_os {
    struct nl_sock *rtnl;
    bool idle;     /* nothing of ours is there */
    bool looked;   /* for what another one left */
    char *applied; /* the filter that stands, or NULL */
    /* this host's interfaces whose switch we set; as the table says too */
    char switched[EXIT_SWITCHED_MAX][ACTUAL_NAME_SIZE];
    size_t switched_count;
};


struct exit_os *
exit_os_open(struct error *error)
{
    struct exit_os *exit = calloc(1, sizeof(*exit));

    if (exit == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    exit->rtnl = netlink_open(NETLINK_ROUTE, error);

    if (exit->rtnl == NULL) {
        free(exit);
        return NULL;
    }

    return exit;
}


void
exit_os_close(struct exit_os *exit)
{
    if (exit != NULL) {
        netlink_close(exit->rtnl);
        free(exit->applied);
        free(exit);
    }
}


void
exit_os_again(struct exit_os *exit)
{
    free(exit->applied);
    exit->applied = NULL;
}


static uint8_t
exit_family(unsigned family)
{
    return family == AF_INET    ? ADDRESS_IPV4
           : family == AF_INET6 ? ADDRESS_IPV6
                                : ADDRESS_NONE;
}


static uint32_t
exit_number(struct nlattr *attribute, uint32_t otherwise)
{
    return attribute != NULL && nla_len(attribute) == (int) sizeof(uint32_t)
               ? nla_get_u32(attribute)
               : otherwise;
}


/* --------------------------------------------------------------- observing */


static void
exit_rules_begin(void *data)
{
    ((struct exit_actual *) data)->rule_count = 0;
}


static int
exit_rules_message(struct nlmsghdr *header, void *data)
{
    struct exit_actual *actual = data;
    struct exit_rule *rule;
    struct fib_rule_hdr *body;
    struct nlattr *attributes[FRA_MAX + 1];

    if (header->nlmsg_type != RTM_NEWRULE ||
        nlmsg_parse(header, sizeof(*body), attributes, FRA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    body = nlmsg_data(header);

    if (attributes[FRA_PROTOCOL] == NULL ||
        nla_get_u8(attributes[FRA_PROTOCOL]) != ACTUAL_ROUTE_PROTOCOL ||
        exit_family(body->family) == ADDRESS_NONE) {
        return 0;
    }

    if (actual->rule_count == EXIT_RULES_MAX) {
        return E2BIG;
    }

    rule = &actual->rules[actual->rule_count++];
    memset(rule, 0, sizeof(*rule));
    rule->family = exit_family(body->family);
    rule->priority = exit_number(attributes[FRA_PRIORITY], 0);
    rule->table = exit_number(attributes[FRA_TABLE], body->table);
    rule->suppress =
        exit_number(attributes[FRA_SUPPRESS_PREFIXLEN], UINT32_MAX) == 0;

    if ((body->flags & FIB_RULE_INVERT) != 0) {
        rule->unmarked = exit_number(attributes[FRA_FWMARK], 0);
    }

    if (attributes[FRA_DST] != NULL &&
        nla_len(attributes[FRA_DST]) <= (int) sizeof(rule->to.address.bytes)) {
        rule->to.address.family = rule->family;
        memcpy(rule->to.address.bytes, nla_data(attributes[FRA_DST]),
               (size_t) nla_len(attributes[FRA_DST]));
        rule->to.length = body->dst_len;
    }

    return 0;
}


static void
exit_routes_begin(void *data)
{
    ((struct exit_actual *) data)->route_count = 0;
}


static int
exit_routes_message(struct nlmsghdr *header, void *data)
{
    char name[IF_NAMESIZE] = "";
    struct exit_actual *actual = data;
    struct exit_route *route;
    struct nlattr *attributes[RTA_MAX + 1];
    struct rtmsg *body;

    if (header->nlmsg_type != RTM_NEWROUTE ||
        nlmsg_parse(header, sizeof(*body), attributes, RTA_MAX, NULL) < 0) {
        return EBADMSG;
    }

    body = nlmsg_data(header);

    /* the kernel has filtered if it can; be sure */
    if (exit_number(attributes[RTA_TABLE], body->rtm_table) != EXIT_TABLE ||
        body->rtm_protocol != ACTUAL_ROUTE_PROTOCOL || body->rtm_dst_len != 0 ||
        exit_family(body->rtm_family) == ADDRESS_NONE) {
        return 0;
    }

    if (actual->route_count == EXIT_ROUTES_MAX) {
        return E2BIG;
    }

    if (body->rtm_type == RTN_UNICAST) {
        (void) if_indextoname(exit_number(attributes[RTA_OIF], 0), name);
    }

    route = &actual->routes[actual->route_count++];
    memset(route, 0, sizeof(*route));
    route->family = exit_family(body->rtm_family);
    route->metric = exit_number(attributes[RTA_PRIORITY], 0);
    memcpy(route->name, name, sizeof(route->name));

    return 0;
}


static int
exit_dump_rules(struct exit_actual *actual)
{
    static const struct netlink_reader reader = {exit_rules_begin,
                                                 exit_rules_message};
    struct fib_rule_hdr question;
    struct nl_msg *message = nlmsg_alloc_simple(RTM_GETRULE, 0);

    memset(&question, 0, sizeof(question));

    if (message == NULL || nlmsg_append(message, &question, sizeof(question),
                                        NLMSG_ALIGNTO) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, &reader, actual);
}


static int
exit_dump_routes(struct exit_actual *actual)
{
    static const struct netlink_reader reader = {exit_routes_begin,
                                                 exit_routes_message};
    struct nl_msg *message = nlmsg_alloc_simple(RTM_GETROUTE, 0);
    struct rtmsg question;

    memset(&question, 0, sizeof(question));
    question.rtm_protocol = ACTUAL_ROUTE_PROTOCOL;

    if (message == NULL ||
        nlmsg_append(message, &question, sizeof(question), NLMSG_ALIGNTO) !=
            0 ||
        nla_put_u32(message, RTA_TABLE, EXIT_TABLE) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_dump(NETLINK_ROUTE, message, &reader, actual);
}


static int
exit_observe(struct exit_actual *actual, struct error *error)
{
    int number;

    memset(actual, 0, sizeof(*actual));
    number = exit_dump_rules(actual);

    if (number == 0) {
        number = exit_dump_routes(actual);
    }

    return number == 0
               ? 0
               : netlink_error(error, number, "cannot list routing rules");
}


/* ---------------------------------------------------------------- applying */


static int
exit_put_rule(struct nl_msg *message, const struct exit_rule *rule)
{
    struct fib_rule_hdr body;

    memset(&body, 0, sizeof(body));
    body.family = rule->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
    body.action = FR_ACT_TO_TBL;
    body.dst_len = rule->to.length;
    body.flags = rule->unmarked != 0 ? FIB_RULE_INVERT : 0;

    if (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        nla_put_u32(message, FRA_PRIORITY, rule->priority) != 0 ||
        nla_put_u32(message, FRA_TABLE, rule->table) != 0 ||
        nla_put_u8(message, FRA_PROTOCOL, ACTUAL_ROUTE_PROTOCOL) != 0) {
        return -1;
    }

    if (rule->suppress &&
        nla_put_u32(message, FRA_SUPPRESS_PREFIXLEN, 0) != 0) {
        return -1;
    }

    if (rule->unmarked != 0 &&
        (nla_put_u32(message, FRA_FWMARK, rule->unmarked) != 0 ||
         nla_put_u32(message, FRA_FWMASK, UINT32_MAX) != 0)) {
        return -1;
    }

    return rule->to.address.family == ADDRESS_NONE
               ? 0
               : nla_put(message, FRA_DST, address_bits(&rule->to.address) / 8,
                         rule->to.address.bytes);
}


static int
exit_put_route(struct nl_msg *message, const struct exit_route *route)
{
    struct rtmsg body;
    unsigned index = 0;

    if (route->name[0] != '\0') {
        index = if_nametoindex(route->name);

        if (index == 0) {
            return -1;
        }
    }

    memset(&body, 0, sizeof(body));
    body.rtm_family = route->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
    body.rtm_protocol = ACTUAL_ROUTE_PROTOCOL;
    body.rtm_type = index != 0 ? RTN_UNICAST : RTN_UNREACHABLE;
    body.rtm_scope = index != 0 && body.rtm_family == AF_INET
                         ? RT_SCOPE_LINK
                         : RT_SCOPE_UNIVERSE;

    if (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        nla_put_u32(message, RTA_TABLE, EXIT_TABLE) != 0 ||
        (route->metric != 0 &&
         nla_put_u32(message, RTA_PRIORITY, route->metric) != 0)) {
        return -1;
    }

    return index != 0 ? nla_put_u32(message, RTA_OIF, index) : 0;
}


/* 0 or an errno; what is there already, or gone, is as it was wanted. */
static int
exit_do(struct exit_os *exit, const struct exit_operation *operation)
{
    static const int types[] = {
        [EXIT_RULE_DELETE] = RTM_DELRULE,
        [EXIT_ROUTE_DELETE] = RTM_DELROUTE,
        [EXIT_ROUTE_ADD] = RTM_NEWROUTE,
        [EXIT_RULE_ADD] = RTM_NEWRULE,
    };
    bool add, rule;
    int number;
    struct nl_msg *message;

    add = operation->kind == EXIT_ROUTE_ADD || operation->kind == EXIT_RULE_ADD;
    rule =
        operation->kind == EXIT_RULE_ADD || operation->kind == EXIT_RULE_DELETE;
    message = nlmsg_alloc_simple(types[operation->kind],
                                 add ? NLM_F_CREATE | NLM_F_EXCL : 0);

    if (message == NULL ||
        (rule ? exit_put_rule(message, &operation->rule)
              : exit_put_route(message, &operation->route)) != 0) {
        nlmsg_free(message);
        /* an interface that went takes its routes with it */
        return rule || add ? ENODEV : 0;
    }

    number = netlink_request(exit->rtnl, message);

    if ((add && number == EEXIST) ||
        (!add && (number == ENOENT || number == ESRCH || number == ENODEV))) {
        return 0;
    }

    /* a machine without IPv6 has nothing to keep from it */
    if (add && number == EAFNOSUPPORT) {
        return 0;
    }

    return number;
}


/* --------------------------------------------------- marks and their switch */


static int
exit_switch_read(const char *name)
{
    char path[128], value[4] = "";
    ssize_t n;
    int fd;

    (void) snprintf(path, sizeof(path), EXIT_SWITCH, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    n = read(fd, value, sizeof(value) - 1);
    (void) close(fd);

    return n > 0 ? value[0] != '0' : -1;
}


/* By rtnetlink, as /proc/sys is not ours to write where services are confined
 * (os/forward.c). */
static int
exit_switch(struct exit_os *exit, const char *name, uint32_t on)
{
    struct ifinfomsg body;
    struct nl_msg *message = nlmsg_alloc_simple(RTM_SETLINK, NLM_F_REQUEST);
    struct nlattr *spec, *family, *conf;

    memset(&body, 0, sizeof(body));

    if (message == NULL ||
        nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
        nla_put_string(message, IFLA_IFNAME, name) != 0 ||
        (spec = nla_nest_start(message, IFLA_AF_SPEC)) == NULL ||
        (family = nla_nest_start(message, AF_INET)) == NULL ||
        (conf = nla_nest_start(message, IFLA_INET_CONF)) == NULL ||
        nla_put_u32(message, IPV4_DEVCONF_SRC_VMARK, on) != 0 ||
        nla_nest_end(message, conf) != 0 ||
        nla_nest_end(message, family) != 0 ||
        nla_nest_end(message, spec) != 0) {
        nlmsg_free(message);
        return ENOMEM;
    }

    return netlink_request(exit->rtnl, message);
}


/* The kernel looks at marks when it checks where a packet came from (rp_filter)
 * on these interfaces of the host. */
static int
exit_need(struct exit_os *exit, struct error *error)
{
    struct links_list list;
    const char *name;
    size_t i, k;

    if (links_all(&list, error) != 0) {
        return -1;
    }

    for (i = 0; i < list.count; i++) {
        name = list.links[i].name;

        for (k = 0; k < exit->switched_count; k++) {
            if (strcmp(exit->switched[k], name) == 0) {
                break;
            }
        }

        if (k == exit->switched_count && k < EXIT_SWITCHED_MAX &&
            !links_ours(&list.links[i]) &&
            (list.links[i].flags & IFF_LOOPBACK) == 0 &&
            strpbrk(name, "\"\\*") == NULL && exit_switch_read(name) == 0) {
            memcpy(exit->switched[exit->switched_count++], name,
                   ACTUAL_NAME_SIZE);
        }
    }

    free(list.links);

    return 0;
}


/* The table, if it is not there as it shall be; then the switches. */
static int
exit_mark(struct exit_os *exit, const char (*names)[ACTUAL_NAME_SIZE],
          size_t count, struct error *error)
{
    char *text;
    int number;
    size_t i;

    if (exit_need(exit, error) != 0) {
        return -1;
    }

    text = exit_filter(names, count,
                       (const char(*)[ACTUAL_NAME_SIZE]) exit->switched,
                       exit->switched_count);

    if (text == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    if (exit->applied != NULL && strcmp(exit->applied, text) == 0) {
        free(text);

    } else {
        exit_os_again(exit);

        if (nft_run(text, NULL, error) != 0) {
            free(text);
            return -1;
        }

        exit->applied = text;
    }

    for (i = 0; i < exit->switched_count; i++) {
        number = exit_switch_read(exit->switched[i]) == 0
                     ? exit_switch(exit, exit->switched[i], 1)
                     : 0;

        if (number != 0 && number != ENODEV) {
            return netlink_error(error, number, "src_valid_mark");
        }
    }

    return 0;
}


static void
exit_unmark(struct exit_os *exit)
{
    size_t i;

    for (i = 0; i < exit->switched_count; i++) {
        if (exit_switch_read(exit->switched[i]) == 1) {
            (void) exit_switch(exit, exit->switched[i], 0);
        }
    }

    exit->switched_count = 0;
    exit_os_again(exit);
    (void) nft_run("add table inet " EXIT_NFT "\ndelete table inet " EXIT_NFT,
                   NULL, NULL);
}


/* What another one left, who may have been killed. */
static bool
exit_look(struct exit_os *exit)
{
    char *text;
    const char *at, *end;

    exit->looked = true;

    if (nft_run("list table inet " EXIT_NFT, NULL, NULL) != 0) {
        return false;
    }

    if (nft_run("list set inet " EXIT_NFT " switched", &text, NULL) != 0) {
        return true;
    }

    for (at = text; (at = strchr(at, '"')) != NULL &&
                    (end = strchr(at + 1, '"')) != NULL &&
                    exit->switched_count < EXIT_SWITCHED_MAX;
         at = end + 1) {
        if (end - at - 1 < ACTUAL_NAME_SIZE) {
            memset(exit->switched[exit->switched_count], 0, ACTUAL_NAME_SIZE);
            memcpy(exit->switched[exit->switched_count++], at + 1,
                   (size_t) (end - at - 1));
        }
    }

    free(text);

    return true;
}


int
exit_os_apply(struct exit_os *exit, const struct exit_wish *wish,
              const char (*names)[ACTUAL_NAME_SIZE], size_t count,
              struct error *error)
{
    bool marked;
    int number, rc;
    size_t i;
    struct exit_actual actual;
    struct exit_operations operations;

    if (exit->idle && !wish->on) {
        return 0;
    }

    marked = exit->looked ? exit->applied != NULL || exit->switched_count > 0
                          : exit_look(exit);
    rc = wish->on ? exit_mark(exit, names, count, error) : 0;

    /* rules are laid also where packets cannot be marked: nothing may leave */
    if (exit_observe(&actual, rc == 0 ? error : NULL) != 0) {
        return -1;
    }

    exit_reconcile(wish, &actual, &operations);

    for (i = 0; i < operations.count; i++) {
        number = exit_do(exit, &operations.list[i]);

        if (number != 0 && rc == 0) {
            rc = netlink_error(error, number, "routing rules of the exit");
        }
    }

    if (!wish->on && marked) {
        exit_unmark(exit);
    }

    exit->idle = !wish->on && rc == 0;

    return rc;
}
