/*
 * Presence: which devices are connected here, told to the database at most
 * once a second in one statement, which is this worker's heartbeat as well.
 * Whoever is not told of, because the worker died, is ended by the others.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_PRESENCE_EVERY 1000     /* ms */
#define NGX_GOCONNECT_PRESENCE_HEARTBEAT 5000 /* ms */
#define NGX_GOCONNECT_PRESENCE_TIMEOUT 5000   /* ms */


typedef struct {
    u_char *ids; /* NGX_GOCONNECT_ID_LEN each, some perhaps twice */
    ngx_uint_t n;
    ngx_uint_t room;
    u_char *sent; /* those of the statement that is flying */
    ngx_uint_t nsent;
    ngx_event_t timer;
    ngx_msec_t told; /* the last successful statement */
    unsigned flying : 1;
    unsigned greeted : 1;
    unsigned all : 1; /* the database may have forgotten: tell it all */
} ngx_goconnect_presence_t;


static ngx_goconnect_presence_t ngx_goconnect_presence;


/* the device's state has changed; what it is then, is looked up at the flush */
static void
ngx_goconnect_presence_note(const u_char *device)
{
    ngx_goconnect_presence_t *p;
    ngx_uint_t room;
    u_char *ids;

    p = &ngx_goconnect_presence;

    if (p->n == p->room) {
        room = p->room ? p->room * 2 : 64;
        ids = ngx_alloc(room * NGX_GOCONNECT_ID_LEN, ngx_cycle->log);

        if (ids == NULL) {
            return;
        }

        if (p->ids) {
            ngx_memcpy(ids, p->ids, p->n * NGX_GOCONNECT_ID_LEN);
            ngx_free(p->ids);
        }

        p->ids = ids;
        p->room = room;
    }

    ngx_memcpy(p->ids + p->n++ * NGX_GOCONNECT_ID_LEN, device,
               NGX_GOCONNECT_ID_LEN);
}


void
ngx_goconnect_presence_online(ngx_goconnect_session_t *s)
{
    ngx_goconnect_presence_note(ngx_goconnect_session_device(s));
}


/*
 * A worker that leaves does not tell of those that it has sent away: they
 * are on their way to another one.
 */
void
ngx_goconnect_presence_offline(ngx_goconnect_session_t *s)
{
    if (s->state == NGX_GOCONNECT_SESSION_READY && !ngx_exiting) {
        ngx_goconnect_presence_note(ngx_goconnect_session_device(s));
    }
}


static ngx_uint_t
ngx_goconnect_presence_is_online(const u_char *device)
{
    ngx_goconnect_session_t *s;
    ngx_goconnect_topic_t *topic;
    ngx_queue_t *q;
    u_char name[sizeof("device:") - 1 + NGX_GOCONNECT_ID_LEN], *p;

    p = ngx_cpymem(name, "device:", sizeof("device:") - 1);
    ngx_memcpy(p, device, NGX_GOCONNECT_ID_LEN);

    topic = ngx_goconnect_topic_get(ngx_goconnect_slice(name, sizeof(name)), 0);
    if (topic == NULL) {
        return 0;
    }

    for (q = ngx_queue_head(&topic->watchers);
         q != ngx_queue_sentinel(&topic->watchers); q = ngx_queue_next(q)) {
        s = ngx_queue_data(q, ngx_goconnect_session_t, device_queue);

        if (s->state == NGX_GOCONNECT_SESSION_READY) {
            return 1;
        }
    }

    return 0;
}


static int ngx_libc_cdecl
ngx_goconnect_presence_compare(const void *one, const void *two)
{
    return ngx_memcmp(one, two, NGX_GOCONNECT_ID_LEN);
}


static json_t *
ngx_goconnect_presence_body(void)
{
    ngx_goconnect_presence_t *p;
    json_t *online, *offline, *list;
    ngx_uint_t i;
    u_char *id;

    p = &ngx_goconnect_presence;

    if (p->n) {
        ngx_qsort(p->ids, p->n, NGX_GOCONNECT_ID_LEN,
                  ngx_goconnect_presence_compare);
    }

    online = json_array();
    offline = json_array();

    for (i = 0; i < p->n; i++) {
        id = p->ids + i * NGX_GOCONNECT_ID_LEN;

        if (i > 0 && ngx_memcmp(id - NGX_GOCONNECT_ID_LEN, id,
                                NGX_GOCONNECT_ID_LEN) == 0) {
            continue;
        }

        list = ngx_goconnect_presence_is_online(id) ? online : offline;

        if (json_array_append_new(
                list, json_stringn((char *) id, NGX_GOCONNECT_ID_LEN)) != 0) {
            json_decref(online);
            json_decref(offline);
            return NULL;
        }
    }

    return json_pack("{so so}", "online", online, "offline", offline);
}


/* a bell holds little: a long list goes in several */
static void
ngx_goconnect_presence_ring(gc_slice_t frame)
{
    gc_slice_t data, topic, network, peers, item;
    gc_json_iter_t it;
    u_char buf[NGX_GOCONNECT_BELL_MAX], *p, *start, *last;

    last = buf + sizeof(buf);

    if (frame.len <= sizeof(buf)) {
        ngx_goconnect_bus_send(frame);
        return;
    }

    (void) gc_json_find_plain(frame, "topic", &topic);
    (void) gc_json_find(frame, "data", &data);
    (void) gc_json_find_plain(data, "network_id", &network);
    (void) gc_json_find(data, "peers", &peers);

    if (topic.len > NGX_GOCONNECT_TOPIC_MAX ||
        network.len > NGX_GOCONNECT_ID_LEN || gc_json_array(&it, peers) != 0) {
        return;
    }

    start = ngx_slprintf(buf, last,
                         "{\"type\":\"peer_status\",\"topic\":\"%*s\","
                         "\"data\":{\"network_id\":\"%*s\",\"peers\":[",
                         topic.len, topic.data, network.len, network.data);
    p = start;

    while (gc_json_item(&it, &item)) {
        if (p != start && item.len + sizeof(",]}}") > (size_t) (last - p)) {
            p = ngx_slprintf(p - 1, last, "]}}");
            ngx_goconnect_bus_send(
                ngx_goconnect_slice(buf, (size_t) (p - buf)));
            p = start;
        }

        if (item.len + sizeof(",]}}") <= (size_t) (last - p)) {
            p = ngx_slprintf(p, last, "%*s,", item.len, item.data);
        }
    }

    if (p != start) {
        p = ngx_slprintf(p - 1, last, "]}}");
        ngx_goconnect_bus_send(ngx_goconnect_slice(buf, (size_t) (p - buf)));
    }
}


/* the bell of buf up to p, to this worker as well */
static void
ngx_goconnect_presence_bell(u_char *buf, u_char *p)
{
    p = ngx_cpymem(p - 1, "]}", 2);
    ngx_goconnect_event_ephemeral(ngx_goconnect_slice(buf, (size_t) (p - buf)));
}


/*
 * A device that has come or gone is itself changed, also one without peers;
 * in as many bells as it takes.
 */
static void
ngx_goconnect_presence_devices(gc_slice_t body)
{
    static const char head[] = "{\"bus\":\"presence\",\"devices\":[";
    static const size_t item = NGX_GOCONNECT_ID_LEN + sizeof("\"\",]") - 1;
    gc_json_iter_t it;
    gc_slice_t devices, id;
    u_char buf[NGX_GOCONNECT_BELL_MAX], *p, *start;

    if (!gc_json_find(body, "devices", &devices) ||
        gc_json_array(&it, devices) != 0) {
        return;
    }

    start = ngx_cpymem(buf, head, sizeof(head) - 1);
    p = start;

    while (gc_json_item(&it, &id)) {
        if ((size_t) (buf + sizeof(buf) - p) < item) {
            ngx_goconnect_presence_bell(buf, p);
            p = start;
        }

        if (id.len == NGX_GOCONNECT_ID_LEN + 2) {
            p = ngx_cpymem(p, id.data, id.len);
            *p++ = ',';
        }
    }

    if (p != start) {
        ngx_goconnect_presence_bell(buf, p);
    }
}


/* the frames say what has changed for whom: here, and over the bus */
static void
ngx_goconnect_presence_tell(gc_slice_t body)
{
    gc_json_iter_t it;
    gc_slice_t frames, frame;

    if (!gc_json_find(body, "frames", &frames) ||
        gc_json_array(&it, frames) != 0) {
        return;
    }

    while (gc_json_item(&it, &frame)) {
        ngx_goconnect_event_incoming(frame);
        ngx_goconnect_presence_ring(frame);
    }
}


/* a node that the database has forgotten tells it all again */
static void
ngx_goconnect_presence_known(gc_slice_t body)
{
    gc_slice_t known;

    if (ngx_goconnect_presence.greeted && gc_json_find(body, "known", &known) &&
        gc_slice_is(known, "false")) {
        ngx_goconnect_presence.all = 1;
    }

    ngx_goconnect_presence.greeted = 1;
}


/* what was sent is told; or, after a failure, is to be told again */
static void
ngx_goconnect_presence_settle(ngx_uint_t again)
{
    ngx_goconnect_presence_t *p;
    ngx_uint_t i;

    p = &ngx_goconnect_presence;

    for (i = 0; again && i < p->nsent; i++) {
        ngx_goconnect_presence_note(p->sent + i * NGX_GOCONNECT_ID_LEN);
    }

    if (p->sent) {
        ngx_free(p->sent);
        p->sent = NULL;
    }

    p->nsent = 0;
}


static void
ngx_goconnect_presence_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;

    ngx_goconnect_presence.flying = 0;

    if (ngx_goconnect_live_reply(call, &reply) == NGX_OK &&
        reply.status < 300) {
        ngx_goconnect_presence.told = ngx_current_msec;
        ngx_goconnect_presence_settle(0);

        if (reply.events.len) {
            ngx_goconnect_live_publish(reply.events.data, reply.events.len);
        }

        ngx_goconnect_presence_known(reply.body);
        ngx_goconnect_presence_devices(reply.body);
        ngx_goconnect_presence_tell(reply.body);

    } else {
        ngx_goconnect_live_log(call);

        /* perhaps the others have ended our devices meanwhile */
        ngx_goconnect_presence.all = 1;
        ngx_goconnect_presence_settle(1);
    }

    ngx_goconnect_pg_call_destroy(call);
}


static void
ngx_goconnect_presence_note_all(ngx_goconnect_ws_t *ws, void *data)
{
    ngx_goconnect_session_t *s;

    s = ngx_goconnect_ws_data(ws);

    if (s->device_topic && s->state == NGX_GOCONNECT_SESSION_READY) {
        ngx_goconnect_presence_note(ngx_goconnect_session_device(s));
    }
}


static void
ngx_goconnect_presence_flush(void)
{
    ngx_goconnect_presence_t *p;
    ngx_goconnect_pg_call_t *call;
    json_t *body;
    char *text;

    p = &ngx_goconnect_presence;

    if (p->all) {
        p->all = 0;
        ngx_goconnect_ws_each(ngx_goconnect_presence_note_all, NULL);
    }

    body = ngx_goconnect_presence_body();
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);

    call = text ? ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_PRESENCE) : NULL;

    if (call &&
        ngx_goconnect_pg_call_param(call, ngx_goconnect_live_worker.node,
                                    NGX_GOCONNECT_ID_LEN) == NGX_OK &&
        ngx_goconnect_pg_call_param(call, (u_char *) text, strlen(text)) ==
            NGX_OK &&
        ngx_goconnect_pg_call_send(call, ngx_goconnect_presence_done, NULL,
                                   NGX_GOCONNECT_PRESENCE_TIMEOUT) == NGX_OK) {
        p->flying = 1;
        p->sent = p->ids;
        p->nsent = p->n;
        p->ids = NULL;
        p->n = 0;
        p->room = 0;
        free(text);
        return;
    }

    if (call) {
        ngx_goconnect_pg_call_destroy(call);
    }

    free(text);
}


static void
ngx_goconnect_presence_handler(ngx_event_t *ev)
{
    ngx_goconnect_presence_t *p;

    p = &ngx_goconnect_presence;

    if (!p->flying &&
        (p->n || p->all ||
         ngx_current_msec - p->told >= NGX_GOCONNECT_PRESENCE_HEARTBEAT)) {
        ngx_goconnect_presence_flush();
    }

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_GOCONNECT_PRESENCE_EVERY);
    }
}


ngx_int_t
ngx_goconnect_presence_init(ngx_cycle_t *cycle)
{
    /* the first heartbeat at once */
    ngx_goconnect_presence.told =
        ngx_current_msec - NGX_GOCONNECT_PRESENCE_HEARTBEAT;

    ngx_goconnect_live_event_init(&ngx_goconnect_presence.timer,
                                  ngx_goconnect_presence_handler);
    ngx_add_timer(&ngx_goconnect_presence.timer, 1);

    return NGX_OK;
}
