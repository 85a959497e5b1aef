/* hiredis' asynchronous connections in nginx's event loop. */


#ifndef NGX_GOCONNECT_LIVE_REDIS_H
#define NGX_GOCONNECT_LIVE_REDIS_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <hiredis/async.h>

#include "live/ngx_goconnect_live_bus_conf.h"


typedef struct ngx_goconnect_redis_s ngx_goconnect_redis_t;

/*
 * A connection; the caller's memory, zeroed at first, ac->data points here.
 *
 * connected() runs when commands can be sent, lost() once when the connection
 * has ended by itself.  Both, and replies, run within hiredis: they may send
 * commands, but must leave _close() to a later turn of the event loop.
 */
struct ngx_goconnect_redis_s {
    redisAsyncContext *ac; /* NULL: there is none */
    ngx_connection_t *c;
    void (*connected)(ngx_goconnect_redis_t *redis);
    void (*lost)(ngx_goconnect_redis_t *redis, const char *message);
    size_t reply_max; /* bytes of an unfinished reply */
    unsigned closing : 1;
};


/*
 * Begins to connect, to the address that is `attempt`'s turn.  lost() may run
 * before it returns.
 */
void ngx_goconnect_redis_open(ngx_goconnect_redis_t *redis,
                              const ngx_goconnect_bus_conf_t *conf,
                              ngx_uint_t attempt);

/* ends it at once; callbacks that wait get a reply of NULL before it returns */
void ngx_goconnect_redis_close(ngx_goconnect_redis_t *redis);

/* writes what can be written without waiting, before a close */
void ngx_goconnect_redis_flush(ngx_goconnect_redis_t *redis);


#endif /* NGX_GOCONNECT_LIVE_REDIS_H */
