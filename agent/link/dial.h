#ifndef GC_LINK_DIAL_H
#define GC_LINK_DIAL_H

#include "link/resolve.h"
#include "link/url.h"

/*
 * What is known of the server, shared by all connections to it. good is the
 * address that last answered: it is tried first, without a look-up.
 */
typedef struct {
    url_t url;
    char good[RESOLVE_ADDRESS_SIZE];
} dial_server_t;

/*
 * One attempt to connect, over the server's addresses in turn. Embedded in
 * its connection; the callbacks are called from the loop.
 */
typedef struct {
    loop_t *loop;
    dial_server_t *server;
    /* begin to connect to this numeric address */
    void (*connect)(void *arg, const char *address);
    /* no address is left */
    void (*failed)(void *arg, const err_t *err);
    void *arg;

    resolve_t *resolve;
    loop_timer_t kick;
    resolve_result_t addresses;
    unsigned next;
    char current[RESOLVE_ADDRESS_SIZE];
    int good_tried;
    err_t why;
} dial_t;


/* loop, server, the callbacks and arg are set, the rest is zero. */
void dial_start(dial_t *dial);

/* The address given to connect did not work: the next one, or failed. */
void dial_refused(dial_t *dial, const err_t *why);

/* It worked. */
void dial_succeeded(dial_t *dial);

/* No callback any more. */
void dial_cancel(dial_t *dial);

#endif
