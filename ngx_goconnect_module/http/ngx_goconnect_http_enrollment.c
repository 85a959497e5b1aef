#include "http/ngx_goconnect_http_steps.h"

#include "core/gc_crockford.h"


/* so that a key is known for what it is, wherever it is found */
#define NGX_GOCONNECT_KEY_PREFIX "gce_"
#define NGX_GOCONNECT_KEY_PREFIX_LEN (sizeof(NGX_GOCONNECT_KEY_PREFIX) - 1)


/* The key is a new secret behind its prefix; the function gets its hash. */
ngx_int_t
ngx_goconnect_step_key_before(ngx_goconnect_http_ctx_t *ctx)
{
    u_char digest[NGX_GOCONNECT_DIGEST_LEN];
    u_char *key;

    key = ngx_pnalloc(ctx->request->pool,
                      NGX_GOCONNECT_KEY_PREFIX_LEN + NGX_GOCONNECT_SECRET_LEN);
    if (key == NULL) {
        return NGX_ERROR;
    }

    ctx->secret.data = key;
    ctx->secret.len = NGX_GOCONNECT_KEY_PREFIX_LEN + NGX_GOCONNECT_SECRET_LEN;

    ngx_memcpy(key, NGX_GOCONNECT_KEY_PREFIX, NGX_GOCONNECT_KEY_PREFIX_LEN);

    if (ngx_goconnect_secret_create(key + NGX_GOCONNECT_KEY_PREFIX_LEN,
                                    digest) != NGX_OK ||
        ngx_goconnect_secret_digest(ctx->secret.data, ctx->secret.len,
                                    digest) != NGX_OK) {
        return NGX_ERROR;
    }

    return json_object_set_new(ctx->body, "key_hash",
                               json_stringn((char *) digest, sizeof(digest)))
               ? NGX_ERROR
               : NGX_OK;
}


ngx_int_t
ngx_goconnect_step_key_after(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *key;

    key = ngx_goconnect_http_answer(ctx);

    if (key == NULL ||
        json_object_set_new(key, "key",
                            json_stringn((const char *) ctx->secret.data,
                                         ctx->secret.len)) != 0) {
        json_decref(key);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_answer_set(ctx, key);
}


ngx_int_t
ngx_goconnect_step_enroll_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_http_secret_hash(ctx, "key", "key_hash") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_secret(ctx, "refresh_hash");
}


/* Two codes: a secret for the device, and a short one for its user to type. */
ngx_int_t
ngx_goconnect_step_device_code_before(ngx_goconnect_http_ctx_t *ctx)
{
    char code[GC_USER_CODE_LEN];
    uint64_t bits;

    if (ngx_goconnect_http_secret(ctx, "device_code_hash") != NGX_OK ||
        ngx_goconnect_secret_random((u_char *) &bits, sizeof(bits)) != NGX_OK) {
        return NGX_ERROR;
    }

    gc_user_code_encode(bits, code);

    return json_object_set_new(ctx->body, "user_code",
                               json_stringn(code, sizeof(code)))
               ? NGX_ERROR
               : NGX_OK;
}


/* RFC 8628, section 3.2 */
ngx_int_t
ngx_goconnect_step_device_code_after(ngx_goconnect_http_ctx_t *ctx)
{
    const char *code;
    ngx_str_t base;
    json_t *answer;
    int failed;

    code = json_string_value(json_object_get(ctx->body, "user_code"));

    if (code == NULL ||
        ngx_goconnect_http_base(ctx->request, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    answer = ngx_goconnect_http_answer(ctx);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    failed = json_object_set_new(
        answer, "device_code",
        json_stringn((const char *) ctx->secret.data, ctx->secret.len));

    failed |= json_object_set_new(answer, "user_code",
                                  json_sprintf("%.4s-%s", code, code + 4));

    failed |= json_object_set_new(
        answer, "verification_uri",
        json_sprintf("%.*s/device", (int) base.len, (const char *) base.data));

    failed |= json_object_set_new(
        answer, "verification_uri_complete",
        json_sprintf("%.*s/device?code=%.4s-%s", (int) base.len,
                     (const char *) base.data, code, code + 4));

    if (failed) {
        json_decref(answer);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_answer_set(ctx, answer);
}


ngx_int_t
ngx_goconnect_step_device_token_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_http_secret_hash(ctx, "device_code",
                                       "device_code_hash") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_secret(ctx, "refresh_hash");
}


/* The function is given the code as it was drawn, however it was typed. */
ngx_int_t
ngx_goconnect_step_user_code_before(ngx_goconnect_http_ctx_t *ctx)
{
    u_char *code;

    code = ngx_pnalloc(ctx->request->pool, GC_USER_CODE_LEN);
    if (code == NULL) {
        return NGX_ERROR;
    }

    if (gc_user_code_normalise(ctx->params[0].data, ctx->params[0].len,
                               (char *) code) != 0) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_NOT_FOUND, "not_found",
                                          "There is no such code, or it has "
                                          "expired.");
    }

    ctx->params[0].data = code;
    ctx->params[0].len = GC_USER_CODE_LEN;

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_step_approve_before(ngx_goconnect_http_ctx_t *ctx)
{
    char code[GC_USER_CODE_LEN];
    json_t *typed;

    typed = json_object_get(ctx->body, "user_code");

    if (gc_user_code_normalise(json_string_value(typed),
                               json_string_length(typed), code) != 0) {
        return ngx_goconnect_http_problem_fields(
            ctx, json_pack("[{ssssss}]", "field", "user_code", "code",
                           "invalid_format", "detail",
                           "A code has eight letters and digits."));
    }

    return json_object_set_new(ctx->body, "user_code",
                               json_stringn(code, sizeof(code)))
               ? NGX_ERROR
               : NGX_OK;
}
