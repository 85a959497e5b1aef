/* libpq's socket as a connection of nginx. */


#include "pg/ngx_goconnect_pg.h"


static void ngx_goconnect_pg_socket_notice(void *data, const PGresult *res);


ngx_connection_t *
ngx_goconnect_pg_socket_open(PGconn *pg, void *data, ngx_event_handler_pt read,
                             ngx_event_handler_pt write)
{
    ngx_log_t *log;
    ngx_connection_t *c;

    log = ngx_cycle->log;

    if (PQsocket(pg) < 0) {
        return NULL;
    }

    c = ngx_get_connection(PQsocket(pg), log);
    if (c == NULL) {
        return NULL;
    }

    c->data = data;
    c->log = log;
    c->read->log = log;
    c->write->log = log;
    c->read->handler = read;
    c->write->handler = write;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    /* level-triggered: PQconsumeInput() need not empty the socket */

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_goconnect_pg_socket_close(c, pg);
        return NULL;
    }

    return c;
}


/*
 * What ngx_close_connection() does, except for closing the descriptor, which
 * is libpq's.  When libpq has closed it already, epoll has forgotten it and
 * its number may be somebody else's by now.
 */

void
ngx_goconnect_pg_socket_close(ngx_connection_t *c, PGconn *pg)
{
    ngx_uint_t flags;

    if (c == NULL) {
        return;
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->active || c->write->active) {
        flags = PQsocket(pg) == c->fd ? 0 : NGX_CLOSE_EVENT;
        (void) ngx_del_conn(c, flags);
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
}


ngx_int_t
ngx_goconnect_pg_socket_poll(PGconn *pg, ngx_connection_t **c, void *data,
                             ngx_event_handler_pt read,
                             ngx_event_handler_pt write)
{
    PostgresPollingStatusType status;

    if (*c == NULL) {
        /* just begun: libpq asks for a wait until the socket is writable */
        (void) PQsetNoticeReceiver(pg, ngx_goconnect_pg_socket_notice, NULL);
        status = PQstatus(pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED
                                                : PGRES_POLLING_WRITING;

    } else {
        /* libpq may close its socket and open another of the same number */
        ngx_goconnect_pg_socket_close(*c, pg);
        *c = NULL;
        status = PQconnectPoll(pg);
    }

    if (status == PGRES_POLLING_FAILED) {
        return NGX_ERROR;
    }

    *c = ngx_goconnect_pg_socket_open(pg, data, read, write);
    if (*c == NULL) {
        return NGX_ERROR;
    }

    if (status == PGRES_POLLING_WRITING &&
        ngx_add_event((*c)->write, NGX_WRITE_EVENT, NGX_LEVEL_EVENT) !=
            NGX_OK) {
        goto failed;
    }

    if (status != PGRES_POLLING_OK) {
        return NGX_AGAIN;
    }

    if (PQsetnonblocking(pg, 1) == 0) {
        return NGX_OK;
    }

failed:

    ngx_goconnect_pg_socket_close(*c, pg);
    *c = NULL;

    return NGX_ERROR;
}


ngx_int_t
ngx_goconnect_pg_socket_flush(PGconn *pg, ngx_connection_t *c)
{
    int rc;
    ngx_event_t *wev;

    rc = PQflush(pg);
    wev = c->write;

    if (rc < 0) {
        return NGX_ERROR;
    }

    if (rc > 0 && !wev->active) {
        return ngx_add_event(wev, NGX_WRITE_EVENT, NGX_LEVEL_EVENT);
    }

    if (rc == 0 && wev->active) {
        return ngx_del_event(wev, NGX_WRITE_EVENT, 0);
    }

    return NGX_OK;
}


/* libpq would write to stderr */

static void
ngx_goconnect_pg_socket_notice(void *data, const PGresult *res)
{
    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "goconnect database notice: %s",
                   PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
}
