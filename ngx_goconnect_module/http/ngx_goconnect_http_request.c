#include "http/ngx_goconnect_http_audit.h"
#include "http/ngx_goconnect_http_request.h"

#include "core/gc_utf8.h"
#include "core/gc_uuid.h"


typedef struct {
    ngx_uint_t nginx;
    unsigned bit;
    const char *name;
} ngx_goconnect_http_method_t;


static const ngx_goconnect_http_method_t ngx_goconnect_http_methods[] = {
    {NGX_HTTP_GET, GC_GET, "GET"},       {NGX_HTTP_HEAD, GC_GET, "HEAD"},
    {NGX_HTTP_POST, GC_POST, "POST"},    {NGX_HTTP_PUT, GC_PUT, "PUT"},
    {NGX_HTTP_PATCH, GC_PATCH, "PATCH"}, {NGX_HTTP_DELETE, GC_DELETE, "DELETE"},
};

#define NGX_GOCONNECT_HTTP_NMETHODS \
    (sizeof(ngx_goconnect_http_methods) / sizeof(ngx_goconnect_http_methods[0]))


static ngx_int_t ngx_goconnect_http_request_id_index;


static unsigned
ngx_goconnect_http_method(ngx_uint_t method)
{
    ngx_uint_t i;

    for (i = 0; i < NGX_GOCONNECT_HTTP_NMETHODS; i++) {
        if (ngx_goconnect_http_methods[i].nginx == method) {
            return ngx_goconnect_http_methods[i].bit;
        }
    }

    return 0;
}


/* the request ends: nobody waits for the call any more */
static void
ngx_goconnect_http_abandon(void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;

    if (ctx->call) {
        ngx_goconnect_pg_call_abandon(ctx->call);
        ctx->call = NULL;
    }
}


static void
ngx_goconnect_http_release(void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;

    json_decref(ctx->body);
    PQclear(ctx->res);

    if (ctx->buffer && (ctx->route->flags & NGX_GOCONNECT_ROUTE_SECRET)) {
        ngx_goconnect_secret_wipe(ctx->buffer, ctx->received);
    }

    ngx_goconnect_secret_wipe(ctx->password.data, ctx->password.len);
    ngx_goconnect_secret_wipe(ctx->new_password.data, ctx->new_password.len);
    ngx_goconnect_secret_wipe(ctx->secret.data, ctx->secret.len);
}


/* the same id as $request_id in nginx's logs */
static ngx_int_t
ngx_goconnect_http_request_id(ngx_goconnect_http_ctx_t *ctx)
{
    static const char name[] = "X-Request-Id";
    ngx_http_variable_value_t *value;

    value = ngx_http_get_indexed_variable(
        ctx->request, (ngx_uint_t) ngx_goconnect_http_request_id_index);
    if (value == NULL || value->not_found) {
        return NGX_ERROR;
    }

    ctx->request_id.data = value->data;
    ctx->request_id.len = value->len;

    return ngx_goconnect_http_header(ctx->request, name, &ctx->request_id);
}


static ngx_goconnect_http_ctx_t *
ngx_goconnect_http_create(ngx_http_request_t *r)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_pool_cleanup_t *cleanup;
    ngx_http_cleanup_t *abandon;

    ctx = ngx_pcalloc(r->pool, sizeof(*ctx));
    cleanup = ngx_pool_cleanup_add(r->pool, 0);
    abandon = ngx_http_cleanup_add(r, 0);

    if (ctx == NULL || cleanup == NULL || abandon == NULL) {
        return NULL;
    }

    ctx->request = r;
    cleanup->handler = ngx_goconnect_http_release;
    cleanup->data = ctx;
    abandon->handler = ngx_goconnect_http_abandon;
    abandon->data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_goconnect_module);

    if (ngx_goconnect_http_request_id(ctx) != NGX_OK ||
        ngx_goconnect_http_cors(ctx, NULL) != NGX_OK) {
        return NULL;
    }

    return ctx;
}


static ngx_int_t
ngx_goconnect_http_allow(ngx_goconnect_http_ctx_t *ctx, unsigned methods)
{
    const ngx_goconnect_http_method_t *method;
    ngx_str_t value;
    ngx_uint_t i;
    u_char *p;

    p = ngx_pnalloc(ctx->request->pool, 64);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    for (i = 0; i < NGX_GOCONNECT_HTTP_NMETHODS; i++) {
        method = &ngx_goconnect_http_methods[i];

        if (methods & method->bit) {
            p = ngx_sprintf(p, "%s, ", method->name);
        }
    }

    p = ngx_sprintf(p, "OPTIONS");
    value.len = (size_t) (p - value.data);

    if (ctx->request->method == NGX_HTTP_OPTIONS &&
        ngx_goconnect_http_cors(ctx, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_header(ctx->request, "Allow", &value);
}


/* no row has this method and path */
static ngx_int_t
ngx_goconnect_http_unrouted(ngx_goconnect_http_ctx_t *ctx, unsigned methods)
{
    static const ngx_str_t nothing = ngx_null_string;

    if (methods == 0) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_NOT_FOUND, "not_found",
                                          "There is nothing at this path.");
    }

    if (ngx_goconnect_http_allow(ctx, methods) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->request->method == NGX_HTTP_OPTIONS) {
        return ngx_goconnect_http_send(ctx, NGX_HTTP_NO_CONTENT, NULL,
                                       &nothing);
    }

    return ngx_goconnect_http_problem(ctx, NGX_HTTP_NOT_ALLOWED,
                                      "method_not_allowed",
                                      "This path has other methods.");
}


static ngx_int_t
ngx_goconnect_http_route(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_http_request_t *r;
    gc_router_match_t match;
    size_t i;

    r = ctx->request;

    ctx->route = ngx_goconnect_route_find(ngx_goconnect_http_method(r->method),
                                          &r->uri, &match);
    if (ctx->route == NULL) {
        return ngx_goconnect_http_unrouted(ctx, match.methods);
    }

    ctx->nparams = match.nparams;

    for (i = 0; i < match.nparams; i++) {
        ctx->params[i].data = (u_char *) match.params[i].data;
        ctx->params[i].len = match.params[i].len;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_credential(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_str_t token;

    if (ctx->route->credential == NGX_GOCONNECT_CREDENTIAL_NONE) {
        return NGX_OK;
    }

    if (ngx_goconnect_auth_bearer(ctx->request, &token) != NGX_OK) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_UNAUTHORIZED,
                                          "token_missing",
                                          "This needs an access token.");
    }

    if (ngx_goconnect_auth_token(&token, &ctx->identity) != NGX_OK) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_UNAUTHORIZED,
                                          "token_invalid",
                                          "The access token is expired or was "
                                          "not issued by this server.");
    }

    if (ctx->identity.device[0] != '\0' &&
        ctx->route->credential == NGX_GOCONNECT_CREDENTIAL_USER) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_FORBIDDEN,
                                          "insufficient_scope",
                                          "A device may not do this: it needs "
                                          "its user's session.");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_if_match(ngx_goconnect_http_ctx_t *ctx, ngx_str_t *value)
{
    ngx_table_elt_t *header;
    ngx_http_request_t *r;
    size_t chars;

    r = ctx->request;
    header = r->headers_in.if_match;
    ngx_str_null(value);

    if (header == NULL ||
        !(r->method & (NGX_HTTP_PUT | NGX_HTTP_PATCH | NGX_HTTP_DELETE))) {
        return NGX_OK;
    }

    *value = header->value;

    if (value->len > 256 ||
        gc_utf8_count(value->data, value->len, &chars) != 0) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_PRECONDITION_FAILED,
                                          "precondition_failed",
                                          "If-Match names no version that this "
                                          "ever had.");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_idempotency_key(ngx_goconnect_http_ctx_t *ctx,
                                   ngx_str_t *value)
{
    ngx_table_elt_t *header;

    ngx_str_null(value);

    if (!(ctx->route->flags & NGX_GOCONNECT_ROUTE_IDEMPOTENT)) {
        return NGX_OK;
    }

    header = ngx_goconnect_http_header_in(ctx->request, "Idempotency-Key");
    if (header == NULL) {
        return NGX_OK;
    }

    *value = header->value;
    ngx_strlow(value->data, value->data, value->len);

    if (!gc_uuid_valid(value->data, value->len)) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_BAD_REQUEST,
                                          "invalid_idempotency_key",
                                          "Idempotency-Key must be a UUID.");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_context(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_str_t if_match, key, address;
    ngx_connection_t *c;
    ngx_goconnect_ctx_t text;
    ngx_int_t rc;

    rc = ngx_goconnect_http_if_match(ctx, &if_match);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_goconnect_http_idempotency_key(ctx, &key);
    if (rc != NGX_OK) {
        return rc;
    }

    c = ctx->request->connection;
    ngx_str_null(&address);

    if (c->sockaddr->sa_family == AF_INET ||
        c->sockaddr->sa_family == AF_INET6) {
        address = c->addr_text;
    }

    text.identity = &ctx->identity;
    text.address = &address;
    text.request_id = &ctx->request_id;
    text.if_match = &if_match;
    text.idempotency_key = &key;

    return ngx_goconnect_ctx_param(ctx->request->pool, &text, &ctx->ctx_param);
}


static ngx_int_t
ngx_goconnect_http_head(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_int_t rc;

    rc = ngx_goconnect_http_route(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_goconnect_http_credential(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_goconnect_http_check_query(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    /* a hit does without */
    return ctx->route->flags & NGX_GOCONNECT_ROUTE_CACHED
               ? NGX_OK
               : ngx_goconnect_http_context(ctx);
}


/* what a function here returned, for ngx_http_finalize_request() */
static ngx_int_t
ngx_goconnect_http_result(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_ERROR && !ctx->request->header_sent) {
        rc = ngx_goconnect_http_problem(ctx, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                        "internal", "The server has failed.");
    }

    return rc == NGX_DECLINED ? ctx->rc : rc;
}


static ngx_int_t
ngx_goconnect_http_step(ngx_goconnect_http_ctx_t *ctx,
                        ngx_goconnect_step_pt step)
{
    return step ? step(ctx) : NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_sql(ngx_goconnect_http_ctx_t *ctx,
                       const ngx_goconnect_pg_statement_t *statement)
{
    return statement ? ngx_goconnect_http_call(ctx, statement) : NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_finish(ngx_goconnect_http_ctx_t *ctx,
                          const ngx_goconnect_pg_statement_t *statement)
{
    ngx_int_t rc;

    if (!(ctx->route->flags & NGX_GOCONNECT_ROUTE_CACHED)) {
        return ngx_goconnect_http_sql(ctx, statement);
    }

    if (ngx_goconnect_http_cache_get(ctx) == NGX_OK) {
        return NGX_OK;
    }

    rc = ngx_goconnect_http_context(ctx);

    return rc == NGX_OK ? ngx_goconnect_http_sql(ctx, statement) : rc;
}


static ngx_int_t
ngx_goconnect_http_phase(ngx_goconnect_http_ctx_t *ctx)
{
    const ngx_goconnect_route_statements_t *calls;
    const ngx_goconnect_route_t *route;

    route = ctx->route;
    calls = ngx_goconnect_route_calls(route);

    switch (ctx->phase++) {
    case NGX_GOCONNECT_HTTP_BEFORE:
        return ngx_goconnect_http_step(ctx, route->before);
    case NGX_GOCONNECT_HTTP_BEGIN:
        return ngx_goconnect_http_sql(ctx, calls->begin);
    case NGX_GOCONNECT_HTTP_BETWEEN:
        return ngx_goconnect_http_step(ctx, route->between);
    case NGX_GOCONNECT_HTTP_FINISH:
        return ngx_goconnect_http_finish(ctx, calls->finish);
    case NGX_GOCONNECT_HTTP_AFTER:
        return ngx_goconnect_http_step(ctx, route->after);
    case NGX_GOCONNECT_HTTP_REPLY:
        return ngx_goconnect_http_reply(ctx);
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_goconnect_http_run(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
{
    while (rc == NGX_OK) {
        rc = ngx_goconnect_http_phase(ctx);
    }

    if (rc == NGX_DONE) {
        /* notices a client that goes away */
        ctx->request->read_event_handler = ngx_http_test_reading;
        ctx->request->write_event_handler = ngx_http_request_empty_handler;
        return NGX_DONE;
    }

    return ngx_goconnect_http_result(ctx, rc);
}


void
ngx_goconnect_http_continue(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
{
    ngx_connection_t *c;

    c = ctx->request->connection;
    rc = ngx_goconnect_http_run(ctx, rc);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(ctx->request, rc);
        ngx_http_run_posted_requests(c);
    }
}


ngx_int_t
ngx_goconnect_http_handler(ngx_http_request_t *r)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_int_t rc;

    ctx = ngx_goconnect_http_create(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_goconnect_http_head(ctx);

    if (rc == NGX_OK && ctx->route->body) {
        return ngx_goconnect_http_read_body(ctx);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_goconnect_http_run(ctx, rc);

    if (rc == NGX_DONE) {
        r->main->count++;
    }

    return rc;
}


ngx_int_t
ngx_goconnect_http_postconfiguration(ngx_conf_t *cf)
{
    ngx_str_t name = ngx_string("request_id");

    ngx_goconnect_http_request_id_index =
        ngx_http_get_variable_index(cf, &name);

    if (ngx_goconnect_http_request_id_index == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_measure(cf);
}


ngx_int_t
ngx_goconnect_http_init_process(ngx_cycle_t *cycle)
{
    if (ngx_goconnect_http_audit_statements() != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_route_prepare(cycle->pool);
}
