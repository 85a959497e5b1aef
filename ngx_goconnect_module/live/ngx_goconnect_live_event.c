/*
 * Events: where they come from, and what they do besides being delivered.
 */

#include "live/ngx_goconnect_live_private.h"


ngx_int_t
ngx_goconnect_event_parse(gc_slice_t text, ngx_goconnect_event_t *event)
{
    gc_json_iter_t it;
    gc_slice_t key, value;

    ngx_memzero(event, sizeof(*event));
    event->text = text;

    if (gc_json_object(&it, text) != 0) {
        return NGX_DECLINED;
    }

    while (gc_json_member(&it, &key, &value)) {
        if (gc_slice_is(key, "type")) {
            (void) gc_json_plain(value, &event->type);

        } else if (gc_slice_is(key, "topic")) {
            (void) gc_json_plain(value, &event->topic);

        } else if (gc_slice_is(key, "seq")) {
            (void) gc_json_integer(value, &event->seq);

        } else if (gc_slice_is(key, "data")) {
            event->data = value;
        }
    }

    return event->topic.len && event->seq >= 0 ? NGX_OK : NGX_DECLINED;
}


/* what only the staff is told of is a change of the same */
static void
ngx_goconnect_event_advance_staff(gc_slice_t topic)
{
    static const char staff[] = "/staff";
    size_t len;

    len = sizeof(staff) - 1;

    if (topic.len > len &&
        ngx_memcmp(topic.data + topic.len - len, staff, len) == 0) {
        topic.len -= len;
        ngx_goconnect_cache_advance(topic, 0);
    }
}


/*
 * Ends what is cached of a topic.  A message is in no answer that is cached,
 * and neither is who of a tenant is here; what becomes of a membership changes
 * what its user may, wherever it is told.  Of peers that leave, what is known
 * of how they are reached ends here too.
 */
void
ngx_goconnect_event_advance(const ngx_goconnect_event_t *event)
{
    gc_slice_t member, user;

    if (gc_slice_is(event->type, "chat_message") ||
        gc_slice_is(event->type, "presence")) {
        return;
    }

    if (gc_slice_is(event->type, "member") &&
        gc_json_find(event->data, "member", &member) &&
        gc_json_find_plain(member, "user_id", &user)) {
        ngx_goconnect_cache_advance_id("user", (const u_char *) user.data,
                                       user.len);
    }

    if (gc_slice_is(event->type, "netmap_delta")) {
        ngx_goconnect_mesh_event(event);
    }

    ngx_goconnect_event_advance_staff(event->topic);
    ngx_goconnect_cache_advance(event->topic, event->seq);
}


static void
ngx_goconnect_event_deliver(ngx_goconnect_event_t *event)
{
    if (ngx_goconnect_state_is(event)) {
        ngx_goconnect_state_event(event);

    } else {
        ngx_goconnect_topic_event(event);
    }
}


void
ngx_goconnect_live_publish(const char *json, size_t len)
{
    ngx_goconnect_event_t event;
    gc_json_iter_t it;
    gc_slice_t frame;

    if (gc_json_array(&it, ngx_goconnect_slice(json, len)) != 0) {
        return;
    }

    while (gc_json_item(&it, &frame)) {
        if (ngx_goconnect_event_parse(frame, &event) != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "goconnect: an event without a topic");
            continue;
        }

        ngx_goconnect_event_advance(&event);
        ngx_goconnect_event_deliver(&event);
        ngx_goconnect_bus_ring(&event);
    }
}


static ngx_uint_t
ngx_goconnect_event_same(const u_char *id, gc_slice_t other)
{
    return other.len == NGX_GOCONNECT_ID_LEN &&
           ngx_memcmp(id, other.data, NGX_GOCONNECT_ID_LEN) == 0;
}


/* who may not watch a network may not watch its mesh */
static ngx_uint_t
ngx_goconnect_event_drop_mesh(ngx_goconnect_session_t *s, gc_slice_t network)
{
    u_char name[NGX_GOCONNECT_TOPIC_MAX], *p;
    ngx_goconnect_sub_t *sub;

    p = ngx_snprintf(name, sizeof(name), "%*s/mesh", network.len, network.data);

    sub = ngx_goconnect_sub_find(
        s, ngx_goconnect_slice(name, (size_t) (p - name)));

    if (sub) {
        ngx_goconnect_sub_remove(sub);
    }

    return sub != NULL;
}


/* the user's subscriptions to what the event ends; how many there were */
static ngx_uint_t
ngx_goconnect_event_drop(ngx_goconnect_session_t *s, gc_slice_t topics)
{
    ngx_goconnect_sub_t *sub;
    gc_json_iter_t it;
    gc_slice_t item, name;
    ngx_uint_t n;

    n = 0;

    if (gc_json_array(&it, topics) != 0) {
        return 0;
    }

    while (gc_json_item(&it, &item)) {
        if (!gc_json_plain(item, &name)) {
            continue;
        }

        sub = ngx_goconnect_sub_find(s, name);

        if (sub) {
            ngx_goconnect_sub_remove(sub);
            n++;
        }

        n += ngx_goconnect_event_drop_mesh(s, name);
    }

    return n;
}


static void
ngx_goconnect_event_revoke(ngx_goconnect_session_t *s,
                           ngx_goconnect_topic_t *topic,
                           ngx_goconnect_event_t *event)
{
    ngx_goconnect_sub_t *sub;
    gc_slice_t scope, id, topics;
    ngx_uint_t close, tell;

    (void) gc_json_find_plain(event->data, "scope", &scope);

    close = 0;
    tell = 0;

    if (gc_slice_is(scope, "session")) {
        (void) gc_json_find_plain(event->data, "session_id", &id);
        close = ngx_goconnect_event_same(s->id, id);

    } else if (gc_slice_is(scope, "device")) {
        (void) gc_json_find_plain(event->data, "device_id", &id);
        close = s->device_topic &&
                ngx_goconnect_event_same(ngx_goconnect_session_device(s), id);

    } else if (gc_json_find(event->data, "topics", &topics)) {
        tell = ngx_goconnect_event_drop(s, topics);
    }

    if (!close && !tell) {
        return;
    }

    /* a live subscriber gets it by the fan-out, unless it is closed before */
    sub =
        ngx_goconnect_sub_find(s, ngx_goconnect_slice(topic->name, topic->len));

    if (close || sub == NULL) {
        ngx_goconnect_ws_send_text(s->ws, (const u_char *) event->text.data,
                                   event->text.len);
    }

    if (close) {
        s->ended = 1;
        ngx_goconnect_ws_close(s->ws, NGX_GOCONNECT_WS_REVOKED, "revoked");
    }
}


static void
ngx_goconnect_event_forget(ngx_goconnect_event_t *event)
{
    static const char *names[] = {"session_id", "device_id"};
    gc_slice_t id;
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (gc_json_find_plain(event->data, names[i], &id) &&
            id.len == NGX_GOCONNECT_ID_LEN) {
            ngx_goconnect_auth_forget((const u_char *) id.data);
        }
    }
}


static void
ngx_goconnect_event_session(ngx_goconnect_session_t *s,
                            ngx_goconnect_topic_t *topic,
                            ngx_goconnect_event_t *event, ngx_uint_t revoked)
{
    gc_slice_t peers;

    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    if (revoked) {
        ngx_goconnect_event_revoke(s, topic, event);

    } else if (topic == s->device_topic &&
               gc_json_find(event->data, "peers", &peers)) {
        ngx_goconnect_session_peers(s, peers);
    }
}


void
ngx_goconnect_event_effect(ngx_goconnect_topic_t *topic,
                           ngx_goconnect_event_t *event)
{
    ngx_goconnect_session_t *s;
    ngx_queue_t *q, *next;
    ngx_uint_t revoked;

    if (gc_slice_is(event->type, "chat_message")) {
        ngx_goconnect_typing_said(topic, event);
        return;
    }

    revoked = gc_slice_is(event->type, "revoked") != 0;

    if (revoked) {
        ngx_goconnect_event_forget(event);

    } else if (!gc_slice_is(event->type, "self")) {
        return;
    }

    /* no session leaves these lists while an event is handled */
    for (q = ngx_queue_head(&topic->watchers);
         q != ngx_queue_sentinel(&topic->watchers); q = next) {
        next = ngx_queue_next(q);

        s = topic->name[0] == 'u'
                ? ngx_queue_data(q, ngx_goconnect_session_t, user_queue)
                : ngx_queue_data(q, ngx_goconnect_session_t, device_queue);

        ngx_goconnect_event_session(s, topic, event, revoked);
    }
}


/* from one peer to another: {"to": PEER, "frame": {...}} */
static void
ngx_goconnect_event_signal(gc_slice_t text)
{
    ngx_goconnect_peer_t *peer;
    gc_slice_t to, frame, data, network;

    (void) gc_json_find_plain(text, "to", &to);
    (void) gc_json_find(text, "frame", &frame);
    (void) gc_json_find(frame, "data", &data);
    (void) gc_json_find_plain(data, "network_id", &network);

    peer = ngx_goconnect_peer_find(to);

    if (peer && ngx_goconnect_event_same(peer->network, network) &&
        ngx_goconnect_session_is_open(peer->session)) {
        ngx_goconnect_ws_send_text(peer->session->ws,
                                   (const u_char *) frame.data, frame.len);
    }
}


/* a device has connected: {"device": ID, "number": N} */
static void
ngx_goconnect_event_connected(gc_slice_t text)
{
    gc_slice_t device;
    int64_t number;

    if (gc_json_find_plain(text, "device", &device) &&
        gc_json_find_integer(text, "number", &number)) {
        ngx_goconnect_session_replaced(device, (uint64_t) number);
    }
}


void
ngx_goconnect_event_incoming(gc_slice_t text)
{
    ngx_goconnect_event_t event;
    gc_slice_t kind;

    if (gc_json_find_plain(text, "bus", &kind)) {
        if (gc_slice_is(kind, "signal")) {
            ngx_goconnect_event_signal(text);

        } else if (gc_slice_is(kind, "connected")) {
            ngx_goconnect_event_connected(text);

        } else if (gc_slice_is(kind, "presence")) {
            ngx_goconnect_news_bell(text);

        } else if (gc_slice_is(kind, "typing")) {
            ngx_goconnect_typing_incoming(text);

        } else if (gc_slice_is(kind, "mesh")) {
            ngx_goconnect_mesh_incoming(text);
        }

        return;
    }

    if (ngx_goconnect_event_parse(text, &event) != NGX_OK) {
        return;
    }

    ngx_goconnect_event_advance(&event);

    if (event.type.len) {
        ngx_goconnect_event_deliver(&event);

    } else {
        ngx_goconnect_topic_hint(event.topic, event.seq);
    }
}


void
ngx_goconnect_event_ephemeral(gc_slice_t text)
{
    ngx_goconnect_event_incoming(text);
    ngx_goconnect_bus_send(text);
}
