/*
 * hiredis' asynchronous connections in nginx's event loop.
 *
 * hiredis owns the descriptor and frees its context by itself when the
 * connection breaks, in the middle of _handle_read() or _handle_write(); its
 * cleanup hook runs before, however it comes to that, while the descriptor is
 * still open.  So the hook is the only place where the two part.
 */

#include "live/ngx_goconnect_live_redis.h"


/*
 * Hooks: what hiredis wants to hear of.  Level-triggered, since hiredis takes
 * at most 16 KB at a time.  An event that cannot be added is logged by nginx;
 * the caller's deadline finds that nothing comes.
 */

static void
ngx_goconnect_redis_add_read(void *data)
{
    ngx_goconnect_redis_t *redis = data;

    if (!redis->c->read->active) {
        (void) ngx_add_event(redis->c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_goconnect_redis_del_read(void *data)
{
    ngx_goconnect_redis_t *redis = data;

    if (redis->c->read->active) {
        (void) ngx_del_event(redis->c->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_goconnect_redis_add_write(void *data)
{
    ngx_goconnect_redis_t *redis = data;

    if (!redis->c->write->active) {
        (void) ngx_add_event(redis->c->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }
}


static void
ngx_goconnect_redis_del_write(void *data)
{
    ngx_goconnect_redis_t *redis = data;

    if (redis->c->write->active) {
        (void) ngx_del_event(redis->c->write, NGX_WRITE_EVENT, 0);
    }
}


/* what ngx_close_connection() does, except for closing the descriptor */
static void
ngx_goconnect_redis_cleanup(void *data)
{
    ngx_goconnect_redis_t *redis = data;

    redisAsyncContext *ac;
    ngx_connection_t *c;

    ac = redis->ac;
    c = redis->c;

    if (c->read->active || c->write->active) {
        (void) ngx_del_conn(c, 0);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    ngx_reusable_connection(c, 0);
    ngx_free_connection(c);

    c->fd = (ngx_socket_t) -1;

    redis->ac = NULL;
    redis->c = NULL;

    if (!redis->closing) {
        redis->lost(redis, ac->errstr ? ac->errstr : "");
    }
}


/*
 * Events
 */

static void
ngx_goconnect_redis_read(ngx_event_t *ev)
{
    ngx_connection_t *c;
    ngx_goconnect_redis_t *redis;
    redisReader *reader;

    c = ev->data;
    redis = c->data;
    reader = redis->ac->c.reader;

    /* hiredis would let an endless reply grow as long as memory lasts */
    if (reader->len - reader->pos > redis->reply_max) {
        ngx_goconnect_redis_del_read(redis);
        redis->lost(redis, "a reply is too long");
        return;
    }

    redisAsyncHandleRead(redis->ac);
}


static void
ngx_goconnect_redis_write(ngx_event_t *ev)
{
    ngx_connection_t *c;
    ngx_goconnect_redis_t *redis;

    c = ev->data;
    redis = c->data;

    redisAsyncHandleWrite(redis->ac);
}


static void
ngx_goconnect_redis_connected(const redisAsyncContext *ac, int status)
{
    ngx_goconnect_redis_t *redis;

    redis = ac->data;

    /* otherwise the cleanup tells */
    if (status == REDIS_OK) {
        redis->connected(redis);
    }
}


static ngx_int_t
ngx_goconnect_redis_attach(ngx_goconnect_redis_t *redis)
{
    ngx_log_t *log;
    ngx_connection_t *c;
    redisAsyncContext *ac;

    log = ngx_cycle->log;
    ac = redis->ac;

    c = ngx_get_connection(ac->c.fd, log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = redis;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = ngx_goconnect_redis_read;
    c->write->handler = ngx_goconnect_redis_write;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    redis->c = c;

    ac->data = redis;
    ac->ev.data = redis;
    ac->ev.addRead = ngx_goconnect_redis_add_read;
    ac->ev.delRead = ngx_goconnect_redis_del_read;
    ac->ev.addWrite = ngx_goconnect_redis_add_write;
    ac->ev.delWrite = ngx_goconnect_redis_del_write;
    ac->ev.cleanup = ngx_goconnect_redis_cleanup;

    (void) redisAsyncSetConnectCallback(ac, ngx_goconnect_redis_connected);

    return NGX_OK;
}


void
ngx_goconnect_redis_open(ngx_goconnect_redis_t *redis,
                         const ngx_goconnect_bus_conf_t *conf,
                         ngx_uint_t attempt)
{
    const ngx_goconnect_bus_address_t *address;
    redisAsyncContext *ac;

    if (conf->path.len) {
        ac = redisAsyncConnectUnix((const char *) conf->path.data);

    } else {
        address = conf->addresses->elts;
        address += attempt % conf->addresses->nelts;
        ac = redisAsyncConnect((const char *) address->host, address->port);
    }

    redis->ac = ac;
    redis->closing = 0;

    if (ac && ac->err == 0 && ngx_goconnect_redis_attach(redis) == NGX_OK) {
        return;
    }

    redis->ac = NULL;
    redis->lost(redis, ac == NULL ? "no memory"
                       : ac->err  ? ac->errstr
                                  : "no connection of nginx is free");

    if (ac) {
        redisAsyncFree(ac);
    }
}


void
ngx_goconnect_redis_close(ngx_goconnect_redis_t *redis)
{
    redis->closing = 1;

    if (redis->ac) {
        redisAsyncFree(redis->ac);
    }
}


void
ngx_goconnect_redis_flush(ngx_goconnect_redis_t *redis)
{
    if (redis->ac && redis->c->write->active) {
        redisAsyncHandleWrite(redis->ac);
    }
}
