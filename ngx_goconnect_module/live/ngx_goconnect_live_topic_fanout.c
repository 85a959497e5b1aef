/*
 * Fan-out: what a topic hands on goes to the sockets that subscribe to it,
 * spread over turns of the event loop.
 */

#include "live/ngx_goconnect_live_topic.h"


#define NGX_GOCONNECT_FANOUT_TURN 100 /* sockets in a turn */


struct ngx_goconnect_job_s {
    ngx_goconnect_job_t *next;
    ngx_goconnect_ws_frame_t *frame; /* one reference */
    int64_t seq;                     /* 0: ephemeral, goes to all */
};


typedef struct {
    ngx_queue_t busy; /* fan-outs with jobs */
    ngx_event_t event;
} ngx_goconnect_fanouts_t;


static ngx_goconnect_fanouts_t ngx_goconnect_fanouts;


ngx_goconnect_fanout_t *
ngx_goconnect_fanout_get(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_fanout_t *f;

    if (topic->fanout) {
        return topic->fanout;
    }

    f = ngx_calloc(sizeof(ngx_goconnect_fanout_t), ngx_cycle->log);
    if (f == NULL) {
        return NULL;
    }

    f->topic = topic;
    topic->fanout = f;

    return f;
}


static void
ngx_goconnect_job_shift(ngx_goconnect_fanout_t *f)
{
    ngx_goconnect_job_t *job;

    job = f->head;
    f->head = job->next;
    f->njobs--;
    f->cursor = NULL;

    if (f->head == NULL) {
        f->tail = NULL;
        ngx_queue_remove(&f->queue);
    }

    ngx_goconnect_ws_frame_unref(job->frame);
    ngx_free(job);
}


void
ngx_goconnect_fanout_clear(ngx_goconnect_fanout_t *f)
{
    while (f->head) {
        ngx_goconnect_job_shift(f);
    }
}


void
ngx_goconnect_fanout_free(ngx_goconnect_fanout_t *f)
{
    ngx_goconnect_fanout_clear(f);
    ngx_goconnect_ahead_clear(f);
    ngx_free(f);
}


void
ngx_goconnect_fanout_release(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_fanout_t *f;

    f = topic->fanout;

    if (f && f->head == NULL && f->ahead == NULL && f->skipped == 0) {
        ngx_free(f);
        topic->fanout = NULL;
    }
}


void
ngx_goconnect_topic_unlink(ngx_goconnect_sub_t *sub)
{
    ngx_goconnect_fanout_t *f;

    f = sub->topic->fanout;

    if (f && f->cursor == &sub->queue) {
        f->cursor = ngx_queue_next(&sub->queue);
    }

    ngx_queue_remove(&sub->queue);
}


void
ngx_goconnect_fanout_add(ngx_goconnect_topic_t *topic,
                         ngx_goconnect_ws_frame_t *frame, int64_t seq)
{
    ngx_goconnect_fanout_t *f;
    ngx_goconnect_job_t *job;

    if (ngx_queue_empty(&topic->subs)) {
        return;
    }

    f = ngx_goconnect_fanout_get(topic);
    job = f ? ngx_alloc(sizeof(ngx_goconnect_job_t), ngx_cycle->log) : NULL;

    if (job == NULL) {
        /* a hole that only they can see: let them come back and ask */
        ngx_goconnect_session_restart_all();
        return;
    }

    job->next = NULL;
    job->frame = frame;
    job->seq = seq;
    frame->refs++;

    if (f->tail) {
        f->tail->next = job;

    } else {
        f->head = job;
        f->cursor = NULL;
        ngx_queue_insert_tail(&ngx_goconnect_fanouts.busy, &f->queue);
    }

    f->tail = job;
    f->njobs++;

    ngx_post_event(&ngx_goconnect_fanouts.event, &ngx_posted_events);
}


static void
ngx_goconnect_fanout_deliver(ngx_goconnect_sub_t *sub, ngx_goconnect_job_t *job)
{
    if (sub->catchup) {
        ngx_goconnect_sub_hold(sub, job->frame, job->seq);
        return;
    }

    if (job->seq) {
        if (job->seq <= sub->seq) {
            return;
        }

        sub->seq = job->seq;
    }

    if (sub->session->ws) {
        ngx_goconnect_ws_send(sub->session->ws, job->frame);
    }
}


/* at most `left` sockets get the head's frame; returns how many are left */
static ngx_uint_t
ngx_goconnect_fanout_run(ngx_goconnect_fanout_t *f, ngx_uint_t left)
{
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_sub_t *sub;

    topic = f->topic;

    while (f->head && left) {
        if (f->cursor == NULL) {
            f->cursor = ngx_queue_head(&topic->subs);
        }

        while (f->cursor != ngx_queue_sentinel(&topic->subs) && left) {
            sub = ngx_queue_data(f->cursor, ngx_goconnect_sub_t, queue);
            f->cursor = ngx_queue_next(f->cursor);
            ngx_goconnect_fanout_deliver(sub, f->head);
            left--;
        }

        if (f->cursor == ngx_queue_sentinel(&topic->subs)) {
            ngx_goconnect_job_shift(f);
        }
    }

    return left;
}


/* busy topics take turns, so that a large one does not hold up the others */
static void
ngx_goconnect_fanout_handler(ngx_event_t *ev)
{
    ngx_goconnect_fanout_t *f;
    ngx_uint_t left;
    ngx_queue_t *q;

    left = NGX_GOCONNECT_FANOUT_TURN;

    while (left && !ngx_queue_empty(&ngx_goconnect_fanouts.busy)) {
        q = ngx_queue_head(&ngx_goconnect_fanouts.busy);
        f = ngx_queue_data(q, ngx_goconnect_fanout_t, queue);

        left = ngx_goconnect_fanout_run(f, left);

        if (f->head) {
            ngx_queue_remove(&f->queue);
            ngx_queue_insert_tail(&ngx_goconnect_fanouts.busy, &f->queue);

        } else {
            ngx_goconnect_fanout_release(f->topic);
        }
    }

    if (!ngx_queue_empty(&ngx_goconnect_fanouts.busy)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


void
ngx_goconnect_fanout_init(void)
{
    ngx_queue_init(&ngx_goconnect_fanouts.busy);
    ngx_goconnect_live_event_init(&ngx_goconnect_fanouts.event,
                                  ngx_goconnect_fanout_handler);
}
