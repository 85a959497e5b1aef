/* The pool of a worker: its start, its end, and what it tells the log. */


#include "pg/ngx_goconnect_pg_pool.h"


/* connections of a worker besides the pool: the one that listens */
#define NGX_GOCONNECT_PG_EXTRA 1


typedef struct {
    const ngx_goconnect_pg_statement_t *elts;
    ngx_uint_t n;
} ngx_goconnect_pg_table_t;


static ngx_int_t
ngx_goconnect_pg_lane_statements(ngx_goconnect_pg_lane_t *lane);
static ngx_uint_t ngx_goconnect_pg_pool_count(ngx_uint_t up);


ngx_goconnect_pg_pool_t ngx_goconnect_pg_pool;

static ngx_goconnect_pg_table_t
    ngx_goconnect_pg_tables[NGX_GOCONNECT_PG_TABLES_MAX];
static ngx_uint_t ngx_goconnect_pg_ntables;


ngx_int_t
ngx_goconnect_pg_statements(const ngx_goconnect_pg_statement_t *table,
                            ngx_uint_t n)
{
    ngx_goconnect_pg_table_t *t;

    if (ngx_goconnect_pg_ntables == NGX_GOCONNECT_PG_TABLES_MAX ||
        ngx_goconnect_pg_pool.started) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "goconnect: table of statements offered too late, or "
                      "one too many");
        return NGX_ERROR;
    }

    t = &ngx_goconnect_pg_tables[ngx_goconnect_pg_ntables++];
    t->elts = table;
    t->n = n;

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_pg_init_process(ngx_cycle_t *cycle, ngx_goconnect_pg_conf_t *conf)
{
    ngx_uint_t i, k, depth;
    ngx_goconnect_pg_lane_t *lane;
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;

    ngx_memzero(pool, sizeof(ngx_goconnect_pg_pool_t));

    pool->cycle = cycle;
    pool->log = cycle->log;
    pool->conninfos = conf->conninfos;
    ngx_queue_init(&pool->free);

    for (i = 0; i < NGX_GOCONNECT_PG_LANES; i++) {
        lane = &pool->lanes[i];
        lane->id = (ngx_goconnect_pg_lane_e) i;
        depth = lane->id == NGX_GOCONNECT_PG_READ ? conf->depth : 1;

        if (ngx_goconnect_pg_lane_init(lane, conf->connections[i], depth) !=
                NGX_OK ||
            ngx_goconnect_pg_lane_statements(lane) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    pool->started = 1;

    for (i = 0; i < NGX_GOCONNECT_PG_LANES; i++) {
        lane = &pool->lanes[i];

        for (k = 0; k < lane->n; k++) {
            ngx_goconnect_pg_conn_start(&lane->conns[k]);
        }
    }

    return NGX_OK;
}


void
ngx_goconnect_pg_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t i, k;
    ngx_queue_t *q;
    ngx_goconnect_pg_job_t *job;
    ngx_goconnect_pg_lane_t *lane;
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;

    if (!pool->started) {
        return;
    }

    pool->started = 0;

    for (i = 0; i < NGX_GOCONNECT_PG_LANES; i++) {
        lane = &pool->lanes[i];

        for (k = 0; k < lane->n; k++) {
            ngx_goconnect_pg_conn_destroy(&lane->conns[k]);
        }

        while (lane->nwaiting) {
            q = ngx_queue_head(lane->nyielding ? &lane->yielding
                                               : &lane->waiting);
            job = ngx_queue_data(q, ngx_goconnect_pg_job_t, queue);
            ngx_goconnect_pg_lane_remove(lane, job);
            ngx_goconnect_pg_call_destroy(&job->call);
        }
    }

    while (!ngx_queue_empty(&pool->free)) {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_goconnect_pg_job_t, queue));
    }
}


ngx_uint_t
ngx_goconnect_pg_ready(ngx_goconnect_pg_lane_e lane)
{
    return ngx_goconnect_pg_pool.lanes[lane].up != 0;
}


const char *
ngx_goconnect_pg_conninfo(ngx_uint_t attempt)
{
    ngx_str_t *conninfo;
    ngx_array_t *conninfos;

    conninfos = ngx_goconnect_pg_pool.conninfos;
    conninfo = conninfos->elts;

    return (const char *) conninfo[attempt % conninfos->nelts].data;
}


/*
 * Logs once that connections are missing, and once that all of them are, not
 * for each connection, attempt or request.
 */

void
ngx_goconnect_pg_pool_lost(ngx_goconnect_pg_conn_t *conn, const char *what)
{
    ngx_str_t message;
    ngx_uint_t others, level;
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;
    message = ngx_goconnect_pg_message(what);

    if (message.len == 0) {
        /* an idle one: libpq has taken the farewell for a notice */
        ngx_str_set(&message, "the server has closed it");
    }

    others =
        ngx_goconnect_pg_pool_count(1) - (conn->state == NGX_GOCONNECT_PG_UP);

    if (pool->draining) {
        level = NGX_LOG_INFO;

    } else if (others == 0) {
        level = pool->away ? NGX_LOG_DEBUG : NGX_LOG_ERR;

    } else {
        level = pool->degraded ? NGX_LOG_DEBUG : NGX_LOG_WARN;
    }

    if (level == NGX_LOG_DEBUG) {
        ngx_log_debug1(NGX_LOG_DEBUG_CORE, &conn->log, 0,
                       "goconnect: database connection lost: %V", &message);

    } else if (level == NGX_LOG_ERR) {
        ngx_log_error(level, &conn->log, 0,
                      "goconnect: the database is away (503 until it is "
                      "back): %V",
                      &message);

    } else {
        ngx_log_error(level, &conn->log, 0,
                      "goconnect: a database connection is missing, %ui are "
                      "there: %V",
                      others, &message);
    }

    pool->degraded = 1;

    if (others == 0 && !pool->away) {
        pool->away = 1;
        pool->unprepared = 0;
        pool->away_since = ngx_time();
    }
}


void
ngx_goconnect_pg_pool_up(ngx_goconnect_pg_conn_t *conn)
{
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;

    if (pool->away) {
        pool->away = 0;
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "goconnect: the database is back after %T s",
                      ngx_time() - pool->away_since);
    }

    if (ngx_goconnect_pg_pool_count(1) == ngx_goconnect_pg_pool_count(0)) {
        pool->degraded = 0;
        ngx_log_error(NGX_LOG_INFO, pool->log, 0,
                      "goconnect: all %ui database connections are ready",
                      ngx_goconnect_pg_pool_count(0));
    }
}


void
ngx_goconnect_pg_pool_unprepared(ngx_goconnect_pg_conn_t *conn,
                                 const char *name, PGresult *res)
{
    ngx_str_t message;

    if (ngx_goconnect_pg_pool.unprepared) {
        return;
    }

    ngx_goconnect_pg_pool.unprepared = 1;
    message = ngx_goconnect_pg_message(PQresultErrorMessage(res));

    ngx_log_error(NGX_LOG_ERR, &conn->log, 0,
                  "goconnect: the database refuses statement \"%s\" (and "
                  "perhaps others): %V; has sql/migrate been run for this "
                  "release?",
                  name, &message);
}


void
ngx_goconnect_pg_pool_measure(ngx_int_t offered)
{
    ngx_uint_t worker, workers, needed;
    ngx_core_conf_t *ccf;
    ngx_goconnect_pg_pool_t *pool;

    pool = &ngx_goconnect_pg_pool;

    if (pool->measured || ngx_worker != 0 || offered < 1) {
        return;
    }

    pool->measured = 1;

    ccf = (ngx_core_conf_t *) ngx_get_conf(pool->cycle->conf_ctx,
                                           ngx_core_module);

    workers = ngx_process == NGX_PROCESS_SINGLE
                  ? 1
                  : (ngx_uint_t) ccf->worker_processes;
    worker = ngx_goconnect_pg_pool_count(0) + NGX_GOCONNECT_PG_EXTRA;
    needed = workers * worker;

    if (needed > (ngx_uint_t) offered) {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0,
                      "goconnect: %ui workers with %ui database connections "
                      "each need %ui, the server has %i: raise its "
                      "max_connections, or lower goconnect_pool or "
                      "worker_processes",
                      workers, worker, needed, offered);
        return;
    }

    /* while a reload lasts, old workers keep one connection a lane */

    needed += workers * (NGX_GOCONNECT_PG_LANES + NGX_GOCONNECT_PG_EXTRA);

    if (needed > (ngx_uint_t) offered) {
        ngx_log_error(NGX_LOG_WARN, pool->log, 0,
                      "goconnect: the database server has %i connections, a "
                      "reload may need %ui for a while",
                      offered, needed);
    }
}


ngx_str_t
ngx_goconnect_pg_message(const char *message)
{
    ngx_str_t line;

    line.data = (u_char *) (message ? message : "");
    line.len = strcspn((const char *) line.data, "\r\n");

    return line;
}


static ngx_int_t
ngx_goconnect_pg_lane_statements(ngx_goconnect_pg_lane_t *lane)
{
    ngx_uint_t i, k;
    ngx_array_t list;
    ngx_goconnect_pg_table_t *t;
    const ngx_goconnect_pg_statement_t **st;

    if (ngx_array_init(&list, ngx_goconnect_pg_pool.cycle->pool, 32,
                       sizeof(ngx_goconnect_pg_statement_t *)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_goconnect_pg_ntables; i++) {
        t = &ngx_goconnect_pg_tables[i];

        for (k = 0; k < t->n; k++) {

            if (t->elts[k].lane != lane->id) {
                continue;
            }

            st = ngx_array_push(&list);
            if (st == NULL) {
                return NGX_ERROR;
            }

            *st = &t->elts[k];
        }
    }

    lane->statements = list.elts;
    lane->nstatements = list.nelts;

    return NGX_OK;
}


/* connections of all lanes, those that are up or all there are */

static ngx_uint_t
ngx_goconnect_pg_pool_count(ngx_uint_t up)
{
    ngx_uint_t i, n;
    ngx_goconnect_pg_lane_t *lane;

    n = 0;

    for (i = 0; i < NGX_GOCONNECT_PG_LANES; i++) {
        lane = &ngx_goconnect_pg_pool.lanes[i];
        n += up ? lane->up : lane->n;
    }

    return n;
}
