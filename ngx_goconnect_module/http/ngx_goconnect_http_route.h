/*
 * The route table of routes.def in memory.
 */


#ifndef NGX_GOCONNECT_HTTP_ROUTE_H
#define NGX_GOCONNECT_HTTP_ROUTE_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/gc_router.h"
#include "pg/ngx_goconnect_pg.h"


#define NGX_GOCONNECT_HTTP_QUERY_MAX 8
#define NGX_GOCONNECT_HTTP_BODY_MAX 65536


typedef struct ngx_goconnect_http_ctx_s ngx_goconnect_http_ctx_t;


typedef enum {
    NGX_GOCONNECT_CREDENTIAL_NONE = 0,
    NGX_GOCONNECT_CREDENTIAL_ANY,
    NGX_GOCONNECT_CREDENTIAL_USER
} ngx_goconnect_credential_e;


typedef enum {
    NGX_GOCONNECT_LIMIT_NONE = 0,
    NGX_GOCONNECT_LIMIT_LOGIN,
    NGX_GOCONNECT_LIMIT_REGISTER,
    NGX_GOCONNECT_LIMIT_REFRESH,
    NGX_GOCONNECT_LIMIT_READ,
    NGX_GOCONNECT_LIMIT_WRITE,
    NGX_GOCONNECT_LIMIT_CHAT,
    NGX_GOCONNECT_LIMIT_INVITE
} ngx_goconnect_limit_e;


typedef enum {
    NGX_GOCONNECT_FIELD_TEXT = 0,
    NGX_GOCONNECT_FIELD_LINES,
    NGX_GOCONNECT_FIELD_BYTES,
    NGX_GOCONNECT_FIELD_USERNAME,
    NGX_GOCONNECT_FIELD_EMAIL,
    NGX_GOCONNECT_FIELD_SLUG,
    NGX_GOCONNECT_FIELD_LABEL,
    NGX_GOCONNECT_FIELD_INT,
    NGX_GOCONNECT_FIELD_UUID,
    NGX_GOCONNECT_FIELD_CHOICE,
    NGX_GOCONNECT_FIELD_OBJECT,
    NGX_GOCONNECT_FIELD_KEY,
    NGX_GOCONNECT_FIELD_CIDR,
    NGX_GOCONNECT_FIELD_ENDPOINTS,
    NGX_GOCONNECT_FIELD_CODE,
    NGX_GOCONNECT_FIELD_TOKEN,
    NGX_GOCONNECT_FIELD_BOOL,
    NGX_GOCONNECT_FIELD_PREFIX,
    NGX_GOCONNECT_FIELD_SELECTOR,
    NGX_GOCONNECT_FIELD_RULE,
    NGX_GOCONNECT_FIELD_UUIDS,
    NGX_GOCONNECT_FIELD_LABELS,
    NGX_GOCONNECT_FIELD_CIDRS,
    NGX_GOCONNECT_FIELD_RULES,
    NGX_GOCONNECT_FIELD_ARRAY /* of a message: its reader knows the items */
} ngx_goconnect_field_e;


typedef enum {
    NGX_GOCONNECT_REQUIRED = 0,
    NGX_GOCONNECT_OPTIONAL,
    NGX_GOCONNECT_NULLABLE
} ngx_goconnect_presence_e;


/* A list of them ends with name == NULL. */
typedef struct {
    const char *name;
    ngx_goconnect_field_e type;
    int64_t min;
    int64_t max;
    ngx_goconnect_presence_e presence;
    const char *detail;
} ngx_goconnect_field_t;


/*
 * A step in C. NGX_OK: go on at once; NGX_DONE: it waits and calls
 * ngx_goconnect_http_continue(), or has answered; NGX_ERROR: 500.
 */
typedef ngx_int_t (*ngx_goconnect_step_pt)(ngx_goconnect_http_ctx_t *ctx);


#define NGX_GOCONNECT_ROUTE_SECRET 0x01
#define NGX_GOCONNECT_ROUTE_IDEMPOTENT 0x02
#define NGX_GOCONNECT_ROUTE_NO_CTX 0x04

/* CACHED(subject, view): see routes.def */
#define NGX_GOCONNECT_ROUTE_CACHED 0x10000
#define NGX_GOCONNECT_ROUTE_CACHED_USER 0 /* the reader's own user */
#define NGX_GOCONNECT_ROUTE_CACHED_NETWORK 0x20000
#define NGX_GOCONNECT_ROUTE_CACHED_NETMAP 0x40000
#define NGX_GOCONNECT_ROUTE_CACHED_OWN 0
#define NGX_GOCONNECT_ROUTE_CACHED_COMMON 0x80000


typedef struct {
    ngx_str_t name;
    const char *path;
    ngx_goconnect_credential_e credential;
    ngx_goconnect_limit_e limit;
    ngx_goconnect_pg_lane_e lane;
    ngx_msec_t timeout;
    unsigned flags;
    ngx_str_t begin;
    ngx_str_t finish;
    ngx_goconnect_step_pt before;
    ngx_goconnect_step_pt between;
    ngx_goconnect_step_pt after;
    const ngx_goconnect_field_t *query;
    const ngx_goconnect_field_t *body; /* NULL: no body is read */
} ngx_goconnect_route_t;


typedef struct {
    const ngx_goconnect_pg_statement_t *begin;
    const ngx_goconnect_pg_statement_t *finish;
} ngx_goconnect_route_statements_t;


/*
 * The names of all rows in their order, and one more, "none", in cf->pool;
 * NULL: no memory.
 */
ngx_str_t *ngx_goconnect_route_names(ngx_conf_t *cf, ngx_uint_t *n);

/* A row's place among them; of NULL, the last. */
ngx_uint_t ngx_goconnect_route_number(const ngx_goconnect_route_t *route);

/*
 * The row for method bits and path, or NULL with match->methods telling what
 * the path does offer.
 */
const ngx_goconnect_route_t *ngx_goconnect_route_find(unsigned method,
                                                      const ngx_str_t *path,
                                                      gc_router_match_t *match);

/* The prepared statements of a row, set by ngx_goconnect_route_statements. */
const ngx_goconnect_route_statements_t *
ngx_goconnect_route_calls(const ngx_goconnect_route_t *route);

/*
 * Writes the statement of every function in the table, in `pool`, which
 * lives as long as the worker, and offers them to the pool of connections.
 */
ngx_int_t ngx_goconnect_route_prepare(ngx_pool_t *pool);


#endif /* NGX_GOCONNECT_HTTP_ROUTE_H */
