/*
 * State of topics: who of a network or a tenant is here.  It has no seq and is
 * not kept: of what comes from several workers within a second the last word
 * for each peer or user counts, and one frame a second tells a topic's sockets.
 */

#include "live/ngx_goconnect_live_topic.h"


#define NGX_GOCONNECT_STATE_EVERY 1000 /* ms between frames of a topic */
#define NGX_GOCONNECT_STATE_GATHER 50  /* ms before the first one */
#define NGX_GOCONNECT_STATE_BUCKETS 256
#define NGX_GOCONNECT_STATE_JOBS 1024  /* frames of a topic that wait */
#define NGX_GOCONNECT_STATE_PART 32768 /* bytes of a list in a frame */
#define NGX_GOCONNECT_STATE_TEXT 384   /* bytes of an item */
#define NGX_GOCONNECT_STATE_ITEMS 1024 /* before a list is made smaller */


/* what is to be told of one peer or user: {"peer_id":...,"status":...} */
typedef struct {
    u_char id[NGX_GOCONNECT_ID_LEN];
    uint32_t at; /* in the list of items, as they came */
    uint32_t len;
    u_char *text;
} ngx_goconnect_state_item_t;


/* a topic that has something to tell, or has just told it */
typedef struct ngx_goconnect_state_s ngx_goconnect_state_t;

struct ngx_goconnect_state_s {
    ngx_queue_t queue; /* by the time at which it is due */
    ngx_goconnect_state_t *next;
    ngx_msec_t due;
    ngx_goconnect_state_item_t *items;
    ngx_uint_t n;
    ngx_uint_t room;
    size_t len;
    u_char name[NGX_GOCONNECT_TOPIC_MAX];
};


/* what there is state of */
typedef struct {
    const char *prefix; /* of the topic */
    size_t len;
    const char *type; /* of the frame */
    const char *scope;
    const char *list;
    const char *id;
} ngx_goconnect_state_kind_t;


typedef struct {
    ngx_goconnect_state_t *buckets[NGX_GOCONNECT_STATE_BUCKETS];
    ngx_queue_t due;
    ngx_event_t timer;
} ngx_goconnect_states_t;


static const ngx_goconnect_state_kind_t ngx_goconnect_state_kinds[] = {
    {"network:", sizeof("network:") - 1, "peer_status", "network_id", "peers",
     "peer_id"},
    {"tenant:", sizeof("tenant:") - 1, "presence", "tenant_id", "users",
     "user_id"},
};

static ngx_goconnect_states_t ngx_goconnect_states;


static const ngx_goconnect_state_kind_t *
ngx_goconnect_state_kind(gc_slice_t topic)
{
    const ngx_goconnect_state_kind_t *kind;
    size_t i;

    for (i = 0; i < sizeof(ngx_goconnect_state_kinds) / sizeof(*kind); i++) {
        kind = &ngx_goconnect_state_kinds[i];

        if (topic.len == kind->len + NGX_GOCONNECT_ID_LEN &&
            ngx_memcmp(topic.data, kind->prefix, kind->len) == 0) {
            return kind;
        }
    }

    return NULL;
}


ngx_uint_t
ngx_goconnect_state_is(const ngx_goconnect_event_t *event)
{
    const ngx_goconnect_state_kind_t *kind;

    kind = event->seq == 0 ? ngx_goconnect_state_kind(event->topic) : NULL;

    return kind && gc_slice_is(event->type, kind->type);
}


ngx_uint_t
ngx_goconnect_state_topic(gc_slice_t topic)
{
    return ngx_goconnect_state_kind(topic) != NULL;
}


/*
 * The states of topics
 */

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
ngx_goconnect_state_clear(ngx_goconnect_state_t *state)
{
    while (state->n) {
        ngx_free(state->items[--state->n].text);
    }

    if (state->items) {
        ngx_free(state->items);
        state->items = NULL;
    }

    state->room = 0;
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
    ngx_goconnect_state_clear(state);
    ngx_free(state);
}


/*
 * What they have to tell
 */

static int ngx_libc_cdecl
ngx_goconnect_state_compare(const void *one, const void *two)
{
    const ngx_goconnect_state_item_t *a, *b;
    int rc;

    a = one;
    b = two;
    rc = ngx_memcmp(a->id, b->id, NGX_GOCONNECT_ID_LEN);

    return rc ? rc : (a->at > b->at) - (a->at < b->at);
}


/* the last word for each */
static void
ngx_goconnect_state_settle(ngx_goconnect_state_t *state)
{
    ngx_goconnect_state_item_t *items;
    ngx_uint_t i, n;

    items = state->items;
    qsort(items, state->n, sizeof(*items), ngx_goconnect_state_compare);
    n = 0;

    for (i = 0; i < state->n; i++) {
        if (i + 1 < state->n && ngx_memcmp(items[i].id, items[i + 1].id,
                                           NGX_GOCONNECT_ID_LEN) == 0) {
            ngx_free(items[i].text);
            continue;
        }

        items[n] = items[i];
        items[n].at = (uint32_t) n;
        n++;
    }

    state->n = n;
}


static ngx_int_t
ngx_goconnect_state_grow(ngx_goconnect_state_t *state)
{
    ngx_goconnect_state_item_t *items;
    ngx_uint_t room;

    if (state->n >= NGX_GOCONNECT_STATE_ITEMS) {
        ngx_goconnect_state_settle(state);

        if (state->n <= state->room / 2) {
            return NGX_OK;
        }
    }

    room = state->room ? state->room * 2 : 4;
    items = ngx_alloc(room * sizeof(*items), ngx_cycle->log);

    if (items == NULL) {
        return NGX_ERROR;
    }

    if (state->items) {
        ngx_memcpy(items, state->items, state->n * sizeof(*items));
        ngx_free(state->items);
    }

    state->items = items;
    state->room = room;

    return NGX_OK;
}


static void
ngx_goconnect_state_add(ngx_goconnect_state_t *state, gc_slice_t id,
                        gc_slice_t text)
{
    ngx_goconnect_state_item_t *item;

    if (id.len != NGX_GOCONNECT_ID_LEN || text.len > NGX_GOCONNECT_STATE_TEXT ||
        (state->n == state->room &&
         ngx_goconnect_state_grow(state) != NGX_OK)) {
        return;
    }

    item = &state->items[state->n];
    item->text = ngx_alloc(text.len, ngx_cycle->log);

    if (item->text == NULL) {
        return;
    }

    ngx_memcpy(item->text, text.data, text.len);
    ngx_memcpy(item->id, id.data, NGX_GOCONNECT_ID_LEN);
    item->len = (uint32_t) text.len;
    item->at = (uint32_t) state->n++;
}


/* data: {SCOPE, ID, "status", "endpoint"?}, or an item of a list of them */
static void
ngx_goconnect_state_word(ngx_goconnect_state_t *state,
                         const ngx_goconnect_state_kind_t *kind,
                         gc_slice_t data)
{
    gc_slice_t id, status, endpoint;
    u_char buf[NGX_GOCONNECT_STATE_TEXT], *p, *last;

    if (!gc_json_find_plain(data, kind->id, &id) ||
        !gc_json_find_plain(data, "status", &status)) {
        return;
    }

    last = buf + sizeof(buf);
    p = ngx_slprintf(buf, last, "{\"%s\":\"%*s\",\"status\":\"%*s\"", kind->id,
                     id.len, id.data, status.len, status.data);

    if (gc_json_find(data, "endpoint", &endpoint)) {
        p = ngx_slprintf(p, last, ",\"endpoint\":%*s", endpoint.len,
                         endpoint.data);
    }

    if (p < last) {
        *p++ = '}';
        ngx_goconnect_state_add(state, id,
                                ngx_goconnect_slice(buf, (size_t) (p - buf)));
    }
}


void
ngx_goconnect_state_event(const ngx_goconnect_event_t *event)
{
    const ngx_goconnect_state_kind_t *kind;
    ngx_goconnect_state_t *state;
    ngx_goconnect_topic_t *topic;
    gc_json_iter_t it;
    gc_slice_t list, item;

    kind = ngx_goconnect_state_kind(event->topic);
    topic = kind ? ngx_goconnect_topic_get(event->topic, 0) : NULL;

    if (topic == NULL || ngx_queue_empty(&topic->subs)) {
        return;
    }

    state = ngx_goconnect_state_get(event->topic);
    if (state == NULL) {
        return;
    }

    if (!gc_json_find(event->data, kind->list, &list)) {
        ngx_goconnect_state_word(state, kind, event->data);
        return;
    }

    if (gc_json_array(&it, list) == 0) {
        while (gc_json_item(&it, &item)) {
            ngx_goconnect_state_word(state, kind, item);
        }
    }
}


/*
 * Telling
 */

/* {"type","topic","data":{SCOPE,ITEM}}, or {SCOPE,LIST:[ITEM,...]} */
static ngx_goconnect_ws_frame_t *
ngx_goconnect_state_frame(const ngx_goconnect_state_kind_t *kind,
                          gc_slice_t topic,
                          const ngx_goconnect_state_item_t *items, ngx_uint_t n)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *buf, *p, *last;
    ngx_uint_t i;
    size_t size;

    size = 192 + 2 * topic.len;

    for (i = 0; i < n; i++) {
        size += items[i].len + 1;
    }

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    last = buf + size;
    p = ngx_slprintf(buf, last,
                     "{\"type\":\"%s\",\"topic\":\"%*s\",\"data\":{"
                     "\"%s\":\"%*s\",",
                     kind->type, topic.len, topic.data, kind->scope,
                     topic.len - kind->len, topic.data + kind->len);

    if (n == 1) {
        p = ngx_slprintf(p, last, "%*s}", (size_t) items->len - 1,
                         items->text + 1);

    } else {
        p = ngx_slprintf(p, last, "\"%s\":[", kind->list);

        for (i = 0; i < n; i++) {
            p = ngx_slprintf(p, last, i ? ",%*s" : "%*s", (size_t) items[i].len,
                             items[i].text);
        }

        p = ngx_slprintf(p, last, "]}}");
    }

    frame = ngx_goconnect_ws_frame_text(buf, (size_t) (p - buf));
    ngx_free(buf);

    return frame;
}


/* as many items as a frame takes */
static ngx_uint_t
ngx_goconnect_state_part(const ngx_goconnect_state_item_t *items, ngx_uint_t n)
{
    ngx_uint_t i;
    size_t size;

    size = 0;

    for (i = 0; i < n; i++) {
        size += items[i].len + 1;

        if (i && size > NGX_GOCONNECT_STATE_PART) {
            break;
        }
    }

    return i;
}


static void
ngx_goconnect_state_tell(ngx_goconnect_state_t *state,
                         ngx_goconnect_topic_t *topic)
{
    const ngx_goconnect_state_kind_t *kind;
    ngx_goconnect_ws_frame_t *frame;
    gc_slice_t name;
    ngx_uint_t i, n;

    name = ngx_goconnect_slice(state->name, state->len);
    kind = ngx_goconnect_state_kind(name);

    ngx_goconnect_state_settle(state);

    for (i = 0; i < state->n; i += n) {
        n = ngx_goconnect_state_part(state->items + i, state->n - i);
        frame = ngx_goconnect_state_frame(kind, name, state->items + i, n);

        if (frame == NULL) {
            break;
        }

        ngx_goconnect_fanout_add(topic, frame, 0);
        ngx_goconnect_ws_frame_unref(frame);
    }

    ngx_goconnect_state_clear(state);
}


static void
ngx_goconnect_state_due(ngx_goconnect_state_t *state)
{
    ngx_goconnect_topic_t *topic;

    ngx_queue_remove(&state->queue);

    topic = ngx_goconnect_topic_get(
        ngx_goconnect_slice(state->name, state->len), 0);

    if (state->n == 0 || topic == NULL || ngx_queue_empty(&topic->subs)) {
        ngx_goconnect_state_free(state);
        return;
    }

    /* what is only state gives way to events, and is told when they are out */
    if (topic->fanout == NULL ||
        topic->fanout->njobs < NGX_GOCONNECT_STATE_JOBS) {
        ngx_goconnect_state_tell(state, topic);
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


/*
 * Who is here when a subscription begins: list: [ITEM, ...], as the database
 * says it.  tell is called with each frame.
 */
ngx_int_t
ngx_goconnect_state_snapshot(gc_slice_t topic, gc_slice_t list,
                             ngx_goconnect_state_tell_pt tell, void *data)
{
    const ngx_goconnect_state_kind_t *kind;
    ngx_goconnect_ws_frame_t *frame;
    ngx_goconnect_state_t state;
    gc_json_iter_t it;
    gc_slice_t item;
    ngx_uint_t i, n;
    ngx_int_t rc;

    kind = ngx_goconnect_state_kind(topic);

    if (kind == NULL || gc_json_array(&it, list) != 0) {
        return NGX_OK;
    }

    ngx_memzero(&state, sizeof(state));

    while (gc_json_item(&it, &item)) {
        ngx_goconnect_state_word(&state, kind, item);
    }

    rc = NGX_OK;

    for (i = 0; i < state.n && rc == NGX_OK; i += n) {
        n = ngx_goconnect_state_part(state.items + i, state.n - i);
        frame = ngx_goconnect_state_frame(kind, topic, state.items + i, n);
        rc = frame ? tell(data, frame) : NGX_ERROR;

        if (frame) {
            ngx_goconnect_ws_frame_unref(frame);
        }
    }

    ngx_goconnect_state_clear(&state);

    return rc;
}


ngx_int_t
ngx_goconnect_state_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_goconnect_states.due);
    ngx_goconnect_live_event_init(&ngx_goconnect_states.timer,
                                  ngx_goconnect_state_handler);

    return NGX_OK;
}
