/*
 * The bus by PostgreSQL's LISTEN/NOTIFY.
 *
 * After a commit the worker rings: one statement in flight, with up to 32
 * payloads that have gathered meanwhile, never inside a write.  A connection
 * of its own listens.  Who may NOTIFY in this database is believed, as the
 * database itself is.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_NOTIFY_BATCH 32         /* payloads of a statement */
#define NGX_GOCONNECT_NOTIFY_PAYLOAD_MAX 7999 /* PostgreSQL's, for NOTIFY */
#define NGX_GOCONNECT_NOTIFY_TIMEOUT 5000     /* ms */
#define NGX_GOCONNECT_NOTIFY_PING 5000        /* ms */


typedef enum {
    NGX_GOCONNECT_NOTIFY_DOWN = 0,   /* the timer connects */
    NGX_GOCONNECT_NOTIFY_CONNECTING, /* the timer is a deadline */
    NGX_GOCONNECT_NOTIFY_LISTENING,  /* LISTEN is sent; likewise */
    NGX_GOCONNECT_NOTIFY_READY,      /* the timer pings */
    NGX_GOCONNECT_NOTIFY_PINGING     /* the timer is a deadline */
} ngx_goconnect_notify_state_e;


typedef struct {
    PGconn *pg;
    ngx_connection_t *c;
    ngx_goconnect_notify_state_e state;
    ngx_event_t timer;
    ngx_event_t broken; /* libpq must not be freed under its own caller */
    ngx_uint_t attempt;
    uint64_t rung_at; /* the last batch */
    unsigned flying : 1;
} ngx_goconnect_notify_t;


static ngx_goconnect_notify_t ngx_goconnect_notify;


static void ngx_goconnect_notify_io(ngx_event_t *ev);


/*
 * Listening
 */

static void
ngx_goconnect_notify_set_state(ngx_goconnect_notify_state_e state)
{
    static const char *names[] = {"down", "connecting", "listening", "ready",
                                  "pinging"};
    static const ngx_msec_t timeouts[] = {
        0, NGX_GOCONNECT_NOTIFY_TIMEOUT, NGX_GOCONNECT_NOTIFY_TIMEOUT,
        NGX_GOCONNECT_NOTIFY_PING, NGX_GOCONNECT_NOTIFY_TIMEOUT};
    ngx_goconnect_notify_t *bus;
    ngx_msec_t timeout;

    bus = &ngx_goconnect_notify;
    timeout = timeouts[state];

    ngx_log_debug2(NGX_LOG_DEBUG_EVENT, ngx_cycle->log, 0,
                   "goconnect bus: %s -> %s", names[bus->state], names[state]);

    if (state == NGX_GOCONNECT_NOTIFY_DOWN) {
        timeout = ngx_goconnect_bus_delay();
    }

    bus->state = state;
    ngx_add_timer(&bus->timer, timeout);
}


static void
ngx_goconnect_notify_drop(void)
{
    ngx_goconnect_notify_t *bus;

    bus = &ngx_goconnect_notify;

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
ngx_goconnect_notify_fail(const char *what)
{
    ngx_goconnect_notify_t *bus;

    bus = &ngx_goconnect_notify;

    if (bus->state == NGX_GOCONNECT_NOTIFY_DOWN) {
        return;
    }

    ngx_goconnect_bus_down(what, bus->pg ? PQerrorMessage(bus->pg) : "");

    if (bus->state == NGX_GOCONNECT_NOTIFY_CONNECTING) {
        bus->attempt++;
    }

    ngx_goconnect_notify_set_state(NGX_GOCONNECT_NOTIFY_DOWN);
    ngx_post_event(&bus->broken, &ngx_posted_events);
}


static void
ngx_goconnect_notify_broken(ngx_event_t *ev)
{
    ngx_goconnect_notify_drop();
}


static void
ngx_goconnect_notify_query(const char *sql, ngx_goconnect_notify_state_e state)
{
    ngx_goconnect_notify_t *bus;

    bus = &ngx_goconnect_notify;

    if (!PQsendQuery(bus->pg, sql) ||
        ngx_goconnect_pg_socket_flush(bus->pg, bus->c) != NGX_OK) {
        ngx_goconnect_notify_fail("a statement could not be sent");
        return;
    }

    ngx_goconnect_notify_set_state(state);
}


static void
ngx_goconnect_notify_poll(void)
{
    ngx_goconnect_notify_t *bus;

    bus = &ngx_goconnect_notify;

    switch (ngx_goconnect_pg_socket_poll(bus->pg, &bus->c, bus,
                                         ngx_goconnect_notify_io,
                                         ngx_goconnect_notify_io)) {
    case NGX_OK:
        ngx_goconnect_notify_query("LISTEN goconnect",
                                   NGX_GOCONNECT_NOTIFY_LISTENING);
        break;

    case NGX_AGAIN:
        break;

    default:
        ngx_goconnect_notify_fail("it could not connect");
    }
}


static void
ngx_goconnect_notify_connect(void)
{
    ngx_goconnect_notify_t *bus;

    bus = &ngx_goconnect_notify;

    ngx_goconnect_notify_drop();
    ngx_goconnect_notify_set_state(NGX_GOCONNECT_NOTIFY_CONNECTING);

    bus->pg = PQconnectStart(ngx_goconnect_pg_conninfo(bus->attempt));

    if (bus->pg == NULL || PQstatus(bus->pg) == CONNECTION_BAD) {
        ngx_goconnect_notify_fail("it could not connect");
        return;
    }

    ngx_goconnect_notify_poll();
}


/* payload: `TAG TEXT`, TAG the sender's; or TEXT alone */
static void
ngx_goconnect_notify_notified(const PGnotify *notify)
{
    gc_slice_t text;
    size_t tag;

    text = ngx_goconnect_slice(notify->extra, strlen(notify->extra));
    tag = sizeof(ngx_goconnect_live_worker.tag) - 1;

    if (text.len > tag && text.data[0] != '{' && text.data[tag] == ' ') {
        if (ngx_memcmp(text.data, ngx_goconnect_live_worker.tag, tag) == 0) {
            ngx_goconnect_bus_lag(ngx_goconnect_metrics_clock() -
                                  ngx_goconnect_notify.rung_at);
            return;
        }

        text.data += tag + 1;
        text.len -= tag + 1;
    }

    ngx_goconnect_bus_incoming(text);
}


static void
ngx_goconnect_notify_result(const PGresult *res)
{
    ngx_goconnect_notify_t *bus;

    bus = &ngx_goconnect_notify;

    if (PQresultStatus(res) != PGRES_COMMAND_OK &&
        PQresultStatus(res) != PGRES_TUPLES_OK) {
        ngx_goconnect_notify_fail("a statement failed");
        return;
    }

    if (bus->state == NGX_GOCONNECT_NOTIFY_LISTENING) {
        ngx_goconnect_bus_up();

    } else if (bus->state == NGX_GOCONNECT_NOTIFY_PINGING) {
        ngx_goconnect_bus_settled();
    }

    ngx_goconnect_notify_set_state(NGX_GOCONNECT_NOTIFY_READY);
}


static void
ngx_goconnect_notify_read(void)
{
    ngx_goconnect_notify_t *bus;
    PGnotify *notify;
    PGresult *res;

    bus = &ngx_goconnect_notify;

    if (!PQconsumeInput(bus->pg)) {
        ngx_goconnect_notify_fail("it was lost");
        return;
    }

    while (!PQisBusy(bus->pg) && (res = PQgetResult(bus->pg)) != NULL) {
        ngx_goconnect_notify_result(res);
        PQclear(res);
    }

    while ((notify = PQnotifies(bus->pg)) != NULL) {
        ngx_goconnect_notify_notified(notify);
        PQfreemem(notify);
    }

    if (bus->state != NGX_GOCONNECT_NOTIFY_DOWN &&
        ngx_goconnect_pg_socket_flush(bus->pg, bus->c) != NGX_OK) {
        ngx_goconnect_notify_fail("it was lost");
    }
}


static void
ngx_goconnect_notify_io(ngx_event_t *ev)
{
    switch (ngx_goconnect_notify.state) {
    case NGX_GOCONNECT_NOTIFY_DOWN:
        break;

    case NGX_GOCONNECT_NOTIFY_CONNECTING:
        ngx_goconnect_notify_poll();
        break;

    case NGX_GOCONNECT_NOTIFY_LISTENING:
    case NGX_GOCONNECT_NOTIFY_READY:
    case NGX_GOCONNECT_NOTIFY_PINGING:
        ngx_goconnect_notify_read();
        break;
    }
}


static void
ngx_goconnect_notify_timer(ngx_event_t *ev)
{
    if (ngx_exiting && ngx_goconnect_ws_count() == 0) {
        return;
    }

    switch (ngx_goconnect_notify.state) {
    case NGX_GOCONNECT_NOTIFY_DOWN:
        ngx_goconnect_notify_connect();
        break;

    case NGX_GOCONNECT_NOTIFY_READY:
        /* a connection that has silently gone would never tell */
        ngx_goconnect_notify_query("SELECT 1", NGX_GOCONNECT_NOTIFY_PINGING);
        break;

    case NGX_GOCONNECT_NOTIFY_CONNECTING:
    case NGX_GOCONNECT_NOTIFY_LISTENING:
    case NGX_GOCONNECT_NOTIFY_PINGING:
        ngx_goconnect_notify_fail("it does not answer");
        break;
    }
}


/*
 * Ringing
 */

static void ngx_goconnect_notify_fly(void);


static void
ngx_goconnect_notify_flown(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_notify.flying = 0;

    /* not rung: the others' sweep will find what it told of */
    ngx_goconnect_live_log(call);
    ngx_goconnect_pg_call_destroy(call);
    ngx_goconnect_notify_fly();
}


/* an element of a text[], with our tag: each byte may double */
static u_char *
ngx_goconnect_notify_quote(u_char *p, const ngx_goconnect_bell_t *bell)
{
    size_t i;

    *p++ = '"';
    p = ngx_cpymem(p, ngx_goconnect_live_worker.tag,
                   sizeof(ngx_goconnect_live_worker.tag) - 1);
    *p++ = ' ';

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
ngx_goconnect_notify_batch(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_bell_t *bell;
    ngx_uint_t n;
    ngx_int_t rc;
    u_char *text, *p;
    size_t size;

    size = 2;
    bell = ngx_goconnect_bus_first();

    for (n = 0; bell && n < NGX_GOCONNECT_NOTIFY_BATCH; n++) {
        size += sizeof(ngx_goconnect_live_worker.tag) + 2 * bell->len + 3;
        bell = bell->next;
    }

    text = ngx_alloc(size, ngx_cycle->log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = text;
    *p++ = '{';

    while (n--) {
        p = ngx_goconnect_notify_quote(p, ngx_goconnect_bus_first());
        *p++ = ',';
        ngx_goconnect_bus_shift();
    }

    p[-1] = '}';

    rc = ngx_goconnect_pg_call_param(call, text, (size_t) (p - text));
    ngx_free(text);

    return rc;
}


static void
ngx_goconnect_notify_fly(void)
{
    ngx_goconnect_notify_t *bus;
    ngx_goconnect_pg_call_t *call;

    bus = &ngx_goconnect_notify;

    while (!bus->flying && ngx_goconnect_bus_first()) {
        call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_BELL);
        if (call == NULL) {
            return;
        }

        if (ngx_goconnect_notify_batch(call) != NGX_OK ||
            ngx_goconnect_pg_call_send(call, ngx_goconnect_notify_flown, NULL,
                                       NGX_GOCONNECT_NOTIFY_TIMEOUT) !=
                NGX_OK) {
            /* lost: the others' sweep will find what it told of */
            ngx_goconnect_pg_call_destroy(call);
            continue;
        }

        bus->flying = 1;
        bus->rung_at = ngx_goconnect_metrics_clock();
    }
}


static ngx_int_t
ngx_goconnect_notify_start(ngx_cycle_t *cycle)
{
    ngx_goconnect_live_event_init(&ngx_goconnect_notify.timer,
                                  ngx_goconnect_notify_timer);
    ngx_goconnect_live_event_init(&ngx_goconnect_notify.broken,
                                  ngx_goconnect_notify_broken);

    ngx_add_timer(&ngx_goconnect_notify.timer, 1);

    return NGX_OK;
}


const ngx_goconnect_bus_backend_t ngx_goconnect_bus_notify = {
    NGX_GOCONNECT_NOTIFY_PAYLOAD_MAX - sizeof(ngx_goconnect_live_worker.tag),
    NGX_GOCONNECT_BELL_MAX,
    ngx_goconnect_notify_start,
    ngx_goconnect_notify_fly,
    ngx_goconnect_notify_drop,
};
