/*
 * The answer to a request to subscribe: what the database says of each topic,
 * the netmaps that it calls for, and the reply to the client.
 */

#include "live/ngx_goconnect_live_subscribe.h"


/* {"topics":[{"topic","seq"}],"refused":[...]} */
static void
ngx_goconnect_subscribe_say(ngx_goconnect_subscribe_t *op)
{
    static const char one[] = "{\"topic\":\"\",\"seq\":},";
    ngx_goconnect_item_t *item;
    gc_slice_t refused;
    u_char *buf, *p, *last;
    ngx_uint_t i;
    size_t size;

    refused = op->refused;

    if (refused.len == 0 || refused.data[0] != '[') {
        refused = ngx_goconnect_slice("[]", 2);
    }

    size = sizeof("{\"topics\":[],\"refused\":}") + refused.len +
           op->nitems * (sizeof(one) + NGX_GOCONNECT_TOPIC_MAX + NGX_INT64_LEN);

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        ngx_goconnect_ws_close(op->rq->session->ws, GC_WS_CLOSE_INTERNAL,
                               "out of memory");
        return;
    }

    last = buf + size;
    p = ngx_slprintf(buf, last, "{\"topics\":[");

    for (i = 0; i < op->nitems; i++) {
        item = &op->items[i];

        if (item->answered) {
            p = ngx_slprintf(p, last, "{\"topic\":\"%*s\",\"seq\":%L},",
                             item->topic.len, item->topic.data, item->seq);
        }
    }

    if (p[-1] == ',') {
        p--;
    }

    p = ngx_slprintf(p, last, "],\"refused\":%*s}", refused.len, refused.data);

    ngx_goconnect_session_ok(op->rq->session, op->rq->id,
                             ngx_goconnect_slice(buf, (size_t) (p - buf)));
    ngx_free(buf);
}


/* the answer and all netmaps are there */
static void
ngx_goconnect_subscribe_finish(ngx_goconnect_subscribe_t *op)
{
    ngx_goconnect_session_t *s;
    ngx_uint_t i;

    s = op->rq->session;

    if (ngx_goconnect_session_is_open(s)) {
        ngx_goconnect_subscribe_say(op);
    }

    for (i = 0; i < op->nitems; i++) {
        if (op->items[i].sub == NULL) {
            continue;
        }

        if (op->items[i].answered) {
            ngx_goconnect_subscribe_release(&op->items[i]);

        } else {
            ngx_goconnect_sub_remove(op->items[i].sub);
        }
    }

    if (s->ws) {
        ngx_goconnect_pump(s);
    }

    ngx_goconnect_request_free(op->rq);
    ngx_goconnect_subscribe_free(op);
}


static void
ngx_goconnect_subscribe_netmap_done(void *data, ngx_uint_t i,
                                    ngx_goconnect_netmap_t *netmap,
                                    ngx_uint_t status)
{
    ngx_goconnect_subscribe_t *op;
    ngx_goconnect_item_t *item;

    op = data;
    item = &op->items[i];

    if (netmap) {
        item->netmap = netmap;

        if (netmap->seq > item->seq) {
            /* the map is younger than the answer: it begins there */
            item->seq = netmap->seq;
        }

    } else {
        /* the topic is live; let the client see that it has no map */
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "goconnect: no netmap for a subscriber: %ui", status);
        item->resync = 1;
    }

    if (--op->waiting == 0) {
        ngx_goconnect_subscribe_finish(op);
    }
}


ngx_goconnect_item_t *
ngx_goconnect_subscribe_item(ngx_goconnect_subscribe_t *op, gc_slice_t name,
                             ngx_uint_t guess)
{
    ngx_goconnect_sub_t *sub;
    ngx_uint_t i, at;

    /* answers come in the order of the questions, mostly */
    for (i = 0; i < op->nitems; i++) {
        at = (guess + i) % op->nitems;
        sub = op->items[at].sub;

        if (sub && sub->topic->len == name.len &&
            ngx_memcmp(sub->topic->name, name.data, name.len) == 0) {
            return &op->items[at];
        }
    }

    return NULL;
}


static void
ngx_goconnect_subscribe_topic(ngx_goconnect_subscribe_t *op, gc_slice_t text,
                              ngx_uint_t guess)
{
    ngx_goconnect_item_t *item;
    gc_slice_t name, value;
    int64_t version;

    (void) gc_json_find_plain(text, "topic", &name);

    item = ngx_goconnect_subscribe_item(op, name, guess);

    if (item == NULL || !gc_json_find_integer(text, "seq", &item->seq)) {
        return;
    }

    item->answered = 1;
    item->topic = name;
    item->resync =
        gc_json_find(text, "resync", &value) && gc_slice_is(value, "true");

    (void) gc_json_find(text, "events", &item->events);
    (void) gc_json_find(text, "status", &item->status);
    (void) gc_json_find(text, "self", &item->self);

    if (item->seq < item->seen) {
        /* the database has lost what this worker has delivered */
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: \"%*s\" went back from %L to %L", name.len,
                      name.data, item->seen, item->seq);
        ngx_goconnect_epoch_over();
        return;
    }

    ngx_goconnect_topic_baseline(item->sub->topic, item->seq);

    if (item->fresh && op->rq->session->device_topic &&
        gc_json_find_integer(text, "netmap_version", &version)) {
        op->waiting++;
        ngx_goconnect_netmap_get(
            op->rq->session,
            ngx_goconnect_slice(name.data + sizeof("network:") - 1,
                                NGX_GOCONNECT_ID_LEN),
            version, ngx_goconnect_subscribe_netmap_done, op,
            (ngx_uint_t) (item - op->items));
    }
}


void
ngx_goconnect_subscribe_answer(ngx_goconnect_subscribe_t *op, gc_slice_t body)
{
    gc_json_iter_t it;
    gc_slice_t topics, text;
    ngx_uint_t i;

    (void) gc_json_find(body, "topics", &topics);
    (void) gc_json_find(body, "refused", &op->refused);

    op->waiting = 1;

    if (gc_json_array(&it, topics) == 0) {
        for (i = 0; gc_json_item(&it, &text); i++) {
            ngx_goconnect_subscribe_topic(op, text, i);
        }
    }

    if (--op->waiting == 0) {
        ngx_goconnect_subscribe_finish(op);
    }
}
