#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_http_steps.h"

#include "core/gc_crockford.h"


ngx_int_t
ngx_goconnect_http_base(ngx_http_request_t *r, ngx_str_t *base)
{
    ngx_goconnect_main_conf_t *conf;
    ngx_str_t *host;
    const char *scheme;

    conf = ngx_goconnect_main_conf();

    if (conf && conf->public_url.len > 0) {
        *base = conf->public_url;
        return NGX_OK;
    }

    scheme = "http";
#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        scheme = "https";
    }
#endif

    host =
        r->headers_in.host ? &r->headers_in.host->value : &r->headers_in.server;

    base->data = ngx_pnalloc(r->pool, sizeof("https://") - 1 + host->len);
    if (base->data == NULL) {
        return NGX_ERROR;
    }

    base->len = (size_t) (ngx_sprintf(base->data, "%s://%V", scheme, host) -
                          base->data);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_step_invite_before(ngx_goconnect_http_ctx_t *ctx)
{
    u_char digest[NGX_GOCONNECT_DIGEST_LEN];
    uint64_t bits;

    ctx->secret.data = ngx_pnalloc(ctx->request->pool, GC_CODE_LEN);
    if (ctx->secret.data == NULL) {
        return NGX_ERROR;
    }

    ctx->secret.len = GC_CODE_LEN;

    if (ngx_goconnect_secret_random((u_char *) &bits, sizeof(bits)) != NGX_OK) {
        return NGX_ERROR;
    }

    gc_code_encode(bits, (char *) ctx->secret.data);

    if (ngx_goconnect_secret_code_hmac(ctx->secret.data, ctx->secret.len,
                                       digest) != NGX_OK) {
        return NGX_ERROR;
    }

    return json_object_set_new(ctx->body, "code_hmac",
                               json_stringn((char *) digest, sizeof(digest)))
               ? NGX_ERROR
               : NGX_OK;
}


ngx_int_t
ngx_goconnect_step_invite_after(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_str_t base;
    json_t *invite;
    int failed;

    if (ngx_goconnect_http_base(ctx->request, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    invite = ngx_goconnect_http_answer(ctx);
    if (invite == NULL) {
        return NGX_ERROR;
    }

    failed = json_object_set_new(
        invite, "code",
        json_stringn((const char *) ctx->secret.data, ctx->secret.len));

    failed |= json_object_set_new(
        invite, "url",
        json_sprintf("%.*s/i/%.*s", (int) base.len, (const char *) base.data,
                     (int) ctx->secret.len, (const char *) ctx->secret.data));

    if (failed) {
        json_decref(invite);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_answer_set(ctx, invite);
}


/* NGX_DECLINED: text is no code */
static ngx_int_t
ngx_goconnect_invite_hmac(const void *text, size_t len, u_char *digest)
{
    char code[GC_CODE_LEN];

    if (gc_code_normalise(text, len, code) != 0) {
        return NGX_DECLINED;
    }

    return ngx_goconnect_secret_code_hmac((u_char *) code, sizeof(code),
                                          digest);
}


/* The function is given the HMAC in place of the code in the path. */
ngx_int_t
ngx_goconnect_step_code_before(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_int_t rc;
    u_char *digest;

    digest = ngx_pnalloc(ctx->request->pool, NGX_GOCONNECT_DIGEST_LEN);
    if (digest == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_invite_hmac(ctx->params[0].data, ctx->params[0].len,
                                   digest);
    if (rc == NGX_DECLINED) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_NOT_FOUND, "not_found",
                                          "There is no such invite.");
    }

    ctx->params[0].data = digest;
    ctx->params[0].len = NGX_GOCONNECT_DIGEST_LEN;

    return rc;
}


ngx_int_t
ngx_goconnect_step_join_before(ngx_goconnect_http_ctx_t *ctx)
{
    u_char digest[NGX_GOCONNECT_DIGEST_LEN];
    json_t *code;
    ngx_int_t rc;

    code = json_object_get(ctx->body, "code");

    if (!json_is_string(code)) {
        (void) json_object_del(ctx->body, "code");
        return NGX_OK;
    }

    rc = ngx_goconnect_invite_hmac(json_string_value(code),
                                   json_string_length(code), digest);
    (void) json_object_del(ctx->body, "code");

    if (rc == NGX_DECLINED) {
        return ngx_goconnect_http_problem_fields(
            ctx,
            json_pack("[{ssssss}]", "field", "code", "code", "invalid_format",
                      "detail", "This is not an invite code."));
    }

    if (rc == NGX_OK &&
        json_object_set_new(ctx->body, "code_hmac",
                            json_stringn((char *) digest, sizeof(digest))) !=
            0) {
        return NGX_ERROR;
    }

    return rc;
}
