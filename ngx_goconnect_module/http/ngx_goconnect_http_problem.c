#include "http/ngx_goconnect_http_check.h"
#include "http/ngx_goconnect_sql_problem.h"

#include "core/gc_status.h"


/* seconds: after 503, and after 429 */
#define NGX_GOCONNECT_RETRY_AFTER "2"
#define NGX_GOCONNECT_RETRY_LIMITED "60"


/* RFC 9110, section 11.6.1: every 401 says how; RFC 6750, section 3 */
static ngx_int_t
ngx_goconnect_http_challenge(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status)
{
    static const ngx_str_t plain = ngx_string("Bearer realm=\"goconnect\"");
    static const ngx_str_t invalid =
        ngx_string("Bearer realm=\"goconnect\", error=\"invalid_token\"");
    static const ngx_str_t scope =
        ngx_string("Bearer realm=\"goconnect\", error=\"insufficient_scope\"");
    const ngx_str_t *value;

    if (status == NGX_HTTP_UNAUTHORIZED) {
        value = ctx->route->credential != NGX_GOCONNECT_CREDENTIAL_NONE &&
                        ctx->request->headers_in.authorization
                    ? &invalid
                    : &plain;

    } else if (status == NGX_HTTP_FORBIDDEN &&
               ctx->identity.device[0] != '\0') {
        value = &scope;

    } else {
        return NGX_OK;
    }

    return ngx_goconnect_http_header(ctx->request, "WWW-Authenticate", value);
}


static ngx_int_t
ngx_goconnect_http_retry_after(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status)
{
    static const ngx_str_t soon = ngx_string(NGX_GOCONNECT_RETRY_AFTER);
    static const ngx_str_t later = ngx_string(NGX_GOCONNECT_RETRY_LIMITED);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        return ngx_goconnect_http_header(ctx->request, "Retry-After", &soon);
    }

    if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
        return ngx_goconnect_http_header(ctx->request, "Retry-After", &later);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_problem_send(ngx_goconnect_http_ctx_t *ctx,
                                ngx_uint_t status, const json_t *problem)
{
    static const ngx_str_t type = ngx_string("application/problem+json");
    static const ngx_str_t no_store = ngx_string("no-store");
    ngx_str_t body;

    if (ngx_goconnect_http_challenge(ctx, status) != NGX_OK ||
        ngx_goconnect_http_retry_after(ctx, status) != NGX_OK ||
        ngx_goconnect_http_header(ctx->request, "Cache-Control", &no_store) !=
            NGX_OK ||
        ngx_goconnect_http_dump(ctx, problem, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_send(ctx, status, &type, &body);
}


/* members: code, detail and errors, if any; released */
static ngx_int_t
ngx_goconnect_http_problem_with(ngx_goconnect_http_ctx_t *ctx,
                                ngx_uint_t status, json_t *members)
{
    json_t *problem;
    ngx_int_t rc;

    problem = json_pack("{sssssI}", "type", "about:blank", "title",
                        gc_status_phrase((unsigned) status), "status",
                        (json_int_t) status);

    if (problem == NULL || members == NULL ||
        json_object_update_missing(problem, members) != 0) {
        rc = NGX_ERROR;

    } else {
        rc = ngx_goconnect_http_problem_send(ctx, status, problem);
    }

    json_decref(problem);
    json_decref(members);

    return rc;
}


ngx_int_t
ngx_goconnect_http_problem(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status,
                           const char *code, const char *detail)
{
    return ngx_goconnect_http_problem_with(
        ctx, status, json_pack("{ssss}", "detail", detail, "code", code));
}


ngx_int_t
ngx_goconnect_http_problem_fields(ngx_goconnect_http_ctx_t *ctx, json_t *errors)
{
    if (errors == NULL) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_problem_with(ctx,
                                           NGX_GOCONNECT_HTTP_UNPROCESSABLE,
                                           ngx_goconnect_check_refusal(errors));
}


ngx_int_t
ngx_goconnect_http_unavailable(ngx_goconnect_http_ctx_t *ctx, const char *code,
                               const char *detail)
{
    return ngx_goconnect_http_problem(ctx, NGX_HTTP_SERVICE_UNAVAILABLE, code,
                                      detail);
}


ngx_int_t
ngx_goconnect_http_refusal(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_http_answer_t *answer;
    json_error_t error;
    json_t *members;

    answer = &ctx->answer;
    members = json_loadb((const char *) answer->body.data, answer->body.len, 0,
                         &error);

    if (members == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "%V() refused with %ui and no reason",
                      &ctx->route->finish, answer->status);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_problem_with(ctx, answer->status, members);
}


ngx_int_t
ngx_goconnect_http_sql_error(ngx_goconnect_http_ctx_t *ctx, const PGresult *res)
{
    ngx_goconnect_sql_problem_t problem;
    ngx_int_t rc;

    rc = ngx_goconnect_sql_problem(res, &problem);

    if (problem.level != NGX_LOG_STDERR) {
        ngx_log_error(problem.level, ctx->request->connection->log, 0,
                      "%V: the database said %s: %s", &ctx->route->name,
                      problem.state, problem.message);
    }

    return rc == NGX_OK
               ? ngx_goconnect_http_problem_with(
                     ctx, problem.status, ngx_goconnect_sql_refusal(&problem))
               : NGX_ERROR;
}
