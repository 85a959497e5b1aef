#include "http/ngx_goconnect_http_steps.h"

#include "core/gc_version.h"
#include "ngx_goconnect_openapi.h"


static ngx_int_t
ngx_goconnect_operation_answer(ngx_goconnect_http_ctx_t *ctx, json_t *json)
{
    ctx->answer.status = NGX_HTTP_OK;

    return ngx_goconnect_http_answer_set(ctx, json);
}


/* The process answers: nothing else is said. */
ngx_int_t
ngx_goconnect_step_health_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_operation_answer(ctx,
                                          json_pack("{ss}", "status", "ok"));
}


/* NULL, or why this release cannot serve this database */
static const char *
ngx_goconnect_ready_refusal(const json_t *answer)
{
    json_int_t version, from;

    version = json_integer_value(json_object_get(answer, "version"));
    from = json_integer_value(json_object_get(answer, "compatible_from"));

    if (version < NGX_GOCONNECT_API_VERSION) {
        return "The database is older than this release: migrate it.";
    }

    if (from > NGX_GOCONNECT_API_VERSION) {
        return "The database is too new for this release.";
    }

    if (!json_is_true(json_object_get(answer, "grants_ok"))) {
        return "The module's database role has wrong grants.";
    }

    if (!ngx_goconnect_pg_ready(NGX_GOCONNECT_PG_WRITE)) {
        return "No connection for writes is up.";
    }

    return NULL;
}


ngx_int_t
ngx_goconnect_step_ready_after(ngx_goconnect_http_ctx_t *ctx)
{
    const char *refusal;
    json_t *answer;

    answer = ngx_goconnect_http_answer(ctx);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    refusal = ngx_goconnect_ready_refusal(answer);
    json_decref(answer);

    if (refusal) {
        return ngx_goconnect_http_unavailable(ctx, "not_ready", refusal);
    }

    return ngx_goconnect_operation_answer(ctx,
                                          json_pack("{ss}", "status", "ready"));
}


ngx_int_t
ngx_goconnect_step_info_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_operation_answer(
        ctx, json_pack("{sssssisi}", "name", "GoConnect", "version", GC_VERSION,
                       "api_version", NGX_GOCONNECT_API_VERSION,
                       "protocol_version", GC_PROTOCOL_VERSION));
}


/* html/openapi.yaml as JSON, put in by the build */
ngx_int_t
ngx_goconnect_step_openapi_before(ngx_goconnect_http_ctx_t *ctx)
{
    static const char text[] = NGX_GOCONNECT_OPENAPI;

    ctx->answer.status = NGX_HTTP_OK;
    ctx->answer.body.data = (u_char *) text;
    ctx->answer.body.len = sizeof(text) - 1;

    return NGX_OK;
}
