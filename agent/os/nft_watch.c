#include "os/nft.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "os/netlink.h"
#include "os/nft_name.h"

/* Of every kind of object: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and the like. */
#define NFT_WATCH_TABLE 1

/* Those in which we have tables: NFPROTO_INET, NFPROTO_NETDEV. */
#define NFT_WATCH_INET 1
#define NFT_WATCH_NETDEV 5


struct nft_watch {
    struct nl_sock *socket;
    char table[32];
    bool touched; /* in the transaction that is being told of */
};


struct nft_watch *
nft_watch_open(const char *table, struct error *error)
{
    struct nft_watch *watch;
    int rc;

    watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    memcpy(watch->table, table, strnlen(table, sizeof(watch->table) - 1));
    watch->socket = netlink_open(NETLINK_NETFILTER, error);

    if (watch->socket == NULL) {
        free(watch);
        return NULL;
    }

    rc = nl_socket_add_membership(watch->socket, NFNLGRP_NFTABLES);

    if (rc != 0) {
        (void) error_set(error, ERROR_SYSTEM,
                         "this kernel does not tell of changed rules: %s",
                         nl_geterror(rc));
        nft_watch_close(watch);
        return NULL;
    }

    return watch;
}


void
nft_watch_close(struct nft_watch *watch)
{
    if (watch != NULL) {
        netlink_close(watch->socket);
        free(watch);
    }
}


int
nft_watch_fd(const struct nft_watch *watch)
{
    return nl_socket_get_fd(watch->socket);
}


/* Whether a transaction that somebody else made is at its end, and was about
 * our table. */
static bool
nft_watch_message(struct nft_watch *watch, struct nlmsghdr *header)
{
    const struct nfgenmsg *body;
    const struct nlattr *attribute;
    bool touched;

    if (header->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
        nlmsg_datalen(header) < (int) sizeof(*body)) {
        return false;
    }

    body = nlmsg_data(header);

    if ((header->nlmsg_type & 0xff) != NFT_MSG_NEWGEN) {
        attribute = nlmsg_find_attr(header, sizeof(*body), NFT_WATCH_TABLE);
        watch->touched |= (body->nfgen_family == NFT_WATCH_INET ||
                           body->nfgen_family == NFT_WATCH_NETDEV) &&
                          attribute != NULL &&
                          nla_strcmp(attribute, watch->table) == 0;
        return false;
    }

    touched = watch->touched;
    watch->touched = false;
    attribute = nlmsg_find_attr(header, sizeof(*body), NFTA_GEN_PROC_NAME);

    return touched &&
           (attribute == NULL || nla_strcmp(attribute, NFT_NAME) != 0);
}


bool
nft_watch_read(struct nft_watch *watch, bool ours)
{
    union {
        char bytes[32768];
        struct nlmsghdr align;
    } room;
    struct nlmsghdr *header;
    bool changed;
    ssize_t n;
    int left;

    changed = false;

    for (;;) {
        n = recv(nft_watch_fd(watch), room.bytes, sizeof(room), MSG_DONTWAIT);

        if (n == -1 && errno == ENOBUFS) {
            watch->touched = false;
            changed |= !ours;
            continue;
        }

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            return changed;
        }

        left = (int) n;

        for (header = &room.align; nlmsg_ok(header, left);
             header = nlmsg_next(header, &left)) {
            changed |= nft_watch_message(watch, header);
        }
    }
}
