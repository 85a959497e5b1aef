/*
 * LAN mode (`mode: l2`): a VXLAN (RFC 7348) over a network's WireGuard
 * interface, so that broadcasts, multicast and protocols other than IP cross
 * too.  Its underlay is the members' IPv6 addresses on WireGuard; the
 * network's IPv4 lives on it.  Nothing is learned: who has which address is
 * known from the netmap.  Pure: wish and facts give ordered operations.
 */

#ifndef PLAN_LAN_H
#define PLAN_LAN_H

#include "plan/actual.h"
#include "plan/desired.h"
#include "plan/error.h"
#include "plan/netmap.h"
#include "plan/reconcile.h"

#define LAN_MEMBERS_MAX 64 /* docs/protocol.md: the server's limit too */
#define LAN_MAC_SIZE 6

/* Inside the tunnel only; filtered on every other interface. */
#define LAN_PORT 51822

/* IPv6, UDP, VXLAN and Ethernet headers: 40 + 8 + 8 + 14. */
#define LAN_OVERHEAD 70

/* Frames to more than one receiver, a second, that a member sends. */
#define LAN_FLOOD_RATE 500

/* A table of ours for each of two families: lan_filter(). */
#define LAN_TABLE "goconnect_lan"

/* Of each peer: flooded to, forwarded to, and two addresses. */
#define LAN_ENTRIES_MAX (4 * LAN_MEMBERS_MAX)

enum lan_entry_kind {
    LAN_FORWARD,  /* frames to mac go to the underlay address; to all zero:
                     flooded frames do */
    LAN_NEIGHBOUR /* the address has this mac */
};

struct lan_entry {
    enum lan_entry_kind kind;
    uint8_t mac[LAN_MAC_SIZE];
    struct address address;
};

/* What makes a VXLAN what it is: another one has to be made anew. */
struct lan_identity {
    uint32_t vni; /* 24 bits */
    uint16_t port;
    uint8_t mac[LAN_MAC_SIZE];
    struct address local;         /* of the underlay */
    char under[ACTUAL_NAME_SIZE]; /* the WireGuard interface */
};

struct lan_peer {
    uint8_t mac[LAN_MAC_SIZE];
    struct address underlay;
    struct address address; /* IPv4 */
};

struct lan {
    char network_id[NETMAP_ID_SIZE];
    char name[ACTUAL_NAME_SIZE];
    struct lan_identity identity;
    uint32_t mtu;
    struct prefix address;
    struct prefix route;
    struct lan_peer peers[LAN_MEMBERS_MAX];
    size_t peer_count;
    struct lan_entry entries[LAN_ENTRIES_MAX]; /* sorted */
    size_t entry_count;
};

/* One VXLAN that is ours, as it was observed. */
struct lan_fact {
    struct lan_identity identity;
    bool strange; /* it learns, or answers for nobody: not as we make it */
    struct lan_entry *entries;
    size_t entry_count;
};

struct lan_actual {
    struct actual *places;  /* names, addresses, routes; no peers */
    struct lan_fact *facts; /* of places->interfaces[i] */
    int *indices;           /* too */
};

enum lan_operation_kind {
    LAN_DELETE,
    LAN_CREATE, /* identity */
    LAN_ENTRY_ADD,
    LAN_ENTRY_DELETE,
    LAN_LINK /* what is done alike to every interface */
};

struct lan_operation {
    enum lan_operation_kind kind;
    char name[ACTUAL_NAME_SIZE];
    union {
        struct lan_identity identity;
        struct {
            struct lan_entry entry;
            char under[ACTUAL_NAME_SIZE];
        } entry;
        struct operation link;
    };
};

struct lan_operations {
    struct lan_operation *list;
    size_t count;
    size_t room;
    size_t guarded; /* from here on only when the filter stands */
};

/* The VXLAN's name for a WireGuard interface: "gc-lan" has "gv-lan". */
void lan_name(const char *under, char name[ACTUAL_NAME_SIZE]);

/* Derived from the peer's id, so that everybody knows it: a locally
 * administered one (IEEE 802, 8.2). */
void lan_mac(const char *peer_id, uint8_t mac[LAN_MAC_SIZE]);

/* Derived from the network's id, never 0. */
uint32_t lan_vni(const char *network_id);

/*
 * The wish for a network of mode l2 whose WireGuard interface is as desired.
 * NULL with *error when it cannot be; free() ends it.
 */
struct lan *lan_create(const struct netmap *map,
                       const struct desired_self *self, uint32_t under_mtu,
                       struct error *error);

/*
 * What leads from the facts to the wishes; what is not wished for goes.
 * Entries are in *actual sorted by lan_entry_compare().  0, or -1 with
 * *error and no operation.  lan_operations_clear() ends it.
 */
int lan_reconcile(const struct lan *const *lans, size_t count,
                  const struct lan_actual *actual,
                  struct lan_operations *operations, struct error *error);
void lan_operations_clear(struct lan_operations *operations);

int lan_entry_compare(const void *a, const void *b);

/* NULL is fine. */
void lan_actual_destroy(struct lan_actual *actual);

/* One line for the log; returns text. */
const char *lan_describe(const struct lan_operation *operation, char *text,
                         size_t size);

/*
 * The commands that replace our tables by the filters of these networks in
 * one transaction; with none, that remove them.  A new text; NULL: memory is
 * out.  (plan/lan_filter.c)
 */
char *lan_filter(const struct lan *const *lans, size_t count);

#endif
