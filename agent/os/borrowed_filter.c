#include "core/gc_stun.h"
#include "os/borrowed_parts.h"

/* Offsets from the UDP header on. */
#define UDP_DESTINATION 2U
#define UDP_LENGTH 4U
#define UDP_DATA 8U

/* The first word of a STUN message (RFC 8489, 5) has none of these: the two
 * first bits are 0, and the length is a multiple of 4. */
#define STUN_NEVER 0xc0000003U

/* WireGuard's types and their three zeros, as a word. */
#define WG_INITIATION 0x01000000U
#define WG_RESPONSE 0x02000000U


/*
 * A raw socket of IPv4 is given the packet from the IP header on, one of IPv6
 * from the UDP header on: X holds where that begins.  A load beyond the end
 * drops the packet.  A train (UDP_GRO) has the headers of its first datagram
 * and the length of all, so handshakes are of at least their size here.
 */
unsigned short
borrowed_filter(enum address_family family, const uint16_t *ports, size_t count,
                struct sock_filter *code)
{
    const struct sock_filter start =
        family == ADDRESS_IPV4
            ? (struct sock_filter) BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
            : (struct sock_filter) BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0);
    const struct sock_filter kinds[] = {
        start,
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, UDP_DATA),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_INITIATION, 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, UDP_LENGTH),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UDP_DATA + BORROWED_INITIATION_SIZE,
                 7, 6),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WG_RESPONSE, 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, UDP_LENGTH),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UDP_DATA + BORROWED_RESPONSE_SIZE,
                 4, 3),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, STUN_NEVER, 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, UDP_DATA + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GC_STUN_COOKIE, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, UDP_DESTINATION),
    };
    unsigned short n = 0;
    size_t i;

    if (count > 0) {
        for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
            code[n++] = kinds[i];
        }
    }

    for (i = 0; i < count && i < BORROWED_PORTS_MAX; i++) {
        code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                  ports[i], 0, 1);
        code[n++] =
            (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, BORROWED_WHOLE);
    }

    code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);

    return n;
}
