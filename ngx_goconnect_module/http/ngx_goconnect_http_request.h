/*
 * The life of a request, by file:
 *
 *   request   route, method, credential; runs the steps and calls in order
 *   cors      pages of other origins
 *   body      content type, reading, JSON
 *   fields    body and query against the rules of routes.def, value by value
 *             with check
 *   cache     answers that need no call
 *   call      one call to the database and what can go wrong with it
 *   reply     the answer's head and body
 *   problem   every refusal (RFC 9457)
 *   measure   what logs and /metrics tell of it
 *
 * Unless said otherwise functions return NGX_OK: go on; NGX_DONE: something is
 * awaited, which goes on by itself; NGX_DECLINED: the client has been answered,
 * ctx->rc is for ngx_http_finalize_request(); NGX_ERROR: no memory, or logged.
 */


#ifndef NGX_GOCONNECT_HTTP_REQUEST_H
#define NGX_GOCONNECT_HTTP_REQUEST_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <jansson.h>

#include "http/ngx_goconnect_http.h"
#include "http/ngx_goconnect_http_route.h"


typedef enum {
    NGX_GOCONNECT_HTTP_BEFORE = 0,
    NGX_GOCONNECT_HTTP_BEGIN,
    NGX_GOCONNECT_HTTP_BETWEEN,
    NGX_GOCONNECT_HTTP_FINISH,
    NGX_GOCONNECT_HTTP_AFTER,
    NGX_GOCONNECT_HTTP_REPLY
} ngx_goconnect_http_phase_e;


/* What the last function returned; steps may change it. */
typedef struct {
    ngx_uint_t status;
    ngx_str_t body; /* len 0: none */
    ngx_str_t etag;
    ngx_str_t location;
    ngx_str_t content_type; /* len 0: JSON */
    unsigned vary_accept : 1;
} ngx_goconnect_http_answer_t;


typedef struct ngx_goconnect_http_cache_s ngx_goconnect_http_cache_t;


/* In the request's pool; json and res are released by its cleanup. */
struct ngx_goconnect_http_ctx_s {
    ngx_http_request_t *request;
    const ngx_goconnect_route_t *route;
    ngx_goconnect_http_phase_e phase;

    ngx_goconnect_identity_t identity; /* user "": nobody */
    ngx_str_t request_id;
    ngx_str_t params[GC_ROUTER_PARAMS_MAX];
    ngx_uint_t nparams;
    ngx_str_t query[NGX_GOCONNECT_HTTP_QUERY_MAX]; /* data NULL: absent */

    u_char *buffer; /* the body while it is read */
    size_t received;
    json_t *body; /* what the function is given */

    ngx_str_t ctx_param;
    ngx_goconnect_http_cache_t *cache; /* where the answer is to be kept */
    ngx_goconnect_pg_call_t *call;     /* in flight */
    ngx_goconnect_step_pt next; /* with the answer to a step's own call */
    void *step;                 /* of the step that goes on then */
    uint64_t asked_at;          /* ngx_goconnect_metrics_clock() */
    uint64_t database_time;     /* microseconds of all calls */
    PGresult *res;              /* holds the answer's strings */
    ngx_goconnect_http_answer_t answer;

    ngx_str_t password;     /* wiped with the request */
    ngx_str_t new_password; /* likewise */
    ngx_str_t secret;       /* what the answer tells once */

    ngx_int_t rc; /* of the answer */

    unsigned cached : 1; /* the answer came from the cache */
};


/* nginx has no name for it */
#define NGX_GOCONNECT_HTTP_UNPROCESSABLE 422


extern ngx_module_t ngx_http_goconnect_module;


/* request */

/*
 * Runs the request from its present phase if rc, what the last function
 * returned, is NGX_OK. NGX_DONE: something is awaited; else the result is for
 * ngx_http_finalize_request().
 */
ngx_int_t ngx_goconnect_http_run(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc);

/* The same after a wait outside of nginx's request events; finalizes too. */
void ngx_goconnect_http_continue(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc);

/* measure */

/*
 * Has every request of the API counted when it ends, in a zone that the
 * configuration gets in `metrics`. NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_goconnect_http_measure(ngx_conf_t *cf);

/* cors */

/*
 * What a browser must be told before it lets a page of another origin see the
 * answer; nothing unless the origin is configured. methods is the value of
 * Allow for the answer to a preflight, else NULL. NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_goconnect_http_cors(ngx_goconnect_http_ctx_t *ctx,
                                  const ngx_str_t *methods);

/* A header of the request by its name, or NULL. */
ngx_table_elt_t *ngx_goconnect_http_header_in(ngx_http_request_t *r,
                                              const char *name);

/* body: as a content handler returns */

ngx_int_t ngx_goconnect_http_read_body(ngx_goconnect_http_ctx_t *ctx);

/* fields */

ngx_int_t ngx_goconnect_http_check_query(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_http_check_body(ngx_goconnect_http_ctx_t *ctx);

/* cache */

/* NGX_OK: the answer is there; NGX_DECLINED: the database has to be asked */
ngx_int_t ngx_goconnect_http_cache_get(ngx_goconnect_http_ctx_t *ctx);

/* Keeps what the database has answered. */
void ngx_goconnect_http_cache_put(ngx_goconnect_http_ctx_t *ctx);

/* A write has succeeded; or, if not known, may have. */
void ngx_goconnect_http_cache_written(ngx_goconnect_http_ctx_t *ctx,
                                      ngx_uint_t known);

/* call */

/* Sends the statement; ctx->phase is run when it has answered. */
ngx_int_t
ngx_goconnect_http_call(ngx_goconnect_http_ctx_t *ctx,
                        const ngx_goconnect_pg_statement_t *statement);

/*
 * Sends a call that a step has made; it is taken over. When it has answered
 * well, `next` is run with the answer in ctx->answer, as a step is.
 */
ngx_int_t ngx_goconnect_http_call_step(ngx_goconnect_http_ctx_t *ctx,
                                       ngx_goconnect_pg_call_t *call,
                                       ngx_msec_t timeout,
                                       ngx_goconnect_step_pt next);

/* reply */

/* Sends ctx->answer. Returns NGX_DECLINED or NGX_ERROR. */
ngx_int_t ngx_goconnect_http_reply(ngx_goconnect_http_ctx_t *ctx);

/* Sends head and body (may be empty). Returns NGX_DECLINED. */
ngx_int_t ngx_goconnect_http_send(ngx_goconnect_http_ctx_t *ctx,
                                  ngx_uint_t status, const ngx_str_t *type,
                                  const ngx_str_t *body);

/* Appends a header. name is constant; value lives as long as the request. */
ngx_int_t ngx_goconnect_http_header(ngx_http_request_t *r, const char *name,
                                    const ngx_str_t *value);

/* The answer's body as JSON, to be released; NULL is logged. */
json_t *ngx_goconnect_http_answer(ngx_goconnect_http_ctx_t *ctx);

/* Makes json the answer's body; released. Returns NGX_OK or NGX_ERROR. */
ngx_int_t ngx_goconnect_http_answer_set(ngx_goconnect_http_ctx_t *ctx,
                                        json_t *json);

/* The compact text of json in the request's pool. */
ngx_int_t ngx_goconnect_http_dump(ngx_goconnect_http_ctx_t *ctx,
                                  const json_t *json, ngx_str_t *text);

/* problem: all return NGX_DECLINED or NGX_ERROR */

ngx_int_t ngx_goconnect_http_problem(ngx_goconnect_http_ctx_t *ctx,
                                     ngx_uint_t status, const char *code,
                                     const char *detail);

/* 422; errors is an array of {field, code, detail}, and is released */
ngx_int_t ngx_goconnect_http_problem_fields(ngx_goconnect_http_ctx_t *ctx,
                                            json_t *errors);

/* 503 with Retry-After */
ngx_int_t ngx_goconnect_http_unavailable(ngx_goconnect_http_ctx_t *ctx,
                                         const char *code, const char *detail);

/* the refusal that a function returned in ctx->answer */
ngx_int_t ngx_goconnect_http_refusal(ngx_goconnect_http_ctx_t *ctx);

/* what an error of the database means; logs what is not the client's */
ngx_int_t ngx_goconnect_http_sql_error(ngx_goconnect_http_ctx_t *ctx,
                                       const PGresult *res);


#endif /* NGX_GOCONNECT_HTTP_REQUEST_H */
