/*
 * The live part of the control plane: WebSocket sessions, topics, presence
 * and the event bus.  What the module's root file needs of it.
 */


#ifndef NGX_GOCONNECT_LIVE_H
#define NGX_GOCONNECT_LIVE_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* in the master, before the workers are made */
ngx_int_t ngx_goconnect_live_init_module(ngx_cycle_t *cycle);

/* offers live's statements to the pool: before the pool's own init */
ngx_int_t ngx_goconnect_live_statements(void);

/* in each worker, after the pool's */
ngx_int_t ngx_goconnect_live_init_process(ngx_cycle_t *cycle);

/* in each worker, before the pool's */
void ngx_goconnect_live_exit_process(ngx_cycle_t *cycle);

/* content handler of a `goconnect_ws` location */
ngx_int_t ngx_goconnect_live_handler(ngx_http_request_t *r);

/*
 * Delivers events whose transaction is committed: `json` is an array of
 * finished frames as a function's `events` holds them, not kept.  It goes to
 * this worker's sockets and, by the bus, to all others.
 */
void ngx_goconnect_live_publish(const char *json, size_t len);


#endif /* NGX_GOCONNECT_LIVE_H */
