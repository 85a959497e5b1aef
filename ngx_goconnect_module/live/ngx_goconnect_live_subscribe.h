/*
 * What the files of a subscribe request share: the request (subscribe.c), its
 * answer (subscribe_answer.c) and the replay (subscribe_replay.c).
 *
 * The operation belongs to its call to the database, and then to the answer
 * until the last netmap has come.  Its items' subscriptions belong to their
 * session and may end before: _forget() tells the operation.
 */


#ifndef NGX_GOCONNECT_LIVE_SUBSCRIBE_H
#define NGX_GOCONNECT_LIVE_SUBSCRIBE_H


#include "live/ngx_goconnect_live_private.h"


typedef struct {
    ngx_goconnect_sub_t *sub; /* NULL: it went meanwhile */
    gc_slice_t topic;         /* in the result */
    gc_slice_t events;
    gc_slice_t status;
    gc_slice_t self;
    int64_t seen;                   /* the topic's seq when it was asked for */
    int64_t seq;                    /* the answer's */
    ngx_goconnect_netmap_t *netmap; /* one reference, or NULL */
    unsigned fresh : 1;             /* asked for with null */
    unsigned answered : 1;
    unsigned resync : 1;
} ngx_goconnect_item_t;


struct ngx_goconnect_subscribe_s {
    ngx_goconnect_request_t *rq; /* one reference to the session */
    PGresult *res;               /* the slices' memory */
    gc_slice_t refused;
    ngx_uint_t waiting; /* netmaps to come, and the pass itself */
    ngx_uint_t nitems;
    ngx_goconnect_item_t items[];
};


/*
 * ngx_goconnect_live_subscribe.c
 */

/* all but its request */
void ngx_goconnect_subscribe_free(ngx_goconnect_subscribe_t *op);


/*
 * ngx_goconnect_live_subscribe_answer.c
 */

/* the item of a topic, looked for from `guess` on, or NULL */
ngx_goconnect_item_t *
ngx_goconnect_subscribe_item(ngx_goconnect_subscribe_t *op, gc_slice_t name,
                             ngx_uint_t guess);

/* the database's body, whose memory is op->res; op is freed in the end */
void ngx_goconnect_subscribe_answer(ngx_goconnect_subscribe_t *op,
                                    gc_slice_t body);


/*
 * ngx_goconnect_live_subscribe_replay.c
 */

/* the answer is sent: from now on the pump decides */
void ngx_goconnect_subscribe_release(ngx_goconnect_item_t *item);


#endif /* NGX_GOCONNECT_LIVE_SUBSCRIBE_H */
