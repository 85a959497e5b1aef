/*
 * The pipeline of a connection that is up: each call with a Sync of its own.
 * An answer counts when its Sync has come: before that, nothing is committed.
 */


#include "pg/ngx_goconnect_pg_pool.h"


#define NGX_GOCONNECT_PG_GRACE 2000 /* beyond statement_timeout */


static ngx_int_t ngx_goconnect_pg_pipeline_queue(ngx_goconnect_pg_conn_t *conn,
                                                 ngx_goconnect_pg_job_t *job);
static void ngx_goconnect_pg_pipeline_result(ngx_goconnect_pg_conn_t *conn,
                                             PGresult *res);
static ngx_int_t ngx_goconnect_pg_pipeline_sync(ngx_goconnect_pg_conn_t *conn);
static ngx_int_t ngx_goconnect_pg_pipeline_step(ngx_goconnect_pg_conn_t *conn,
                                                PGresult *res);


void
ngx_goconnect_pg_pipeline_send(ngx_goconnect_pg_conn_t *conn,
                               ngx_goconnect_pg_job_t *job)
{
    ngx_goconnect_pg_slot_t *slot;

    slot = &conn->slots[(conn->head + conn->n) % conn->lane->depth];
    slot->job = job;
    slot->group = job->group;
    slot->yields = job->yields;
    conn->lane->yielded += slot->yields;

    job->slot = slot;
    job->tries++;

    if (conn->n++ == 0) {
        ngx_add_timer(&conn->timer,
                      conn->lane->statement_timeout + NGX_GOCONNECT_PG_GRACE);
    }

    if (ngx_goconnect_pg_pipeline_queue(conn, job) != NGX_OK) {

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


/* NGX_ERROR: the connection has been failed */

ngx_int_t
ngx_goconnect_pg_pipeline_read(ngx_goconnect_pg_conn_t *conn)
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
            ngx_goconnect_pg_pipeline_result(conn, res);
            continue;
        }

        PQclear(res);

        if (ngx_goconnect_pg_pipeline_sync(conn) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Ends what was in flight.  The jobs are taken out first: a `done` may send,
 * or abandon another call of the same pipeline.
 */

static void
ngx_goconnect_pg_pipeline_free(ngx_goconnect_pg_conn_t *conn,
                               ngx_goconnect_pg_slot_t *slot)
{
    conn->lane->yielded -= slot->yields;

    slot->job = NULL;
    slot->group = 0;
    slot->yields = 0;
}


void
ngx_goconnect_pg_pipeline_lose(ngx_goconnect_pg_conn_t *conn)
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
            ngx_goconnect_pg_lane_enter(lane, slot->job);
            ngx_queue_insert_tail(&lost, &slot->job->queue);
        }

        ngx_goconnect_pg_pipeline_free(conn, slot);
    }

    while (!ngx_queue_empty(&lost)) {
        q = ngx_queue_head(&lost);
        job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);

        /* also what an abandoned one goes through */
        ngx_goconnect_pg_lane_remove(lane, job);
        ngx_goconnect_pg_job_lost(lane, job);
    }
}


static ngx_int_t
ngx_goconnect_pg_pipeline_queue(ngx_goconnect_pg_conn_t *conn,
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
 * Keeps the result that tells how the command went: the first error, even if
 * it comes at the commit, after the rows; else the last result.
 */

static void
ngx_goconnect_pg_pipeline_result(ngx_goconnect_pg_conn_t *conn, PGresult *res)
{
    if (conn->pending && PQresultStatus(conn->pending) == PGRES_FATAL_ERROR) {
        PQclear(res);
        return;
    }

    PQclear(conn->pending);
    conn->pending = res;
}


static ngx_int_t
ngx_goconnect_pg_pipeline_sync(ngx_goconnect_pg_conn_t *conn)
{
    PGresult *res;
    ngx_uint_t unsure;
    ngx_goconnect_pg_job_t *job;
    ngx_goconnect_pg_slot_t *slot;

    res = conn->pending;
    conn->pending = NULL;

    if (conn->state == NGX_GOCONNECT_PG_PREPARING) {
        return ngx_goconnect_pg_pipeline_step(conn, res);
    }

    if (conn->n == 0) {
        PQclear(res);
        ngx_goconnect_pg_conn_fail(conn, "answer without a question");
        return NGX_ERROR;
    }

    unsure = conn->unsure;
    conn->unsure = 0;

    slot = &conn->slots[conn->head];
    job = slot->job;
    ngx_goconnect_pg_pipeline_free(conn, slot);

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

    if (unsure) {
        PQclear(res);
        ngx_log_error(NGX_LOG_NOTICE, &conn->log, 0,
                      "a commit was not waited for until a standby had it");
        ngx_goconnect_pg_job_done(job, NGX_GOCONNECT_PG_UNKNOWN);
        return NGX_OK;
    }

    ngx_goconnect_pg_job_answer(conn->lane, job, res);

    return NGX_OK;
}


/*
 * Notices come in the order of what is answered.  This one comes between the
 * rows and their Sync: somebody has ended the wait for a synchronous standby.
 * The change is made here, and a failover may lose it.  Its text depends on
 * the server's language, and it has no SQLSTATE of its own.
 */

void
ngx_goconnect_pg_pipeline_notice(void *data, const PGresult *res)
{
    const char *function;
    ngx_goconnect_pg_conn_t *conn = data;

    function = PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION);

    if (function && ngx_strcmp(function, "SyncRepWaitForLSN") == 0) {
        conn->unsure = 1;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, &conn->log, 0,
                   "goconnect database notice: %s",
                   PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
}


/* a step of the preparation */

static ngx_int_t
ngx_goconnect_pg_pipeline_step(ngx_goconnect_pg_conn_t *conn, PGresult *res)
{
    ngx_int_t rc;

    rc = ngx_goconnect_pg_prepare_answer(conn, res);
    PQclear(res);

    if (rc == NGX_DONE) {
        ngx_goconnect_pg_conn_up(conn);
    }

    /* a connection that is not wanted any more leaves when it is up */

    return conn->c ? NGX_OK : NGX_ERROR;
}
