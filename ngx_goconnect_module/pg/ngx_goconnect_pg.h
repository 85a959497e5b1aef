/*
 * PostgreSQL in nginx's event loop: what the rest of the module may use.
 *
 * Each worker has a pool of libpq connections in pipeline mode, in three
 * lanes.  A call is one prepared statement with its parameters.  Its `done`
 * runs once, in a later turn of the event loop than _send(), never after
 * _abandon(), and only when the statement's transaction is known to be
 * committed or is known, or feared, to have failed.
 */


#ifndef NGX_GOCONNECT_PG_H
#define NGX_GOCONNECT_PG_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <libpq-fe.h>


/* ctx, two of the path, seven of the query, a body: no statement has more */
#define NGX_GOCONNECT_PG_PARAMS_MAX 12


typedef enum {
    NGX_GOCONNECT_PG_READ = 0, /* many in a pipeline, retried when lost */
    NGX_GOCONNECT_PG_WRITE,    /* one at a time on a connection */
    NGX_GOCONNECT_PG_BULK,     /* long ones, out of the way of the others */
    NGX_GOCONNECT_PG_LANES
} ngx_goconnect_pg_lane_e;


/*
 * How a call ended.
 *
 * OK           call->res holds rows, the transaction is committed
 * ERROR        call->res holds the error; nothing was changed.  A deadlock or
 *              a serialization failure has been tried once more already
 * UNAVAILABLE  the database is away; nothing was changed (or it was a read)
 * TIMEOUT      the deadline passed; nothing was changed (or it was a read)
 * UNKNOWN      a write that was sent and not answered
 * BUSY         the lane's queue is full; nothing was sent
 */
typedef enum {
    NGX_GOCONNECT_PG_OK = 0,
    NGX_GOCONNECT_PG_ERROR,
    NGX_GOCONNECT_PG_UNAVAILABLE,
    NGX_GOCONNECT_PG_TIMEOUT,
    NGX_GOCONNECT_PG_UNKNOWN,
    NGX_GOCONNECT_PG_BUSY
} ngx_goconnect_pg_rc_e;


/* constant, lives as long as the program; name and sql are NUL-terminated */
typedef struct {
    ngx_str_t name;
    ngx_str_t sql;
    ngx_goconnect_pg_lane_e lane;
} ngx_goconnect_pg_statement_t;


typedef struct ngx_goconnect_pg_call_s ngx_goconnect_pg_call_t;

/* owns `call` and ends with ngx_goconnect_pg_call_destroy() */
typedef void (*ngx_goconnect_pg_done_pt)(ngx_goconnect_pg_call_t *call);


struct ngx_goconnect_pg_call_s {
    ngx_goconnect_pg_rc_e rc;
    PGresult *res; /* freed by _destroy(); set to NULL to take it */
    void *data;    /* the caller's */
    const ngx_goconnect_pg_statement_t *statement;
};


/* the pool's configuration, filled by the directives */
typedef struct {
    ngx_str_t conninfo;                             /* as given */
    ngx_uint_t connections[NGX_GOCONNECT_PG_LANES]; /* per worker */
    ngx_uint_t depth; /* calls in flight on a connection of the read lane */
    ngx_array_t *conninfos; /* of ngx_str_t, by host; private to pg/ */
} ngx_goconnect_pg_conf_t;


/*
 * Calls.  Memory belongs to the call, not to a request's pool: a request may
 * go while its call is still in the pipeline.
 */

/* NULL: no memory.  The caller owns the call until _send() returns NGX_OK */
ngx_goconnect_pg_call_t *
ngx_goconnect_pg_call_create(const ngx_goconnect_pg_statement_t *statement);

/*
 * Appends the next parameter, text format, copied; data == NULL is SQL's NULL.
 * The text must not contain NUL bytes.  NGX_ERROR: no memory, or too many;
 * then the call can only be destroyed.
 */
ngx_int_t ngx_goconnect_pg_call_param(ngx_goconnect_pg_call_t *call,
                                      const u_char *data, size_t len);

/*
 * Optional: names the tenant (or network) that a write belongs to, so that no
 * single one holds more than half of the lane's connections.
 */
void ngx_goconnect_pg_call_group(ngx_goconnect_pg_call_t *call,
                                 const u_char *data, size_t len);

/*
 * Optional: the call gives way.  Fewer of such calls are in flight than the
 * lane has connections, so that thousands at once do not hold up the others.
 */
void ngx_goconnect_pg_call_yields(ngx_goconnect_pg_call_t *call);

/*
 * Sends or queues the call; `timeout` in milliseconds, counted from now, but
 * for a call that yields from when its turn has come.
 * NGX_OK: done(call) will run, unless the call is abandoned before.
 * NGX_DECLINED: done is not called, call->rc says why (BUSY, UNAVAILABLE),
 * and the caller still owns the call.
 */
ngx_int_t ngx_goconnect_pg_call_send(ngx_goconnect_pg_call_t *call,
                                     ngx_goconnect_pg_done_pt done, void *data,
                                     ngx_msec_t timeout);

/*
 * Gives up a call that was sent: done will not run and the pool owns the call.
 * What was sent still takes effect in the database.
 */
void ngx_goconnect_pg_call_abandon(ngx_goconnect_pg_call_t *call);

/* frees a call that was never sent, or that `done` has been given */
void ngx_goconnect_pg_call_destroy(ngx_goconnect_pg_call_t *call);

/* SQLSTATE of an ERROR, "" if there is none; never NULL */
const char *ngx_goconnect_pg_call_sqlstate(ngx_goconnect_pg_call_t *call);


/*
 * The pool, used by the module's root file.
 */

/*
 * Checks conf->conninfo and resolves its host names (libpq would block on DNS
 * in a worker).  NULL, or what is wrong with it, for the configuration log.
 */
char *ngx_goconnect_pg_conf_check(ngx_conf_t *cf,
                                  ngx_goconnect_pg_conf_t *conf);

/*
 * Offers a table of statements to be prepared on each connection of their
 * lanes; to be called before ngx_goconnect_pg_init_process().
 */
ngx_int_t ngx_goconnect_pg_statements(const ngx_goconnect_pg_statement_t *table,
                                      ngx_uint_t n);

ngx_int_t ngx_goconnect_pg_init_process(ngx_cycle_t *cycle,
                                        ngx_goconnect_pg_conf_t *conf);
void ngx_goconnect_pg_exit_process(ngx_cycle_t *cycle);

/* 1 if at least one connection of the lane can take calls */
ngx_uint_t ngx_goconnect_pg_ready(ngx_goconnect_pg_lane_e lane);


/*
 * For a connection outside of the pool (LISTEN).
 */

/*
 * The connection string with host addresses and time-outs filled in, NUL
 * terminated, constant in a worker.  `attempt` turns the list of hosts, so
 * that a host which swallows packets does not keep one from the next: add 1
 * to it after a connection attempt that ran into its deadline.
 */
const char *ngx_goconnect_pg_conninfo(ngx_uint_t attempt);

/*
 * Adopts libpq's socket: c->data = data, level-triggered, read event added.
 * NULL on error.  libpq goes on owning the descriptor.
 */
ngx_connection_t *ngx_goconnect_pg_socket_open(PGconn *pg, void *data,
                                               ngx_event_handler_pt read,
                                               ngx_event_handler_pt write);

/* before PQfinish(), PQconnectPoll() or PQreset(); c may be NULL */
void ngx_goconnect_pg_socket_close(ngx_connection_t *c, PGconn *pg);

/*
 * One step of a connection begun by PQconnectStart(); *c (NULL at first) is
 * replaced, since libpq may change the socket.  Call it at once after
 * PQconnectStart() and then from both handlers until it ends.
 * NGX_OK: connected, non-blocking, read event on.  NGX_AGAIN.  NGX_ERROR: see
 * PQerrorMessage(); *c is NULL.
 */
ngx_int_t ngx_goconnect_pg_socket_poll(PGconn *pg, ngx_connection_t **c,
                                       void *data, ngx_event_handler_pt read,
                                       ngx_event_handler_pt write);

/*
 * PQflush() with the write event switched on or off as it is needed.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_goconnect_pg_socket_flush(PGconn *pg, ngx_connection_t *c);


#endif /* NGX_GOCONNECT_PG_H */
