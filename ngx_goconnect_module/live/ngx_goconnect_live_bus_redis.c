/*
 * The bus by Redis' publish and subscribe.
 *
 * A worker has two connections, which come and go together: one listens, the
 * other publishes.  The channel is named for the database, so that several
 * servers may share a Redis.  What goes over it is sealed under the key ring
 * (_live_bus_seal.c): a Redis is often open to others, and whoever could
 * forge an event could make clients believe it in the place of the true one.
 *
 * Every few seconds the worker sends itself a heartbeat by a channel of its
 * own.  It goes the whole way, so a Redis that is frozen, a connection that
 * has silently gone and two connections to different servers are all found.
 */

#include "live/ngx_goconnect_live_private.h"
#include "live/ngx_goconnect_live_redis.h"

#include "http/ngx_goconnect_conf.h"


#define NGX_GOCONNECT_REDIS_FRAME_MAX 65536 /* of an event that goes whole */
/* bytes that Redis has not answered for yet */
#define NGX_GOCONNECT_REDIS_FLYING_MAX 262144

#define NGX_GOCONNECT_REDIS_REPLY_MAX 1048576 /* bytes */
#define NGX_GOCONNECT_REDIS_TIMEOUT 5000      /* ms */
#define NGX_GOCONNECT_REDIS_PING 2000         /* ms */
#define NGX_GOCONNECT_REDIS_CHANNEL_MAX 128


typedef enum {
    NGX_GOCONNECT_REDIS_DOWN = 0,   /* the timer connects */
    NGX_GOCONNECT_REDIS_ASKING,     /* the database, for the channel's name */
    NGX_GOCONNECT_REDIS_CONNECTING, /* the timer is a deadline */
    NGX_GOCONNECT_REDIS_BEATING,    /* a heartbeat is out; likewise */
    NGX_GOCONNECT_REDIS_READY       /* the timer sends a heartbeat */
} ngx_goconnect_redis_state_e;


typedef struct {
    ngx_goconnect_redis_t sub;
    ngx_goconnect_redis_t pub;
    const ngx_goconnect_bus_conf_t *conf;
    ngx_goconnect_redis_state_e state;
    ngx_event_t timer;
    ngx_event_t broken; /* hiredis must not be freed under its own caller */
    ngx_uint_t attempt;
    ngx_uint_t waiting; /* answers until both connections are ready */

    size_t flying; /* bytes that Redis has not answered for */

    uint64_t beat_at;
    size_t channel_len;                              /* 0: not known yet */
    u_char channel[NGX_GOCONNECT_REDIS_CHANNEL_MAX]; /* NUL-terminated */
    u_char own[NGX_GOCONNECT_REDIS_CHANNEL_MAX];     /* likewise */
    unsigned up : 1;
} ngx_goconnect_bus_redis_t;


static ngx_goconnect_bus_redis_t ngx_goconnect_bus_redis_conn;


static void ngx_goconnect_bus_redis_publish(void);


static void
ngx_goconnect_bus_redis_set_state(ngx_goconnect_redis_state_e state)
{
    static const char *names[] = {"down", "asking", "connecting", "beating",
                                  "ready"};
    static const ngx_msec_t timeouts[] = {0, 0, NGX_GOCONNECT_REDIS_TIMEOUT,
                                          NGX_GOCONNECT_REDIS_TIMEOUT,
                                          NGX_GOCONNECT_REDIS_PING};
    ngx_goconnect_bus_redis_t *bus;
    ngx_msec_t timeout;

    bus = &ngx_goconnect_bus_redis_conn;
    timeout = timeouts[state];

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, ngx_cycle->log, 0,
                   "goconnect bus: %s -> %s", names[bus->state], names[state]);

    if (state == NGX_GOCONNECT_REDIS_DOWN) {
        timeout = ngx_goconnect_bus_delay();
    }

    bus->state = state;

    if (timeout) {
        ngx_add_timer(&bus->timer, timeout);
    }
}


static void
ngx_goconnect_bus_redis_fail(const char *what, const char *message)
{
    ngx_goconnect_bus_redis_t *bus;

    bus = &ngx_goconnect_bus_redis_conn;

    if (bus->state == NGX_GOCONNECT_REDIS_DOWN) {
        return;
    }

    bus->up = 0;
    bus->attempt++;

    ngx_goconnect_bus_down(what, message);
    ngx_goconnect_bus_redis_set_state(NGX_GOCONNECT_REDIS_DOWN);
    ngx_goconnect_bus_clear();
    ngx_post_event(&bus->broken, &ngx_posted_events);
}


static void
ngx_goconnect_bus_redis_drop(void)
{
    ngx_goconnect_bus_redis_t *bus;

    bus = &ngx_goconnect_bus_redis_conn;

    ngx_goconnect_redis_close(&bus->sub);
    ngx_goconnect_redis_close(&bus->pub);

    bus->flying = 0;
}


static void
ngx_goconnect_bus_redis_broken(ngx_event_t *ev)
{
    ngx_goconnect_bus_redis_drop();
}


static void
ngx_goconnect_bus_redis_lost(ngx_goconnect_redis_t *redis, const char *message)
{
    ngx_goconnect_bus_redis_fail(redis->c || redis->ac ? "it misbehaves"
                                 : ngx_goconnect_bus_redis_conn.state ==
                                         NGX_GOCONNECT_REDIS_CONNECTING
                                     ? "it could not connect"
                                     : "it was lost",
                                 message);
}


/* 1 if the reply is one to go on with */
static ngx_uint_t
ngx_goconnect_bus_redis_good(const redisReply *reply)
{
    if (reply == NULL ||
        ngx_goconnect_bus_redis_conn.state == NGX_GOCONNECT_REDIS_DOWN) {
        return 0;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        ngx_goconnect_bus_redis_fail("Redis refuses", reply->str);
        return 0;
    }

    return 1;
}


static void
ngx_goconnect_bus_redis_command(ngx_goconnect_redis_t *redis,
                                redisCallbackFn *fn, void *data, int n,
                                const char **words, const size_t *lens)
{
    if (ngx_goconnect_bus_redis_conn.state == NGX_GOCONNECT_REDIS_DOWN) {
        return;
    }

    if (redis->ac == NULL || redisAsyncCommandArgv(redis->ac, fn, data, n,
                                                   words, lens) != REDIS_OK) {
        ngx_goconnect_bus_redis_fail("a command could not be sent", "");
    }
}


/*
 * Publishing
 */

static void
ngx_goconnect_bus_redis_published(redisAsyncContext *ac, void *reply,
                                  void *data)
{
    if (ngx_goconnect_bus_redis_good(reply)) {
        ngx_goconnect_bus_redis_conn.flying -= (uintptr_t) data;
        ngx_goconnect_bus_redis_publish();
    }
}


static void
ngx_goconnect_bus_redis_send(const u_char *channel, const u_char *text,
                             size_t len)
{
    const char *words[] = {"PUBLISH", (const char *) channel,
                           (const char *) text};
    size_t lens[] = {7, ngx_strlen(channel), len};

    ngx_goconnect_bus_redis_conn.flying += len;
    ngx_goconnect_bus_redis_command(&ngx_goconnect_bus_redis_conn.pub,
                                    ngx_goconnect_bus_redis_published,
                                    (void *) (uintptr_t) len, 3, words, lens);
}


static void
ngx_goconnect_bus_redis_seal(const ngx_goconnect_bell_t *bell)
{
    gc_slice_t sealed;

    if (ngx_goconnect_bus_seal(ngx_goconnect_slice(bell->text, bell->len),
                               &sealed) != NGX_OK) {
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_LOST, 1);
        return;
    }

    ngx_goconnect_bus_redis_send(ngx_goconnect_bus_redis_conn.channel,
                                 (const u_char *) sealed.data, sealed.len);
}


/* as much of the queue as may be under way; a slow Redis leaves it to grow */
static void
ngx_goconnect_bus_redis_publish(void)
{
    ngx_goconnect_bus_redis_t *bus;
    ngx_goconnect_bell_t *bell;

    bus = &ngx_goconnect_bus_redis_conn;

    if (bus->state == NGX_GOCONNECT_REDIS_DOWN) {
        ngx_goconnect_bus_clear();
        return;
    }

    while (bus->up && bus->flying < NGX_GOCONNECT_REDIS_FLYING_MAX &&
           (bell = ngx_goconnect_bus_first()) != NULL) {
        ngx_goconnect_bus_redis_seal(bell);

        /* a failure has emptied the queue */
        if (bus->up) {
            ngx_goconnect_bus_shift();
        }
    }
}


static void
ngx_goconnect_bus_redis_beat(void)
{
    ngx_goconnect_bus_redis_t *bus;
    u_char text[NGX_INT64_LEN];
    u_char *p;

    bus = &ngx_goconnect_bus_redis_conn;
    bus->beat_at = ngx_goconnect_metrics_clock();
    p = ngx_sprintf(text, "%uL", bus->beat_at);

    ngx_goconnect_bus_redis_set_state(NGX_GOCONNECT_REDIS_BEATING);
    ngx_goconnect_bus_redis_send(bus->own, text, (size_t) (p - text));
}


/*
 * Listening
 */

static void
ngx_goconnect_bus_redis_beaten(const redisReply *text)
{
    ngx_goconnect_bus_redis_t *bus;
    u_char expected[NGX_INT64_LEN];
    size_t len;

    bus = &ngx_goconnect_bus_redis_conn;
    len = (size_t) (ngx_sprintf(expected, "%uL", bus->beat_at) - expected);

    if (bus->state != NGX_GOCONNECT_REDIS_BEATING || text->len != len ||
        ngx_memcmp(text->str, expected, len) != 0) {
        return;
    }

    ngx_goconnect_bus_lag(ngx_goconnect_metrics_clock() - bus->beat_at);
    ngx_goconnect_bus_redis_set_state(NGX_GOCONNECT_REDIS_READY);

    if (bus->up) {
        ngx_goconnect_bus_settled();
        return;
    }

    bus->up = 1;
    ngx_goconnect_bus_up();
    ngx_goconnect_bus_redis_publish();
}


static void
ngx_goconnect_bus_redis_message(const redisReply *reply)
{
    gc_slice_t text;

    if (ngx_goconnect_bus_unseal(ngx_goconnect_slice(reply->str, reply->len),
                                 &text) == NGX_OK) {
        ngx_goconnect_bus_incoming(text);
    }
}


static ngx_uint_t
ngx_goconnect_bus_redis_is(const redisReply *reply, const char *text)
{
    size_t len;

    len = ngx_strlen(text);

    return reply->type == REDIS_REPLY_STRING && reply->len == len &&
           ngx_memcmp(reply->str, text, len) == 0;
}


static void ngx_goconnect_bus_redis_step(void);


/* what the subscription brings: [kind, channel, text] */
static void
ngx_goconnect_bus_redis_heard(redisAsyncContext *ac, void *data, void *unused)
{
    ngx_goconnect_bus_redis_t *bus;
    redisReply *reply = data;

    bus = &ngx_goconnect_bus_redis_conn;

    if (!ngx_goconnect_bus_redis_good(reply) ||
        reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        return;
    }

    if (ngx_goconnect_bus_redis_is(reply->element[0], "subscribe")) {
        ngx_goconnect_bus_redis_step();

    } else if (!ngx_goconnect_bus_redis_is(reply->element[0], "message") ||
               reply->element[2]->type != REDIS_REPLY_STRING) {
        return;

    } else if (ngx_goconnect_bus_redis_is(reply->element[1],
                                          (const char *) bus->channel)) {
        ngx_goconnect_bus_redis_message(reply->element[2]);

    } else {
        ngx_goconnect_bus_redis_beaten(reply->element[2]);
    }
}


/*
 * Connecting
 */

/* one more answer: the last one makes both connections ready */
static void
ngx_goconnect_bus_redis_step(void)
{
    ngx_goconnect_bus_redis_t *bus;

    bus = &ngx_goconnect_bus_redis_conn;

    if (bus->state == NGX_GOCONNECT_REDIS_CONNECTING && --bus->waiting == 0) {
        ngx_goconnect_bus_redis_beat();
    }
}


static void
ngx_goconnect_bus_redis_answered(redisAsyncContext *ac, void *reply, void *data)
{
    if (ngx_goconnect_bus_redis_good(reply)) {
        ngx_goconnect_bus_redis_step();
    }
}


static void
ngx_goconnect_bus_redis_login(ngx_goconnect_redis_t *redis)
{
    const ngx_goconnect_bus_conf_t *conf;
    u_char number[NGX_INT_T_LEN + 1];
    const char *words[3];
    int n;

    conf = ngx_goconnect_bus_redis_conn.conf;

    if (conf->password.len) {
        n = 0;
        words[n++] = "AUTH";

        if (conf->user.len) {
            words[n++] = (const char *) conf->user.data;
        }

        words[n++] = (const char *) conf->password.data;

        ngx_goconnect_bus_redis_conn.waiting++;
        ngx_goconnect_bus_redis_command(redis, ngx_goconnect_bus_redis_answered,
                                        NULL, n, words, NULL);
    }

    if (conf->database != NGX_CONF_UNSET) {
        *ngx_sprintf(number, "%i", conf->database) = '\0';
        words[0] = "SELECT";
        words[1] = (const char *) number;

        ngx_goconnect_bus_redis_conn.waiting++;
        ngx_goconnect_bus_redis_command(redis, ngx_goconnect_bus_redis_answered,
                                        NULL, 2, words, NULL);
    }
}


static void
ngx_goconnect_bus_redis_sub_connected(ngx_goconnect_redis_t *redis)
{
    const char *words[] = {"SUBSCRIBE",
                           (const char *) ngx_goconnect_bus_redis_conn.channel,
                           (const char *) ngx_goconnect_bus_redis_conn.own};

    ngx_goconnect_bus_redis_login(redis);
    ngx_goconnect_bus_redis_command(redis, ngx_goconnect_bus_redis_heard, NULL,
                                    3, words, NULL);
}


static void
ngx_goconnect_bus_redis_pub_connected(ngx_goconnect_redis_t *redis)
{
    ngx_goconnect_bus_redis_login(redis);
    ngx_goconnect_bus_redis_step();
}


static void
ngx_goconnect_bus_redis_connect(void)
{
    ngx_goconnect_bus_redis_t *bus;

    bus = &ngx_goconnect_bus_redis_conn;

    ngx_goconnect_bus_redis_drop();
    ngx_goconnect_bus_redis_set_state(NGX_GOCONNECT_REDIS_CONNECTING);

    /* two subscriptions, the other connection; a login adds its own */
    bus->waiting = 3;

    ngx_goconnect_redis_open(&bus->sub, bus->conf, bus->attempt);

    if (bus->state == NGX_GOCONNECT_REDIS_CONNECTING) {
        ngx_goconnect_redis_open(&bus->pub, bus->conf, bus->attempt);
    }
}


/* place: what no other database has */
static ngx_int_t
ngx_goconnect_bus_redis_name(const char *place)
{
    ngx_goconnect_bus_redis_t *bus;
    u_char *last;

    bus = &ngx_goconnect_bus_redis_conn;
    last = bus->channel + sizeof(bus->channel) - 1;
    *ngx_slprintf(bus->channel, last, "goconnect:%s", place) = '\0';

    last = bus->own + sizeof(bus->own) - 1;
    *ngx_slprintf(bus->own, last, "%s:%s", bus->channel,
                  ngx_goconnect_live_worker.tag) = '\0';

    if (ngx_goconnect_bus_seal_place((const char *) bus->channel) != NGX_OK) {
        return NGX_ERROR;
    }

    bus->channel_len = ngx_strlen(bus->channel);

    return NGX_OK;
}


static void
ngx_goconnect_bus_redis_named(ngx_goconnect_pg_call_t *call)
{
    ngx_int_t rc;

    rc = NGX_ERROR;

    if (call->rc == NGX_GOCONNECT_PG_OK && PQntuples(call->res) == 1) {
        rc = ngx_goconnect_bus_redis_name(PQgetvalue(call->res, 0, 0));
    }

    ngx_goconnect_live_log(call);
    ngx_goconnect_pg_call_destroy(call);

    if (rc == NGX_OK) {
        ngx_goconnect_bus_redis_connect();

    } else {
        ngx_goconnect_bus_redis_fail("the database does not name its channel",
                                     "");
    }
}


static void
ngx_goconnect_bus_redis_ask(void)
{
    ngx_goconnect_pg_call_t *call;

    ngx_goconnect_bus_redis_set_state(NGX_GOCONNECT_REDIS_ASKING);

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_PLACE);

    if (call == NULL ||
        ngx_goconnect_pg_call_send(call, ngx_goconnect_bus_redis_named, NULL,
                                   NGX_GOCONNECT_REDIS_TIMEOUT) != NGX_OK) {
        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        ngx_goconnect_bus_redis_fail("the database does not name its channel",
                                     "");
    }
}


static void
ngx_goconnect_bus_redis_timer(ngx_event_t *ev)
{
    if (ngx_exiting && ngx_goconnect_ws_count() == 0) {
        return;
    }

    switch (ngx_goconnect_bus_redis_conn.state) {
    case NGX_GOCONNECT_REDIS_DOWN:
        if (ngx_goconnect_bus_redis_conn.channel_len) {
            ngx_goconnect_bus_redis_connect();

        } else {
            ngx_goconnect_bus_redis_ask();
        }

        break;

    case NGX_GOCONNECT_REDIS_ASKING:
        break;

    case NGX_GOCONNECT_REDIS_CONNECTING:
    case NGX_GOCONNECT_REDIS_BEATING:
        ngx_goconnect_bus_redis_fail("it does not answer", "");
        break;

    case NGX_GOCONNECT_REDIS_READY:
        ngx_goconnect_bus_redis_beat();
        break;
    }
}


static ngx_int_t
ngx_goconnect_bus_redis_start(ngx_cycle_t *cycle)
{
    ngx_goconnect_bus_redis_t *bus;

    bus = &ngx_goconnect_bus_redis_conn;
    bus->conf = ngx_goconnect_main_conf()->bus;

    if (ngx_goconnect_bus_seal_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    bus->sub.connected = ngx_goconnect_bus_redis_sub_connected;
    bus->sub.lost = ngx_goconnect_bus_redis_lost;
    bus->sub.reply_max = NGX_GOCONNECT_REDIS_REPLY_MAX;
    bus->pub = bus->sub;
    bus->pub.connected = ngx_goconnect_bus_redis_pub_connected;

    ngx_goconnect_live_event_init(&bus->timer, ngx_goconnect_bus_redis_timer);
    ngx_goconnect_live_event_init(&bus->broken, ngx_goconnect_bus_redis_broken);

    ngx_add_timer(&bus->timer, 1);

    return NGX_OK;
}


static void
ngx_goconnect_bus_redis_stop(void)
{
    ngx_goconnect_bus_redis_t *bus;

    bus = &ngx_goconnect_bus_redis_conn;

    /* the last words, as far as they go without waiting */
    ngx_goconnect_bus_redis_publish();
    ngx_goconnect_redis_flush(&bus->pub);

    ngx_goconnect_bus_redis_drop();
    ngx_goconnect_bus_seal_exit();
}


const ngx_goconnect_bus_backend_t ngx_goconnect_bus_redis = {
    NGX_GOCONNECT_BUS_SEAL_MAX, NGX_GOCONNECT_REDIS_FRAME_MAX,
    ngx_goconnect_bus_redis_start, ngx_goconnect_bus_redis_publish,
    ngx_goconnect_bus_redis_stop};
