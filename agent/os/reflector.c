#include "os/reflector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Instructions before the ports, and two for each. */
#define REFLECTOR_HEAD 17
#define REFLECTOR_WHOLE 0xffff

/* The offsets of the kernel's own data, as an instruction has them. */
#define REFLECTOR_AD(what) ((uint32_t) (SKF_AD_OFF + (what)))


struct reflector_socket {
    int packets; /* what leaves */
    int raw;     /* our copies */
    char bound[ACTUAL_NAME_SIZE];
};


struct reflector_socket *
reflector_open(struct error *error)
{
    struct reflector_socket *reflector;

    reflector = calloc(1, sizeof(*reflector));

    if (reflector == NULL) {
        (void) error_set(error, ERROR_NO_MEMORY, "out of memory");
        return NULL;
    }

    /* of no protocol: it reads nothing before it is bound to one */
    reflector->packets =
        socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    reflector->raw =
        socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);

    if (reflector->packets == -1 || reflector->raw == -1) {
        (void) error_set(error, ERROR_SYSTEM,
                         "cannot read what this host sends (it needs "
                         "CAP_NET_RAW): %s",
                         strerror(errno));
        reflector_close(reflector);
        return NULL;
    }

    return reflector;
}


void
reflector_close(struct reflector_socket *reflector)
{
    if (reflector == NULL) {
        return;
    }

    if (reflector->packets != -1) {
        (void) close(reflector->packets);
    }

    if (reflector->raw != -1) {
        (void) close(reflector->raw);
    }

    free(reflector);
}


int
reflector_fd(const struct reflector_socket *reflector)
{
    return reflector->packets;
}


/*
 * The filter. An interface of Ethernet says by the first bit of the address
 * that a frame goes to whether it is for many; of others all is taken, and
 * looked at when it is read.
 */
static int
reflector_filter(struct reflector_socket *reflector, const uint16_t *ports,
                 size_t count, struct error *error)
{
    const struct sock_filter head[REFLECTOR_HEAD] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, REFLECTOR_AD(SKF_AD_PKTTYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, REFLECTOR_AD(SKF_AD_PROTOCOL)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, REFLECTOR_AD(SKF_AD_HATYPE)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_ETHER, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t) SKF_LL_OFF),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
    };
    struct sock_filter code[REFLECTOR_HEAD + 2 * REFLECTOR_PORTS_MAX + 1];
    struct sock_fprog program = {.filter = code};
    size_t i, n;

    if (count > REFLECTOR_PORTS_MAX) {
        return error_set(error, ERROR_TOO_BIG,
                         "networks reflect more than %d ports",
                         REFLECTOR_PORTS_MAX);
    }

    memcpy(code, head, sizeof(head));
    n = REFLECTOR_HEAD;

    for (i = 0; i < count; i++) {
        code[n++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                  ports[i], 0, 1);
        code[n++] =
            (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, REFLECTOR_WHOLE);
    }

    code[n++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);
    program.len = (unsigned short) n;

    if (setsockopt(reflector->packets, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof(program)) == -1) {
        return error_set(error, ERROR_SYSTEM, "no filter for packets: %s",
                         strerror(errno));
    }

    return 0;
}


int
reflector_listen(struct reflector_socket *reflector, const uint16_t *ports,
                 size_t count, struct error *error)
{
    struct sockaddr_ll all;

    if (reflector_filter(reflector, ports, count, error) != 0) {
        return -1;
    }

    memset(&all, 0, sizeof(all));
    all.sll_family = AF_PACKET;
    all.sll_protocol = htons(ETH_P_ALL); /* what leaves is told to these */

    if (bind(reflector->packets, (struct sockaddr *) &all, sizeof(all)) == -1) {
        return error_set(error, ERROR_SYSTEM,
                         "cannot read what this host sends: %s",
                         strerror(errno));
    }

    return 0;
}


size_t
reflector_receive(struct reflector_socket *reflector, uint8_t *room,
                  size_t size, char interface[ACTUAL_NAME_SIZE], bool *many)
{
    char name[IF_NAMESIZE];
    struct sockaddr_ll from;
    socklen_t length = sizeof(from);
    ssize_t n;

    do {
        n = recvfrom(reflector->packets, room, size, 0,
                     (struct sockaddr *) &from, &length);
    } while (n == -1 && errno == EINTR);

    interface[0] = '\0';
    *many = from.sll_hatype == ARPHRD_ETHER;

    if (n <= 0 || from.sll_pkttype != PACKET_OUTGOING) {
        return 0;
    }

    if (if_indextoname((unsigned) from.sll_ifindex, name) != NULL) {
        memcpy(interface, name, ACTUAL_NAME_SIZE);
    }

    return (size_t) n;
}


void
reflector_send(struct reflector_socket *reflector, const char *interface,
               const uint8_t *packet, size_t length)
{
    struct sockaddr_in to;

    if (strcmp(reflector->bound, interface) != 0) {
        if (setsockopt(reflector->raw, SOL_SOCKET, SO_BINDTODEVICE, interface,
                       (socklen_t) strlen(interface) + 1) == -1) {
            return;
        }

        memcpy(reflector->bound, interface,
               strnlen(interface, ACTUAL_NAME_SIZE - 1) + 1);
    }

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    memcpy(&to.sin_addr, packet + 16, 4);
    (void) sendto(reflector->raw, packet, length, 0, (struct sockaddr *) &to,
                  sizeof(to));
}
