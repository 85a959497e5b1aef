/*
 * The state machine of one connection: down, connecting, preparing the lane's
 * statements, up, draining.
 */


#include "pg/ngx_goconnect_pg_pool.h"


#define NGX_GOCONNECT_PG_CONNECT_TIMEOUT 5000
#define NGX_GOCONNECT_PG_PREPARE_TIMEOUT 10000
#define NGX_GOCONNECT_PG_BACKOFF_MIN 25
#define NGX_GOCONNECT_PG_BACKOFF_MAX 3000


static void ngx_goconnect_pg_conn_set_state(ngx_goconnect_pg_conn_t *conn,
                                            ngx_goconnect_pg_state_e state);
static void ngx_goconnect_pg_conn_poll(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_prepare(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_read(ngx_event_t *rev);
static void ngx_goconnect_pg_conn_write(ngx_event_t *wev);
static void ngx_goconnect_pg_conn_flush(ngx_event_t *ev);
static void ngx_goconnect_pg_conn_timer(ngx_event_t *ev);
static void ngx_goconnect_pg_conn_broken(ngx_event_t *ev);
static void ngx_goconnect_pg_conn_close(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_retry(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_leave(ngx_goconnect_pg_conn_t *conn);
static u_char *ngx_goconnect_pg_conn_log(ngx_log_t *log, u_char *buf,
                                         size_t len);


typedef struct {
    char *action;       /* in the log: "while ..." */
    ngx_uint_t reaches; /* bits of the states that may follow */
} ngx_goconnect_pg_state_t;


static const ngx_goconnect_pg_state_t
    ngx_goconnect_pg_states[NGX_GOCONNECT_PG_STATES] = {

        [NGX_GOCONNECT_PG_DOWN] = {"waiting to connect to the database",
                                   1 << NGX_GOCONNECT_PG_CONNECTING},

        [NGX_GOCONNECT_PG_CONNECTING] = {"connecting to the database",
                                         1 << NGX_GOCONNECT_PG_DOWN |
                                             1 << NGX_GOCONNECT_PG_PREPARING},

        [NGX_GOCONNECT_PG_PREPARING] = {"preparing statements",
                                        1 << NGX_GOCONNECT_PG_DOWN |
                                            1 << NGX_GOCONNECT_PG_UP},

        [NGX_GOCONNECT_PG_UP] = {"exchanging with the database",
                                 1 << NGX_GOCONNECT_PG_DOWN |
                                     1 << NGX_GOCONNECT_PG_DRAINING},

        [NGX_GOCONNECT_PG_DRAINING] = {"draining a database connection",
                                       1 << NGX_GOCONNECT_PG_DOWN},
};


void
ngx_goconnect_pg_conn_init(ngx_goconnect_pg_conn_t *conn)
{
    conn->log = *ngx_goconnect_pg_pool.log;
    conn->log.handler = ngx_goconnect_pg_conn_log;
    conn->log.data = conn;
    conn->log.action = ngx_goconnect_pg_states[NGX_GOCONNECT_PG_DOWN].action;

    conn->timer.handler = ngx_goconnect_pg_conn_timer;
    conn->timer.data = conn;
    conn->timer.log = &conn->log;
    conn->timer.cancelable = 1;

    conn->flush.handler = ngx_goconnect_pg_conn_flush;
    conn->flush.data = conn;
    conn->flush.log = &conn->log;

    conn->broken.handler = ngx_goconnect_pg_conn_broken;
    conn->broken.data = conn;
    conn->broken.log = &conn->log;
}


void
ngx_goconnect_pg_conn_start(ngx_goconnect_pg_conn_t *conn)
{
    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_CONNECTING);
    ngx_add_timer(&conn->timer, NGX_GOCONNECT_PG_CONNECT_TIMEOUT);

    conn->pg = PQconnectStart(ngx_goconnect_pg_conninfo(conn->attempt));

    if (conn->pg == NULL) {
        ngx_goconnect_pg_conn_fail(conn, "no memory");
        return;
    }

    ngx_goconnect_pg_conn_poll(conn);
}


void
ngx_goconnect_pg_conn_destroy(ngx_goconnect_pg_conn_t *conn)
{
    ngx_uint_t i;
    ngx_goconnect_pg_job_t *job;

    ngx_goconnect_pg_conn_close(conn);

    for (i = 0; i < conn->n; i++) {
        job = conn->slots[(conn->head + i) % conn->lane->depth].job;

        if (job) {
            job->slot = NULL;
            ngx_goconnect_pg_call_destroy(&job->call);
        }
    }

    conn->n = 0;
}


static void
ngx_goconnect_pg_conn_set_state(ngx_goconnect_pg_conn_t *conn,
                                ngx_goconnect_pg_state_e state)
{
    ngx_goconnect_pg_state_e old;

    old = conn->state;

    if (!(ngx_goconnect_pg_states[old].reaches & (ngx_uint_t) 1 << state)) {
        ngx_log_error(NGX_LOG_ALERT, &conn->log, 0,
                      "goconnect: database connection goes from state %d "
                      "to %d",
                      (int) old, (int) state);
        ngx_debug_point();
    }

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, &conn->log, 0,
                   "goconnect database %s %ui: state %d to %d",
                   conn->lane->name, conn->number, (int) old, (int) state);

    conn->lane->up += state == NGX_GOCONNECT_PG_UP;
    conn->lane->up -= old == NGX_GOCONNECT_PG_UP;
    ngx_goconnect_metric_set(ngx_goconnect_pg_metric(conn->lane->id, UP),
                             conn->lane->up);

    conn->state = state;
    conn->log.action = ngx_goconnect_pg_states[state].action;
}


static void
ngx_goconnect_pg_conn_poll(ngx_goconnect_pg_conn_t *conn)
{
    ngx_int_t rc;

    rc = ngx_goconnect_pg_socket_poll(conn->pg, &conn->c, conn,
                                      ngx_goconnect_pg_conn_read,
                                      ngx_goconnect_pg_conn_write);

    if (rc == NGX_ERROR) {
        ngx_goconnect_pg_conn_fail(conn, PQerrorMessage(conn->pg));
        return;
    }

    conn->c->log = &conn->log;
    conn->c->read->log = &conn->log;
    conn->c->write->log = &conn->log;

    /* so that a worker that is told to quit lets us know */
    conn->c->idle = 1;

    if (rc == NGX_OK) {
        ngx_goconnect_pg_conn_prepare(conn);
    }
}


static void
ngx_goconnect_pg_conn_prepare(ngx_goconnect_pg_conn_t *conn)
{
    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_PREPARING);
    ngx_add_timer(&conn->timer, NGX_GOCONNECT_PG_PREPARE_TIMEOUT);

    conn->unsure = 0;
    (void) PQsetNoticeReceiver(conn->pg, ngx_goconnect_pg_pipeline_notice,
                               conn);

    if (ngx_goconnect_pg_prepare_send(conn) != NGX_OK) {
        ngx_goconnect_pg_conn_fail(conn, PQerrorMessage(conn->pg));
    }
}


void
ngx_goconnect_pg_conn_up(ngx_goconnect_pg_conn_t *conn)
{
    ngx_del_timer(&conn->timer);

    conn->failures = 0;

    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_UP);
    ngx_goconnect_metric_add(ngx_goconnect_pg_metric(conn->lane->id, CONNECTED),
                             1);
    conn->lane->away = 0;

    ngx_goconnect_pg_pool_up(conn);

    if (ngx_goconnect_pg_pool.draining) {
        ngx_goconnect_pg_conn_leave(conn);
        return;
    }

    ngx_goconnect_pg_lane_dispatch(conn->lane);
}


static void
ngx_goconnect_pg_conn_read(ngx_event_t *rev)
{
    ngx_int_t rc;
    ngx_connection_t *c;
    ngx_goconnect_pg_conn_t *conn;

    c = rev->data;
    conn = c->data;

    if (c->close) {
        ngx_goconnect_pg_conn_leave(conn);
        return;
    }

    if (conn->state == NGX_GOCONNECT_PG_CONNECTING) {
        ngx_goconnect_pg_conn_poll(conn);
        return;
    }

    rc = PQconsumeInput(conn->pg) ? NGX_OK : NGX_ERROR;

    /* what came before the end of the connection still counts */

    if (ngx_goconnect_pg_pipeline_read(conn) != NGX_OK) {
        return;
    }

    if (rc != NGX_OK || PQstatus(conn->pg) == CONNECTION_BAD) {
        ngx_goconnect_pg_conn_fail(conn, PQerrorMessage(conn->pg));
        return;
    }

    if (conn->state == NGX_GOCONNECT_PG_UP) {
        ngx_goconnect_pg_lane_dispatch(conn->lane);

    } else if (conn->state == NGX_GOCONNECT_PG_DRAINING && conn->n == 0) {
        ngx_goconnect_pg_conn_leave(conn);
    }
}


static void
ngx_goconnect_pg_conn_write(ngx_event_t *wev)
{
    ngx_connection_t *c;
    ngx_goconnect_pg_conn_t *conn;

    c = wev->data;
    conn = c->data;

    if (conn->state == NGX_GOCONNECT_PG_CONNECTING) {
        ngx_goconnect_pg_conn_poll(conn);
        return;
    }

    ngx_goconnect_pg_conn_flush(&conn->flush);
}


static void
ngx_goconnect_pg_conn_flush(ngx_event_t *ev)
{
    ngx_goconnect_pg_conn_t *conn = ev->data;

    if (conn->c == NULL || conn->broken.posted) {
        return;
    }

    if (ngx_goconnect_pg_socket_flush(conn->pg, conn->c) != NGX_OK) {

        /* an answer or a farewell may still be there to read */

        (void) PQconsumeInput(conn->pg);

        if (ngx_goconnect_pg_pipeline_read(conn) == NGX_OK) {
            ngx_goconnect_pg_conn_fail(conn, PQerrorMessage(conn->pg));
        }
    }
}


static void
ngx_goconnect_pg_conn_timer(ngx_event_t *ev)
{
    ngx_goconnect_pg_conn_t *conn = ev->data;

    switch (conn->state) {

    case NGX_GOCONNECT_PG_DOWN:
        ngx_goconnect_pg_conn_start(conn);
        break;

    case NGX_GOCONNECT_PG_CONNECTING:
        conn->attempt++;
        ngx_goconnect_pg_conn_fail(conn, "no answer in time");
        break;

    case NGX_GOCONNECT_PG_PREPARING:
        ngx_goconnect_pg_conn_fail(conn, "no answer in time");
        break;

    case NGX_GOCONNECT_PG_UP:
    case NGX_GOCONNECT_PG_DRAINING:
        ngx_goconnect_pg_conn_fail(conn, "no answer in time");
        break;

    case NGX_GOCONNECT_PG_STATES:
        break;
    }
}


static void
ngx_goconnect_pg_conn_broken(ngx_event_t *ev)
{
    ngx_goconnect_pg_conn_t *conn = ev->data;

    ngx_goconnect_pg_conn_fail(conn, PQerrorMessage(conn->pg));
}


/*
 * The end of a connection, whatever its state.  Not to be called from below
 * ngx_goconnect_pg_call_send(): post conn->broken there.
 */

void
ngx_goconnect_pg_conn_fail(ngx_goconnect_pg_conn_t *conn, const char *what)
{
    ngx_uint_t established;

    established = conn->state == NGX_GOCONNECT_PG_UP ||
                  conn->state == NGX_GOCONNECT_PG_DRAINING;

    /* the server's farewell says more than libpq's account of it */

    if (conn->pending && PQresultStatus(conn->pending) == PGRES_FATAL_ERROR) {
        what = PQresultErrorMessage(conn->pending);
    }

    ngx_goconnect_pg_pool_lost(conn, what);

    ngx_goconnect_metric_add(ngx_goconnect_pg_metric(conn->lane->id, FAILED),
                             1);

    ngx_goconnect_pg_conn_close(conn);
    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_DOWN);

    conn->failures += !established;
    ngx_goconnect_pg_conn_retry(conn);

    if (!established) {
        ngx_goconnect_pg_lane_settle(conn->lane);
    }

    ngx_goconnect_pg_pipeline_lose(conn);
    ngx_goconnect_pg_lane_dispatch(conn->lane);
}


static void
ngx_goconnect_pg_conn_close(ngx_goconnect_pg_conn_t *conn)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->flush.posted) {
        ngx_delete_posted_event(&conn->flush);
    }

    if (conn->broken.posted) {
        ngx_delete_posted_event(&conn->broken);
    }

    ngx_goconnect_pg_socket_close(conn->c, conn->pg);
    conn->c = NULL;

    PQclear(conn->pending);
    conn->pending = NULL;

    PQfinish(conn->pg);
    conn->pg = NULL;
}


/* with "full jitter": a restarted server is not met by all at once */

static void
ngx_goconnect_pg_conn_retry(ngx_goconnect_pg_conn_t *conn)
{
    ngx_msec_t most;

    if (ngx_goconnect_pg_pool.draining && conn->number) {
        return;
    }

    most = (ngx_msec_t) NGX_GOCONNECT_PG_BACKOFF_MIN
           << ngx_min(conn->failures, 8);
    most = ngx_min(most, NGX_GOCONNECT_PG_BACKOFF_MAX);

    ngx_add_timer(&conn->timer, NGX_GOCONNECT_PG_BACKOFF_MIN +
                                    (ngx_msec_t) ngx_random() % most);
}


/*
 * The worker is told to quit.  Requests that it still has need a connection:
 * the first of each lane stays, so that a reload does not take twice the
 * connections for as long as the slowest client.
 */

static void
ngx_goconnect_pg_conn_leave(ngx_goconnect_pg_conn_t *conn)
{
    ngx_goconnect_pg_pool.draining = 1;

    if (conn->c->error) {
        /* worker_shutdown_timeout: no more waiting */
        ngx_goconnect_pg_conn_fail(conn, "the worker shuts down");
        return;
    }

    conn->c->close = 0;

    if (conn->number == 0) {
        return;
    }

    if (conn->state == NGX_GOCONNECT_PG_UP) {
        ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_DRAINING);
    }

    if (conn->n == 0 && conn->state == NGX_GOCONNECT_PG_DRAINING) {
        ngx_goconnect_pg_conn_close(conn);
        ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_DOWN);
    }
}


static u_char *
ngx_goconnect_pg_conn_log(ngx_log_t *log, u_char *buf, size_t len)
{
    ngx_goconnect_pg_conn_t *conn = log->data;

    return ngx_snprintf(buf, len, " while %s, %s connection %ui", log->action,
                        conn->lane->name, conn->number);
}
