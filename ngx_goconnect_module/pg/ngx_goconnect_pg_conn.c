/*
 * One connection: connect, prepare the lane's statements, then a pipeline
 * with a Sync for each call.  An answer counts when its Sync has come: before
 * that, nothing is committed.
 */


#include "pg/ngx_goconnect_pg_pool.h"


#define NGX_GOCONNECT_PG_CONNECT_TIMEOUT 5000
#define NGX_GOCONNECT_PG_PREPARE_TIMEOUT 10000
#define NGX_GOCONNECT_PG_GRACE 2000 /* beyond statement_timeout */
#define NGX_GOCONNECT_PG_BACKOFF_MIN 25
#define NGX_GOCONNECT_PG_BACKOFF_MAX 5000


static void ngx_goconnect_pg_conn_set_state(ngx_goconnect_pg_conn_t *conn,
                                            ngx_goconnect_pg_state_e state);
static void ngx_goconnect_pg_conn_poll(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_prepare(ngx_goconnect_pg_conn_t *conn);
static ngx_int_t
ngx_goconnect_pg_conn_queue_settings(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_up(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_read(ngx_event_t *rev);
static void ngx_goconnect_pg_conn_write(ngx_event_t *wev);
static void ngx_goconnect_pg_conn_flush(ngx_event_t *ev);
static void ngx_goconnect_pg_conn_timer(ngx_event_t *ev);
static void ngx_goconnect_pg_conn_broken(ngx_event_t *ev);
static ngx_int_t ngx_goconnect_pg_conn_results(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_result(ngx_goconnect_pg_conn_t *conn,
                                         PGresult *res);
static ngx_int_t ngx_goconnect_pg_conn_sync(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_prepared(ngx_goconnect_pg_conn_t *conn,
                                           PGresult *res);
static ngx_int_t ngx_goconnect_pg_conn_queue_job(ngx_goconnect_pg_conn_t *conn,
                                                 ngx_goconnect_pg_job_t *job);
static void ngx_goconnect_pg_conn_fail(ngx_goconnect_pg_conn_t *conn,
                                       const char *what);
static void ngx_goconnect_pg_conn_close(ngx_goconnect_pg_conn_t *conn);
static void ngx_goconnect_pg_conn_lose(ngx_goconnect_pg_conn_t *conn);
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


/*
 * The limits of a session; a statement that is not ours to tune (PgBouncer,
 * conninfo) cannot take them away.  The last column is what the server has
 * for ordinary roles.
 */

static const char ngx_goconnect_pg_settings[] =
    "SELECT pg_catalog.set_config('statement_timeout', $1, false),"
    " pg_catalog.set_config('lock_timeout', '1000', false),"
    " pg_catalog.set_config('idle_in_transaction_session_timeout', '5000',"
    " false),"
    " pg_catalog.current_setting('max_connections')::pg_catalog.int4"
    " - pg_catalog.current_setting('superuser_reserved_connections')"
    "::pg_catalog.int4";


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
ngx_goconnect_pg_conn_send(ngx_goconnect_pg_conn_t *conn,
                           ngx_goconnect_pg_job_t *job)
{
    ngx_goconnect_pg_slot_t *slot;

    slot = &conn->slots[(conn->head + conn->n) % conn->lane->depth];
    slot->job = job;
    slot->group = job->group;

    job->slot = slot;
    job->tries++;

    if (conn->n++ == 0) {
        ngx_add_timer(&conn->timer,
                      conn->lane->statement_timeout + NGX_GOCONNECT_PG_GRACE);
    }

    if (ngx_goconnect_pg_conn_queue_job(conn, job) != NGX_OK) {

        if (!conn->broken.posted) {
            ngx_post_event(&conn->broken, &ngx_posted_events);
        }

        return;
    }

    /* what else is sent in this turn of the event loop goes with it */

    if (!conn->flush.posted) {
        ngx_post_event(&conn->flush, &ngx_posted_events);
    }
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


/* each in its own Sync: a statement that is refused does not stop the rest */

static void
ngx_goconnect_pg_conn_prepare(ngx_goconnect_pg_conn_t *conn)
{
    ngx_uint_t i;
    const ngx_goconnect_pg_statement_t *st;

    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_PREPARING);
    ngx_add_timer(&conn->timer, NGX_GOCONNECT_PG_PREPARE_TIMEOUT);
    conn->step = 0;

    if (!PQenterPipelineMode(conn->pg) ||
        ngx_goconnect_pg_conn_queue_settings(conn) != NGX_OK) {
        goto failed;
    }

    for (i = 0; i < conn->lane->nstatements; i++) {
        st = conn->lane->statements[i];

        if (!PQsendPrepare(conn->pg, (const char *) st->name.data,
                           (const char *) st->sql.data, 0, NULL) ||
            !PQpipelineSync(conn->pg)) {
            goto failed;
        }
    }

    if (ngx_goconnect_pg_socket_flush(conn->pg, conn->c) == NGX_OK) {
        return;
    }

failed:

    ngx_goconnect_pg_conn_fail(conn, PQerrorMessage(conn->pg));
}


static ngx_int_t
ngx_goconnect_pg_conn_queue_settings(ngx_goconnect_pg_conn_t *conn)
{
    u_char text[NGX_INT_T_LEN + 1];
    const char *values[1];

    *ngx_sprintf(text, "%M", conn->lane->statement_timeout) = '\0';
    values[0] = (const char *) text;

    if (!PQsendQueryParams(conn->pg, ngx_goconnect_pg_settings, 1, NULL, values,
                           NULL, NULL, 0) ||
        !PQpipelineSync(conn->pg)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_goconnect_pg_conn_up(ngx_goconnect_pg_conn_t *conn)
{
    ngx_del_timer(&conn->timer);

    conn->failures = 0;

    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_UP);
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

    if (ngx_goconnect_pg_conn_results(conn) != NGX_OK) {
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

        if (ngx_goconnect_pg_conn_results(conn) == NGX_OK) {
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
        ngx_goconnect_pg_conn_fail(conn, "timed out while connecting");
        break;

    case NGX_GOCONNECT_PG_PREPARING:
        ngx_goconnect_pg_conn_fail(conn, "timed out while preparing");
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


/* NGX_ERROR: the connection has been failed */

static ngx_int_t
ngx_goconnect_pg_conn_results(ngx_goconnect_pg_conn_t *conn)
{
    PGresult *res;
    ngx_uint_t nulls;

    nulls = 0;

    /* a NULL ends each command; two in a row: there is no more for now */

    while (nulls < 2 && !PQisBusy(conn->pg)) {

        res = PQgetResult(conn->pg);

        if (res == NULL) {
            nulls++;
            continue;
        }

        nulls = 0;

        if (PQresultStatus(res) != PGRES_PIPELINE_SYNC) {
            ngx_goconnect_pg_conn_result(conn, res);
            continue;
        }

        PQclear(res);

        if (ngx_goconnect_pg_conn_sync(conn) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Keeps the result that tells how the command went: the first error, even if
 * it comes at the commit, after the rows; else the last result.
 */

static void
ngx_goconnect_pg_conn_result(ngx_goconnect_pg_conn_t *conn, PGresult *res)
{
    if (conn->pending && PQresultStatus(conn->pending) == PGRES_FATAL_ERROR) {
        PQclear(res);
        return;
    }

    PQclear(conn->pending);
    conn->pending = res;
}


static ngx_int_t
ngx_goconnect_pg_conn_sync(ngx_goconnect_pg_conn_t *conn)
{
    PGresult *res;
    ngx_goconnect_pg_job_t *job;
    ngx_goconnect_pg_slot_t *slot;

    res = conn->pending;
    conn->pending = NULL;

    if (conn->state == NGX_GOCONNECT_PG_PREPARING) {
        ngx_goconnect_pg_conn_prepared(conn, res);
        PQclear(res);

        /* `up` may drain it away */
        return conn->c ? NGX_OK : NGX_ERROR;
    }

    if (conn->n == 0) {
        PQclear(res);
        ngx_goconnect_pg_conn_fail(conn, "answer without a question");
        return NGX_ERROR;
    }

    slot = &conn->slots[conn->head];
    job = slot->job;
    slot->job = NULL;
    slot->group = 0;

    conn->head = (conn->head + 1) % conn->lane->depth;

    if (--conn->n) {
        ngx_add_timer(&conn->timer,
                      conn->lane->statement_timeout + NGX_GOCONNECT_PG_GRACE);

    } else {
        ngx_del_timer(&conn->timer);
    }

    if (job == NULL) {
        PQclear(res);
        return NGX_OK;
    }

    job->slot = NULL;
    ngx_goconnect_pg_job_answer(conn->lane, job, res);

    return NGX_OK;
}


static void
ngx_goconnect_pg_conn_prepared(ngx_goconnect_pg_conn_t *conn, PGresult *res)
{
    ngx_str_t name;

    if (conn->step == 0) {

        if (PQresultStatus(res) == PGRES_TUPLES_OK) {
            ngx_goconnect_pg_pool_measure(
                ngx_atoi((u_char *) PQgetvalue(res, 0, 3),
                         (size_t) PQgetlength(res, 0, 3)));

        } else {
            ngx_goconnect_pg_pool_unprepared(conn, "settings", res);
        }

    } else if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        name = conn->lane->statements[conn->step - 1]->name;
        ngx_goconnect_pg_pool_unprepared(conn, (char *) name.data, res);
    }

    if (conn->step++ == conn->lane->nstatements) {
        ngx_goconnect_pg_conn_up(conn);
    }
}


static ngx_int_t
ngx_goconnect_pg_conn_queue_job(ngx_goconnect_pg_conn_t *conn,
                                ngx_goconnect_pg_job_t *job)
{
    const char *name, *sql;

    name = (const char *) job->call.statement->name.data;
    sql = (const char *) job->call.statement->sql.data;

    if ((job->prepare && !PQsendPrepare(conn->pg, name, sql, 0, NULL)) ||
        !PQsendQueryPrepared(conn->pg, name, job->nparams, job->values, NULL,
                             NULL, 0) ||
        !PQpipelineSync(conn->pg)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The end of a connection, whatever its state.  Not to be called from below
 * ngx_goconnect_pg_call_send(): post conn->broken there.
 */

static void
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

    ngx_goconnect_pg_conn_close(conn);
    ngx_goconnect_pg_conn_set_state(conn, NGX_GOCONNECT_PG_DOWN);

    conn->failures += !established;
    ngx_goconnect_pg_conn_retry(conn);

    if (!established) {
        ngx_goconnect_pg_lane_settle(conn->lane);
    }

    ngx_goconnect_pg_conn_lose(conn);
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


/*
 * Ends what was in flight.  The jobs are taken out first: a `done` may send,
 * or abandon another call of the same pipeline.
 */

static void
ngx_goconnect_pg_conn_lose(ngx_goconnect_pg_conn_t *conn)
{
    ngx_queue_t lost, *q;
    ngx_goconnect_pg_job_t *job;
    ngx_goconnect_pg_lane_t *lane;
    ngx_goconnect_pg_slot_t *slot;

    lane = conn->lane;
    ngx_queue_init(&lost);

    /* the newest first: those that are sent again go before the waiting */

    while (conn->n) {
        slot = &conn->slots[(conn->head + --conn->n) % lane->depth];

        if (slot->job) {
            slot->job->slot = NULL;
            slot->job->waits = 1;
            lane->nwaiting++;
            ngx_queue_insert_tail(&lost, &slot->job->queue);
            slot->job = NULL;
        }

        slot->group = 0;
    }

    while (!ngx_queue_empty(&lost)) {
        q = ngx_queue_head(&lost);
        job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);

        /* also what an abandoned one goes through */
        ngx_goconnect_pg_lane_remove(lane, job);
        ngx_goconnect_pg_job_lost(lane, job);
    }
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
