#include "os/monitor.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plan/actual.h"

/* Notifications are small; the kernel never sends more at once. */
#define MONITOR_BUFFER 32768

/* Messages read in one go, so that a storm does not hold up the loop. */
/* linux/rtnetlink.h has no RTMGRP_ for it */
#define MONITOR_IPV6_RULE (1U << (RTNLGRP_IPV6_RULE - 1))
#define MONITOR_ROUNDS 64


struct monitor {
    struct mnl_socket *socket;
};


struct monitor *
monitor_open(struct error *error)
{
    struct monitor *monitor;

    monitor = calloc(1, sizeof(*monitor));

    if (monitor == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    monitor->socket =
        mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (monitor->socket == NULL ||
        mnl_socket_bind(monitor->socket,
                        RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                            RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE |
                            RTMGRP_IPV4_RULE | MONITOR_IPV6_RULE,
                        MNL_SOCKET_AUTOPID) != 0) {
        (void) error_set(error, ERROR_SYSTEM, "rtnetlink notifications: %s",
                         strerror(errno));
        monitor_close(monitor);
        return NULL;
    }

    return monitor;
}


void
monitor_close(struct monitor *monitor)
{
    if (monitor == NULL) {
        return;
    }

    if (monitor->socket != NULL) {
        (void) mnl_socket_close(monitor->socket);
    }

    free(monitor);
}


int
monitor_fd(const struct monitor *monitor)
{
    return mnl_socket_get_fd(monitor->socket);
}


static int
monitor_attribute(const struct nlattr *attribute, void *data)
{
    bool *wireless = data;

    if (mnl_attr_get_type(attribute) == IFLA_WIRELESS) {
        *wireless = true;
    }

    return MNL_CB_OK;
}


/* What tells nothing: a driver's wireless events, cached IPv6 routes. */
static int
monitor_message(const struct nlmsghdr *header, void *data)
{
    const struct rtmsg *route;
    const struct ifinfomsg *link;
    struct monitor_news *news = data;
    bool noise = false, room = header->nlmsg_type == RTM_DELLINK;

    if (header->nlmsg_type == RTM_NEWLINK) {
        link = mnl_nlmsg_get_payload(header);
        (void) mnl_attr_parse(header, sizeof(*link), monitor_attribute, &noise);
        room = (link->ifi_flags & IFF_UP) == 0;

    } else if (header->nlmsg_type == RTM_NEWROUTE ||
               header->nlmsg_type == RTM_DELROUTE) {
        route = mnl_nlmsg_get_payload(header);
        noise = (route->rtm_flags & RTM_F_CLONED) != 0;
        room = header->nlmsg_type == RTM_DELROUTE &&
               route->rtm_protocol != ACTUAL_ROUTE_PROTOCOL;
    }

    news->changed |= !noise;
    news->room |= !noise && room;

    return MNL_CB_OK;
}


int
monitor_read(struct monitor *monitor, struct monitor_news *news,
             struct error *error)
{
    char buffer[MONITOR_BUFFER] __attribute__((aligned(8)));
    ssize_t n;
    int round;

    memset(news, 0, sizeof(*news));

    for (round = 0; round < MONITOR_ROUNDS; round++) {
        n = mnl_socket_recvfrom(monitor->socket, buffer, sizeof(buffer));

        if (n > 0) {
            (void) mnl_cb_run(buffer, (size_t) n, 0, 0, monitor_message, news);
            continue;
        }

        if (n == 0 || errno == EAGAIN || errno == EINTR) {
            return 0;
        }

        /* notifications were lost (ENOBUFS) or did not fit (ENOSPC) */
        if (errno == ENOBUFS || errno == ENOSPC) {
            *news = (struct monitor_news){.changed = true, .room = true};
            continue;
        }

        return error_set(error, ERROR_SYSTEM, "rtnetlink notifications: %s",
                         strerror(errno));
    }

    return 0;
}
