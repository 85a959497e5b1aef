/*
 * What the NAT before this device does (RFC 5780): whether there is one, to
 * whom it gives which outer port, and whom it lets in.  Pure: it says whom to
 * ask, is told what was answered, and ends with what is known.
 *
 * Whom it lets in is found out on another port of ours than its mapping, so
 * that neither is in the way of the other.
 *
 * A server with one address and two ports tells only by ports: what differs by
 * address alone stays unknown then.
 */

#ifndef PLAN_NAT_BEHAVIOUR_H
#define PLAN_NAT_BEHAVIOUR_H

#include "plan/stun_client.h"

#define NAT_BEHAVIOUR_ASKS 2         /* at once */
#define NAT_BEHAVIOUR_FILTER_TRIES 4 /* 0, 250, 750, 1750; ended at 2750 */

/* RFC 4787, 4.1 and 5: by what of the other end it depends. */
enum nat_dependence {
    NAT_UNKNOWN,
    NAT_INDEPENDENT,         /* of the other end: it can be reached by all */
    NAT_NOT_BY_PORT,         /* perhaps of its address */
    NAT_BY_ADDRESS,          /* of its address */
    NAT_BY_ADDRESS_AND_PORT, /* of both; as mapping: "symmetric" */
    NAT_BY_PORT              /* at least of its port */
};

enum nat_step {
    NAT_FIRST,
    NAT_FILTERING,
    NAT_MAPPING_ADDRESS,
    NAT_MAPPING_PORT,
    NAT_ENDED
};

struct nat_behaviour {
    enum nat_step step;
    struct endpoint server;
    struct endpoint other;  /* ADDRESS_NONE: the server has none */
    bool answered;          /* false at the end: UDP is blocked, or no server */
    int error;              /* of an answer that was none; 0: none came */
    struct endpoint mapped; /* our address outside */
    uint64_t rtt_ms;
    enum nat_dependence mapping;
    enum nat_dependence filtering;
    /* not for others */
    struct stun_ask asks[NAT_BEHAVIOUR_ASKS];
    size_t ask_count;
    unsigned waiting; /* for so many answers */
    bool heard[NAT_BEHAVIOUR_ASKS];
    bool refused[NAT_BEHAVIOUR_ASKS];
    struct endpoint second;
};

void nat_behaviour_start(struct nat_behaviour *nat,
                         const struct endpoint *server);

/*
 * The next question; its transaction is left to the caller, its tag is to be
 * told back.  False: there is none now.
 */
bool nat_behaviour_ask(struct nat_behaviour *nat, struct stun_ask *ask);

/* What came of one. */
void nat_behaviour_result(struct nat_behaviour *nat,
                          const struct stun_result *result);

/* The words of --json: "endpoint_independent" and so on. */
const char *nat_dependence_name(enum nat_dependence dependence);

#endif
