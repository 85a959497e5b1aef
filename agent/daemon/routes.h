#ifndef GC_DAEMON_ROUTES_H
#define GC_DAEMON_ROUTES_H

#include "daemon/daemon.h"
#include "plan/routes.h"

#define ROUTES_PLAIN_MAX NETMAP_ROUTES_MAX

/*
 * Subnets: those behind peers that this device uses, and those behind itself
 * that it offers.
 */
struct member_routes {
    struct routes routes;
    struct prefix plain[ROUTES_PLAIN_MAX]; /* offered without masquerading */
    size_t plain_count;
    char exit[DAEMON_ID_SIZE]; /* the peer that is our exit (exits.c), or "" */
    int busy;                  /* something is talked to */
    char problem[200];         /* of what we offer, as last logged */
    /* an offer under way */
    control_call_t *call;
    device_call_t *asking;
    struct prefix offer[2]; /* an exit has two */
    size_t offer_count;
    int withdraw;
};

/* The member's, made when it is first needed; NULL: memory is out. */
struct member_routes *routes_of(member_t *member);

/* Whether a prefix cannot be used here: text says why. */
int routes_overlaps(member_t *member, const struct prefix *prefix, char *text,
                    size_t size);

/* Tells the server that this device offers these (1 or 2), or no more. */
void routes_offer(member_t *member, control_call_t *call,
                  const struct prefix *prefixes, size_t count, int withdraw,
                  int plain);

/* Adds what is accepted to the wish. 0, or -1 when memory is out. */
int routes_wish(member_t *member, const struct actual_interface *interface,
                struct desired *desired);

/* The kernel has another route there: 1, the subnet is not used. */
int routes_in_use(member_t *member, const struct prefix *prefix);

/* Some other route has gone: those in whose way it was are tried again. */
void routes_room(member_t *member);

/* After a round: who carries, and is it talked to. */
void routes_learn(member_t *member, const struct actual_interface *interface);

/* When to look again; UINT64_MAX: nothing is to be watched. */
uint64_t routes_deadline(const daemon_t *daemon);

/* Somebody came or went. */
void routes_peer_status(member_t *member);

/* What this device forwards to, before the firewall is laid. */
void routes_forward(member_t *member);

/* The commands `route` and `routes`. */
void routes_run(member_t *member, control_call_t *call, const json_t *request);
json_t *routes_describe(member_t *member);

/* In the record. -1: no memory, or not ours. */
int routes_to_json(const member_t *member, json_t *document);
int routes_from_json(member_t *member, const json_t *document);

/* Everything under way ends. */
void routes_fail(member_t *member, const err_t *err);
void routes_stop(member_t *member);

#endif
