/*
 * Start and end of the live part in a worker, and its statements.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_LIVE_ROW \
    "SELECT status, body, etag, location, events FROM api_1."


/* in the order of ngx_goconnect_live_statement_e */
static const ngx_goconnect_pg_statement_t ngx_goconnect_live_table[] = {
    {ngx_string("live_ticket_take"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_ticket_take($1)"),
     NGX_GOCONNECT_PG_WRITE},
    {ngx_string("live_hello"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_hello($1)"), NGX_GOCONNECT_PG_READ},
    {ngx_string("live_subscribe"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_subscribe($1, $2)"),
     NGX_GOCONNECT_PG_READ},
    {ngx_string("live_netmap"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_netmap($1, $2)"),
     NGX_GOCONNECT_PG_READ},
    {ngx_string("live_sweep"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_sweep($1)"), NGX_GOCONNECT_PG_READ},
    {ngx_string("live_presence"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_presence($1, $2)"),
     NGX_GOCONNECT_PG_WRITE},
    {ngx_string("live_presence_state"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_presence_state($1)"),
     NGX_GOCONNECT_PG_BULK},
    {ngx_string("live_endpoints"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_endpoints($1, $2, $3)"),
     NGX_GOCONNECT_PG_WRITE},
    {ngx_string("live_network_chat"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "network_messages_create($1, $2, $3)"),
     NGX_GOCONNECT_PG_WRITE},
    {ngx_string("live_tenant_chat"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "tenant_messages_create($1, $2, $3)"),
     NGX_GOCONNECT_PG_WRITE},
    {ngx_string("live_typing"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_typing($1, $2, $3)"),
     NGX_GOCONNECT_PG_READ},
    {ngx_string("live_rotation_ack"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_rotation_ack($1, $2, $3)"),
     NGX_GOCONNECT_PG_READ},
    {ngx_string("live_figures"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "ws_figures()"), NGX_GOCONNECT_PG_READ},
    {ngx_string("live_audit_take"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "audit_take($1)"),
     NGX_GOCONNECT_PG_BULK},
    {ngx_string("live_audit_store"),
     ngx_string(NGX_GOCONNECT_LIVE_ROW "audit_store($1)"),
     NGX_GOCONNECT_PG_BULK},
    {ngx_string("live_bell"),
     ngx_string("SELECT count(pg_catalog.pg_notify('goconnect', p)) "
                "FROM unnest($1::text[]) p"),
     NGX_GOCONNECT_PG_BULK},
    {ngx_string("live_place"),
     ngx_string("SELECT c.system_identifier || ':' || d.oid "
                "FROM pg_catalog.pg_control_system() c, "
                "pg_catalog.pg_database d "
                "WHERE d.datname = pg_catalog.current_database()"),
     NGX_GOCONNECT_PG_READ},
};


ngx_goconnect_live_worker_t ngx_goconnect_live_worker;
ngx_connection_t ngx_goconnect_live_no_connection = {.fd = -1};


ngx_int_t
ngx_goconnect_live_statements(void)
{
    return ngx_goconnect_pg_statements(ngx_goconnect_live_table,
                                       NGX_GOCONNECT_LIVE_STATEMENTS);
}


ngx_goconnect_pg_call_t *
ngx_goconnect_live_call(ngx_goconnect_live_statement_e statement)
{
    ngx_goconnect_pg_call_t *call;

    call = ngx_goconnect_pg_call_create(&ngx_goconnect_live_table[statement]);

    /* after a restart all sockets ask for these at once */
    if (call && (statement == NGX_GOCONNECT_LIVE_HELLO ||
                 statement == NGX_GOCONNECT_LIVE_SUBSCRIBE ||
                 statement == NGX_GOCONNECT_LIVE_NETMAP)) {
        ngx_goconnect_pg_call_yields(call);
    }

    return call;
}


void
ngx_goconnect_live_event_init(ngx_event_t *ev, ngx_event_handler_pt fn)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = fn;
    ev->data = &ngx_goconnect_live_no_connection;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;
}


ngx_int_t
ngx_goconnect_live_random(void *out, size_t len)
{
    return ngx_goconnect_secret_random(out, len);
}


static gc_slice_t
ngx_goconnect_live_column(const PGresult *res, int column)
{
    return ngx_goconnect_slice(PQgetvalue(res, 0, column),
                               (size_t) PQgetlength(res, 0, column));
}


ngx_int_t
ngx_goconnect_live_reply(ngx_goconnect_pg_call_t *call,
                         ngx_goconnect_reply_t *reply)
{
    gc_slice_t status;
    int64_t number;

    if (call->rc != NGX_GOCONNECT_PG_OK) {
        return NGX_ERROR;
    }

    if (PQntuples(call->res) != 1 || PQnfields(call->res) != 5) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: %V returned no single row",
                      &call->statement->name);
        return NGX_ERROR;
    }

    status = ngx_goconnect_live_column(call->res, 0);

    if (!gc_json_integer(status, &number) || number < 200 || number > 599) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: %V returned an invalid status",
                      &call->statement->name);
        return NGX_ERROR;
    }

    reply->status = (ngx_uint_t) number;
    reply->body = ngx_goconnect_live_column(call->res, 1);
    reply->events = ngx_goconnect_live_column(call->res, 4);

    return NGX_OK;
}


void
ngx_goconnect_live_log(ngx_goconnect_pg_call_t *call)
{
    static const char *passing[] = {"08", "40", "53", "55P03", "57", "25006"};
    const char *state;
    ngx_uint_t level;
    size_t i;

    if (call->rc == NGX_GOCONNECT_PG_OK) {
        return;
    }

    state = ngx_goconnect_pg_call_sqlstate(call);
    level = call->rc == NGX_GOCONNECT_PG_ERROR ? NGX_LOG_WARN : NGX_LOG_INFO;

    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (strncmp(state, passing[i], strlen(passing[i])) == 0) {
            level = NGX_LOG_INFO;
        }
    }

    ngx_log_error(level, ngx_cycle->log, 0, "goconnect: %V failed (%d) %s",
                  &call->statement->name, (int) call->rc, state);
}


/* RFC 9562, section 5.4 */
static ngx_int_t
ngx_goconnect_live_identify(void)
{
    u_char random[16], tag[8], *p;
    ngx_uint_t i;

    if (ngx_goconnect_live_random(random, sizeof(random)) != NGX_OK ||
        ngx_goconnect_live_random(tag, sizeof(tag)) != NGX_OK) {
        return NGX_ERROR;
    }

    random[6] = (u_char) ((random[6] & 0x0f) | 0x40);
    random[8] = (u_char) ((random[8] & 0x3f) | 0x80);

    p = ngx_goconnect_live_worker.node;

    for (i = 0; i < sizeof(random); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }

        p = ngx_hex_dump(p, &random[i], 1);
    }

    *p = '\0';

    p = ngx_hex_dump(ngx_goconnect_live_worker.tag, tag, sizeof(tag));
    *p = '\0';

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_live_init_process(ngx_cycle_t *cycle)
{
    if (ngx_goconnect_live_identify() != NGX_OK ||
        ngx_goconnect_ws_init_process(cycle) != NGX_OK ||
        ngx_goconnect_limit_init(cycle) != NGX_OK ||
        ngx_goconnect_peer_init(cycle) != NGX_OK ||
        ngx_goconnect_topic_init(cycle) != NGX_OK ||
        ngx_goconnect_sub_init(cycle) != NGX_OK ||
        ngx_goconnect_netmap_init(cycle) != NGX_OK ||
        ngx_goconnect_state_init(cycle) != NGX_OK ||
        ngx_goconnect_mesh_init(cycle) != NGX_OK ||
        ngx_goconnect_presence_init(cycle) != NGX_OK ||
        ngx_goconnect_sweep_init(cycle) != NGX_OK ||
        ngx_goconnect_figures_init(cycle) != NGX_OK ||
        ngx_goconnect_audit_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_bus_init(cycle);
}


void
ngx_goconnect_live_exit_process(ngx_cycle_t *cycle)
{
    ngx_goconnect_bus_exit();
    ngx_goconnect_audit_exit();
    ngx_goconnect_ws_exit_process(cycle);
}
