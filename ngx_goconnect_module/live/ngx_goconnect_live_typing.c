/*
 * Who is typing in a channel: told to its sockets, never stored.
 *
 * A frame says who began; it holds for a few seconds, or until his message.
 * Each worker gathers what it hears from all of them, and tells a topic at
 * most once a second, of a user once in NGX_GOCONNECT_TYPING_AGAIN.
 */

#include "live/ngx_goconnect_live_private.h"

#include "core/gc_uuid.h"


#define NGX_GOCONNECT_TYPING_EVERY 1000 /* ms between frames of a topic */
#define NGX_GOCONNECT_TYPING_AGAIN 3000 /* ms, the same of a user there */
#define NGX_GOCONNECT_TYPING_QUIET 1000 /* ms after his message */
#define NGX_GOCONNECT_TYPING_TICK 250   /* ms */
#define NGX_GOCONNECT_TYPING_USERS 16   /* of a topic at a time */
#define NGX_GOCONNECT_TYPING_MAX 1024   /* topics at a time */
#define NGX_GOCONNECT_TYPING_NAME 64    /* bytes of a username */


typedef struct {
    ngx_msec_t told; /* when he was, unless he waits */
    unsigned waits : 1;
    u_char len; /* of the name */
    u_char user[NGX_GOCONNECT_ID_LEN];
    u_char name[NGX_GOCONNECT_TYPING_NAME];
} ngx_goconnect_typist_t;


/* belongs to its topic */
struct ngx_goconnect_typing_s {
    ngx_queue_t queue; /* of the worker */
    ngx_goconnect_topic_t *topic;
    ngx_msec_t told; /* when the last frame was */
    ngx_uint_t n;
    u_char tenant[NGX_GOCONNECT_ID_LEN];
    ngx_goconnect_typist_t typists[NGX_GOCONNECT_TYPING_USERS];
};


typedef struct {
    ngx_queue_t queue;
    ngx_uint_t n;
    ngx_event_t timer;
} ngx_goconnect_typings_t;


static ngx_goconnect_typings_t ngx_goconnect_typings;


static ngx_goconnect_typing_t *
ngx_goconnect_typing_create(ngx_goconnect_topic_t *topic, gc_slice_t tenant)
{
    ngx_goconnect_typing_t *typing;

    typing = ngx_goconnect_typings.n < NGX_GOCONNECT_TYPING_MAX
                 ? ngx_calloc(sizeof(ngx_goconnect_typing_t), ngx_cycle->log)
                 : NULL;
    if (typing == NULL) {
        return NULL;
    }

    typing->topic = topic;
    typing->told = ngx_current_msec - NGX_GOCONNECT_TYPING_EVERY;
    ngx_memcpy(typing->tenant, tenant.data, NGX_GOCONNECT_ID_LEN);

    topic->typing = typing;
    ngx_queue_insert_tail(&ngx_goconnect_typings.queue, &typing->queue);
    ngx_goconnect_typings.n++;

    if (!ngx_goconnect_typings.timer.timer_set) {
        ngx_add_timer(&ngx_goconnect_typings.timer, NGX_GOCONNECT_TYPING_TICK);
    }

    return typing;
}


void
ngx_goconnect_typing_free(ngx_goconnect_topic_t *topic)
{
    if (topic->typing) {
        ngx_queue_remove(&topic->typing->queue);
        ngx_goconnect_typings.n--;
        ngx_free(topic->typing);
        topic->typing = NULL;
    }
}


static ngx_goconnect_typist_t *
ngx_goconnect_typist_find(ngx_goconnect_typing_t *typing, const char *user)
{
    ngx_uint_t i;

    for (i = 0; i < typing->n; i++) {
        if (ngx_memcmp(typing->typists[i].user, user, NGX_GOCONNECT_ID_LEN) ==
            0) {
            return &typing->typists[i];
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_goconnect_typist_is_fresh(const ngx_goconnect_typist_t *typist)
{
    return typist->waits ||
           ngx_current_msec - typist->told < NGX_GOCONNECT_TYPING_AGAIN;
}


/* tells the topic of those who wait */
static void
ngx_goconnect_typing_tell(ngx_goconnect_typing_t *typing)
{
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_typist_t *typist;
    ngx_goconnect_event_t event;
    ngx_uint_t i, told;
    u_char text[512 +
                NGX_GOCONNECT_TYPING_USERS * (128 + NGX_GOCONNECT_TYPING_NAME)];
    u_char *p, *last;

    topic = typing->topic;
    last = text + sizeof(text);

    p = ngx_slprintf(text, last,
                     "{\"type\":\"typing\",\"topic\":\"%*s\",\"data\":"
                     "{\"tenant_id\":\"%*s\",\"network_id\":",
                     (size_t) topic->len, topic->name,
                     (size_t) NGX_GOCONNECT_ID_LEN, typing->tenant);

    p = topic->name[0] == 'n'
            ? ngx_slprintf(p, last, "\"%*s\",\"users\":[",
                           (size_t) NGX_GOCONNECT_ID_LEN,
                           topic->name + sizeof("network:") - 1)
            : ngx_slprintf(p, last, "null,\"users\":[");

    for (i = 0, told = 0; i < typing->n; i++) {
        typist = &typing->typists[i];

        if (!typist->waits) {
            continue;
        }

        typist->waits = 0;
        typist->told = ngx_current_msec;
        p = ngx_slprintf(p, last,
                         "%s{\"user_id\":\"%*s\",\"username\":\"%*s\"}",
                         told++ ? "," : "", (size_t) NGX_GOCONNECT_ID_LEN,
                         typist->user, (size_t) typist->len, typist->name);
    }

    if (told == 0) {
        return;
    }

    p = ngx_slprintf(p, last, "]}}");
    typing->told = ngx_current_msec;

    ngx_memzero(&event, sizeof(event));
    event.text = ngx_goconnect_slice(text, (size_t) (p - text));
    event.topic = ngx_goconnect_slice(topic->name, topic->len);

    ngx_goconnect_topic_event(&event);
}


/* who was told of long ago may begin anew */
static void
ngx_goconnect_typing_expire(ngx_goconnect_typing_t *typing)
{
    ngx_uint_t i;

    for (i = 0; i < typing->n; /* void */) {
        if (ngx_goconnect_typist_is_fresh(&typing->typists[i])) {
            i++;

        } else {
            typing->typists[i] = typing->typists[--typing->n];
        }
    }
}


static void
ngx_goconnect_typing_tick(ngx_event_t *ev)
{
    ngx_goconnect_typing_t *typing;
    ngx_queue_t *q, *next;

    for (q = ngx_queue_head(&ngx_goconnect_typings.queue);
         q != ngx_queue_sentinel(&ngx_goconnect_typings.queue); q = next) {
        next = ngx_queue_next(q);
        typing = ngx_queue_data(q, ngx_goconnect_typing_t, queue);

        if (ngx_current_msec - typing->told >= NGX_GOCONNECT_TYPING_EVERY) {
            ngx_goconnect_typing_tell(typing);
        }

        ngx_goconnect_typing_expire(typing);

        if (typing->n == 0) {
            ngx_goconnect_typing_free(typing->topic);
        }
    }

    if (ngx_goconnect_typings.n > 0) {
        ngx_add_timer(ev, NGX_GOCONNECT_TYPING_TICK);
    }
}


static ngx_goconnect_topic_t *
ngx_goconnect_typing_topic(const char *kind, gc_slice_t id)
{
    u_char name[NGX_GOCONNECT_TOPIC_MAX], *p;

    p = ngx_snprintf(name, sizeof(name), "%s:%*s", kind, id.len, id.data);

    return ngx_goconnect_topic_get(
        ngx_goconnect_slice(name, (size_t) (p - name)), 0);
}


ngx_uint_t
ngx_goconnect_typing_known(const char *kind, const char *id, const u_char *user)
{
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_typist_t *typist;

    topic = ngx_goconnect_typing_topic(
        kind, ngx_goconnect_slice(id, NGX_GOCONNECT_ID_LEN));

    if (topic == NULL || topic->typing == NULL) {
        return 0;
    }

    typist = ngx_goconnect_typist_find(topic->typing, (const char *) user);

    return typist && ngx_goconnect_typist_is_fresh(typist);
}


static ngx_uint_t
ngx_goconnect_typing_id(gc_slice_t data, const char *name, gc_slice_t *id)
{
    return gc_json_find_plain(data, name, id) &&
           gc_uuid_valid(id->data, id->len);
}


static void
ngx_goconnect_typing_add(ngx_goconnect_topic_t *topic, gc_slice_t tenant,
                         gc_slice_t user, gc_slice_t name)
{
    ngx_goconnect_typing_t *typing;
    ngx_goconnect_typist_t *typist;

    typing = topic->typing ? topic->typing
                           : ngx_goconnect_typing_create(topic, tenant);
    if (typing == NULL) {
        return;
    }

    typist = ngx_goconnect_typist_find(typing, user.data);

    if (typist && ngx_goconnect_typist_is_fresh(typist)) {
        return;
    }

    if (typist == NULL) {
        if (typing->n == NGX_GOCONNECT_TYPING_USERS) {
            return;
        }

        typist = &typing->typists[typing->n++];
        ngx_memcpy(typist->user, user.data, NGX_GOCONNECT_ID_LEN);
        ngx_memcpy(typist->name, name.data, name.len);
        typist->len = (u_char) name.len;
    }

    typist->waits = 1;

    if (ngx_current_msec - typing->told >= NGX_GOCONNECT_TYPING_EVERY) {
        ngx_goconnect_typing_tell(typing);
    }
}


/* it goes into a frame as it is */
static ngx_uint_t
ngx_goconnect_typing_name(gc_slice_t data, gc_slice_t *name)
{
    size_t i;

    if (!gc_json_find_plain(data, "username", name) ||
        name->len > NGX_GOCONNECT_TYPING_NAME) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        if (name->data[i] <= ' ' || name->data[i] > '~') {
            return 0;
        }
    }

    return 1;
}


void
ngx_goconnect_typing_incoming(gc_slice_t text)
{
    ngx_goconnect_topic_t *topic;
    gc_slice_t data, tenant, network, user, name;

    if (!gc_json_find(text, "data", &data) ||
        !ngx_goconnect_typing_id(data, "tenant_id", &tenant) ||
        !ngx_goconnect_typing_id(data, "user_id", &user) ||
        !ngx_goconnect_typing_name(data, &name)) {
        return;
    }

    topic = ngx_goconnect_typing_id(data, "network_id", &network)
                ? ngx_goconnect_typing_topic("network", network)
                : ngx_goconnect_typing_topic("tenant", tenant);

    if (topic && !ngx_queue_empty(&topic->subs)) {
        ngx_goconnect_typing_add(topic, tenant, user, name);
    }
}


/* his message is there: what he was typing for, perhaps said a moment before */
void
ngx_goconnect_typing_said(ngx_goconnect_topic_t *topic,
                          const ngx_goconnect_event_t *message)
{
    ngx_goconnect_typist_t *typist;
    gc_slice_t user;

    if (topic->typing == NULL ||
        !ngx_goconnect_typing_id(message->data, "user_id", &user)) {
        return;
    }

    typist = ngx_goconnect_typist_find(topic->typing, user.data);

    if (typist) {
        typist->waits = 0;
        typist->told = ngx_current_msec - NGX_GOCONNECT_TYPING_AGAIN +
                       NGX_GOCONNECT_TYPING_QUIET;
    }
}


void
ngx_goconnect_typing_init(void)
{
    ngx_queue_init(&ngx_goconnect_typings.queue);
    ngx_goconnect_live_event_init(&ngx_goconnect_typings.timer,
                                  ngx_goconnect_typing_tick);
}
