/*
 * What a new subscription is sent between its answer and the live frames: the
 * events since the client's seq or a resync, itself, and who is there.
 */

#include "live/ngx_goconnect_live_subscribe.h"


/* a frame of its own, before what is held from elsewhere */
static ngx_int_t
ngx_goconnect_subscribe_text(ngx_goconnect_sub_t *sub, gc_slice_t text,
                             int64_t seq)
{
    ngx_goconnect_ws_frame_t *frame;
    ngx_int_t rc;

    frame = ngx_goconnect_ws_frame_text((const u_char *) text.data, text.len);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_catchup_append(sub, frame, seq);
    ngx_goconnect_ws_frame_unref(frame);

    return rc;
}


/* {"type":TYPE,"topic":TOPIC[,"seq":SEQ],"data":HEAD BODY TAIL} */
static ngx_int_t
ngx_goconnect_subscribe_frame(ngx_goconnect_sub_t *sub, const char *type,
                              int64_t seq, const char *head, gc_slice_t body,
                              const char *tail)
{
    ngx_int_t rc;
    u_char *buf, *p;
    size_t size;

    size = sizeof("{\"type\":\"\",\"topic\":\"\",\"seq\":,\"data\":}") +
           ngx_strlen(type) + sub->topic->len + NGX_INT64_LEN +
           ngx_strlen(head) + body.len + ngx_strlen(tail);

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    p = ngx_snprintf(buf, size, "{\"type\":\"%s\",\"topic\":\"%*s\"", type,
                     (size_t) sub->topic->len, sub->topic->name);

    if (seq) {
        p = ngx_snprintf(p, (size_t) (buf + size - p), ",\"seq\":%L", seq);
    }

    p = ngx_snprintf(p, (size_t) (buf + size - p), ",\"data\":%s%*s%s}", head,
                     body.len, body.data, tail);

    rc = ngx_goconnect_subscribe_text(
        sub, ngx_goconnect_slice(buf, (size_t) (p - buf)), 0);
    ngx_free(buf);

    return rc;
}


static ngx_int_t
ngx_goconnect_subscribe_state(void *data, ngx_goconnect_ws_frame_t *frame)
{
    return ngx_goconnect_catchup_append(data, frame, 0);
}


/* presence as it was at the snapshot */
static ngx_int_t
ngx_goconnect_subscribe_status(ngx_goconnect_item_t *item)
{
    ngx_goconnect_sub_t *sub;

    sub = item->sub;

    if (ngx_goconnect_mesh_snapshot(sub->topic, ngx_goconnect_subscribe_state,
                                    sub) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_state_snapshot(
        ngx_goconnect_slice(sub->topic->name, sub->topic->len), item->status,
        ngx_goconnect_subscribe_state, sub);
}


static ngx_int_t
ngx_goconnect_subscribe_resync(ngx_goconnect_item_t *item, const char *data)
{
    return ngx_goconnect_subscribe_frame(item->sub, "resync", item->seq, data,
                                         ngx_goconnect_slice("", 0), "");
}


/* what goes between the answer and the live frames */
static ngx_int_t
ngx_goconnect_subscribe_replay(ngx_goconnect_item_t *item)
{
    ngx_goconnect_event_t event;
    gc_json_iter_t it;
    gc_slice_t text;

    if (item->resync) {
        return ngx_goconnect_subscribe_resync(item, "{\"reason\":\"expired\"}");
    }

    /* what would be refused as too much each time that the client comes back
     * must not be begun */
    if (item->sub->session->held + item->events.len >
        NGX_GOCONNECT_HOLD_MAX / 2) {
        return ngx_goconnect_subscribe_resync(item,
                                              "{\"reason\":\"overflow\"}");
    }

    if (gc_json_array(&it, item->events) != 0) {
        return NGX_OK;
    }

    while (gc_json_item(&it, &text)) {
        if (ngx_goconnect_event_parse(text, &event) != NGX_OK) {
            continue;
        }

        if (ngx_goconnect_subscribe_text(item->sub, text, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_subscribe_prefix(ngx_goconnect_item_t *item)
{
    if (ngx_goconnect_subscribe_replay(item) != NGX_OK) {
        return NGX_ERROR;
    }

    if (item->self.len && item->self.data[0] == '{' &&
        ngx_goconnect_subscribe_frame(item->sub, "self", item->seq, "",
                                      item->self, "") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_subscribe_status(item);
}


void
ngx_goconnect_subscribe_release(ngx_goconnect_item_t *item)
{
    ngx_goconnect_catchup_t *catchup;
    ngx_goconnect_session_t *s;
    ngx_goconnect_held_t *head, *tail;
    ngx_goconnect_sub_t *sub;

    sub = item->sub;
    s = sub->session;
    catchup = sub->catchup;

    head = catchup->head;
    tail = catchup->tail;
    catchup->head = NULL;
    catchup->tail = NULL;

    if (item->answered) {
        sub->seq = item->seq;
        catchup->netmap = item->netmap;
        item->netmap = NULL;
    }

    if (item->answered && ngx_goconnect_subscribe_prefix(item) != NGX_OK) {
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_INTERNAL, "out of memory");
    }

    if (head) {
        if (catchup->tail) {
            catchup->tail->next = head;

        } else {
            catchup->head = head;
        }

        catchup->tail = tail;
    }

    if (s->held > NGX_GOCONNECT_HOLD_MAX) {
        ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_WS_SLOW,
                               "too slow: come back and resume");
    }

    catchup->op = NULL;
    ngx_queue_insert_tail(&s->catching, &catchup->queue);
    item->sub = NULL;
}
