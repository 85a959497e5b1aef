/*
 * The order of a topic's events.
 *
 * Events come from this worker's own commits, from the bus and from the
 * sweep, in any order and more than once.  A topic hands them on by seq, each
 * once: what comes too early waits in `ahead`, and a hole calls for a sweep.
 */

#include "live/ngx_goconnect_live_topic.h"


#define NGX_GOCONNECT_FANOUT_JOBS 4096 /* frames of a topic that wait */
#define NGX_GOCONNECT_AHEAD_MAX 1024   /* events of a topic beyond a hole */


/* an event beyond a hole */
struct ngx_goconnect_ahead_s {
    ngx_goconnect_ahead_t *next;
    ngx_goconnect_ws_frame_t *frame; /* one reference */
    int64_t seq;
    ngx_uint_t round; /* the sweep that must find what comes before */
};


static ngx_queue_t ngx_goconnect_gaps; /* fan-outs with a hole */


static void
ngx_goconnect_ahead_shift(ngx_goconnect_fanout_t *f)
{
    ngx_goconnect_ahead_t *held;

    held = f->ahead;
    f->ahead = held->next;
    f->nahead--;

    if (f->ahead == NULL) {
        ngx_queue_remove(&f->gaps);
    }

    ngx_goconnect_ws_frame_unref(held->frame);
    ngx_free(held);
}


void
ngx_goconnect_ahead_clear(ngx_goconnect_fanout_t *f)
{
    while (f->ahead) {
        ngx_goconnect_ahead_shift(f);
    }
}


/*
 * Tells the topic's sockets to fetch afresh; seq is what they are at then.  Who
 * subscribed meanwhile, and was told more than that, has missed nothing.
 */
static void
ngx_goconnect_topic_resync(ngx_goconnect_topic_t *topic, int64_t seq,
                           const char *reason)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char buf[NGX_GOCONNECT_TOPIC_MAX + 128], *p;

    p = ngx_snprintf(buf, sizeof(buf),
                     "{\"type\":\"resync\",\"topic\":\"%*s\",\"seq\":%L,"
                     "\"data\":{\"reason\":\"%s\"}}",
                     (size_t) topic->len, topic->name, seq, reason);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "goconnect: resync (%s) of \"%*s\" at %L", reason,
                  (size_t) topic->len, topic->name, seq);

    frame = ngx_goconnect_ws_frame_text(buf, (size_t) (p - buf));
    if (frame == NULL) {
        ngx_goconnect_session_restart_all();
        return;
    }

    ngx_goconnect_fanout_add(topic, frame, seq);
    ngx_goconnect_ws_frame_unref(frame);
}


/* more frames wait than anybody should be made to read */
static void
ngx_goconnect_topic_overflow(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_fanout_clear(topic->fanout);
    ngx_goconnect_topic_resync(topic, topic->seq, "overflow");
}


/* the next event in order */
static void
ngx_goconnect_topic_accept(ngx_goconnect_topic_t *topic,
                           ngx_goconnect_event_t *event,
                           ngx_goconnect_ws_frame_t *frame)
{
    topic->seq = event->seq;

    ngx_goconnect_event_effect(topic, event);

    if (ngx_queue_empty(&topic->subs)) {
        return;
    }

    if (frame) {
        ngx_goconnect_fanout_add(topic, frame, event->seq);

    } else {
        frame = ngx_goconnect_ws_frame_text((const u_char *) event->text.data,
                                            event->text.len);
        if (frame == NULL) {
            ngx_goconnect_session_restart_all();
            return;
        }

        ngx_goconnect_fanout_add(topic, frame, event->seq);
        ngx_goconnect_ws_frame_unref(frame);
    }

    if (topic->fanout && topic->fanout->njobs > NGX_GOCONNECT_FANOUT_JOBS) {
        ngx_goconnect_topic_overflow(topic);
    }
}


/* an event that came before its predecessor */
static void
ngx_goconnect_topic_stash(ngx_goconnect_topic_t *topic,
                          ngx_goconnect_event_t *event)
{
    ngx_goconnect_fanout_t *f;
    ngx_goconnect_ahead_t *held, **p;

    f = ngx_goconnect_fanout_get(topic);
    if (f == NULL) {
        return;
    }

    for (p = &f->ahead; *p && (*p)->seq < event->seq; p = &(*p)->next) {
        /* void */
    }

    if (*p && (*p)->seq == event->seq) {
        return;
    }

    if (f->nahead >= NGX_GOCONNECT_AHEAD_MAX) {
        /* the sweep, or the next hole, will bring it again */
        return;
    }

    held = ngx_alloc(sizeof(ngx_goconnect_ahead_t), ngx_cycle->log);
    if (held == NULL) {
        return;
    }

    held->frame = ngx_goconnect_ws_frame_text((const u_char *) event->text.data,
                                              event->text.len);
    if (held->frame == NULL) {
        ngx_free(held);
        return;
    }

    if (f->ahead == NULL) {
        ngx_queue_insert_tail(&ngx_goconnect_gaps, &f->gaps);
    }

    held->round = ngx_goconnect_sweep_round();
    held->seq = event->seq;
    held->next = *p;
    *p = held;
    f->nahead++;
}


/* the payload of a text frame that we made */
static gc_slice_t
ngx_goconnect_topic_payload(ngx_goconnect_ws_frame_t *frame)
{
    size_t header;

    header = frame->data[1] < 126 ? 2 : frame->data[1] == 126 ? 4 : 10;

    return ngx_goconnect_slice(frame->data + header, frame->len - header);
}


/* hands on what has waited, up to the next hole */
static void
ngx_goconnect_topic_drain(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_ws_frame_t *frame;
    ngx_goconnect_event_t event;
    ngx_goconnect_fanout_t *f;

    f = topic->fanout;

    while (f && f->ahead && f->ahead->seq <= topic->seq + 1) {
        if (f->ahead->seq <= topic->seq) {
            ngx_goconnect_ahead_shift(f);
            continue;
        }

        frame = f->ahead->frame;
        frame->refs++;
        ngx_goconnect_ahead_shift(f);

        if (ngx_goconnect_event_parse(ngx_goconnect_topic_payload(frame),
                                      &event) == NGX_OK) {
            ngx_goconnect_topic_accept(topic, &event, frame);
        }

        ngx_goconnect_ws_frame_unref(frame);
    }

    ngx_goconnect_fanout_release(topic);
}


void
ngx_goconnect_topic_baseline(ngx_goconnect_topic_t *topic, int64_t seq)
{
    if (topic->seq != NGX_GOCONNECT_SEQ_UNKNOWN) {
        return;
    }

    if (seq != NGX_GOCONNECT_SEQ_UNKNOWN) {
        topic->seq = seq;

    } else {
        topic->lax = 1;

        if (topic->fanout == NULL || topic->fanout->ahead == NULL) {
            return;
        }

        topic->seq = topic->fanout->ahead->seq - 1;
    }

    ngx_goconnect_topic_drain(topic);

    if (topic->fanout && topic->fanout->ahead) {
        ngx_goconnect_sweep_now();
    }
}


static void
ngx_goconnect_topic_ephemeral(ngx_goconnect_topic_t *topic,
                              ngx_goconnect_event_t *event)
{
    ngx_goconnect_ws_frame_t *frame;

    /* what is only of the moment gives way to what is not */
    if (ngx_queue_empty(&topic->subs) ||
        (topic->fanout &&
         topic->fanout->njobs > NGX_GOCONNECT_FANOUT_JOBS / 2)) {
        return;
    }

    frame = ngx_goconnect_ws_frame_text((const u_char *) event->text.data,
                                        event->text.len);
    if (frame == NULL) {
        return;
    }

    ngx_goconnect_fanout_add(topic, frame, 0);
    ngx_goconnect_ws_frame_unref(frame);
}


void
ngx_goconnect_topic_event(ngx_goconnect_event_t *event)
{
    ngx_goconnect_topic_t *topic;

    topic = ngx_goconnect_topic_get(event->topic, 0);

    if (topic == NULL) {
        return;
    }

    if (event->seq == 0) {
        ngx_goconnect_topic_ephemeral(topic, event);
        return;
    }

    if (topic->seq == NGX_GOCONNECT_SEQ_UNKNOWN && topic->lax) {
        topic->seq = event->seq - 1;
    }

    if (topic->seq == NGX_GOCONNECT_SEQ_UNKNOWN) {
        ngx_goconnect_topic_stash(topic, event);
        return;
    }

    if (event->seq <= topic->seq) {
        return;
    }

    if (event->seq == topic->seq + 1) {
        ngx_goconnect_topic_accept(topic, event, NULL);
        ngx_goconnect_topic_drain(topic);
        return;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "goconnect: \"%*s\" has a hole before %L",
                   (size_t) topic->len, topic->name, event->seq);

    ngx_goconnect_topic_stash(topic, event);
    ngx_goconnect_sweep_now();
}


ngx_uint_t
ngx_goconnect_topic_known(gc_slice_t name)
{
    ngx_goconnect_topic_t *topic;

    topic = ngx_goconnect_topic_get(name, 0);

    return topic && topic->seq != NGX_GOCONNECT_SEQ_UNKNOWN;
}


void
ngx_goconnect_topic_hint(gc_slice_t name, int64_t seq)
{
    ngx_goconnect_topic_t *topic;

    topic = ngx_goconnect_topic_get(name, 0);

    if (topic && seq > topic->seq) {
        ngx_goconnect_sweep_now();
    }
}


/* a topic whose hole should have been filled by sweep `round` */
static ngx_goconnect_fanout_t *
ngx_goconnect_topic_overdue(ngx_uint_t round)
{
    ngx_goconnect_fanout_t *f;
    ngx_queue_t *q;

    for (q = ngx_queue_head(&ngx_goconnect_gaps);
         q != ngx_queue_sentinel(&ngx_goconnect_gaps); q = ngx_queue_next(q)) {
        f = ngx_queue_data(q, ngx_goconnect_fanout_t, gaps);

        if (f->topic->seq != NGX_GOCONNECT_SEQ_UNKNOWN &&
            (ngx_int_t) (round - f->ahead->round) >= 0) {
            return f;
        }
    }

    return NULL;
}


void
ngx_goconnect_topic_swept(ngx_uint_t round)
{
    ngx_goconnect_fanout_t *f;

    /* from the beginning each time: an event may end topics */
    while ((f = ngx_goconnect_topic_overdue(round)) != NULL) {
        /* what fills the hole is not in the database any more */
        ngx_goconnect_topic_resync(f->topic, f->ahead->seq - 1, "expired");
        f->topic->seq = f->ahead->seq - 1;
        ngx_goconnect_topic_drain(f->topic);
    }
}


void
ngx_goconnect_topic_skip(ngx_goconnect_event_t *event)
{
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_fanout_t *f;

    topic = ngx_goconnect_topic_get(event->topic, 0);

    if (topic == NULL || topic->seq == NGX_GOCONNECT_SEQ_UNKNOWN ||
        event->seq <= topic->seq) {
        return;
    }

    f = ngx_goconnect_fanout_get(topic);

    if (f && event->seq > f->skipped) {
        f->skipped = event->seq;
    }
}


void
ngx_goconnect_topic_skipped(void)
{
    ngx_goconnect_topic_t *topic;
    ngx_uint_t i;
    int64_t seq;

    for (i = 0; i < ngx_goconnect_topics.nbuckets; i++) {
        for (topic = ngx_goconnect_topics.buckets[i]; topic;
             topic = topic->next) {
            if (topic->fanout == NULL || topic->fanout->skipped == 0) {
                continue;
            }

            seq = topic->fanout->skipped;
            topic->fanout->skipped = 0;

            if (seq > topic->seq) {
                topic->seq = seq;
                ngx_goconnect_topic_resync(topic, seq, "overflow");
            }

            ngx_goconnect_topic_drain(topic);
        }
    }
}


void
ngx_goconnect_topic_forget(void)
{
    ngx_goconnect_topic_t *topic;
    ngx_uint_t i;

    for (i = 0; i < ngx_goconnect_topics.nbuckets; i++) {
        for (topic = ngx_goconnect_topics.buckets[i]; topic;
             topic = topic->next) {
            topic->seq = NGX_GOCONNECT_SEQ_UNKNOWN;

            /* its sessions are on their way out, and must hear if they are
             * revoked meanwhile */
            topic->lax = 1;

            if (topic->fanout) {
                ngx_goconnect_fanout_clear(topic->fanout);
                ngx_goconnect_ahead_clear(topic->fanout);
                topic->fanout->skipped = 0;
                ngx_goconnect_fanout_release(topic);
            }
        }
    }
}


void
ngx_goconnect_order_init(void)
{
    ngx_queue_init(&ngx_goconnect_gaps);
}
