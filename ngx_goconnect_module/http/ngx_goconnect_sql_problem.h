/*
 * What an error of the database means to who asked, over REST and over the
 * WebSocket alike.
 */


#ifndef NGX_GOCONNECT_SQL_PROBLEM_H
#define NGX_GOCONNECT_SQL_PROBLEM_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>
#include <libpq-fe.h>


/* Strings are constant, or live as long as the result. */
typedef struct {
    ngx_uint_t status;
    const char *code;
    const char *field; /* "": none */
    const char *detail;
    const char *state;   /* SQLSTATE */
    const char *message; /* for the log */
    ngx_uint_t level;    /* of the log; NGX_LOG_STDERR: nothing to log */
} ngx_goconnect_sql_problem_t;


/*
 * Fills *problem.  NGX_DECLINED: it is the server's own fault, only state,
 * message and level are set.
 */
ngx_int_t ngx_goconnect_sql_problem(const PGresult *res,
                                    ngx_goconnect_sql_problem_t *problem);

/* {detail, code, errors?} of it; NULL: no memory */
json_t *ngx_goconnect_sql_refusal(const ngx_goconnect_sql_problem_t *problem);


#endif /* NGX_GOCONNECT_SQL_PROBLEM_H */
