/*
 * The requests to subscribe and to unsubscribe.
 *
 * A subscription stands in its topic's list before the database is asked, so
 * that it misses nothing; what comes meanwhile is held.  The answer is sent
 * first, then the netmap or the replay, then what was held and is younger
 * than the answer's snapshot.
 */

#include "live/ngx_goconnect_live_subscribe.h"


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


void
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

    json_array_foreach(topics, i, item)
    {
        topic = json_object_get(item, "topic");
        seq = json_object_get(item, "seq");

        if (!json_is_string(topic) || json_object_size(item) != (seq ? 2 : 1) ||
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

    if (s->stale) {
        ngx_goconnect_session_error(s, id, 503, "server_restart",
                                    "The server restarts: come back.");
        return;
    }

    topics = json_object_get(data, "topics");

    if (!ngx_goconnect_subscribe_valid(topics)) {
        ngx_goconnect_session_error(
            s, id, 422, "invalid_fields",
            "topics must be objects with topic and seq.");
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

    json_array_foreach(topics, i, item)
    {
        if (!json_is_string(item) ||
            !ngx_goconnect_topic_valid(ngx_goconnect_slice(
                json_string_value(item), json_string_length(item)))) {
            ngx_goconnect_session_error(s, id, 422, "invalid_fields",
                                        "topics must be names of topics.");
            return;
        }
    }

    json_array_foreach(topics, i, item)
    {
        sub = ngx_goconnect_sub_find(
            s, ngx_goconnect_slice(json_string_value(item),
                                   json_string_length(item)));

        if (sub) {
            ngx_goconnect_sub_remove(sub);
        }
    }

    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}
