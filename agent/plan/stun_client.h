/*
 * Binding requests to servers (RFC 8489): which are out, when each is sent
 * again, and what was answered.  Pure: told the answers and the time, it says
 * what to send and when to look again.  Over UDP every one may be lost, doubled
 * or overtaken.
 */

#ifndef PLAN_STUN_CLIENT_H
#define PLAN_STUN_CLIENT_H

#include "core/gc_stun.h"
#include "plan/address.h"

#define STUN_CLIENT_ROOM 16         /* requests at once */
#define STUN_CLIENT_REQUEST_MAX 128 /* bytes of one */

/*
 * RFC 8489, 6.2.1 begins with 500 ms, RFC 8445, 14.3 lets it be less.  Each
 * wait is twice the one before, and after the last try as long as it.
 */
#define STUN_CLIENT_FIRST_MS 250
#define STUN_CLIENT_TRIES 5 /* 0, 250, 750, 1750, 3750; given up at 5750 */
#define STUN_CLIENT_TRIES_MAX 7

struct stun_ask {
    struct endpoint server;
    uint32_t change; /* GC_STUN_CHANGE_..., 0: none */
    unsigned tries;  /* 0: STUN_CLIENT_TRIES */
    unsigned tag;    /* the caller's, told back */
    bool aside;      /* from another port than usual, the caller's to know */
    uint8_t transaction[GC_STUN_TRANSACTION]; /* random */
};

enum stun_outcome {
    STUN_ANSWERED,
    STUN_REFUSED, /* `error` says how; 0: an answer without an address */
    STUN_SILENT
};

struct stun_result {
    enum stun_outcome outcome;
    unsigned tag;
    int error;
    struct endpoint mapped; /* our address as the server sees it */
    struct endpoint from;   /* who answered */
    struct endpoint other;  /* its other one; ADDRESS_NONE: not said */
    uint64_t rtt_ms;        /* from the last try on, so at least this */
};

struct stun_client {
    struct {
        bool out;
        struct stun_ask ask;
        unsigned sent;
        uint64_t sent_ms;
        uint64_t next_ms; /* to send again, or to give up */
    } list[STUN_CLIENT_ROOM];
};

/* From a zeroed client on.  False: so many are out already. */
bool stun_client_ask(struct stun_client *client, const struct stun_ask *ask,
                     uint64_t now_ms);

/*
 * The next datagram that is due, and what it asks (until the next call); 0:
 * none is.  Call it until it is 0.
 */
size_t stun_client_due(struct stun_client *client, uint64_t now_ms,
                       const struct stun_ask **ask, uint8_t *data);

/*
 * A datagram that came.  False: it is no answer to what is out, from whom it
 * may come: from another address or port only where that was asked for.
 */
bool stun_client_answer(struct stun_client *client, const struct endpoint *from,
                        const uint8_t *data, size_t size, uint64_t now_ms,
                        struct stun_result *result);

/* One that nobody answers; false: none.  Call it until it is false. */
bool stun_client_silent(struct stun_client *client, uint64_t now_ms,
                        struct stun_result *result);

/* When to call the two above next; UINT64_MAX: nothing is out. */
uint64_t stun_client_deadline(const struct stun_client *client);

#endif
