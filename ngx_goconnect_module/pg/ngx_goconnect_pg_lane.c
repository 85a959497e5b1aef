/* A lane: like connections with one queue before them. */


#include "pg/ngx_goconnect_pg_pool.h"


#define NGX_GOCONNECT_PG_YIELDING_MAX 32768 /* 1.3 KB each */


typedef struct {
    const char *name;
    ngx_msec_t statement_timeout;
    ngx_uint_t waiting_max;
} ngx_goconnect_pg_lane_kind_t;


static ngx_goconnect_pg_conn_t *
ngx_goconnect_pg_lane_pick(ngx_goconnect_pg_lane_t *lane);
static ngx_goconnect_pg_job_t *
ngx_goconnect_pg_lane_next(ngx_goconnect_pg_lane_t *lane);
static ngx_goconnect_pg_job_t *
ngx_goconnect_pg_lane_first(ngx_goconnect_pg_lane_t *lane);
static void ngx_goconnect_pg_lane_fail(ngx_goconnect_pg_lane_t *lane,
                                       ngx_queue_t *waiting);
static ngx_uint_t ngx_goconnect_pg_lane_crowded(ngx_goconnect_pg_lane_t *lane,
                                                uint32_t group);
static ngx_uint_t ngx_goconnect_pg_lane_held(ngx_goconnect_pg_lane_t *lane,
                                             uint32_t group);


static const ngx_goconnect_pg_lane_kind_t ngx_goconnect_pg_lane_kinds[] = {
    [NGX_GOCONNECT_PG_READ] = {"read", 4000, 1024},
    [NGX_GOCONNECT_PG_WRITE] = {"write", 4000, 512},
    [NGX_GOCONNECT_PG_BULK] = {"bulk", 60000, 64},
};


ngx_int_t
ngx_goconnect_pg_lane_init(ngx_goconnect_pg_lane_t *lane,
                           ngx_uint_t connections, ngx_uint_t depth)
{
    ngx_uint_t i;
    ngx_pool_t *pool;
    ngx_goconnect_pg_conn_t *conn;

    pool = ngx_goconnect_pg_pool.cycle->pool;

    lane->name = ngx_goconnect_pg_lane_kinds[lane->id].name;
    lane->statement_timeout =
        ngx_goconnect_pg_lane_kinds[lane->id].statement_timeout;
    lane->waiting_max = ngx_goconnect_pg_lane_kinds[lane->id].waiting_max;
    lane->depth = depth;
    lane->n = connections;
    lane->group_max =
        lane->id == NGX_GOCONNECT_PG_WRITE ? (connections + 1) / 2 : 0;

    ngx_queue_init(&lane->waiting);
    ngx_queue_init(&lane->yielding);
    ngx_goconnect_metric_set(ngx_goconnect_pg_metric(lane->id, SIZE),
                             connections);

    lane->conns =
        ngx_pcalloc(pool, connections * sizeof(ngx_goconnect_pg_conn_t));
    if (lane->conns == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < connections; i++) {
        conn = &lane->conns[i];
        conn->lane = lane;
        conn->number = i;

        conn->slots =
            ngx_pcalloc(pool, depth * sizeof(ngx_goconnect_pg_slot_t));
        if (conn->slots == NULL) {
            return NGX_ERROR;
        }

        ngx_goconnect_pg_conn_init(conn);
    }

    return NGX_OK;
}


static ngx_queue_t *
ngx_goconnect_pg_lane_queue(ngx_goconnect_pg_lane_t *lane,
                            ngx_goconnect_pg_job_t *job)
{
    return job->yields ? &lane->yielding : &lane->waiting;
}


static ngx_uint_t
ngx_goconnect_pg_lane_full(ngx_goconnect_pg_lane_t *lane,
                           ngx_goconnect_pg_job_t *job)
{
    if (job->yields) {
        return lane->nyielding >= NGX_GOCONNECT_PG_YIELDING_MAX;
    }

    return lane->nwaiting - lane->nyielding >= lane->waiting_max ||
           ngx_goconnect_pg_lane_crowded(lane, job->group);
}


static void
ngx_goconnect_pg_lane_waiting(ngx_goconnect_pg_lane_t *lane, ngx_uint_t n)
{
    lane->nwaiting = n;
    ngx_goconnect_metric_set(ngx_goconnect_pg_metric(lane->id, WAITING), n);
}


ngx_int_t
ngx_goconnect_pg_lane_add(ngx_goconnect_pg_lane_t *lane,
                          ngx_goconnect_pg_job_t *job)
{
    if (lane->away) {
        job->call.rc = NGX_GOCONNECT_PG_UNAVAILABLE;
        return NGX_DECLINED;
    }

    if (ngx_goconnect_pg_lane_full(lane, job)) {
        job->call.rc = NGX_GOCONNECT_PG_BUSY;
        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(ngx_goconnect_pg_lane_queue(lane, job), &job->queue);
    ngx_goconnect_pg_lane_enter(lane, job);

    ngx_goconnect_pg_lane_dispatch(lane);

    return NGX_OK;
}


void
ngx_goconnect_pg_lane_again(ngx_goconnect_pg_lane_t *lane,
                            ngx_goconnect_pg_job_t *job)
{
    ngx_queue_insert_head(ngx_goconnect_pg_lane_queue(lane, job), &job->queue);
    ngx_goconnect_pg_lane_enter(lane, job);
}


void
ngx_goconnect_pg_lane_enter(ngx_goconnect_pg_lane_t *lane,
                            ngx_goconnect_pg_job_t *job)
{
    lane->nyielding += job->yields;
    ngx_goconnect_pg_lane_waiting(lane, lane->nwaiting + 1);
    job->waits = 1;
}


void
ngx_goconnect_pg_lane_remove(ngx_goconnect_pg_lane_t *lane,
                             ngx_goconnect_pg_job_t *job)
{
    ngx_queue_remove(&job->queue);
    lane->nyielding -= job->yields;
    ngx_goconnect_pg_lane_waiting(lane, lane->nwaiting - 1);
    job->waits = 0;
}


void
ngx_goconnect_pg_lane_dispatch(ngx_goconnect_pg_lane_t *lane)
{
    ngx_goconnect_pg_job_t *job;
    ngx_goconnect_pg_conn_t *conn;

    while (lane->nwaiting) {

        conn = ngx_goconnect_pg_lane_pick(lane);
        if (conn == NULL) {
            return;
        }

        job = ngx_goconnect_pg_lane_next(lane);
        if (job == NULL) {
            return;
        }

        ngx_goconnect_pg_lane_remove(lane, job);

        if (!job->timer.timer_set && job->timeout) {
            ngx_goconnect_pg_job_clock(job);
        }

        ngx_goconnect_pg_pipeline_send(conn, job);
    }
}


void
ngx_goconnect_pg_lane_settle(ngx_goconnect_pg_lane_t *lane)
{
    ngx_uint_t i;

    for (i = 0; i < lane->n; i++) {
        if (lane->conns[i].state != NGX_GOCONNECT_PG_DOWN) {
            return;
        }
    }

    lane->away = 1;

    /* whatever `done` sends meanwhile is declined */

    ngx_goconnect_pg_lane_fail(lane, &lane->waiting);
    ngx_goconnect_pg_lane_fail(lane, &lane->yielding);
}


static void
ngx_goconnect_pg_lane_fail(ngx_goconnect_pg_lane_t *lane, ngx_queue_t *waiting)
{
    ngx_queue_t *q;
    ngx_goconnect_pg_job_t *job;

    while (!ngx_queue_empty(waiting)) {
        q = ngx_queue_head(waiting);
        job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);

        ngx_goconnect_pg_lane_remove(lane, job);
        ngx_goconnect_pg_job_done(job, NGX_GOCONNECT_PG_UNAVAILABLE);
    }
}


/* the connection with the shortest pipeline that has room, or NULL */

static ngx_goconnect_pg_conn_t *
ngx_goconnect_pg_lane_pick(ngx_goconnect_pg_lane_t *lane)
{
    ngx_uint_t i;
    ngx_goconnect_pg_conn_t *conn, *best;

    best = NULL;

    for (i = 0; i < lane->n; i++) {
        conn = &lane->conns[i];

        if (conn->state == NGX_GOCONNECT_PG_UP && !conn->broken.posted &&
            conn->n < lane->depth && (best == NULL || conn->n < best->n)) {
            best = conn;
        }
    }

    return best;
}


/*
 * Those that give way have one place in the lane whatever else waits, and
 * leave one of its connections to the others.
 */

static ngx_goconnect_pg_job_t *
ngx_goconnect_pg_lane_next(ngx_goconnect_pg_lane_t *lane)
{
    ngx_goconnect_pg_job_t *job;

    job = lane->nyielding && lane->yielded == 0
              ? NULL
              : ngx_goconnect_pg_lane_first(lane);

    if (job == NULL && lane->nyielding &&
        lane->yielded < ngx_max(lane->up, 2) - 1) {
        job = ngx_queue_data(ngx_queue_head(&lane->yielding),
                             ngx_goconnect_pg_job_t, queue);
    }

    return job;
}


/* the first waiting job whose group does not hold its portion already */

static ngx_goconnect_pg_job_t *
ngx_goconnect_pg_lane_first(ngx_goconnect_pg_lane_t *lane)
{
    ngx_queue_t *q;
    ngx_goconnect_pg_job_t *job;

    for (q = ngx_queue_head(&lane->waiting);
         q != ngx_queue_sentinel(&lane->waiting); q = ngx_queue_next(q)) {
        job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);

        if (lane->group_max == 0 || job->group == 0 ||
            ngx_goconnect_pg_lane_held(lane, job->group) < lane->group_max) {
            return job;
        }
    }

    return NULL;
}


/* in a queue that is half full, no group may have a quarter of the places */

static ngx_uint_t
ngx_goconnect_pg_lane_crowded(ngx_goconnect_pg_lane_t *lane, uint32_t group)
{
    ngx_uint_t n;
    ngx_queue_t *q;
    ngx_goconnect_pg_job_t *job;

    if (group == 0 || lane->group_max == 0 ||
        lane->nwaiting - lane->nyielding < lane->waiting_max / 2) {
        return 0;
    }

    n = 0;

    for (q = ngx_queue_head(&lane->waiting);
         q != ngx_queue_sentinel(&lane->waiting); q = ngx_queue_next(q)) {
        job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);
        n += job->group == group;
    }

    return n >= lane->waiting_max / 4;
}


static ngx_uint_t
ngx_goconnect_pg_lane_held(ngx_goconnect_pg_lane_t *lane, uint32_t group)
{
    ngx_uint_t i, k, n;
    ngx_goconnect_pg_conn_t *conn;

    n = 0;

    for (i = 0; i < lane->n; i++) {
        conn = &lane->conns[i];

        for (k = 0; k < conn->n; k++) {
            n += conn->slots[(conn->head + k) % lane->depth].group == group;
        }
    }

    return n;
}
