/*
 * The pool from inside: private to pg/.
 *
 * pool -> lanes -> connections -> slots.  A job (a call with what the pool
 * knows of it) is idle, waits in its lane, or is in flight in a slot of a
 * connection.  A slot without a job is a tombstone: its answer is still to
 * come but nobody wants it.
 */


#ifndef NGX_GOCONNECT_PG_POOL_H
#define NGX_GOCONNECT_PG_POOL_H


#include "pg/ngx_goconnect_pg.h"
#include "shm/ngx_goconnect_metrics.h"


#define NGX_GOCONNECT_PG_INLINE 1024  /* bytes of parameters in a job */
#define NGX_GOCONNECT_PG_FREE_MAX 256 /* jobs kept for use again */
#define NGX_GOCONNECT_PG_TABLES_MAX 4
#define NGX_GOCONNECT_PG_TRIES_MAX 4
#define NGX_GOCONNECT_PG_RCS (NGX_GOCONNECT_PG_BUSY + 1)


/* a lane's own row of metrics.def: `first` is the one of the read lane */
#define ngx_goconnect_pg_metric(lane, first) \
    (NGX_GOCONNECT_METRIC_READ_##first + (ngx_uint_t) (lane))


typedef struct ngx_goconnect_pg_conn_s ngx_goconnect_pg_conn_t;
typedef struct ngx_goconnect_pg_job_s ngx_goconnect_pg_job_t;


typedef enum {
    NGX_GOCONNECT_PG_DOWN = 0,
    NGX_GOCONNECT_PG_CONNECTING,
    NGX_GOCONNECT_PG_PREPARING,
    NGX_GOCONNECT_PG_UP,       /* "ready" in the log */
    NGX_GOCONNECT_PG_DRAINING, /* takes no more, closes when empty */
    NGX_GOCONNECT_PG_STATES
} ngx_goconnect_pg_state_e;


typedef struct {
    ngx_goconnect_pg_job_t *job; /* NULL: a tombstone */
    uint32_t group;
    unsigned yields : 1;
} ngx_goconnect_pg_slot_t;


typedef struct {
    ngx_goconnect_pg_lane_e id;
    const char *name;
    ngx_msec_t statement_timeout;
    ngx_uint_t depth;
    ngx_uint_t group_max; /* slots that one group may hold; 0: any number */

    ngx_goconnect_pg_conn_t *conns;
    ngx_uint_t n;
    ngx_uint_t up; /* connections in that state */

    ngx_queue_t waiting;  /* jobs */
    ngx_queue_t yielding; /* those that give way */
    ngx_uint_t nwaiting;  /* of both */
    ngx_uint_t nyielding;
    ngx_uint_t yielded; /* in flight */
    ngx_uint_t waiting_max;

    const ngx_goconnect_pg_statement_t **statements;
    ngx_uint_t nstatements;

    unsigned away : 1; /* none is up and the attempts to connect failed */
} ngx_goconnect_pg_lane_t;


struct ngx_goconnect_pg_conn_s {
    ngx_goconnect_pg_lane_t *lane;
    ngx_uint_t number; /* in its lane */
    ngx_goconnect_pg_state_e state;
    ngx_log_t log;

    PGconn *pg;
    ngx_connection_t *c;
    PGresult *pending; /* of the oldest slot, held until its Sync */

    ngx_event_t timer;  /* backoff; to be up; progress of the pipeline */
    ngx_event_t flush;  /* posted once a turn */
    ngx_event_t broken; /* posted: libpq may be our caller */

    ngx_goconnect_pg_slot_t *slots; /* a ring of lane->depth */
    ngx_uint_t head;
    ngx_uint_t n;

    unsigned unsure : 1; /* the oldest slot's commit did not wait it out */

    ngx_uint_t step;     /* answers seen while preparing */
    ngx_uint_t failures; /* in a row */
    ngx_uint_t attempt;  /* which host comes first */
};


struct ngx_goconnect_pg_job_s {
    ngx_goconnect_pg_call_t call; /* first: a call is cast to its job */

    ngx_queue_t queue; /* in lane->waiting, or in the list of free jobs */
    ngx_goconnect_pg_slot_t *slot; /* in flight */
    ngx_goconnect_pg_done_pt done;
    ngx_event_t timer;
    uint64_t sent_at; /* ngx_goconnect_metrics_clock() */
    ngx_msec_t timeout;

    ngx_uint_t tries;
    uint32_t group; /* 0: none */

    unsigned waits : 1;
    unsigned yields : 1;
    unsigned lost : 1;     /* sent before, on a connection that broke */
    unsigned repeated : 1; /* after a deadlock or a serialization failure */
    unsigned prepare : 1;  /* the server has forgotten the statement */

    int nparams;
    const char *values[NGX_GOCONNECT_PG_PARAMS_MAX];
    u_char *large[NGX_GOCONNECT_PG_PARAMS_MAX]; /* from ngx_alloc() */

    size_t used;
    u_char buf[NGX_GOCONNECT_PG_INLINE];
};


typedef struct {
    ngx_cycle_t *cycle;
    ngx_log_t *log;
    ngx_array_t *conninfos;
    ngx_goconnect_pg_lane_t lanes[NGX_GOCONNECT_PG_LANES];
    ngx_queue_t free;
    ngx_uint_t nfree;
    time_t away_since;

    unsigned started : 1;
    unsigned draining : 1;   /* the worker is on its way out */
    unsigned away : 1;       /* no connection is up, which has been logged */
    unsigned degraded : 1;   /* some are not, which has been logged */
    unsigned unprepared : 1; /* likewise, statements that were refused */
    unsigned measured : 1;   /* the server's max_connections was looked at */
} ngx_goconnect_pg_pool_t;


extern ngx_goconnect_pg_pool_t ngx_goconnect_pg_pool;


/* connections */

void ngx_goconnect_pg_conn_init(ngx_goconnect_pg_conn_t *conn);
void ngx_goconnect_pg_conn_start(ngx_goconnect_pg_conn_t *conn);
/* prepared: it takes calls from now on */
void ngx_goconnect_pg_conn_up(ngx_goconnect_pg_conn_t *conn);
/*
 * The end of a connection, whatever its state, and the begin of the wait for
 * the next one.  Not to be called from below ngx_goconnect_pg_call_send():
 * post conn->broken there.
 */
void ngx_goconnect_pg_conn_fail(ngx_goconnect_pg_conn_t *conn,
                                const char *what);
/* at the worker's exit: no `done` runs */
void ngx_goconnect_pg_conn_destroy(ngx_goconnect_pg_conn_t *conn);

/* what is told before: NGX_OK or NGX_ERROR */

ngx_int_t ngx_goconnect_pg_prepare_send(ngx_goconnect_pg_conn_t *conn);
/* of its next command; NGX_DONE: it was the last one */
ngx_int_t ngx_goconnect_pg_prepare_answer(ngx_goconnect_pg_conn_t *conn,
                                          PGresult *res);

/* the pipeline of a connection */

void ngx_goconnect_pg_pipeline_send(ngx_goconnect_pg_conn_t *conn,
                                    ngx_goconnect_pg_job_t *job);
/* takes what has come; NGX_ERROR: the connection is gone by now */
ngx_int_t ngx_goconnect_pg_pipeline_read(ngx_goconnect_pg_conn_t *conn);
void ngx_goconnect_pg_pipeline_notice(void *data, const PGresult *res);
/* ends what was in flight on a connection that has been closed */
void ngx_goconnect_pg_pipeline_lose(ngx_goconnect_pg_conn_t *conn);

/* lanes */

ngx_int_t ngx_goconnect_pg_lane_init(ngx_goconnect_pg_lane_t *lane,
                                     ngx_uint_t connections, ngx_uint_t depth);
/* NGX_OK, or NGX_DECLINED with call->rc set */
ngx_int_t ngx_goconnect_pg_lane_add(ngx_goconnect_pg_lane_t *lane,
                                    ngx_goconnect_pg_job_t *job);
/* one more that waits, whatever queue it stands in */
void ngx_goconnect_pg_lane_enter(ngx_goconnect_pg_lane_t *lane,
                                 ngx_goconnect_pg_job_t *job);
/* puts a job that was in flight before those that wait */
void ngx_goconnect_pg_lane_again(ngx_goconnect_pg_lane_t *lane,
                                 ngx_goconnect_pg_job_t *job);
void ngx_goconnect_pg_lane_remove(ngx_goconnect_pg_lane_t *lane,
                                  ngx_goconnect_pg_job_t *job);
/* hands waiting jobs to connections that have room */
void ngx_goconnect_pg_lane_dispatch(ngx_goconnect_pg_lane_t *lane);
/* after an attempt to connect failed: is there hope for those who wait? */
void ngx_goconnect_pg_lane_settle(ngx_goconnect_pg_lane_t *lane);

/* jobs */

/* begins the job's time */
void ngx_goconnect_pg_job_clock(ngx_goconnect_pg_job_t *job);
/* runs `done` or, for an answered error that heals by itself, sends again */
void ngx_goconnect_pg_job_answer(ngx_goconnect_pg_lane_t *lane,
                                 ngx_goconnect_pg_job_t *job, PGresult *res);
/* what becomes of a job whose connection broke under it */
void ngx_goconnect_pg_job_lost(ngx_goconnect_pg_lane_t *lane,
                               ngx_goconnect_pg_job_t *job);
void ngx_goconnect_pg_job_done(ngx_goconnect_pg_job_t *job,
                               ngx_goconnect_pg_rc_e rc);

/* pool */

void ngx_goconnect_pg_pool_lost(ngx_goconnect_pg_conn_t *conn,
                                const char *what);
void ngx_goconnect_pg_pool_up(ngx_goconnect_pg_conn_t *conn);
void ngx_goconnect_pg_pool_unprepared(ngx_goconnect_pg_conn_t *conn,
                                      const char *name, PGresult *res);
/* how many connections the server offers; logs an error if it is too few */
void ngx_goconnect_pg_pool_measure(ngx_int_t offered);

/* the first line of a libpq message */
ngx_str_t ngx_goconnect_pg_message(const char *message);


#endif /* NGX_GOCONNECT_PG_POOL_H */
