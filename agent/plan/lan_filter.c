#include "plan/lan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough for the rules, one network and one peer, with room to spare. */
#define LAN_FILTER_BASE 4096
#define LAN_FILTER_NETWORK 2048
#define LAN_FILTER_PEER 256

/*
 * Where things are in a VXLAN packet, in bits from its UDP header on: 64 of
 * UDP, flags 32, VNI 24, 8 reserved (RFC 7348, 5), then the frame.
 */
#define LAN_AT_VNI "@th,96,24"
#define LAN_AT_SOURCE "@th,176,48"
#define LAN_AT_TYPE "@th,224,16"
#define LAN_AT_IPV4 "@th,336,32"

/*
 * What does not belong on a LAN of friends: a router's or DHCP server's word
 * (it would take over the host's network), spanning tree, LLDP and their like
 * (01:80:c2:00:00:0X), what only asks who is where (nothing is learned here:
 * ARP, IGMP, MLD, router solicitations and redirects).
 */
#define LAN_DROPPED                                                      \
    "add rule netdev " LAN_TABLE " noise ether type { 0x0806, 0x8809, "  \
    "0x88cc } drop\n"                                                    \
    "add rule netdev " LAN_TABLE " noise ether daddr & "                 \
    "ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 drop\n"                      \
    "add rule netdev " LAN_TABLE " noise ip protocol igmp drop\n"        \
    "add rule netdev " LAN_TABLE " noise udp dport { 67, 68, 546, 547 }" \
    " drop\n"                                                            \
    "add rule netdev " LAN_TABLE " noise icmpv6 type { 130, 131, 132, "  \
    "133, 134, 137, 143 } drop\n"

struct lan_text {
    char *data;
    size_t length;
    size_t room;
};


/* There is room: the bounds above say so. */
__attribute__((format(printf, 2, 3))) static void
lan_say(struct lan_text *text, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text->data + text->length, text->room - text->length, format,
                  args);
    va_end(args);

    if (n > 0 && (size_t) n < text->room - text->length) {
        text->length += (size_t) n;
    }
}


static void
lan_say_mac(struct lan_text *text, const uint8_t mac[LAN_MAC_SIZE])
{
    size_t i;

    lan_say(text, "0x");

    for (i = 0; i < LAN_MAC_SIZE; i++) {
        lan_say(text, "%02x", mac[i]);
    }
}


/* Who may be the source of a frame, by the address that WireGuard vouches
 * for. */
static void
lan_say_sources(struct lan_text *text, const struct lan *lan, size_t n)
{
    const struct lan_peer *peer;
    char address[ADDRESS_TEXT];
    size_t i;

    for (i = 0; i < lan->peer_count; i++) {
        peer = &lan->peers[i];
        (void) address_format(&peer->underlay, address);
        lan_say(text, "add element inet " LAN_TABLE " mac%zu { %s . ", n,
                address);
        lan_say_mac(text, peer->mac);
        lan_say(text, " }\nadd element inet " LAN_TABLE " ip%zu { %s . ", n,
                address);
        lan_say_mac(text, peer->mac);
        lan_say(text, " . 0x%02x%02x%02x%02x }\n", peer->address.bytes[0],
                peer->address.bytes[1], peer->address.bytes[2],
                peer->address.bytes[3]);
    }
}


static void
lan_say_network(struct lan_text *text, const struct lan *lan, size_t n)
{
    lan_say(text,
            "add set inet " LAN_TABLE " mac%zu { typeof ip6 saddr "
            ". " LAN_AT_SOURCE "; }\n"
            "add set inet " LAN_TABLE " ip%zu { typeof ip6 saddr "
            ". " LAN_AT_SOURCE " . " LAN_AT_IPV4 "; }\n",
            n, n);
    lan_say_sources(text, lan, n);
    lan_say(
        text,
        "add chain inet " LAN_TABLE " from%zu\n"
        "add rule inet " LAN_TABLE " from%zu " LAN_AT_TYPE
        " 0x0800 ip6 saddr . " LAN_AT_SOURCE " . " LAN_AT_IPV4
        " @ip%zu accept\n"
        "add rule inet " LAN_TABLE " from%zu " LAN_AT_TYPE
        " != 0x0800 ip6 saddr . " LAN_AT_SOURCE " @mac%zu accept\n"
        "add rule inet " LAN_TABLE " from%zu drop\n"
        "add rule inet " LAN_TABLE
        " input iifname \"%s\" udp dport %d " LAN_AT_VNI " %u jump from%zu\n",
        n, n, n, n, n, n, lan->identity.under, LAN_PORT, lan->identity.vni, n);
    lan_say(text,
            "add chain netdev " LAN_TABLE " in%zu { type filter hook ingress "
            "device \"%s\" priority -10; policy accept; }\n"
            "add chain netdev " LAN_TABLE " out%zu { type filter hook egress "
            "device \"%s\" priority -10; policy accept; }\n"
            "add rule netdev " LAN_TABLE " in%zu jump noise\n"
            "add rule netdev " LAN_TABLE " out%zu jump noise\n"
            "add rule netdev " LAN_TABLE " out%zu ether daddr & "
            "01:00:00:00:00:00 == 01:00:00:00:00:00 limit rate over "
            "%d/second burst %d packets drop\n",
            n, lan->name, n, lan->name, n, n, n, LAN_FLOOD_RATE,
            LAN_FLOOD_RATE);
}


char *
lan_filter(const struct lan *const *lans, size_t count)
{
    struct lan_text text;
    size_t i;

    text.length = 0;
    text.room = LAN_FILTER_BASE;

    for (i = 0; i < count; i++) {
        text.room += LAN_FILTER_NETWORK + LAN_FILTER_PEER * lans[i]->peer_count;
    }

    text.data = malloc(text.room);

    if (text.data == NULL) {
        return NULL;
    }

    lan_say(&text, "add table inet " LAN_TABLE "\n"
                   "delete table inet " LAN_TABLE "\n"
                   "add table netdev " LAN_TABLE "\n"
                   "delete table netdev " LAN_TABLE "\n");

    if (count == 0) {
        return text.data;
    }

    lan_say(&text, "add table inet " LAN_TABLE "\n"
                   "add chain inet " LAN_TABLE " input { type filter hook "
                   "input priority -310; policy accept; }\n"
                   "add table netdev " LAN_TABLE "\n"
                   "add chain netdev " LAN_TABLE " noise\n" LAN_DROPPED);

    for (i = 0; i < count; i++) {
        lan_say_network(&text, lans[i], i);
    }

    /* whatever else comes to the port comes from outside */
    lan_say(&text, "add rule inet " LAN_TABLE " input udp dport %d drop\n",
            LAN_PORT);

    return text.data;
}
