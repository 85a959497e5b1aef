/*
 * The bus between workers: PostgreSQL's LISTEN/NOTIFY.
 *
 * After a commit the worker rings: one statement in flight, with up to 32
 * payloads that have gathered meanwhile, never inside a write.  A connection
 * of its own listens.  A bell may be lost or come twice: seq and the sweep
 * make that harmless.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_BUS_BATCH 32          /* payloads of a statement */
#define NGX_GOCONNECT_BUS_QUEUE_MAX 8388608 /* bytes that wait to be sent */
#define NGX_GOCONNECT_BUS_PAYLOAD_MAX 7999  /* PostgreSQL's, for NOTIFY */
#define NGX_GOCONNECT_BUS_TIMEOUT 5000      /* ms */
#define NGX_GOCONNECT_BUS_PING 5000         /* ms */
#define NGX_GOCONNECT_BUS_BACKOFF_MIN 50    /* ms */
#define NGX_GOCONNECT_BUS_BACKOFF_MAX 10000 /* ms */


typedef enum {
    NGX_GOCONNECT_BUS_DOWN = 0,   /* the timer connects */
    NGX_GOCONNECT_BUS_CONNECTING, /* the timer is a deadline */
    NGX_GOCONNECT_BUS_LISTENING,  /* LISTEN is sent; likewise */
    NGX_GOCONNECT_BUS_READY,      /* the timer pings */
    NGX_GOCONNECT_BUS_PINGING     /* the timer is a deadline */
} ngx_goconnect_bus_state_e;


typedef struct ngx_goconnect_bell_s ngx_goconnect_bell_t;

struct ngx_goconnect_bell_s {
    ngx_goconnect_bell_t *next;
    size_t len;
    u_char text[];
};


typedef struct {
    PGconn *pg;
    ngx_connection_t *c;
    ngx_goconnect_bus_state_e state;
    ngx_event_t timer;
    ngx_event_t broken; /* libpq must not be freed under its own caller */
    ngx_msec_t backoff;
    ngx_uint_t attempt;

    ngx_goconnect_bell_t *head; /* to be rung */
    ngx_goconnect_bell_t *tail;
    size_t bytes;
    uint64_t rung_at; /* the last batch */
    unsigned flying : 1;
} ngx_goconnect_bus_t;


static ngx_goconnect_bus_t ngx_goconnect_bus;


static void ngx_goconnect_bus_io(ngx_event_t *ev);


/*
 * Listening
 */

static void
ngx_goconnect_bus_set_state(ngx_goconnect_bus_state_e state)
{
    static const char *names[] = {"down", "connecting", "listening", "ready",
                                  "pinging"};
    static const ngx_msec_t timeouts[] = {
        0, NGX_GOCONNECT_BUS_TIMEOUT, NGX_GOCONNECT_BUS_TIMEOUT,
        NGX_GOCONNECT_BUS_PING, NGX_GOCONNECT_BUS_TIMEOUT};
    ngx_goconnect_bus_t *bus;
    ngx_msec_t timeout;

    bus = &ngx_goconnect_bus;
    timeout = timeouts[state];

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, ngx_cycle->log, 0,
                   "goconnect bus: %s -> %s", names[bus->state], names[state]);

    if (state == NGX_GOCONNECT_BUS_DOWN) {
        /* all workers lose it together: half of it is left to chance */
        timeout = bus->backoff / 2 +
                  (ngx_msec_t) ngx_random() % (bus->backoff / 2 + 1);
        bus->backoff = ngx_min(bus->backoff * 2, NGX_GOCONNECT_BUS_BACKOFF_MAX);
    }

    bus->state = state;
    ngx_add_timer(&bus->timer, timeout);

    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_BUS_UP,
                             state >= NGX_GOCONNECT_BUS_READY);
}


static void
ngx_goconnect_bus_drop(void)
{
    ngx_goconnect_bus_t *bus;

    bus = &ngx_goconnect_bus;

    if (bus->c) {
        ngx_goconnect_pg_socket_close(bus->c, bus->pg);
        bus->c = NULL;
    }

    if (bus->pg) {
        PQfinish(bus->pg);
        bus->pg = NULL;
    }
}


static void
ngx_goconnect_bus_fail(const char *what)
{
    ngx_goconnect_bus_t *bus;
    const char *message;

    bus = &ngx_goconnect_bus;

    if (bus->state == NGX_GOCONNECT_BUS_DOWN) {
        return;
    }

    message = bus->pg ? PQerrorMessage(bus->pg) : "";
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BUS_FAILED, 1);

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "goconnect: the bus is down, %s: %*s", what,
                  strcspn(message, "\n"), message);

    if (bus->state == NGX_GOCONNECT_BUS_CONNECTING) {
        bus->attempt++;
    }

    /* what other nodes change is not heard at once any more */
    ngx_goconnect_cache_flush();

    ngx_goconnect_bus_set_state(NGX_GOCONNECT_BUS_DOWN);
    ngx_post_event(&bus->broken, &ngx_posted_events);
}


static void
ngx_goconnect_bus_broken(ngx_event_t *ev)
{
    ngx_goconnect_bus_drop();
}


static void
ngx_goconnect_bus_query(const char *sql, ngx_goconnect_bus_state_e state)
{
    ngx_goconnect_bus_t *bus;

    bus = &ngx_goconnect_bus;

    if (!PQsendQuery(bus->pg, sql) ||
        ngx_goconnect_pg_socket_flush(bus->pg, bus->c) != NGX_OK) {
        ngx_goconnect_bus_fail("a statement could not be sent");
        return;
    }

    ngx_goconnect_bus_set_state(state);
}


static void
ngx_goconnect_bus_poll(void)
{
    ngx_goconnect_bus_t *bus;

    bus = &ngx_goconnect_bus;

    switch (ngx_goconnect_pg_socket_poll(
        bus->pg, &bus->c, bus, ngx_goconnect_bus_io, ngx_goconnect_bus_io)) {
    case NGX_OK:
        ngx_goconnect_bus_query("LISTEN goconnect",
                                NGX_GOCONNECT_BUS_LISTENING);
        break;

    case NGX_AGAIN:
        break;

    default:
        ngx_goconnect_bus_fail("it could not connect");
    }
}


static void
ngx_goconnect_bus_connect(void)
{
    ngx_goconnect_bus_t *bus;

    bus = &ngx_goconnect_bus;

    ngx_goconnect_bus_drop();
    ngx_goconnect_bus_set_state(NGX_GOCONNECT_BUS_CONNECTING);

    bus->pg = PQconnectStart(ngx_goconnect_pg_conninfo(bus->attempt));

    if (bus->pg == NULL || PQstatus(bus->pg) == CONNECTION_BAD) {
        ngx_goconnect_bus_fail("it could not connect");
        return;
    }

    ngx_goconnect_bus_poll();
}


/* payload: `TAG TEXT`, TAG the sender's; or TEXT alone */
static void
ngx_goconnect_bus_notified(const PGnotify *notify)
{
    gc_slice_t text;
    size_t tag;

    text = ngx_goconnect_slice(notify->extra, strlen(notify->extra));
    tag = sizeof(ngx_goconnect_live_worker.tag) - 1;

    if (text.len > tag && text.data[0] != '{' && text.data[tag] == ' ') {
        if (ngx_memcmp(text.data, ngx_goconnect_live_worker.tag, tag) == 0) {
            ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_BUS_LAG,
                                     ngx_goconnect_metrics_clock() -
                                         ngx_goconnect_bus.rung_at);
            return;
        }

        text.data += tag + 1;
        text.len -= tag + 1;
    }

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_HEARD, 1);
    ngx_goconnect_event_incoming(text);
}


static void
ngx_goconnect_bus_result(const PGresult *res)
{
    ngx_goconnect_bus_t *bus;

    bus = &ngx_goconnect_bus;

    if (PQresultStatus(res) != PGRES_COMMAND_OK &&
        PQresultStatus(res) != PGRES_TUPLES_OK) {
        ngx_goconnect_bus_fail("a statement failed");
        return;
    }

    if (bus->state == NGX_GOCONNECT_BUS_LISTENING) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "goconnect: the bus is up");
        bus->backoff = NGX_GOCONNECT_BUS_BACKOFF_MIN;

        /* what was rung before is not heard any more */
        ngx_goconnect_cache_flush();
        ngx_goconnect_sweep_now();
    }

    ngx_goconnect_bus_set_state(NGX_GOCONNECT_BUS_READY);
}


static void
ngx_goconnect_bus_read(void)
{
    ngx_goconnect_bus_t *bus;
    PGnotify *notify;
    PGresult *res;

    bus = &ngx_goconnect_bus;

    if (!PQconsumeInput(bus->pg)) {
        ngx_goconnect_bus_fail("it was lost");
        return;
    }

    while (!PQisBusy(bus->pg) && (res = PQgetResult(bus->pg)) != NULL) {
        ngx_goconnect_bus_result(res);
        PQclear(res);
    }

    while ((notify = PQnotifies(bus->pg)) != NULL) {
        ngx_goconnect_bus_notified(notify);
        PQfreemem(notify);
    }

    if (bus->state != NGX_GOCONNECT_BUS_DOWN &&
        ngx_goconnect_pg_socket_flush(bus->pg, bus->c) != NGX_OK) {
        ngx_goconnect_bus_fail("it was lost");
    }
}


static void
ngx_goconnect_bus_io(ngx_event_t *ev)
{
    switch (ngx_goconnect_bus.state) {
    case NGX_GOCONNECT_BUS_DOWN:
        break;

    case NGX_GOCONNECT_BUS_CONNECTING:
        ngx_goconnect_bus_poll();
        break;

    case NGX_GOCONNECT_BUS_LISTENING:
    case NGX_GOCONNECT_BUS_READY:
    case NGX_GOCONNECT_BUS_PINGING:
        ngx_goconnect_bus_read();
        break;
    }
}


static void
ngx_goconnect_bus_timer(ngx_event_t *ev)
{
    if (ngx_exiting && ngx_goconnect_ws_count() == 0) {
        return;
    }

    switch (ngx_goconnect_bus.state) {
    case NGX_GOCONNECT_BUS_DOWN:
        ngx_goconnect_bus_connect();
        break;

    case NGX_GOCONNECT_BUS_READY:
        /* a connection that has silently gone would never tell */
        ngx_goconnect_bus_query("SELECT 1", NGX_GOCONNECT_BUS_PINGING);
        break;

    case NGX_GOCONNECT_BUS_CONNECTING:
    case NGX_GOCONNECT_BUS_LISTENING:
    case NGX_GOCONNECT_BUS_PINGING:
        ngx_goconnect_bus_fail("it does not answer");
        break;
    }
}


/*
 * Ringing
 */

static void ngx_goconnect_bus_fly(void);


static void
ngx_goconnect_bus_flown(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_bus.flying = 0;

    /* not rung: the others' sweep will find what it told of */
    ngx_goconnect_live_log(call);
    ngx_goconnect_pg_call_destroy(call);
    ngx_goconnect_bus_fly();
}


static void
ngx_goconnect_bus_shift(void)
{
    ngx_goconnect_bus_t *bus;
    ngx_goconnect_bell_t *bell;

    bus = &ngx_goconnect_bus;
    bell = bus->head;
    bus->head = bell->next;

    if (bus->head == NULL) {
        bus->tail = NULL;
    }

    bus->bytes -= bell->len;
    ngx_free(bell);
}


/* an element of a text[]: each byte may double */
static u_char *
ngx_goconnect_bus_quote(u_char *p, const ngx_goconnect_bell_t *bell)
{
    size_t i;

    *p++ = '"';

    for (i = 0; i < bell->len; i++) {
        if (bell->text[i] == '"' || bell->text[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = bell->text[i];
    }

    *p++ = '"';

    return p;
}


/* the first ones of the queue as text[]; they leave it */
static ngx_int_t
ngx_goconnect_bus_batch(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_bus_t *bus;
    ngx_goconnect_bell_t *bell;
    ngx_uint_t n;
    ngx_int_t rc;
    u_char *text, *p;
    size_t size;

    bus = &ngx_goconnect_bus;
    size = 2;
    n = 0;

    for (bell = bus->head; bell && n < NGX_GOCONNECT_BUS_BATCH; n++) {
        size += 2 * bell->len + 3;
        bell = bell->next;
    }

    text = ngx_alloc(size, ngx_cycle->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = text;
    *p++ = '{';

    while (n--) {
        p = ngx_goconnect_bus_quote(p, bus->head);
        *p++ = ',';
        ngx_goconnect_bus_shift();
    }

    p[-1] = '}';

    rc = ngx_goconnect_pg_call_param(call, text, (size_t) (p - text));
    ngx_free(text);

    return rc;
}


static void
ngx_goconnect_bus_fly(void)
{
    ngx_goconnect_bus_t *bus;
    ngx_goconnect_pg_call_t *call;

    bus = &ngx_goconnect_bus;

    while (!bus->flying && bus->head) {
        call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_BELL);
        if (call == NULL) {
            return;
        }

        if (ngx_goconnect_bus_batch(call) != NGX_OK ||
            ngx_goconnect_pg_call_send(call, ngx_goconnect_bus_flown, NULL,
                                       NGX_GOCONNECT_BUS_TIMEOUT) != NGX_OK) {
            /* lost: the others' sweep will find what it told of */
            ngx_goconnect_pg_call_destroy(call);
            continue;
        }

        bus->flying = 1;
        bus->rung_at = ngx_goconnect_metrics_clock();
    }
}


void
ngx_goconnect_bus_send(gc_slice_t text)
{
    ngx_goconnect_bus_t *bus;
    ngx_goconnect_bell_t *bell;
    u_char *p;
    size_t len;

    bus = &ngx_goconnect_bus;
    len = sizeof(ngx_goconnect_live_worker.tag) + text.len;

    if (len > NGX_GOCONNECT_BUS_PAYLOAD_MAX ||
        bus->bytes + len > NGX_GOCONNECT_BUS_QUEUE_MAX) {
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_LOST, 1);
        return;
    }

    bell = ngx_alloc(sizeof(ngx_goconnect_bell_t) + len, ngx_cycle->log);
    if (bell == NULL) {
        return;
    }

    p = ngx_cpymem(bell->text, ngx_goconnect_live_worker.tag,
                   sizeof(ngx_goconnect_live_worker.tag) - 1);
    *p++ = ' ';
    ngx_memcpy(p, text.data, text.len);

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_RUNG, 1);

    bell->next = NULL;
    bell->len = len;
    bus->bytes += len;

    if (bus->tail) {
        bus->tail->next = bell;

    } else {
        bus->head = bell;
    }

    bus->tail = bell;

    ngx_goconnect_bus_fly();
}


void
ngx_goconnect_bus_ring(ngx_goconnect_event_t *event)
{
    u_char buf[NGX_GOCONNECT_TOPIC_MAX + 64], *p;

    if (event->text.len <= NGX_GOCONNECT_BELL_MAX) {
        ngx_goconnect_bus_send(event->text);
        return;
    }

    if (event->seq == 0 || event->topic.len > NGX_GOCONNECT_TOPIC_MAX) {
        return;
    }

    p = ngx_snprintf(buf, sizeof(buf), "{\"topic\":\"%*s\",\"seq\":%L}",
                     event->topic.len, event->topic.data, event->seq);

    ngx_goconnect_bus_send(ngx_goconnect_slice(buf, (size_t) (p - buf)));
}


ngx_int_t
ngx_goconnect_bus_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_bus_t *bus;

    bus = &ngx_goconnect_bus;
    bus->backoff = NGX_GOCONNECT_BUS_BACKOFF_MIN;

    ngx_goconnect_live_event_init(&bus->timer, ngx_goconnect_bus_timer);
    ngx_goconnect_live_event_init(&bus->broken, ngx_goconnect_bus_broken);

    ngx_add_timer(&bus->timer, 1);

    return NGX_OK;
}


void
ngx_goconnect_bus_exit(void)
{
    ngx_goconnect_bus_drop();
}
