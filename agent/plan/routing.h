/*
 * Which of several peers that offer the same subnet carries it: the one with
 * the lowest round trip, another at once when it goes down, and not to and
 * fro between two that are about as good.  Pure: the caller tells the time.
 */

#ifndef PLAN_ROUTING_H
#define PLAN_ROUTING_H

#include "plan/netmap.h"

#define ROUTING_HOLD_MS 30000 /* so long is a rival better before it takes */
#define ROUTING_GAIN_US 2000  /* and by so much, and by a fifth */

struct routing_offer {
    const char *peer_id;
    bool alive;      /* it can be reached now */
    uint32_t rtt_us; /* 0: not known */
};

/* One for each subnet; all zero at the beginning. */
struct routing_choice {
    char peer_id[NETMAP_ID_SIZE]; /* "": nobody offers the subnet */
    char rival[NETMAP_ID_SIZE];   /* who has been better for a while */
    uint64_t rival_since_ms;
};

/*
 * Whether the choice is another now.  Where nobody is alive who offers the
 * subnet, it stays with one who does: what is sent there is lost, and does
 * not leave by another way.  now_ms never goes back.
 */
bool routing_choose(struct routing_choice *choice,
                    const struct routing_offer *offers, size_t count,
                    uint64_t now_ms);

#endif
