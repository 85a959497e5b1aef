/*
 * State of topics: who of a network or a tenant is here.  It has no seq and is
 * not kept: of what comes from several workers within a second the last word
 * for each peer or user counts, and one frame a second tells a topic's sockets.
 */

#include "live/ngx_goconnect_live_state.h"


#define NGX_GOCONNECT_STATE_EVERY 1000 /* ms between frames of a topic */
#define NGX_GOCONNECT_STATE_GATHER 50  /* ms before the first one */
#define NGX_GOCONNECT_STATE_BUCKETS 256
#define NGX_GOCONNECT_STATE_JOBS 1024 /* frames of a topic that wait */


/* a topic that has something to tell, or has just told it */
typedef struct ngx_goconnect_state_s ngx_goconnect_state_t;

struct ngx_goconnect_state_s {
    ngx_queue_t queue; /* by the time at which it is due */
    ngx_goconnect_state_t *next;
    ngx_msec_t due;
    ngx_goconnect_state_list_t list;
    size_t len;
    u_char name[NGX_GOCONNECT_TOPIC_MAX];
};


typedef struct {
    ngx_goconnect_state_t *buckets[NGX_GOCONNECT_STATE_BUCKETS];
    ngx_queue_t due;
    ngx_event_t timer;
} ngx_goconnect_states_t;


static ngx_goconnect_states_t ngx_goconnect_states;


static ngx_goconnect_state_t **
ngx_goconnect_state_bucket(gc_slice_t name)
{
    uint32_t hash;
    size_t i;

    hash = 2166136261U;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (u_char) name.data[i]) * 16777619;
    }

    return &ngx_goconnect_states
                .buckets[(hash ^ (hash >> 15)) % NGX_GOCONNECT_STATE_BUCKETS];
}


/* when the first one is due */
static void
ngx_goconnect_state_schedule(void)
{
    ngx_goconnect_state_t *state;
    ngx_msec_int_t left;
    ngx_queue_t *q;

    if (ngx_queue_empty(&ngx_goconnect_states.due)) {
        return;
    }

    q = ngx_queue_head(&ngx_goconnect_states.due);
    state = ngx_queue_data(q, ngx_goconnect_state_t, queue);
    left = (ngx_msec_int_t) (state->due - ngx_current_msec);

    ngx_add_timer(&ngx_goconnect_states.timer,
                  left > 0 ? (ngx_msec_t) left : 1);
}


/* new ones are due before those that have just told */
static void
ngx_goconnect_state_wait(ngx_goconnect_state_t *state, ngx_msec_t delay)
{
    ngx_goconnect_state_t *other;
    ngx_queue_t *q;

    state->due = ngx_current_msec + delay;

    for (q = ngx_queue_last(&ngx_goconnect_states.due);
         q != ngx_queue_sentinel(&ngx_goconnect_states.due);
         q = ngx_queue_prev(q)) {
        other = ngx_queue_data(q, ngx_goconnect_state_t, queue);

        if ((ngx_msec_int_t) (state->due - other->due) >= 0) {
            break;
        }
    }

    ngx_queue_insert_after(q, &state->queue);
    ngx_goconnect_state_schedule();
}


static ngx_goconnect_state_t *
ngx_goconnect_state_get(gc_slice_t name)
{
    ngx_goconnect_state_t *state, **bucket;

    bucket = ngx_goconnect_state_bucket(name);

    for (state = *bucket; state; state = state->next) {
        if (state->len == name.len &&
            ngx_memcmp(state->name, name.data, name.len) == 0) {
            return state;
        }
    }

    state = ngx_calloc(sizeof(ngx_goconnect_state_t), ngx_cycle->log);
    if (state == NULL) {
        return NULL;
    }

    ngx_memcpy(state->name, name.data, name.len);
    state->len = name.len;
    state->next = *bucket;
    *bucket = state;

    ngx_goconnect_state_wait(state, NGX_GOCONNECT_STATE_GATHER);

    return state;
}


static void
ngx_goconnect_state_free(ngx_goconnect_state_t *state)
{
    ngx_goconnect_state_t **p;

    p = ngx_goconnect_state_bucket(
        ngx_goconnect_slice(state->name, state->len));

    while (*p != state) {
        p = &(*p)->next;
    }

    *p = state->next;
    ngx_goconnect_state_list_clear(&state->list);
    ngx_free(state);
}


void
ngx_goconnect_state_event(const ngx_goconnect_event_t *event)
{
    const ngx_goconnect_state_kind_t *kind;
    ngx_goconnect_state_t *state;
    ngx_goconnect_topic_t *topic;

    kind = ngx_goconnect_state_kind(event->topic);
    topic = kind ? ngx_goconnect_topic_get(event->topic, 0) : NULL;

    if (topic == NULL || ngx_queue_empty(&topic->subs)) {
        return;
    }

    state = ngx_goconnect_state_get(event->topic);

    if (state) {
        ngx_goconnect_state_list_data(&state->list, kind, event->data);
    }
}


static ngx_int_t
ngx_goconnect_state_tell(void *data, ngx_goconnect_ws_frame_t *frame)
{
    ngx_goconnect_fanout_add(data, frame, 0);

    return NGX_OK;
}


static void
ngx_goconnect_state_due(ngx_goconnect_state_t *state)
{
    ngx_goconnect_topic_t *topic;
    gc_slice_t name;

    ngx_queue_remove(&state->queue);

    name = ngx_goconnect_slice(state->name, state->len);
    topic = ngx_goconnect_topic_get(name, 0);

    if (state->list.n == 0 || topic == NULL || ngx_queue_empty(&topic->subs)) {
        ngx_goconnect_state_free(state);
        return;
    }

    /* what is only state gives way to events, and is told when they are out */
    if (topic->fanout == NULL ||
        topic->fanout->njobs < NGX_GOCONNECT_STATE_JOBS) {
        (void) ngx_goconnect_state_list_tell(&state->list, name,
                                             ngx_goconnect_state_tell, topic);
        ngx_goconnect_state_list_clear(&state->list);
    }

    ngx_goconnect_state_wait(state, NGX_GOCONNECT_STATE_EVERY);
}


static void
ngx_goconnect_state_handler(ngx_event_t *ev)
{
    ngx_goconnect_state_t *state;
    ngx_queue_t *q;

    while (!ngx_queue_empty(&ngx_goconnect_states.due)) {
        q = ngx_queue_head(&ngx_goconnect_states.due);
        state = ngx_queue_data(q, ngx_goconnect_state_t, queue);

        if ((ngx_msec_int_t) (state->due - ngx_current_msec) > 0) {
            break;
        }

        ngx_goconnect_state_due(state);
    }

    ngx_goconnect_state_schedule();
}


ngx_int_t
ngx_goconnect_state_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_goconnect_states.due);
    ngx_goconnect_live_event_init(&ngx_goconnect_states.timer,
                                  ngx_goconnect_state_handler);

    return NGX_OK;
}
