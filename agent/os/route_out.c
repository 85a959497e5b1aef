#include "os/route_out.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <string.h>

#include "os/netlink.h"

/* Addresses of a subnet that are looked up until one is not our own. */
#define ROUTE_TRIES 3


struct route_answer {
    unsigned index;
    unsigned type;
};


static int
route_message(struct nl_msg *message, void *data)
{
    struct nlattr *attributes[RTA_MAX + 1];
    struct route_answer *answer = data;
    struct nlmsghdr *header = nlmsg_hdr(message);
    struct rtmsg *body;

    if (header->nlmsg_type != RTM_NEWROUTE ||
        nlmsg_parse(header, sizeof(*body), attributes, RTA_MAX, NULL) < 0) {
        return NL_SKIP;
    }

    body = nlmsg_data(header);
    answer->type = body->rtm_type;

    if (attributes[RTA_OIF] != NULL) {
        answer->index = nla_get_u32(attributes[RTA_OIF]);
    }

    return NL_OK;
}


static struct nl_msg *
route_question(const struct address *address)
{
    struct rtmsg body;
    struct nl_msg *message;

    memset(&body, 0, sizeof(body));
    body.rtm_family = address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
    body.rtm_dst_len = address_bits(address);
    message = nlmsg_alloc_simple(RTM_GETROUTE, 0);

    if (message != NULL &&
        (nlmsg_append(message, &body, sizeof(body), NLMSG_ALIGNTO) != 0 ||
         nla_put(message, RTA_DST, address_bits(address) / 8, address->bytes) !=
             0)) {
        nlmsg_free(message);
        message = NULL;
    }

    return message;
}


/* Whether packets to the address leave by an interface, and by which. */
static bool
route_ask(struct nl_sock *sk, const struct address *address, unsigned *index)
{
    struct route_answer answer = {0, RTN_UNREACHABLE};
    struct nl_msg *message = route_question(address);
    int rc;

    if (message == NULL) {
        return false;
    }

    nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, route_message, &answer);
    nl_socket_disable_auto_ack(sk);
    rc = nl_send_auto(sk, message);
    nlmsg_free(message);

    if (rc < 0 || nl_recvmsgs_default(sk) < 0) {
        return false;
    }

    *index = answer.index;

    return answer.index != 0 &&
           (answer.type == RTN_UNICAST || answer.type == RTN_BROADCAST);
}


/* The n-th address to look up. */
static struct address
route_address(const struct prefix *prefix, unsigned n)
{
    struct address address;

    /* these are looked up, nothing is sent there */
    if (prefix->length == 0) {
        (void) address_parse(prefix->address.family == ADDRESS_IPV4
                                 ? "8.8.8.8"
                                 : "2001:4860:4860::8888",
                             &address);
        return address;
    }

    address = prefix->address;

    if (prefix->length < address_bits(&address) - 1) {
        address.bytes[address_bits(&address) / 8 - 1] |= (uint8_t) n;
    }

    return address;
}


int
route_out(const struct prefix *prefix, char name[ACTUAL_NAME_SIZE],
          struct error *error)
{
    char found[IF_NAMESIZE], text[ADDRESS_TEXT];
    struct nl_sock *sk;
    struct address address;
    unsigned i, index;
    bool out;

    sk = netlink_open(NETLINK_ROUTE, error);

    if (sk == NULL) {
        return -1;
    }

    for (i = 0, out = false; i < ROUTE_TRIES && !out; i++) {
        address = route_address(prefix, i);
        out = route_ask(sk, &address, &index) &&
              if_indextoname(index, found) != NULL;
    }

    netlink_close(sk);

    if (!out) {
        return error_set(error, ERROR_GONE,
                         "this device has no way to %s itself",
                         prefix_format(prefix, text));
    }

    memcpy(name, found, ACTUAL_NAME_SIZE);

    return 0;
}
