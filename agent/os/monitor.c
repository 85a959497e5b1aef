#include "os/monitor.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
    bool *changed = data, noise;

    noise = false;

    if (header->nlmsg_type == RTM_NEWLINK) {
        (void) mnl_attr_parse(header, sizeof(struct ifinfomsg),
                              monitor_attribute, &noise);

    } else if (header->nlmsg_type == RTM_NEWROUTE ||
               header->nlmsg_type == RTM_DELROUTE) {
        route = mnl_nlmsg_get_payload(header);
        noise = (route->rtm_flags & RTM_F_CLONED) != 0;
    }

    if (!noise) {
        *changed = true;
    }

    return MNL_CB_OK;
}


int
monitor_read(struct monitor *monitor, bool *changed, struct error *error)
{
    char buffer[MONITOR_BUFFER] __attribute__((aligned(8)));
    ssize_t n;
    int round;

    *changed = false;

    for (round = 0; round < MONITOR_ROUNDS; round++) {
        n = mnl_socket_recvfrom(monitor->socket, buffer, sizeof(buffer));

        if (n > 0) {
            (void) mnl_cb_run(buffer, (size_t) n, 0, 0, monitor_message,
                              changed);
            continue;
        }

        if (n == 0 || errno == EAGAIN || errno == EINTR) {
            return 0;
        }

        /* notifications were lost (ENOBUFS) or did not fit (ENOSPC) */
        if (errno == ENOBUFS || errno == ENOSPC) {
            *changed = true;
            continue;
        }

        return error_set(error, ERROR_SYSTEM, "rtnetlink notifications: %s",
                         strerror(errno));
    }

    return 0;
}
