/* What a connection is told before it serves calls. */


#include "pg/ngx_goconnect_pg_pool.h"


static ngx_int_t
ngx_goconnect_pg_prepare_settings(ngx_goconnect_pg_conn_t *conn);


/*
 * The limits of a session; a statement that is not ours to tune (PgBouncer,
 * conninfo) cannot take them away.  The last column is what the server has
 * for ordinary roles.
 */

static const char ngx_goconnect_pg_settings[] =
    "SELECT pg_catalog.set_config('statement_timeout', $1, false),"
    " pg_catalog.set_config('lock_timeout', '1000', false),"
    " pg_catalog.set_config('idle_in_transaction_session_timeout', '5000',"
    " false),"
    " pg_catalog.current_setting('max_connections')::pg_catalog.int4"
    " - pg_catalog.current_setting('superuser_reserved_connections')"
    "::pg_catalog.int4";


/* each in its own Sync: a statement that is refused does not stop the rest */

ngx_int_t
ngx_goconnect_pg_prepare_send(ngx_goconnect_pg_conn_t *conn)
{
    ngx_uint_t i;
    const ngx_goconnect_pg_statement_t *st;

    conn->step = 0;

    if (!PQenterPipelineMode(conn->pg) ||
        ngx_goconnect_pg_prepare_settings(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < conn->lane->nstatements; i++) {
        st = conn->lane->statements[i];

        if (!PQsendPrepare(conn->pg, (const char *) st->name.data,
                           (const char *) st->sql.data, 0, NULL) ||
            !PQpipelineSync(conn->pg)) {
            return NGX_ERROR;
        }
    }

    return ngx_goconnect_pg_socket_flush(conn->pg, conn->c);
}


ngx_int_t
ngx_goconnect_pg_prepare_answer(ngx_goconnect_pg_conn_t *conn, PGresult *res)
{
    ngx_str_t name;

    if (conn->step == 0) {

        if (PQresultStatus(res) == PGRES_TUPLES_OK) {
            ngx_goconnect_pg_pool_measure(
                ngx_atoi((u_char *) PQgetvalue(res, 0, 3),
                         (size_t) PQgetlength(res, 0, 3)));

        } else {
            ngx_goconnect_pg_pool_unprepared(conn, "settings", res);
        }

    } else if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        name = conn->lane->statements[conn->step - 1]->name;
        ngx_goconnect_pg_pool_unprepared(conn, (char *) name.data, res);
    }

    return conn->step++ == conn->lane->nstatements ? NGX_DONE : NGX_AGAIN;
}


static ngx_int_t
ngx_goconnect_pg_prepare_settings(ngx_goconnect_pg_conn_t *conn)
{
    u_char text[NGX_INT_T_LEN + 1];
    const char *values[1];

    *ngx_sprintf(text, "%M", conn->lane->statement_timeout) = '\0';
    values[0] = (const char *) text;

    if (!PQsendQueryParams(conn->pg, ngx_goconnect_pg_settings, 1, NULL, values,
                           NULL, NULL, 0) ||
        !PQpipelineSync(conn->pg)) {
        return NGX_ERROR;
    }

    return NGX_OK;
}
