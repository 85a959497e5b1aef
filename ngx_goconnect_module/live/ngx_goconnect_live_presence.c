/*
 * Presence: which users and devices are connected here, told to the database
 * in one statement, which is this worker's heartbeat as well, and which brings
 * the news of all workers back.  Whoever is not told of any more, because the
 * worker died, is ended by the others.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_PRESENCE_EVERY 1000     /* ms between looks */
#define NGX_GOCONNECT_PRESENCE_HEARTBEAT 2000 /* ms; silence is 10 s */
#define NGX_GOCONNECT_PRESENCE_TIMEOUT 4000   /* ms */
#define NGX_GOCONNECT_PRESENCE_BUSY 100       /* ms, and as much by chance */
#define NGX_GOCONNECT_PRESENCE_GRACE 5        /* s, as in ws_presence */
#define NGX_GOCONNECT_PRESENCE_MAX 4096       /* changes in a statement */


/* somebody's state has changed; what it is then, is looked up at the flush */
typedef struct {
    u_char id[NGX_GOCONNECT_ID_LEN];
    u_char user;  /* or a device */
    u_char ended; /* by the server: nobody will come back */
} ngx_goconnect_note_t;


typedef struct {
    ngx_goconnect_note_t *notes; /* some perhaps twice */
    ngx_uint_t n;
    ngx_uint_t room;
    ngx_goconnect_note_t *sent; /* those of the statement that is flying */
    ngx_uint_t nsent;
    ngx_event_t timer;
    ngx_msec_t beat;       /* the last statement */
    ngx_msec_t due;        /* a grace that ends; 0: none */
    ngx_msec_t away_until; /* sockets are sent away: they need longer */
    ngx_uint_t away;       /* s */
    unsigned flying : 1;
    unsigned greeted : 1;
    unsigned all : 1;   /* the database may have forgotten: tell it all */
    unsigned bare : 1;  /* only the heartbeat, after a failure */
    unsigned hurry : 1; /* there is news */
} ngx_goconnect_presence_t;


static ngx_goconnect_presence_t ngx_goconnect_presence;


/*
 * Notes
 */

static int ngx_libc_cdecl
ngx_goconnect_presence_compare(const void *one, const void *two)
{
    const ngx_goconnect_note_t *a, *b;
    int rc;

    a = one;
    b = two;
    rc = a->user - b->user;

    return rc ? rc : ngx_memcmp(a->id, b->id, NGX_GOCONNECT_ID_LEN);
}


/* each once */
static ngx_uint_t
ngx_goconnect_presence_settle(ngx_goconnect_note_t *notes, ngx_uint_t n)
{
    ngx_uint_t i, kept;

    if (n == 0) {
        return 0;
    }

    qsort(notes, n, sizeof(*notes), ngx_goconnect_presence_compare);
    kept = 0;

    for (i = 1; i < n; i++) {
        if (ngx_goconnect_presence_compare(&notes[kept], &notes[i]) == 0) {
            notes[kept].ended |= notes[i].ended;

        } else {
            notes[++kept] = notes[i];
        }
    }

    return kept + 1;
}


static ngx_int_t
ngx_goconnect_presence_grow(void)
{
    ngx_goconnect_presence_t *p;
    ngx_goconnect_note_t *notes;
    ngx_uint_t room;

    p = &ngx_goconnect_presence;

    /* while the database is away, the same ones come and go */
    p->n = ngx_goconnect_presence_settle(p->notes, p->n);

    if (p->room && p->n <= p->room / 2) {
        return NGX_OK;
    }

    room = p->room ? p->room * 2 : 64;
    notes = ngx_alloc(room * sizeof(*notes), ngx_cycle->log);

    if (notes == NULL) {
        return NGX_ERROR;
    }

    if (p->notes) {
        ngx_memcpy(notes, p->notes, p->n * sizeof(*notes));
        ngx_free(p->notes);
    }

    p->notes = notes;
    p->room = room;

    return NGX_OK;
}


static void
ngx_goconnect_presence_note(const u_char *id, ngx_uint_t user, ngx_uint_t ended)
{
    ngx_goconnect_presence_t *p;
    ngx_goconnect_note_t *note;

    p = &ngx_goconnect_presence;

    if (p->n == p->room && ngx_goconnect_presence_grow() != NGX_OK) {
        /* nobody is forgotten */
        p->all = 1;
        return;
    }

    note = &p->notes[p->n++];
    ngx_memcpy(note->id, id, NGX_GOCONNECT_ID_LEN);
    note->user = user != 0;
    note->ended = ended != 0;
}


static void
ngx_goconnect_presence_session(ngx_goconnect_session_t *s)
{
    ngx_goconnect_presence_note(s->user_topic->name + sizeof("user:") - 1, 1,
                                s->ended);

    if (s->device_topic) {
        ngx_goconnect_presence_note(ngx_goconnect_session_device(s), 0,
                                    s->ended);
    }
}


void
ngx_goconnect_presence_online(ngx_goconnect_session_t *s)
{
    ngx_goconnect_presence_session(s);
}


/*
 * A worker that leaves does not tell of those that it has sent away: they
 * are on their way to another one.
 */
void
ngx_goconnect_presence_offline(ngx_goconnect_session_t *s)
{
    if (s->state == NGX_GOCONNECT_SESSION_READY && s->user_topic &&
        (!ngx_exiting || s->ended)) {
        ngx_goconnect_presence_session(s);
    }
}


static ngx_uint_t
ngx_goconnect_presence_here(ngx_goconnect_session_t *s)
{
    return s->state == NGX_GOCONNECT_SESSION_READY && !s->ended &&
           ngx_goconnect_session_is_open(s);
}


static ngx_uint_t
ngx_goconnect_presence_is_online(const ngx_goconnect_note_t *note)
{
    ngx_goconnect_session_t *s;
    ngx_goconnect_topic_t *topic;
    ngx_queue_t *q;
    u_char name[NGX_GOCONNECT_TOPIC_MAX], *p;

    p = ngx_snprintf(name, sizeof(name), "%s:%*s",
                     note->user ? "user" : "device",
                     (size_t) NGX_GOCONNECT_ID_LEN, note->id);

    topic = ngx_goconnect_topic_get(
        ngx_goconnect_slice(name, (size_t) (p - name)), 0);
    if (topic == NULL) {
        return 0;
    }

    for (q = ngx_queue_head(&topic->watchers);
         q != ngx_queue_sentinel(&topic->watchers); q = ngx_queue_next(q)) {
        s = note->user
                ? ngx_queue_data(q, ngx_goconnect_session_t, user_queue)
                : ngx_queue_data(q, ngx_goconnect_session_t, device_queue);

        if (ngx_goconnect_presence_here(s)) {
            return 1;
        }
    }

    return 0;
}


/*
 * The statement
 */

static void
ngx_goconnect_presence_soon(ngx_msec_t delay)
{
    if (ngx_goconnect_presence.timer.timer_set) {
        ngx_del_timer(&ngx_goconnect_presence.timer);
    }

    ngx_add_timer(&ngx_goconnect_presence.timer, delay);
}


void
ngx_goconnect_presence_hurry(void)
{
    ngx_goconnect_presence.hurry = 1;
}


void
ngx_goconnect_presence_away(ngx_uint_t seconds)
{
    ngx_goconnect_presence_t *p;

    p = &ngx_goconnect_presence;
    seconds += NGX_GOCONNECT_PRESENCE_GRACE;

    if (p->away < seconds ||
        (ngx_msec_int_t) (p->away_until - ngx_current_msec) <= 0) {
        p->away = seconds;
        p->hurry = 1;

        if (!p->flying) {
            ngx_goconnect_presence_soon(1);
        }
    }

    p->away_until = ngx_current_msec + seconds * 1000;
}


/* s that a socket may take to come back, if that is not the usual time */
static ngx_uint_t
ngx_goconnect_presence_grace(void)
{
    ngx_goconnect_presence_t *p;

    p = &ngx_goconnect_presence;

    return p->away && (ngx_msec_int_t) (p->away_until - ngx_current_msec) > 0
               ? p->away
               : 0;
}


/* the first notes of the queue become those that fly */
static ngx_int_t
ngx_goconnect_presence_take(void)
{
    ngx_goconnect_presence_t *p;

    p = &ngx_goconnect_presence;

    p->n = ngx_goconnect_presence_settle(p->notes, p->n);
    p->nsent = p->bare ? 0 : ngx_min(p->n, NGX_GOCONNECT_PRESENCE_MAX);

    if (p->nsent == 0) {
        return NGX_OK;
    }

    p->sent =
        ngx_alloc(p->nsent * sizeof(ngx_goconnect_note_t), ngx_cycle->log);
    if (p->sent == NULL) {
        p->nsent = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(p->sent, p->notes, p->nsent * sizeof(ngx_goconnect_note_t));
    p->n -= p->nsent;
    ngx_memmove(p->notes, p->notes + p->nsent,
                p->n * sizeof(ngx_goconnect_note_t));

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_presence_lists(json_t *body)
{
    static const char *names[2][3] = {
        {"online", "offline", "ended"},
        {"users_online", "users_offline", "users_ended"},
    };
    ngx_goconnect_presence_t *p;
    ngx_goconnect_note_t *note;
    const char *name;
    json_t *list;
    ngx_uint_t i;

    p = &ngx_goconnect_presence;

    for (i = 0; i < p->nsent; i++) {
        note = &p->sent[i];
        name = names[note->user][ngx_goconnect_presence_is_online(note) ? 0
                                 : note->ended                          ? 2
                                                                        : 1];
        list = json_object_get(body, name);

        if (list == NULL) {
            list = json_array();

            if (json_object_set_new(body, name, list) != 0) {
                return NGX_ERROR;
            }
        }

        if (json_array_append_new(
                list, json_stringn((char *) note->id, NGX_GOCONNECT_ID_LEN)) !=
            0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static char *
ngx_goconnect_presence_body(void)
{
    ngx_uint_t grace;
    int64_t since;
    json_t *body;
    char *text;

    since = ngx_goconnect_news_known();
    grace = ngx_goconnect_presence_grace();

    body = json_object();
    text = NULL;

    if (json_object_set_new(body, "since",
                            since < 0 ? json_null() : json_integer(since)) ==
            0 &&
        (grace == 0 ||
         json_object_set_new(body, ngx_exiting ? "leaving" : "grace",
                             json_integer((json_int_t) grace)) == 0) &&
        ngx_goconnect_presence_lists(body) == NGX_OK) {
        text = json_dumps(body, JSON_COMPACT);
    }

    json_decref(body);

    return text;
}


/* what was sent is told; or is to be told again */
static void
ngx_goconnect_presence_sent(ngx_uint_t again)
{
    ngx_goconnect_presence_t *p;
    ngx_uint_t i;

    p = &ngx_goconnect_presence;

    for (i = 0; again && i < p->nsent; i++) {
        ngx_goconnect_presence_note(p->sent[i].id, p->sent[i].user,
                                    p->sent[i].ended);
    }

    if (p->sent) {
        ngx_free(p->sent);
        p->sent = NULL;
    }

    p->nsent = 0;
}


static void
ngx_goconnect_presence_told(ngx_goconnect_reply_t *reply)
{
    ngx_goconnect_presence_t *p;
    gc_slice_t value;
    ngx_uint_t grace;

    p = &ngx_goconnect_presence;

    if (gc_json_find(reply->body, "busy", &value) &&
        gc_slice_is(value, "true")) {
        ngx_goconnect_presence_sent(1);
        ngx_goconnect_presence_soon(NGX_GOCONNECT_PRESENCE_BUSY +
                                    (ngx_msec_t) ngx_random() %
                                        NGX_GOCONNECT_PRESENCE_BUSY);

    } else {
        if (p->nsent) {
            /* the end of the grace of whoever went */
            grace = ngx_goconnect_presence_grace();
            p->due = ngx_current_msec +
                     (grace ? grace : NGX_GOCONNECT_PRESENCE_GRACE) * 1000;
        }

        ngx_goconnect_presence_sent(0);

        if (p->n) {
            ngx_goconnect_presence_soon(1);
        }
    }

    /* a node that the database has forgotten tells it all again */
    if (p->greeted && gc_json_find(reply->body, "known", &value) &&
        gc_slice_is(value, "false")) {
        p->all = 1;
    }

    p->greeted = 1;

    if (reply->events.len) {
        ngx_goconnect_live_publish(reply->events.data, reply->events.len);
    }

    ngx_goconnect_news_answer(reply->body);
}


static void
ngx_goconnect_presence_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_presence_t *p;
    ngx_goconnect_reply_t reply;

    p = &ngx_goconnect_presence;
    p->flying = 0;

    if (ngx_goconnect_live_reply(call, &reply) == NGX_OK &&
        reply.status < 300) {
        p->bare = 0;
        ngx_goconnect_presence_told(&reply);

    } else {
        /* whatever was in its way, the heartbeat does not wait for it */
        ngx_goconnect_live_log(call);
        p->bare = 1;
        ngx_goconnect_presence_sent(1);
    }

    ngx_goconnect_pg_call_destroy(call);
}


static void
ngx_goconnect_presence_note_all(ngx_goconnect_ws_t *ws, void *data)
{
    ngx_goconnect_session_t *s;

    s = ngx_goconnect_ws_data(ws);

    if (s->user_topic && ngx_goconnect_presence_here(s)) {
        ngx_goconnect_presence_session(s);
    }
}


static void
ngx_goconnect_presence_flush(void)
{
    ngx_goconnect_presence_t *p;
    ngx_goconnect_pg_call_t *call;
    char *text;

    p = &ngx_goconnect_presence;

    if (p->all) {
        p->all = 0;
        ngx_goconnect_ws_each(ngx_goconnect_presence_note_all, NULL);
    }

    text = ngx_goconnect_presence_take() == NGX_OK
               ? ngx_goconnect_presence_body()
               : NULL;
    call = text ? ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_PRESENCE) : NULL;

    if (call &&
        ngx_goconnect_pg_call_param(call, ngx_goconnect_live_worker.node,
                                    NGX_GOCONNECT_ID_LEN) == NGX_OK &&
        ngx_goconnect_pg_call_param(call, (u_char *) text, strlen(text)) ==
            NGX_OK &&
        ngx_goconnect_pg_call_send(call, ngx_goconnect_presence_done, NULL,
                                   NGX_GOCONNECT_PRESENCE_TIMEOUT) == NGX_OK) {
        p->flying = 1;
        p->hurry = 0;
        p->due = 0;
        p->beat = ngx_current_msec;
        free(text);
        return;
    }

    ngx_goconnect_presence_sent(1);

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

    /* what the flush calls back may want another look soon */
    ngx_add_timer(ev, NGX_GOCONNECT_PRESENCE_EVERY);

    if (!p->flying &&
        (p->n || p->all || p->hurry ||
         (p->due && (ngx_msec_int_t) (ngx_current_msec - p->due) > 0) ||
         ngx_current_msec - p->beat >= NGX_GOCONNECT_PRESENCE_HEARTBEAT)) {
        ngx_goconnect_presence_flush();
    }

    ngx_goconnect_news_look();
}


ngx_int_t
ngx_goconnect_presence_init(ngx_cycle_t *cycle)
{
    /* the first heartbeat at once */
    ngx_goconnect_presence.beat =
        ngx_current_msec - NGX_GOCONNECT_PRESENCE_HEARTBEAT;

    ngx_goconnect_live_event_init(&ngx_goconnect_presence.timer,
                                  ngx_goconnect_presence_handler);
    ngx_add_timer(&ngx_goconnect_presence.timer, 1);

    return NGX_OK;
}
