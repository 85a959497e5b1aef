/*
 * Probes between tunnel addresses: which peers to ask when, of what size, and
 * what the answers say of round trip, loss and path MTU (the search is that
 * of RFC 8899, 5.2, with asks of our own).  Only those that are talked to are
 * asked, so an idle mesh stays silent.  Pure: told the counters, the answers
 * and the time, it says what to send and when to look again.
 */

#ifndef PLAN_PROBE_H
#define PLAN_PROBE_H

#include "plan/actual.h"
#include "plan/desired.h"
#include "plan/netmap.h"

#define PROBE_PORT 51821
#define PROBE_SIZE 20 /* of a datagram without padding */
#define PROBE_DATAGRAM_MAX NETMAP_MTU_MAX
#define PROBE_PEERS_MAX 256 /* asked at once */
#define PROBE_HISTORY 16    /* the loss is of so many */

#define PROBE_EVERY_US 5000000ULL   /* while there is traffic */
#define PROBE_ACTIVE_US 30000000ULL /* after the last traffic */
#define PROBE_LOST_US 1000000ULL    /* no answer by then: none */
#define PROBE_VERIFY_US 60000000ULL /* the known MTU once more */
#define PROBE_RAISE_US 600000000ULL /* whether the full one passes now */
#define PROBE_LOOK_US 2000000ULL    /* counters are judged no oftener */
#define PROBE_TRIES 3               /* one lost padded ask says nothing */
#define PROBE_STEP 8                /* the search ends within */
#define PROBE_MTU_MIN 576           /* RFC 1122, 3.3.2 */

enum probe_kind {
    PROBE_ASK = 1,
    PROBE_ANSWER = 2
};

/* "GCPR", version 1, kind, 16 bits of zero, sequence, nonce; padding. */
struct probe_packet {
    enum probe_kind kind;
    uint32_t sequence;
    uint64_t nonce;
};

/* Writes the PROBE_SIZE bytes. */
void probe_write(const struct probe_packet *packet, uint8_t *data);

/* False: not a probe of this version. */
bool probe_parse(const uint8_t *data, size_t size, struct probe_packet *packet);

enum probe_phase {
    PROBE_PLAIN,  /* round trips */
    PROBE_SIZED,  /* whether a packet of `trying` passes */
    PROBE_CONFIRM /* it did not: does a small one? */
};

struct probe_peer {
    char id[NETMAP_ID_SIZE];
    struct key public_key;
    struct address address;
    uint64_t active_until_us;
    uint64_t next_us; /* to ask, or to give the ask up */
    /* counters when last judged, and what probes added to them since */
    uint64_t judged_us;
    uint64_t bytes;
    uint64_t own_bytes;
    int64_t handshake_s;
    /* the ask under way */
    bool asked;
    uint32_t sequence;
    uint64_t nonce;
    uint64_t sent_us;
    /* what is known */
    uint32_t rtt_us;
    uint32_t history; /* a bit for each ask: lost */
    unsigned history_count;
    /* the search */
    enum probe_phase phase;
    uint32_t mtu; /* what passes; 0: not known yet */
    uint32_t trying;
    uint32_t low;  /* passes, or is the least */
    uint32_t high; /* does not; 0: nothing failed yet */
    unsigned tries;
    uint64_t verify_us;
    uint64_t raise_us;
};

struct probes {
    struct probe_peer *peers;
    size_t count;
    size_t room;
    uint32_t mtu; /* of the interface */
};

struct probe_send {
    struct address address;
    struct probe_packet packet;
    uint32_t size; /* of the IP packet; 0: without padding */
};

void probes_clear(struct probes *probes);

/*
 * Takes what was observed of the interface (NULL: there is none); now_s is
 * UNIX time.  0, or -1 when memory is out.
 */
int probes_look(struct probes *probes, const struct netmap *map,
                const struct actual_interface *interface, int64_t now_s,
                uint64_t now_us);

/* Asks the peer though there is no traffic, for PROBE_ACTIVE_US. */
int probes_want(struct probes *probes, const struct netmap *map,
                const char *peer_id, uint64_t now_us);

/*
 * The next ask that is due: true, *send is to be sent with this nonce.  Call
 * it until it is false.
 */
bool probes_due(struct probes *probes, uint64_t nonce, uint64_t now_us,
                struct probe_send *send);

/* An answer from the address; true: an MTU is another one now. */
bool probes_answer(struct probes *probes, const struct address *from,
                   const struct probe_packet *packet, uint64_t now_us);

/* A probe of so many bytes (of the IP packet) passed, either way. */
void probes_passed(struct probes *probes, const struct address *address,
                   size_t size);

/* Every path may be another one: ask all at once. */
void probes_roamed(struct probes *probes, uint64_t now_us);

/* UINT64_MAX: never. */
uint64_t probes_deadline(const struct probes *probes);

/* NULL: it is not being asked. */
const struct probe_peer *probes_find(const struct probes *probes,
                                     const char *peer_id);

/*
 * Adds to the wish the routes to peers whose paths take less than the
 * interface's MTU.  IPv6 has no less than 1280 (RFC 8200, 5).  0, or -1 when
 * memory is out.
 */
int probes_desire(const struct probes *probes, const struct netmap *map,
                  struct desired *desired);

/* Percent; -1: not known. */
int probe_peer_loss(const struct probe_peer *peer);

/* The address that a peer is asked at. */
const struct address *probe_address(const struct netmap *map,
                                    const struct netmap_peer *peer);

#endif
