/*
 * Topics of a worker: which events its sockets have seen, and fan-out.
 *
 * Events come from this worker's own commits, from the bus and from the
 * sweep, in any order and more than once.  A topic hands them on by seq, each
 * once: what comes too early waits in `ahead`, and a hole calls for a sweep.
 * Delivery is spread over turns of the event loop.
 */

#include "live/ngx_goconnect_live_private.h"
#include "core/gc_uuid.h"


#define NGX_GOCONNECT_TOPIC_BUCKETS 256 /* at first */
#define NGX_GOCONNECT_FANOUT_TURN 100   /* sockets in a turn */
#define NGX_GOCONNECT_FANOUT_JOBS 4096  /* frames of a topic that wait */
#define NGX_GOCONNECT_AHEAD_MAX 1024    /* events of a topic beyond a hole */


typedef struct ngx_goconnect_job_s ngx_goconnect_job_t;

struct ngx_goconnect_job_s {
    ngx_goconnect_job_t *next;
    ngx_goconnect_ws_frame_t *frame; /* one reference */
    int64_t seq;                     /* 0: ephemeral, goes to all */
};


/* an event beyond a hole */
typedef struct ngx_goconnect_ahead_s ngx_goconnect_ahead_t;

struct ngx_goconnect_ahead_s {
    ngx_goconnect_ahead_t *next;
    ngx_goconnect_ws_frame_t *frame; /* one reference */
    int64_t seq;
    ngx_uint_t round; /* the sweep that must find what comes before */
};


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
    ngx_queue_t busy; /* fan-outs with jobs */
    ngx_queue_t gaps; /* fan-outs with a hole */
    ngx_event_t event;
} ngx_goconnect_topics_t;


static ngx_goconnect_topics_t ngx_goconnect_topics;


static void ngx_goconnect_topic_drain(ngx_goconnect_topic_t *topic);


/* FNV-1a with a seed: names are the clients' to choose */
static uint32_t
ngx_goconnect_topic_hash(gc_slice_t name)
{
    uint32_t hash;
    size_t i;

    hash = ngx_goconnect_topics.seed;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (u_char) name.data[i]) * 16777619;
    }

    return hash ^ (hash >> 15);
}


ngx_uint_t
ngx_goconnect_topic_valid(gc_slice_t name)
{
    static const struct {
        const char *prefix;
        size_t len;
        ngx_uint_t staff;
    } kinds[] = {
        {"user:", 5, 0},
        {"device:", 7, 0},
        {"tenant:", 7, 1},
        {"network:", 8, 1},
    };
    static const char staff[] = "/staff";
    const char *rest;
    size_t i, left;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (name.len < kinds[i].len + GC_UUID_LEN ||
            ngx_memcmp(name.data, kinds[i].prefix, kinds[i].len) != 0) {
            continue;
        }

        rest = name.data + kinds[i].len;

        if (!gc_uuid_valid(rest, GC_UUID_LEN)) {
            return 0;
        }

        left = name.len - kinds[i].len - GC_UUID_LEN;

        return left == 0 || (kinds[i].staff && left == sizeof(staff) - 1 &&
                             ngx_memcmp(rest + GC_UUID_LEN, staff, left) == 0);
    }

    return 0;
}


/* twice the buckets; without memory the chains just grow longer */
static void
ngx_goconnect_topic_rehash(void)
{
    ngx_goconnect_topic_t **buckets, *topic, *next;
    ngx_uint_t i, n;

    n = ngx_goconnect_topics.nbuckets * 2;

    buckets = ngx_calloc(n * sizeof(ngx_goconnect_topic_t *), ngx_cycle->log);
    if (buckets == NULL) {
        return;
    }

    for (i = 0; i < ngx_goconnect_topics.nbuckets; i++) {
        for (topic = ngx_goconnect_topics.buckets[i]; topic; topic = next) {
            next = topic->next;
            topic->next = buckets[topic->hash & (n - 1)];
            buckets[topic->hash & (n - 1)] = topic;
        }
    }

    ngx_free(ngx_goconnect_topics.buckets);
    ngx_goconnect_topics.buckets = buckets;
    ngx_goconnect_topics.nbuckets = n;
}


static ngx_goconnect_topic_t *
ngx_goconnect_topic_create(gc_slice_t name, uint32_t hash)
{
    ngx_goconnect_topic_t *topic, **bucket;

    topic =
        ngx_calloc(sizeof(ngx_goconnect_topic_t) + name.len, ngx_cycle->log);
    if (topic == NULL) {
        return NULL;
    }

    topic->seq = NGX_GOCONNECT_SEQ_UNKNOWN;
    topic->hash = hash;
    topic->len = (u_char) name.len;
    ngx_memcpy(topic->name, name.data, name.len);
    ngx_queue_init(&topic->subs);
    ngx_queue_init(&topic->watchers);

    if (++ngx_goconnect_topics.count > ngx_goconnect_topics.nbuckets) {
        ngx_goconnect_topic_rehash();
    }

    bucket = &ngx_goconnect_topics
                  .buckets[hash & (ngx_goconnect_topics.nbuckets - 1)];
    topic->next = *bucket;
    *bucket = topic;

    return topic;
}


ngx_goconnect_topic_t *
ngx_goconnect_topic_get(gc_slice_t name, ngx_uint_t create)
{
    ngx_goconnect_topic_t *topic;
    uint32_t hash;

    if (name.len == 0 || name.len > NGX_GOCONNECT_TOPIC_MAX) {
        return NULL;
    }

    hash = ngx_goconnect_topic_hash(name);
    topic = ngx_goconnect_topics
                .buckets[hash & (ngx_goconnect_topics.nbuckets - 1)];

    for (/* void */; topic; topic = topic->next) {
        if (topic->hash == hash && topic->len == name.len &&
            ngx_memcmp(topic->name, name.data, name.len) == 0) {
            return topic;
        }
    }

    return create ? ngx_goconnect_topic_create(name, hash) : NULL;
}


static ngx_goconnect_fanout_t *
ngx_goconnect_topic_fanout(ngx_goconnect_topic_t *topic)
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


/* nothing is left to do */
static void
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
ngx_goconnect_topic_release(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_topic_t **p;

    if (!ngx_queue_empty(&topic->subs) || !ngx_queue_empty(&topic->watchers)) {
        return;
    }

    if (topic->fanout) {
        while (topic->fanout->head) {
            ngx_goconnect_job_shift(topic->fanout);
        }

        while (topic->fanout->ahead) {
            ngx_goconnect_ahead_shift(topic->fanout);
        }

        ngx_free(topic->fanout);
    }

    p = &ngx_goconnect_topics
             .buckets[topic->hash & (ngx_goconnect_topics.nbuckets - 1)];

    while (*p != topic) {
        p = &(*p)->next;
    }

    *p = topic->next;
    ngx_goconnect_topics.count--;
    ngx_free(topic);
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


static void
ngx_goconnect_topic_job(ngx_goconnect_topic_t *topic,
                        ngx_goconnect_ws_frame_t *frame, int64_t seq)
{
    ngx_goconnect_fanout_t *f;
    ngx_goconnect_job_t *job;

    if (ngx_queue_empty(&topic->subs)) {
        return;
    }

    f = ngx_goconnect_topic_fanout(topic);
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
        ngx_queue_insert_tail(&ngx_goconnect_topics.busy, &f->queue);
    }

    f->tail = job;
    f->njobs++;

    ngx_post_event(&ngx_goconnect_topics.event, &ngx_posted_events);
}


/* tells the topic's sockets to fetch afresh; seq is what they are at then */
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

    ngx_goconnect_topic_job(topic, frame, 0);
    ngx_goconnect_ws_frame_unref(frame);
}


/* more frames wait than anybody should be made to read */
static void
ngx_goconnect_topic_overflow(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_fanout_t *f;

    f = topic->fanout;

    while (f->head) {
        ngx_goconnect_job_shift(f);
    }

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
        ngx_goconnect_topic_job(topic, frame, event->seq);

    } else {
        frame = ngx_goconnect_ws_frame_text((const u_char *) event->text.data,
                                            event->text.len);
        if (frame == NULL) {
            ngx_goconnect_session_restart_all();
            return;
        }

        ngx_goconnect_topic_job(topic, frame, event->seq);
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

    f = ngx_goconnect_topic_fanout(topic);
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
        ngx_queue_insert_tail(&ngx_goconnect_topics.gaps, &f->gaps);
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

    ngx_goconnect_topic_job(topic, frame, 0);
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

    for (q = ngx_queue_head(&ngx_goconnect_topics.gaps);
         q != ngx_queue_sentinel(&ngx_goconnect_topics.gaps);
         q = ngx_queue_next(q)) {
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

    f = ngx_goconnect_topic_fanout(topic);

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


static void
ngx_goconnect_topic_deliver(ngx_goconnect_sub_t *sub, ngx_goconnect_job_t *job)
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
            ngx_goconnect_topic_deliver(sub, f->head);
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
ngx_goconnect_topic_handler(ngx_event_t *ev)
{
    ngx_goconnect_fanout_t *f;
    ngx_uint_t left;
    ngx_queue_t *q;

    left = NGX_GOCONNECT_FANOUT_TURN;

    while (left && !ngx_queue_empty(&ngx_goconnect_topics.busy)) {
        q = ngx_queue_head(&ngx_goconnect_topics.busy);
        f = ngx_queue_data(q, ngx_goconnect_fanout_t, queue);

        left = ngx_goconnect_fanout_run(f, left);

        if (f->head) {
            ngx_queue_remove(&f->queue);
            ngx_queue_insert_tail(&ngx_goconnect_topics.busy, &f->queue);

        } else {
            ngx_goconnect_fanout_release(f->topic);
        }
    }

    if (!ngx_queue_empty(&ngx_goconnect_topics.busy)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


ngx_int_t
ngx_goconnect_topic_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_topics.nbuckets = NGX_GOCONNECT_TOPIC_BUCKETS;
    ngx_goconnect_topics.buckets = ngx_calloc(
        NGX_GOCONNECT_TOPIC_BUCKETS * sizeof(ngx_goconnect_topic_t *),
        cycle->log);
    if (ngx_goconnect_topics.buckets == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&ngx_goconnect_topics.busy);
    ngx_queue_init(&ngx_goconnect_topics.gaps);
    ngx_goconnect_live_event_init(&ngx_goconnect_topics.event,
                                  ngx_goconnect_topic_handler);

    return ngx_goconnect_live_random(&ngx_goconnect_topics.seed,
                                     sizeof(ngx_goconnect_topics.seed));
}
