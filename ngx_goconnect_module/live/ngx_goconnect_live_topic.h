/*
 * What the files of a topic share: the table (topic.c), the order of events
 * (topic_order.c) and their delivery (topic_fanout.c).
 *
 * A fan-out belongs to its topic, which has one only while there is something
 * to deliver or to wait for.  It owns its jobs and what waits in `ahead`, and
 * each of these a reference to its frame.
 */


#ifndef NGX_GOCONNECT_LIVE_TOPIC_H
#define NGX_GOCONNECT_LIVE_TOPIC_H


#include "live/ngx_goconnect_live_private.h"


typedef struct ngx_goconnect_job_s ngx_goconnect_job_t;
typedef struct ngx_goconnect_ahead_s ngx_goconnect_ahead_t;


struct ngx_goconnect_fanout_s {
    ngx_queue_t queue; /* of topics that have jobs */
    ngx_queue_t gaps;  /* of topics that have `ahead` */
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_job_t *head;
    ngx_goconnect_job_t *tail;
    ngx_queue_t *cursor; /* the head's next sub */
    ngx_uint_t njobs;
    ngx_goconnect_ahead_t *ahead; /* by seq */
    ngx_uint_t nahead;
    int64_t skipped; /* the last event that a sweep left out */
};


typedef struct {
    ngx_goconnect_topic_t **buckets;
    ngx_uint_t nbuckets; /* a power of two */
    ngx_uint_t count;
    uint32_t seed;
} ngx_goconnect_topics_t;

extern ngx_goconnect_topics_t ngx_goconnect_topics;


/*
 * ngx_goconnect_live_topic_order.c
 */

/* throws away what waits beyond a hole */
void ngx_goconnect_ahead_clear(ngx_goconnect_fanout_t *f);
void ngx_goconnect_order_init(void);


/*
 * ngx_goconnect_live_topic_fanout.c
 */

/* the topic's, made if it has none; NULL: no memory */
ngx_goconnect_fanout_t *ngx_goconnect_fanout_get(ngx_goconnect_topic_t *topic);

/* hands a frame to all who subscribe now, with a reference of its own */
void ngx_goconnect_fanout_add(ngx_goconnect_topic_t *topic,
                              ngx_goconnect_ws_frame_t *frame, int64_t seq);

/* throws away what has not been delivered */
void ngx_goconnect_fanout_clear(ngx_goconnect_fanout_t *f);

/* frees the topic's if nothing is left to do */
void ngx_goconnect_fanout_release(ngx_goconnect_topic_t *topic);

/* with all that it has; the topic goes too */
void ngx_goconnect_fanout_free(ngx_goconnect_fanout_t *f);
void ngx_goconnect_fanout_init(void);


#endif /* NGX_GOCONNECT_LIVE_TOPIC_H */
