/* One statement with its parameters, from its creation to its end. */


#include "pg/ngx_goconnect_pg_pool.h"


static void ngx_goconnect_pg_job_count(ngx_goconnect_pg_job_t *job,
                                       ngx_goconnect_pg_rc_e rc);
static void ngx_goconnect_pg_job_timeout(ngx_event_t *ev);
static ngx_int_t ngx_goconnect_pg_job_heals(ngx_goconnect_pg_job_t *job,
                                            const char *sqlstate);
static void ngx_goconnect_pg_job_leave(ngx_goconnect_pg_job_t *job);


static ngx_goconnect_pg_lane_t *
ngx_goconnect_pg_job_lane(ngx_goconnect_pg_job_t *job)
{
    return &ngx_goconnect_pg_pool.lanes[job->call.statement->lane];
}


ngx_goconnect_pg_call_t *
ngx_goconnect_pg_call_create(const ngx_goconnect_pg_statement_t *statement)
{
    ngx_queue_t *q;
    ngx_goconnect_pg_job_t *job;
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;

    if (pool->nfree) {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);
        pool->nfree--;
        job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);

    } else {
        job = ngx_alloc(sizeof(ngx_goconnect_pg_job_t), ngx_cycle->log);
        if (job == NULL) {
            return NULL;
        }
    }

    ngx_memzero(job, offsetof(ngx_goconnect_pg_job_t, buf));
    job->call.statement = statement;

    return &job->call;
}


ngx_int_t
ngx_goconnect_pg_call_param(ngx_goconnect_pg_call_t *call, const u_char *data,
                            size_t len)
{
    u_char *p;
    ngx_goconnect_pg_job_t *job = (ngx_goconnect_pg_job_t *) call;

    if (job->nparams == NGX_GOCONNECT_PG_PARAMS_MAX) {
        return NGX_ERROR;
    }

    if (data == NULL) {
        job->values[job->nparams++] = NULL;
        return NGX_OK;
    }

    if (len < sizeof(job->buf) - job->used) {
        p = job->buf + job->used;
        job->used += len + 1;

    } else {
        p = ngx_alloc(len + 1, ngx_cycle->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        job->large[job->nparams] = p;
    }

    *ngx_cpymem(p, data, len) = '\0';
    job->values[job->nparams++] = (const char *) p;

    return NGX_OK;
}


void
ngx_goconnect_pg_call_group(ngx_goconnect_pg_call_t *call, const u_char *data,
                            size_t len)
{
    ngx_goconnect_pg_job_t *job = (ngx_goconnect_pg_job_t *) call;

    /* two groups of one hash merely share their portion */

    job->group = ngx_murmur_hash2((u_char *) data, len) | 1;
}


void
ngx_goconnect_pg_call_yields(ngx_goconnect_pg_call_t *call)
{
    ((ngx_goconnect_pg_job_t *) call)->yields = 1;
}


ngx_int_t
ngx_goconnect_pg_call_send(ngx_goconnect_pg_call_t *call,
                           ngx_goconnect_pg_done_pt done, void *data,
                           ngx_msec_t timeout)
{
    ngx_goconnect_pg_job_t *job = (ngx_goconnect_pg_job_t *) call;

    if (!ngx_goconnect_pg_pool.started) {
        call->rc = NGX_GOCONNECT_PG_UNAVAILABLE;
        return NGX_DECLINED;
    }

    if (ngx_goconnect_pg_lane_add(ngx_goconnect_pg_job_lane(job), job) !=
        NGX_OK) {
        ngx_goconnect_pg_job_count(job, call->rc);
        return NGX_DECLINED;
    }

    job->sent_at = ngx_goconnect_metrics_clock();

    if (job->waits) {
        ngx_goconnect_metric_add(
            ngx_goconnect_pg_metric(call->statement->lane, WAITED), 1);
    }

    job->done = done;
    call->data = data;
    job->timeout = timeout;

    if (!job->waits || !job->yields) {
        ngx_goconnect_pg_job_clock(job);
    }

    return NGX_OK;
}


void
ngx_goconnect_pg_job_clock(ngx_goconnect_pg_job_t *job)
{
    /* not cancelable: a worker that is told to quit waits for the answer */

    job->timer.handler = ngx_goconnect_pg_job_timeout;
    job->timer.data = job;
    job->timer.log = ngx_cycle->log;
    ngx_add_timer(&job->timer, job->timeout);
}


void
ngx_goconnect_pg_call_abandon(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_pg_job_t *job = (ngx_goconnect_pg_job_t *) call;

    ngx_goconnect_pg_job_leave(job);
    ngx_goconnect_pg_call_destroy(call);
}


void
ngx_goconnect_pg_call_destroy(ngx_goconnect_pg_call_t *call)
{
    int i;
    ngx_goconnect_pg_job_t *job = (ngx_goconnect_pg_job_t *) call;
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;

    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }

    for (i = 0; i < job->nparams; i++) {
        if (job->large[i]) {
            ngx_free(job->large[i]);
        }
    }

    PQclear(call->res);
    call->res = NULL;

    /* hashes of passwords and of tokens pass by here */
    ngx_explicit_memzero(job->buf, job->used);

    if (pool->started && pool->nfree < NGX_GOCONNECT_PG_FREE_MAX) {
        ngx_queue_insert_head(&pool->free, &job->queue);
        pool->nfree++;
        return;
    }

    ngx_free(job);
}


const char *
ngx_goconnect_pg_call_sqlstate(ngx_goconnect_pg_call_t *call)
{
    const char *sqlstate;

    sqlstate =
        call->res ? PQresultErrorField(call->res, PG_DIAG_SQLSTATE) : NULL;

    return sqlstate ? sqlstate : "";
}


static void
ngx_goconnect_pg_job_count(ngx_goconnect_pg_job_t *job,
                           ngx_goconnect_pg_rc_e rc)
{
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_READ_OK +
                                 (ngx_uint_t) job->call.statement->lane *
                                     NGX_GOCONNECT_PG_RCS +
                                 (ngx_uint_t) rc,
                             1);
}


void
ngx_goconnect_pg_job_done(ngx_goconnect_pg_job_t *job, ngx_goconnect_pg_rc_e rc)
{
    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }

    ngx_goconnect_pg_job_count(job, rc);
    ngx_goconnect_metric_add(
        ngx_goconnect_pg_metric(job->call.statement->lane, TIME),
        (ngx_uint_t) (ngx_goconnect_metrics_clock() - job->sent_at));

    job->call.rc = rc;
    job->done(&job->call);
}


void
ngx_goconnect_pg_job_answer(ngx_goconnect_pg_lane_t *lane,
                            ngx_goconnect_pg_job_t *job, PGresult *res)
{
    job->call.res = res;

    if (PQresultStatus(res) == PGRES_TUPLES_OK) {
        ngx_goconnect_pg_job_done(job, NGX_GOCONNECT_PG_OK);
        return;
    }

    if (ngx_goconnect_pg_job_heals(
            job, ngx_goconnect_pg_call_sqlstate(&job->call)) == NGX_OK) {
        PQclear(res);
        job->call.res = NULL;
        ngx_goconnect_pg_lane_again(lane, job);
        return;
    }

    ngx_goconnect_pg_job_done(job, NGX_GOCONNECT_PG_ERROR);
}


void
ngx_goconnect_pg_job_lost(ngx_goconnect_pg_lane_t *lane,
                          ngx_goconnect_pg_job_t *job)
{
    if (lane->id != NGX_GOCONNECT_PG_READ) {
        ngx_goconnect_pg_job_done(job, NGX_GOCONNECT_PG_UNKNOWN);
        return;
    }

    if (job->lost || lane->away) {
        ngx_goconnect_pg_job_done(job, NGX_GOCONNECT_PG_UNAVAILABLE);
        return;
    }

    job->lost = 1;
    ngx_goconnect_pg_lane_again(lane, job);
}


/*
 * Errors that left nothing behind and go away when the statement is sent
 * again.  NGX_OK: send it.
 */

static ngx_int_t
ngx_goconnect_pg_job_heals(ngx_goconnect_pg_job_t *job, const char *sqlstate)
{
    if (job->tries >= NGX_GOCONNECT_PG_TRIES_MAX) {
        return NGX_DECLINED;
    }

    /* invalid_sql_statement_name */

    if (ngx_strcmp(sqlstate, "26000") == 0 && !job->prepare) {
        job->prepare = 1;
        return NGX_OK;
    }

    /* duplicate_prepared_statement: a neighbour has prepared it meanwhile */

    if (ngx_strcmp(sqlstate, "42P05") == 0 && job->prepare) {
        job->prepare = 0;
        return NGX_OK;
    }

    /* serialization_failure, deadlock_detected */

    if (!job->repeated && (ngx_strcmp(sqlstate, "40001") == 0 ||
                           ngx_strcmp(sqlstate, "40P01") == 0)) {
        job->repeated = 1;
        return NGX_OK;
    }

    return NGX_DECLINED;
}


static void
ngx_goconnect_pg_job_timeout(ngx_event_t *ev)
{
    ngx_goconnect_pg_rc_e rc;
    ngx_goconnect_pg_job_t *job = ev->data;

    rc = job->slot && job->call.statement->lane != NGX_GOCONNECT_PG_READ
             ? NGX_GOCONNECT_PG_UNKNOWN
             : NGX_GOCONNECT_PG_TIMEOUT;

    ngx_goconnect_pg_job_leave(job);
    ngx_goconnect_pg_job_done(job, rc);
}


/* out of the queue, or out of the slot, which becomes a tombstone */

static void
ngx_goconnect_pg_job_leave(ngx_goconnect_pg_job_t *job)
{
    if (job->slot) {
        job->slot->job = NULL;
        job->slot = NULL;
        return;
    }

    if (job->waits) {
        ngx_goconnect_pg_lane_remove(ngx_goconnect_pg_job_lane(job), job);
    }
}
