#include "os/wireguard_message.h"

#include <linux/wireguard.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdlib.h>


struct wireguard *
wireguard_open(struct error *error)
{
    struct wireguard *wireguard;

    wireguard = calloc(1, sizeof(*wireguard));

    if (wireguard == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    wireguard->socket = netlink_open(NETLINK_GENERIC, error);

    if (wireguard->socket == NULL) {
        free(wireguard);
        return NULL;
    }

    /* asking by name loads the module, if there is one */
    wireguard->family = genl_ctrl_resolve(wireguard->socket, WG_GENL_NAME);

    if (wireguard->family < 0) {
        (void) error_set(error, ERROR_UNSUPPORTED,
                         "this kernel has no WireGuard");
        wireguard_close(wireguard);
        return NULL;
    }

    return wireguard;
}


void
wireguard_close(struct wireguard *wireguard)
{
    if (wireguard != NULL) {
        netlink_close(wireguard->socket);
        free(wireguard);
    }
}


struct nl_msg *
wireguard_message(const struct wireguard *wireguard, uint8_t command,
                  const char *name, size_t size)
{
    struct nl_msg *message;

    message = nlmsg_alloc_size(size);

    /* exactly one of IFNAME and IFINDEX, else EBADR */
    if (message == NULL ||
        genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, wireguard->family, 0,
                    NLM_F_REQUEST, command, WG_GENL_VERSION) == NULL ||
        nla_put_string(message, WGDEVICE_A_IFNAME, name) != 0) {
        nlmsg_free(message);
        return NULL;
    }

    return message;
}
