/*
 * News of presence: what any worker's statement has changed, numbered without
 * a gap.  The heartbeat brings them; a bell brings them sooner.  They are taken
 * in their order, each once; whoever has missed some for good asks for the
 * state of all that his sockets watch.
 */

#include "live/ngx_goconnect_live_topic.h"


#define NGX_GOCONNECT_NEWS_REFRESH 10000 /* ms: until all have told again */
#define NGX_GOCONNECT_NEWS_TOPICS 8      /* of a question */
#define NGX_GOCONNECT_NEWS_TIMEOUT 10000 /* ms */


typedef struct {
    int64_t known; /* the number of the last one; -1: none */
    ngx_msec_t refresh_at;
    json_t *topics; /* whose state is still to be asked for */
    json_t *asked;  /* of the call in flight */
    unsigned lost : 1;
} ngx_goconnect_news_t;


static ngx_goconnect_news_t ngx_goconnect_news = {.known = -1};


int64_t
ngx_goconnect_news_known(void)
{
    return ngx_goconnect_news.known;
}


/* a device that has come or gone is itself changed, also one without peers */
static void
ngx_goconnect_news_devices(gc_slice_t news)
{
    gc_json_iter_t it;
    gc_slice_t devices, item, id;

    if (!gc_json_find(news, "devices", &devices) ||
        gc_json_array(&it, devices) != 0) {
        return;
    }

    while (gc_json_item(&it, &item)) {
        (void) gc_json_plain(item, &id);
        ngx_goconnect_cache_advance_id("device", (const u_char *) id.data,
                                       id.len);
    }
}


static void
ngx_goconnect_news_frames(gc_slice_t news)
{
    ngx_goconnect_event_t event;
    gc_json_iter_t it;
    gc_slice_t frames, frame;

    if (!gc_json_find(news, "frames", &frames) ||
        gc_json_array(&it, frames) != 0) {
        return;
    }

    while (gc_json_item(&it, &frame)) {
        if (ngx_goconnect_event_parse(frame, &event) == NGX_OK &&
            ngx_goconnect_state_is(&event)) {
            ngx_goconnect_event_advance(&event);
            ngx_goconnect_state_event(&event);
        }
    }
}


/* one of the news, perhaps known already */
static void
ngx_goconnect_news_take(gc_slice_t news, int64_t number)
{
    if (number > ngx_goconnect_news.known) {
        ngx_goconnect_news.known = number;
        ngx_goconnect_news_devices(news);
        ngx_goconnect_news_frames(news);
    }
}


/* those of this worker's own making are news to the others */
static void
ngx_goconnect_news_ring(gc_slice_t news, int64_t number)
{
    u_char buf[NGX_GOCONNECT_BELL_MAX], *p, *last;
    gc_json_iter_t it;

    last = buf + sizeof(buf);

    if (gc_json_object(&it, news) != 0) {
        return;
    }

    p = ngx_slprintf(buf, last, "{\"bus\":\"presence\",%*s",
                     (size_t) (it.end - it.pos), it.pos);

    if (p == last) {
        /* too long for a bell: they will ask */
        p = ngx_slprintf(buf, last, "{\"bus\":\"presence\",\"number\":%L}",
                         number);
    }

    ngx_goconnect_bus_send(ngx_goconnect_slice(buf, (size_t) (p - buf)));
}


void
ngx_goconnect_news_answer(gc_slice_t body)
{
    ngx_goconnect_news_t *n;
    gc_json_iter_t it;
    gc_slice_t list, item, lost;
    int64_t number, latest, mine;

    n = &ngx_goconnect_news;

    if (!gc_json_find_integer(body, "number", &latest)) {
        return;
    }

    if (!gc_json_find_integer(body, "mine", &mine)) {
        mine = -1;
    }

    if (gc_json_find(body, "lost", &lost) && gc_slice_is(lost, "true")) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "goconnect: news of presence were missed: all of it is "
                      "told again");
        n->lost = 1;
        n->refresh_at = ngx_current_msec + NGX_GOCONNECT_NEWS_REFRESH;
        n->known = 0;
    }

    if (gc_json_find(body, "news", &list) && gc_json_array(&it, list) == 0) {
        while (gc_json_item(&it, &item)) {
            if (!gc_json_find_integer(item, "number", &number)) {
                continue;
            }

            ngx_goconnect_news_take(item, number);

            if (number == mine) {
                ngx_goconnect_news_ring(item, number);
            }
        }
    }

    n->known = ngx_max(n->known, latest);
}


void
ngx_goconnect_news_bell(gc_slice_t text)
{
    gc_slice_t frames;
    int64_t number;

    if (!gc_json_find_integer(text, "number", &number)) {
        /* of a worker of an older release */
        ngx_goconnect_news_devices(text);

    } else if (ngx_goconnect_news.known < 0 ||
               number <= ngx_goconnect_news.known) {
        return;

    } else if (number == ngx_goconnect_news.known + 1 &&
               gc_json_find(text, "frames", &frames)) {
        ngx_goconnect_news_take(text, number);

    } else {
        ngx_goconnect_presence_hurry();
    }
}


/*
 * The state of all that is watched here
 */

static void
ngx_goconnect_news_collect(void)
{
    ngx_goconnect_topic_t *topic;
    ngx_uint_t i;

    ngx_goconnect_news.topics = json_array();

    for (i = 0; i < ngx_goconnect_topics.nbuckets; i++) {
        for (topic = ngx_goconnect_topics.buckets[i]; topic;
             topic = topic->next) {
            if (!ngx_queue_empty(&topic->subs) &&
                ngx_goconnect_state_topic(
                    ngx_goconnect_slice(topic->name, topic->len))) {
                (void) json_array_append_new(
                    ngx_goconnect_news.topics,
                    json_stringn((char *) topic->name, topic->len));
            }
        }
    }
}


/* news that came while it was read are younger than it: ask again */
static ngx_uint_t
ngx_goconnect_news_is_current(gc_slice_t body)
{
    int64_t number;

    return gc_json_find_integer(body, "number", &number) &&
           number >= ngx_goconnect_news.known;
}


static void
ngx_goconnect_news_state_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_news_t *n;
    ngx_goconnect_reply_t reply;
    ngx_uint_t again;

    n = &ngx_goconnect_news;

    if (ngx_goconnect_live_reply(call, &reply) == NGX_OK &&
        reply.status < 300 && ngx_goconnect_news_is_current(reply.body)) {
        ngx_goconnect_news_frames(reply.body);
        again = 0;

    } else {
        ngx_goconnect_live_log(call);
        (void) json_array_extend(n->topics, n->asked);
        again = 1;
    }

    json_decref(n->asked);
    n->asked = NULL;
    ngx_goconnect_pg_call_destroy(call);

    if (!again) {
        ngx_goconnect_news_look();
    }
}


static json_t *
ngx_goconnect_news_next(void)
{
    json_t *topics, *batch;
    size_t last;

    topics = ngx_goconnect_news.topics;
    batch = json_array();

    while (json_array_size(topics) &&
           json_array_size(batch) < NGX_GOCONNECT_NEWS_TOPICS) {
        last = json_array_size(topics) - 1;
        (void) json_array_append(batch, json_array_get(topics, last));
        (void) json_array_remove(topics, last);
    }

    return batch;
}


static void
ngx_goconnect_news_ask(void)
{
    ngx_goconnect_news_t *n;
    ngx_goconnect_pg_call_t *call;
    char *text;

    n = &ngx_goconnect_news;
    n->asked = ngx_goconnect_news_next();

    text = json_dumps(n->asked, JSON_COMPACT);
    call = text ? ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_PRESENCE_STATE)
                : NULL;

    if (call == NULL ||
        ngx_goconnect_pg_call_param(call, (u_char *) text, strlen(text)) !=
            NGX_OK ||
        ngx_goconnect_pg_call_send(call, ngx_goconnect_news_state_done, NULL,
                                   NGX_GOCONNECT_NEWS_TIMEOUT) != NGX_OK) {
        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        (void) json_array_extend(n->topics, n->asked);
        json_decref(n->asked);
        n->asked = NULL;
    }

    free(text);
}


void
ngx_goconnect_news_look(void)
{
    ngx_goconnect_news_t *n;

    n = &ngx_goconnect_news;

    if (n->lost && (ngx_msec_int_t) (ngx_current_msec - n->refresh_at) >= 0) {
        n->lost = 0;
        json_decref(n->topics);
        ngx_goconnect_news_collect();
    }

    if (n->asked || n->topics == NULL) {
        return;
    }

    if (json_array_size(n->topics)) {
        ngx_goconnect_news_ask();

    } else {
        json_decref(n->topics);
        n->topics = NULL;
    }
}
