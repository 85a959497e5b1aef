/*
 * The REST API as the root file and the live part see it.
 */


#ifndef NGX_GOCONNECT_HTTP_H
#define NGX_GOCONNECT_HTTP_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ngx_goconnect_auth.h"


/* The content handler of a location with `goconnect_api`. */
ngx_int_t ngx_goconnect_http_handler(ngx_http_request_t *r);

/* Of one with `goconnect_metrics`: /metrics, where there is no API. */
ngx_int_t ngx_goconnect_http_metrics_handler(ngx_http_request_t *r);

/*
 * For the root file, in this order: adds the variables for access logs
 * ($goconnect_route, the path of the route with its parameters' names;
 * $goconnect_user, who asked; $goconnect_database_time, in seconds), asks for
 * the zone of /metrics, and in a worker offers the statements of routes.def to
 * the pool.
 */
ngx_int_t ngx_goconnect_http_preconfiguration(ngx_conf_t *cf);
ngx_int_t ngx_goconnect_http_postconfiguration(ngx_conf_t *cf);
ngx_int_t ngx_goconnect_http_init_process(ngx_cycle_t *cycle);

/*
 * Called with the `events` of each committed answer: a JSON array of finished
 * frames, good until the call returns. Set by the root file; may be NULL.
 */
typedef void (*ngx_goconnect_http_events_pt)(const char *json, size_t len);
extern ngx_goconnect_http_events_pt ngx_goconnect_http_events_handler;

/*
 * The text of api_N.ctx for a caller, in `pool`. identity, address, id,
 * if_match and key may be NULL: SQL's NULL.
 */
typedef struct {
    const ngx_goconnect_identity_t *identity;
    const ngx_str_t *address;
    const ngx_str_t *request_id;
    const ngx_str_t *if_match;
    const ngx_str_t *idempotency_key;
} ngx_goconnect_ctx_t;

ngx_int_t ngx_goconnect_ctx_param(ngx_pool_t *pool,
                                  const ngx_goconnect_ctx_t *ctx,
                                  ngx_str_t *text);


#endif /* NGX_GOCONNECT_HTTP_H */
