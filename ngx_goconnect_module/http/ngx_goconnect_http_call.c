#include "http/ngx_goconnect_http_request.h"

#include "shm/ngx_goconnect_metrics.h"


/* Columns of every function's answer */
enum {
    NGX_GOCONNECT_COLUMN_STATUS = 0,
    NGX_GOCONNECT_COLUMN_BODY,
    NGX_GOCONNECT_COLUMN_ETAG,
    NGX_GOCONNECT_COLUMN_LOCATION,
    NGX_GOCONNECT_COLUMN_EVENTS,
    NGX_GOCONNECT_COLUMNS
};


ngx_goconnect_http_events_pt ngx_goconnect_http_events_handler;


static ngx_int_t
ngx_goconnect_http_call_string(ngx_goconnect_pg_call_t *call,
                               const ngx_str_t *value)
{
    return ngx_goconnect_pg_call_param(call, value->data, value->len);
}


static ngx_int_t
ngx_goconnect_http_call_body(ngx_goconnect_http_ctx_t *ctx,
                             ngx_goconnect_pg_call_t *call)
{
    ngx_int_t rc;
    char *text;

    text = json_dumps(ctx->body, JSON_COMPACT);
    if (text == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_pg_call_param(call, (u_char *) text, strlen(text));

    if (ctx->route->flags & NGX_GOCONNECT_ROUTE_SECRET) {
        ngx_goconnect_secret_wipe(text, strlen(text));
    }

    free(text);

    return rc;
}


/* context, path, query, body */
static ngx_int_t
ngx_goconnect_http_call_params(ngx_goconnect_http_ctx_t *ctx,
                               ngx_goconnect_pg_call_t *call)
{
    const ngx_goconnect_field_t *field;
    ngx_uint_t i;

    if (!(ctx->route->flags & NGX_GOCONNECT_ROUTE_NO_CTX) &&
        ngx_goconnect_http_call_string(call, &ctx->ctx_param) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->nparams; i++) {
        if (ngx_goconnect_http_call_string(call, &ctx->params[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    field = ctx->route->query;

    for (i = 0; field && field[i].name; i++) {
        if (ngx_goconnect_http_call_string(call, &ctx->query[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ctx->route->body ? ngx_goconnect_http_call_body(ctx, call) : NGX_OK;
}


static void
ngx_goconnect_http_call_column(const PGresult *res, int column,
                               ngx_str_t *value)
{
    value->data = (u_char *) PQgetvalue(res, 0, column);
    value->len = (size_t) PQgetlength(res, 0, column);
}


/* Takes the result over: the answer's strings stay in it. */
static ngx_int_t
ngx_goconnect_http_call_answer(ngx_goconnect_http_ctx_t *ctx,
                               ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_http_answer_t *answer;
    ngx_str_t status, events;
    ngx_int_t number;

    answer = &ctx->answer;
    ngx_memzero(answer, sizeof(*answer));

    PQclear(ctx->res);
    ctx->res = call->res;
    call->res = NULL;

    if (PQntuples(ctx->res) != 1 ||
        PQnfields(ctx->res) != NGX_GOCONNECT_COLUMNS) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "%V() returned no single answer", &call->statement->name);
        return NGX_ERROR;
    }

    ngx_goconnect_http_call_column(ctx->res, NGX_GOCONNECT_COLUMN_STATUS,
                                   &status);
    ngx_goconnect_http_call_column(ctx->res, NGX_GOCONNECT_COLUMN_BODY,
                                   &answer->body);
    ngx_goconnect_http_call_column(ctx->res, NGX_GOCONNECT_COLUMN_ETAG,
                                   &answer->etag);
    ngx_goconnect_http_call_column(ctx->res, NGX_GOCONNECT_COLUMN_LOCATION,
                                   &answer->location);
    ngx_goconnect_http_call_column(ctx->res, NGX_GOCONNECT_COLUMN_EVENTS,
                                   &events);

    number = ngx_atoi(status.data, status.len);

    if (number < 200 || number > 599) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "%V() returned the status \"%V\"", &call->statement->name,
                      &status);
        return NGX_ERROR;
    }

    answer->status = (ngx_uint_t) number;

    if (events.len > 0 && ngx_goconnect_http_events_handler) {
        ngx_goconnect_http_events_handler((const char *) events.data,
                                          events.len);
    }

    if (answer->status >= 400) {
        return ngx_goconnect_http_refusal(ctx);
    }

    ngx_goconnect_http_cache_written(ctx, 1);
    ngx_goconnect_http_cache_put(ctx);

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_call_result(ngx_goconnect_http_ctx_t *ctx,
                               ngx_goconnect_pg_call_t *call)
{
    switch (call->rc) {
    case NGX_GOCONNECT_PG_OK:
        return ngx_goconnect_http_call_answer(ctx, call);
    case NGX_GOCONNECT_PG_ERROR:
        return ngx_goconnect_http_sql_error(ctx, call->res);
    case NGX_GOCONNECT_PG_UNAVAILABLE:
        return ngx_goconnect_http_unavailable(
            ctx, "database_unavailable", "The database is away for a moment.");
    case NGX_GOCONNECT_PG_TIMEOUT:
        return ngx_goconnect_http_unavailable(
            ctx, "timeout", "The database took too long; nothing was changed.");
    case NGX_GOCONNECT_PG_UNKNOWN:
        ngx_goconnect_http_cache_written(ctx, 0);

        return ngx_goconnect_http_unavailable(
            ctx, "outcome_unknown",
            "The database was lost before it answered: the change may have "
            "been made. Look before you repeat it.");
    case NGX_GOCONNECT_PG_BUSY:
        return ngx_goconnect_http_unavailable(ctx, "busy",
                                              "The server is overloaded.");
    }

    return NGX_ERROR;
}


static void
ngx_goconnect_http_call_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_int_t rc;

    ctx = call->data;
    ctx->call = NULL;
    ctx->database_time += ngx_goconnect_metrics_clock() - ctx->asked_at;

    ngx_http_set_log_request(ctx->request->connection->log, ctx->request);

    rc = ngx_goconnect_http_call_result(ctx, call);
    ngx_goconnect_pg_call_destroy(call);

    ngx_goconnect_http_continue(ctx, rc);
}


/* a write of one tenant or network must not keep the others from the lane */
static void
ngx_goconnect_http_call_group(ngx_goconnect_http_ctx_t *ctx,
                              ngx_goconnect_pg_call_t *call)
{
    if (ctx->route->lane == NGX_GOCONNECT_PG_WRITE && ctx->nparams > 0) {
        ngx_goconnect_pg_call_group(call, ctx->params[0].data,
                                    ctx->params[0].len);
    }
}


ngx_int_t
ngx_goconnect_http_call(ngx_goconnect_http_ctx_t *ctx,
                        const ngx_goconnect_pg_statement_t *statement)
{
    ngx_goconnect_pg_call_t *call;
    ngx_int_t rc;

    ctx->request->connection->log->action = "asking the database";
    ctx->asked_at = ngx_goconnect_metrics_clock();

    call = ngx_goconnect_pg_call_create(statement);
    if (call == NULL) {
        return NGX_ERROR;
    }

    if (ngx_goconnect_http_call_params(ctx, call) != NGX_OK) {
        ngx_goconnect_pg_call_destroy(call);
        return NGX_ERROR;
    }

    ngx_goconnect_http_call_group(ctx, call);

    if (ngx_goconnect_pg_call_send(call, ngx_goconnect_http_call_done, ctx,
                                   ctx->route->timeout) == NGX_OK) {
        ctx->call = call;
        return NGX_DONE;
    }

    rc = ngx_goconnect_http_call_result(ctx, call);
    ngx_goconnect_pg_call_destroy(call);

    return rc;
}


static void
ngx_goconnect_http_call_step_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_int_t rc;

    ctx = call->data;
    ctx->call = NULL;

    ngx_http_set_log_request(ctx->request->connection->log, ctx->request);

    rc = ngx_goconnect_http_call_result(ctx, call);
    ngx_goconnect_pg_call_destroy(call);

    if (rc == NGX_OK) {
        rc = ctx->next(ctx);
    }

    if (rc != NGX_DONE) {
        ngx_goconnect_http_continue(ctx, rc);
    }
}


ngx_int_t
ngx_goconnect_http_call_step(ngx_goconnect_http_ctx_t *ctx,
                             ngx_goconnect_pg_call_t *call, ngx_msec_t timeout,
                             ngx_goconnect_step_pt next)
{
    ngx_int_t rc;

    ctx->next = next;

    if (ngx_goconnect_pg_call_send(call, ngx_goconnect_http_call_step_done, ctx,
                                   timeout) == NGX_OK) {
        ctx->call = call;
        return NGX_DONE;
    }

    rc = ngx_goconnect_http_call_result(ctx, call);
    ngx_goconnect_pg_call_destroy(call);

    return rc;
}
