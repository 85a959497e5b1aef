/*
 * The requests to subscribe and to unsubscribe.
 *
 * A subscription stands in its topic's list before the database is asked, so
 * that it misses nothing; what comes meanwhile is held.  The answer is sent
 * first, then the netmap or the replay, then what was held and is younger
 * than the answer's snapshot.
 */

#include "live/ngx_goconnect_live_private.h"


typedef struct {
    ngx_goconnect_sub_t *sub; /* NULL: it went meanwhile */
    gc_slice_t topic;         /* in the result */
    gc_slice_t events;
    gc_slice_t status;
    gc_slice_t self;
    int64_t seen; /* the topic's seq when it was asked for */
    int64_t seq;  /* the answer's */
    ngx_goconnect_netmap_t *netmap;
    unsigned fresh : 1; /* asked for with null */
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


/* a subscription that ends, or begins anew: the operation goes on without */
void
ngx_goconnect_subscribe_forget(ngx_goconnect_subscribe_t *op,
                               const ngx_goconnect_sub_t *sub)
{
    ngx_uint_t i;

    for (i = 0; i < op->nitems; i++) {
        if (op->items[i].sub == sub) {
            op->items[i].sub = NULL;
        }
    }
}


static void
ngx_goconnect_subscribe_free(ngx_goconnect_subscribe_t *op)
{
    ngx_uint_t i;

    for (i = 0; i < op->nitems; i++) {
        if (op->items[i].netmap) {
            ngx_goconnect_netmap_unref(op->items[i].netmap);
        }
    }

    if (op->res) {
        PQclear(op->res);
    }

    ngx_free(op);
}


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


/* presence as it was at the snapshot */
static ngx_int_t
ngx_goconnect_subscribe_status(ngx_goconnect_item_t *item)
{
    ngx_goconnect_sub_t *sub;
    gc_json_iter_t it;
    gc_slice_t first;
    u_char head[sizeof("{\"network_id\":\"\",\"peers\":") + 64], *p;

    sub = item->sub;

    if (gc_json_array(&it, item->status) != 0 || !gc_json_item(&it, &first) ||
        sub->topic->len < sizeof("network:") - 1 + NGX_GOCONNECT_ID_LEN) {
        return NGX_OK;
    }

    p = ngx_snprintf(
        head, sizeof(head) - 1,
        "{\"network_id\":\"%*s\",\"peers\":", (size_t) NGX_GOCONNECT_ID_LEN,
        sub->topic->name + sizeof("network:") - 1);
    *p = '\0';

    return ngx_goconnect_subscribe_frame(sub, "peer_status", 0, (char *) head,
                                         item->status, "}");
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


/* the answer is sent: from now on the pump decides */
static void
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


/* nothing has come of it: what was live before stays live */
static void
ngx_goconnect_subscribe_undo(ngx_goconnect_subscribe_t *op)
{
    ngx_goconnect_session_t *s;
    ngx_uint_t i;

    s = op->rq->session;

    for (i = 0; i < op->nitems; i++) {
        if (op->items[i].sub == NULL) {
            continue;
        }

        if (op->items[i].sub->catchup->was_live) {
            op->items[i].answered = 0;
            ngx_goconnect_subscribe_release(&op->items[i]);

        } else {
            ngx_goconnect_sub_remove(op->items[i].sub);
        }
    }

    if (s->ws) {
        ngx_goconnect_pump(s);
    }
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


static ngx_goconnect_item_t *
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
        ngx_goconnect_session_restart_all();
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


static void
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


static void
ngx_goconnect_subscribe_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_subscribe_t *op;
    ngx_goconnect_reply_t reply;
    ngx_goconnect_session_t *s;

    op = call->data;
    s = op->rq->session;

    if (s->ws && ngx_goconnect_live_reply(call, &reply) == NGX_OK &&
        reply.status < 400) {
        op->res = call->res;
        call->res = NULL;
        ngx_goconnect_pg_call_destroy(call);

        ngx_goconnect_subscribe_answer(op, reply.body);
        return;
    }

    if (s->ws) {
        ngx_goconnect_subscribe_undo(op);

        if (call->rc == NGX_GOCONNECT_PG_OK &&
            ngx_goconnect_live_reply(call, &reply) == NGX_OK) {
            ngx_goconnect_session_problem(s, op->rq->id, reply.status,
                                          reply.body);

        } else {
            ngx_goconnect_session_failed(s, op->rq->id, call);
        }
    }

    ngx_goconnect_pg_call_destroy(call);
    ngx_goconnect_request_free(op->rq);
    ngx_goconnect_subscribe_free(op);
}


/* begins to catch up, anew if it had begun before */
static ngx_int_t
ngx_goconnect_subscribe_begin(ngx_goconnect_subscribe_t *op,
                              ngx_goconnect_item_t *item, gc_slice_t name)
{
    ngx_goconnect_catchup_t *catchup;
    ngx_goconnect_sub_t *sub;
    ngx_uint_t was_live;

    sub = ngx_goconnect_sub_find(op->rq->session, name);
    was_live = sub && sub->catchup == NULL;

    catchup = ngx_calloc(sizeof(ngx_goconnect_catchup_t), ngx_cycle->log);
    if (catchup == NULL) {
        return NGX_ERROR;
    }

    if (sub == NULL) {
        sub = ngx_goconnect_sub_create(op->rq->session, name);
        if (sub == NULL) {
            ngx_free(catchup);
            return NGX_ERROR;
        }
    }

    ngx_goconnect_catchup_free(sub);

    catchup->op = op;
    catchup->sub = sub;
    catchup->was_live = was_live & 1;
    sub->catchup = catchup;

    item->sub = sub;
    item->seen = sub->topic->seq;

    return NGX_OK;
}


static ngx_uint_t
ngx_goconnect_subscribe_valid(json_t *topics)
{
    json_t *item, *topic, *seq;
    size_t i;

    if (!json_is_array(topics) || json_array_size(topics) == 0 ||
        json_array_size(topics) > NGX_GOCONNECT_SUBSCRIBE_MAX) {
        return 0;
    }

    json_array_foreach(topics, i, item)
    {
        topic = json_object_get(item, "topic");
        seq = json_object_get(item, "seq");

        if (!json_is_string(topic) ||
            !ngx_goconnect_topic_valid(ngx_goconnect_slice(
                json_string_value(topic), json_string_length(topic))) ||
            !(seq == NULL || json_is_null(seq) ||
              (json_is_integer(seq) && json_integer_value(seq) >= 0))) {
            return 0;
        }
    }

    return 1;
}


/* each topic once: [{topic, seq}] */
static json_t *
ngx_goconnect_subscribe_body(ngx_goconnect_subscribe_t *op, json_t *topics)
{
    json_t *body, *item, *seq;
    const char *name;
    gc_slice_t slice;
    size_t i;

    body = json_array();

    json_array_foreach(topics, i, item)
    {
        name = json_string_value(json_object_get(item, "topic"));
        slice = ngx_goconnect_slice(name, strlen(name));
        seq = json_object_get(item, "seq");

        if (op->nitems &&
            ngx_goconnect_subscribe_item(op, slice, op->nitems) != NULL) {
            continue;
        }

        if (ngx_goconnect_subscribe_begin(op, &op->items[op->nitems], slice) !=
            NGX_OK) {
            json_decref(body);
            return NULL;
        }

        op->items[op->nitems++].fresh = seq == NULL || json_is_null(seq);

        if (json_array_append_new(body,
                                  json_pack("{ss sO}", "topic", name, "seq",
                                            seq ? seq : json_null())) != 0) {
            json_decref(body);
            return NULL;
        }
    }

    return body;
}


static ngx_int_t
ngx_goconnect_subscribe_call(ngx_goconnect_subscribe_t *op, json_t *topics)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_session_t *s;
    json_t *body;
    ngx_int_t rc;
    char *text;

    s = op->rq->session;

    body = ngx_goconnect_subscribe_body(op, topics);
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_SUBSCRIBE);

    rc = text ? ngx_goconnect_request_ctx(s, call, NULL) : NGX_ERROR;

    if (rc == NGX_OK) {
        rc = ngx_goconnect_pg_call_param(call, (u_char *) text, strlen(text));
    }

    free(text);

    if (rc != NGX_OK) {
        ngx_goconnect_session_error(s, op->rq->id, 500, "internal",
                                    "Out of memory.");

    } else {
        rc = ngx_goconnect_pg_call_send(call, ngx_goconnect_subscribe_done, op,
                                        NGX_GOCONNECT_CALL_TIMEOUT);

        if (rc != NGX_OK) {
            ngx_goconnect_session_failed(s, op->rq->id, call);
        }
    }

    if (rc != NGX_OK && call) {
        ngx_goconnect_pg_call_destroy(call);
    }

    return rc;
}


void
ngx_goconnect_subscribe(ngx_goconnect_session_t *s, json_t *id, json_t *data)
{
    ngx_goconnect_subscribe_t *op;
    json_t *topics;

    topics = json_object_get(data, "topics");

    if (!ngx_goconnect_subscribe_valid(topics)) {
        ngx_goconnect_session_error(
            s, id, 422, "invalid_fields",
            "topics must be 1 to 256 objects with topic and seq.");
        return;
    }

    if (s->nsubs + json_array_size(topics) > NGX_GOCONNECT_SUBS_MAX ||
        s->calls >= NGX_GOCONNECT_CALLS_MAX) {
        ngx_goconnect_session_error(s, id, 429, "too_many_topics",
                                    "There are too many subscriptions.");
        return;
    }

    op = ngx_calloc(sizeof(ngx_goconnect_subscribe_t) +
                        json_array_size(topics) * sizeof(ngx_goconnect_item_t),
                    ngx_cycle->log);

    if (op) {
        op->rq = ngx_goconnect_request_create(s, id);
    }

    if (op == NULL || op->rq == NULL) {
        if (op) {
            ngx_free(op);
        }

        ngx_goconnect_session_error(s, id, 500, "internal", "Out of memory.");
        return;
    }

    if (ngx_goconnect_subscribe_call(op, topics) != NGX_OK) {
        ngx_goconnect_subscribe_undo(op);
        ngx_goconnect_request_free(op->rq);
        ngx_goconnect_subscribe_free(op);
    }
}


void
ngx_goconnect_unsubscribe(ngx_goconnect_session_t *s, json_t *id, json_t *data)
{
    ngx_goconnect_sub_t *sub;
    json_t *topics, *item;
    size_t i;

    topics = json_object_get(data, "topics");

    if (!json_is_array(topics) ||
        json_array_size(topics) > NGX_GOCONNECT_SUBSCRIBE_MAX) {
        ngx_goconnect_session_error(
            s, id, 422, "invalid_fields",
            "topics must be at most 256 names of topics.");
        return;
    }

    json_array_foreach(topics, i, item)
    {
        if (!json_is_string(item)) {
            continue;
        }

        sub = ngx_goconnect_sub_find(
            s, ngx_goconnect_slice(json_string_value(item),
                                   json_string_length(item)));

        if (sub) {
            ngx_goconnect_sub_remove(sub);
        }
    }

    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}
