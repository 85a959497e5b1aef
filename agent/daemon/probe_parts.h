#ifndef GC_DAEMON_PROBE_PARTS_H
#define GC_DAEMON_PROBE_PARTS_H

/* What probe.c and probe_ping.c share. */

#include "daemon/probe.h"
#include "plan/probe.h"

#define PROBE_PINGS_MAX 16

typedef struct {
    control_call_t *call; /* NULL: free */
    member_t *member;
    char peer_id[DAEMON_ID_SIZE];
    uint32_t sequence;
    uint64_t nonce;
    uint64_t sent_us;
    loop_timer_t again; /* what was sent before a session may be lost */
    loop_timer_t end;
} probe_ping_t;

/* A member's probes: made when it is first looked at. */
struct member_probe {
    struct probes probes;
    loop_timer_t timer;
    loop_fd_t io; /* fd -1: closed */
    struct address address;
    uint32_t index; /* of the interface, as it was bound */
    char problem[200];
    uint64_t tokens_us; /* answers that may be given, in time */
    uint32_t sequence;
    probe_ping_t pings[PROBE_PINGS_MAX];
};

uint64_t probe_now(void); /* microseconds of CLOCK_BOOTTIME */
uint64_t probe_nonce(void);

/* size is of the IP packet, 0: no padding. 0 or an errno. */
int probe_send(member_t *member, const struct address *to, uint16_t port,
               const struct probe_packet *packet, uint32_t size);

/* An answer that came: perhaps a ping's. */
void probe_pong(member_t *member, const struct address *from,
                const struct probe_packet *packet);

/* Fails the calls that wait. */
void probe_ping_stop(member_t *member);

#endif
