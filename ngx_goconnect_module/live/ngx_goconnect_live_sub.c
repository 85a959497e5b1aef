/*
 * Subscriptions of a session, and how they catch up: the pump sends what is
 * held for them as fast as the socket drains.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_PUMP_TURN 64     /* frames of a session in a turn */
#define NGX_GOCONNECT_PUMP_AHEAD 65536 /* bytes in the socket's queue */


typedef struct {
    ngx_queue_t sessions; /* have frames to send, in a later turn */
    ngx_event_t event;
} ngx_goconnect_pump_t;


static ngx_goconnect_pump_t ngx_goconnect_pump_list;


/*
 * Subscriptions
 */

ngx_goconnect_sub_t *
ngx_goconnect_sub_find(ngx_goconnect_session_t *s, gc_slice_t topic)
{
    ngx_goconnect_sub_t *sub;

    for (sub = s->subs; sub; sub = sub->next) {
        if (sub->topic->len == topic.len &&
            ngx_memcmp(sub->topic->name, topic.data, topic.len) == 0) {
            return sub;
        }
    }

    return NULL;
}


static void
ngx_goconnect_catchup_shift(ngx_goconnect_sub_t *sub)
{
    ngx_goconnect_held_t *held;

    held = sub->catchup->head;
    sub->catchup->head = held->next;

    if (sub->catchup->head == NULL) {
        sub->catchup->tail = NULL;
    }

    sub->session->held -= held->frame->len;
    ngx_goconnect_ws_frame_unref(held->frame);
    ngx_free(held);
}


/* the operation that it waits for goes on without it */
static void
ngx_goconnect_catchup_detach(ngx_goconnect_sub_t *sub)
{
    if (sub->catchup->op == NULL) {
        ngx_queue_remove(&sub->catchup->queue);

    } else {
        ngx_goconnect_subscribe_forget(sub->catchup->op, sub);
    }
}


void
ngx_goconnect_catchup_free(ngx_goconnect_sub_t *sub)
{
    ngx_goconnect_catchup_t *catchup;

    catchup = sub->catchup;

    if (catchup == NULL) {
        return;
    }

    ngx_goconnect_catchup_detach(sub);

    while (catchup->head) {
        ngx_goconnect_catchup_shift(sub);
    }

    if (catchup->netmap) {
        ngx_goconnect_netmap_unref(catchup->netmap);
    }

    ngx_free(catchup);
    sub->catchup = NULL;
}


void
ngx_goconnect_sub_remove(ngx_goconnect_sub_t *sub)
{
    ngx_goconnect_sub_t **p;

    ngx_goconnect_catchup_free(sub);
    ngx_goconnect_topic_unlink(sub);
    ngx_goconnect_topic_release(sub->topic);

    p = &sub->session->subs;

    while (*p != sub) {
        p = &(*p)->next;
    }

    *p = sub->next;
    sub->session->nsubs--;
    ngx_free(sub);
}


ngx_goconnect_sub_t *
ngx_goconnect_sub_create(ngx_goconnect_session_t *s, gc_slice_t name)
{
    ngx_goconnect_sub_t *sub;

    sub = ngx_calloc(sizeof(ngx_goconnect_sub_t), ngx_cycle->log);
    if (sub == NULL) {
        return NULL;
    }

    sub->topic = ngx_goconnect_topic_get(name, 1);
    if (sub->topic == NULL) {
        ngx_free(sub);
        return NULL;
    }

    sub->session = s;
    sub->next = s->subs;
    s->subs = sub;
    s->nsubs++;

    ngx_queue_insert_tail(&sub->topic->subs, &sub->queue);

    return sub;
}


ngx_int_t
ngx_goconnect_catchup_append(ngx_goconnect_sub_t *sub,
                             ngx_goconnect_ws_frame_t *frame, int64_t seq)
{
    ngx_goconnect_catchup_t *catchup;
    ngx_goconnect_held_t *held;

    catchup = sub->catchup;

    held = ngx_alloc(sizeof(ngx_goconnect_held_t), ngx_cycle->log);
    if (held == NULL) {
        return NGX_ERROR;
    }

    held->next = NULL;
    held->frame = frame;
    held->seq = seq;
    frame->refs++;

    if (catchup->tail) {
        catchup->tail->next = held;

    } else {
        catchup->head = held;
    }

    catchup->tail = held;
    sub->session->held += frame->len;

    return NGX_OK;
}


void
ngx_goconnect_sub_hold(ngx_goconnect_sub_t *sub,
                       ngx_goconnect_ws_frame_t *frame, int64_t seq)
{
    ngx_goconnect_session_t *s;

    s = sub->session;

    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    if (s->held + frame->len > NGX_GOCONNECT_HOLD_MAX ||
        ngx_goconnect_catchup_append(sub, frame, seq) != NGX_OK) {
        ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_WS_SLOW,
                               "too slow: come back and resume");
    }
}


/*
 * The pump: from what is held to the socket
 */

void
ngx_goconnect_pump_forget(ngx_goconnect_session_t *s)
{
    if (s->pumping) {
        ngx_queue_remove(&s->pump_queue);
        s->pumping = 0;
    }
}


static void
ngx_goconnect_pump_later(ngx_goconnect_session_t *s)
{
    if (!s->pumping) {
        s->pumping = 1;
        ngx_queue_insert_tail(&ngx_goconnect_pump_list.sessions,
                              &s->pump_queue);
    }

    ngx_post_event(&ngx_goconnect_pump_list.event, &ngx_posted_next_events);
}


static ngx_goconnect_ws_frame_t *
ngx_goconnect_pump_head(const u_char *text, size_t len, ngx_uint_t packed)
{
    ngx_goconnect_ws_frame_t *head;
    u_char *payload;

    if (packed) {
        return ngx_goconnect_ws_frame_stored(GC_WS_OP_TEXT, text, len);
    }

    head = ngx_goconnect_ws_frame_alloc(GC_WS_OP_TEXT, len, &payload);
    if (head) {
        ngx_memcpy(payload, text, len);
    }

    return head;
}


/*
 * A part of a netmap is one message in two fragments: what differs between
 * the sockets (seq), and the bytes that all of them share.
 */
static void
ngx_goconnect_pump_netmap(ngx_goconnect_sub_t *sub)
{
    ngx_goconnect_catchup_t *catchup;
    ngx_goconnect_ws_frame_t *head, *part;
    ngx_goconnect_ws_t *ws;
    u_char buf[NGX_GOCONNECT_TOPIC_MAX + 64], *p;

    catchup = sub->catchup;
    ws = sub->session->ws;

    p = ngx_snprintf(buf, sizeof(buf),
                     "{\"type\":\"netmap\",\"topic\":\"%*s\",\"seq\":%L,",
                     (size_t) sub->topic->len, sub->topic->name, sub->seq);

    part = ngx_goconnect_ws_deflates(ws)
               ? ngx_goconnect_netmap_packed(catchup->netmap, catchup->part)
               : NULL;

    head = ngx_goconnect_pump_head(buf, (size_t) (p - buf), part != NULL);
    if (head == NULL) {
        ngx_goconnect_ws_close(ws, GC_WS_CLOSE_INTERNAL, "out of memory");
        return;
    }

    head->snapshot = 1;

    ngx_goconnect_ws_queue(ws, head);
    ngx_goconnect_ws_frame_unref(head);
    ngx_goconnect_ws_queue(ws,
                           part ? part : catchup->netmap->parts[catchup->part]);
    catchup->part++;
    ngx_goconnect_ws_flush(ws);

    if (catchup->part == catchup->netmap->nparts) {
        ngx_goconnect_netmap_unref(catchup->netmap);
        catchup->netmap = NULL;
    }
}


/* the next frame; NGX_AGAIN: the socket must drain first, NGX_DONE: live */
static ngx_int_t
ngx_goconnect_pump_one(ngx_goconnect_sub_t *sub)
{
    ngx_goconnect_held_t *held;
    ngx_goconnect_ws_t *ws;

    ws = sub->session->ws;

    if (sub->catchup->netmap) {
        if (ngx_goconnect_ws_queued(ws) > 0) {
            return NGX_AGAIN;
        }

        ngx_goconnect_pump_netmap(sub);
        return NGX_OK;
    }

    held = sub->catchup->head;

    if (held == NULL) {
        ngx_goconnect_catchup_free(sub);
        return NGX_DONE;
    }

    if (ngx_goconnect_ws_queued(ws) > NGX_GOCONNECT_PUMP_AHEAD) {
        return NGX_AGAIN;
    }

    if (held->seq == 0 || held->seq > sub->seq) {
        if (held->seq) {
            sub->seq = held->seq;
        }

        ngx_goconnect_ws_send(ws, held->frame);
    }

    ngx_goconnect_catchup_shift(sub);

    return NGX_OK;
}


void
ngx_goconnect_pump(ngx_goconnect_session_t *s)
{
    ngx_goconnect_catchup_t *catchup;
    ngx_goconnect_sub_t *sub;
    ngx_uint_t left;
    ngx_queue_t *q;

    left = NGX_GOCONNECT_PUMP_TURN;

    while (!ngx_queue_empty(&s->catching)) {
        if (!ngx_goconnect_session_is_open(s)) {
            return;
        }

        if (left-- == 0) {
            ngx_goconnect_pump_later(s);
            return;
        }

        q = ngx_queue_head(&s->catching);
        catchup = ngx_queue_data(q, ngx_goconnect_catchup_t, queue);
        sub = catchup->sub;

        if (ngx_goconnect_pump_one(sub) == NGX_AGAIN) {
            /* `drained` comes back here */
            return;
        }
    }
}


static void
ngx_goconnect_pump_handler(ngx_event_t *ev)
{
    ngx_goconnect_session_t *s;
    ngx_queue_t *q, now;

    ngx_queue_init(&now);

    if (ngx_queue_empty(&ngx_goconnect_pump_list.sessions)) {
        return;
    }

    /* those that come back wait for the next turn */
    ngx_queue_add(&now, &ngx_goconnect_pump_list.sessions);
    ngx_queue_init(&ngx_goconnect_pump_list.sessions);

    while (!ngx_queue_empty(&now)) {
        q = ngx_queue_head(&now);
        s = ngx_queue_data(q, ngx_goconnect_session_t, pump_queue);
        ngx_goconnect_pump_forget(s);
        ngx_goconnect_pump(s);
    }
}


ngx_int_t
ngx_goconnect_sub_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_goconnect_pump_list.sessions);
    ngx_goconnect_live_event_init(&ngx_goconnect_pump_list.event,
                                  ngx_goconnect_pump_handler);

    return NGX_OK;
}
