/*
 * Steps for the passwords of accounts and of tenants.  A password leaves the
 * body before the database sees that; its hash takes the place.
 */

#include "http/ngx_goconnect_http_steps.h"

#include "http/ngx_goconnect_password.h"


/* Moves a password out of the body; data stays NULL if there is none. */
static ngx_int_t
ngx_goconnect_password_take(ngx_goconnect_http_ctx_t *ctx, const char *name,
                            ngx_str_t *password)
{
    json_t *value;

    value = json_object_get(ctx->body, name);

    if (!json_is_string(value)) {
        (void) json_object_del(ctx->body, name);
        return NGX_OK;
    }

    password->data =
        ngx_pnalloc(ctx->request->pool, json_string_length(value) + 1);
    if (password->data == NULL) {
        return NGX_ERROR;
    }

    password->len = json_string_length(value);
    ngx_memcpy(password->data, json_string_value(value), password->len);
    ngx_goconnect_secret_wipe((char *) json_string_value(value), password->len);

    return json_object_del(ctx->body, name) ? NGX_ERROR : NGX_OK;
}


/* What the thread pool said when it was asked. */
static ngx_int_t
ngx_goconnect_password_asked(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
{
    switch (rc) {
    case NGX_OK:
        ctx->request->connection->log->action = "hashing a password";
        return NGX_DONE;
    case NGX_BUSY:
        return ngx_goconnect_http_unavailable(
            ctx, "busy", "Too many are logging in at once.");
    default:
        return NGX_ERROR;
    }
}


static void
ngx_goconnect_password_hashed(ngx_http_request_t *r, ngx_int_t rc,
                              ngx_str_t *hash, void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;

    (void) r;

    if (rc != NGX_OK) {
        rc = ngx_goconnect_password_asked(ctx, rc);

    } else if (json_object_set_new(
                   ctx->body, "password_hash",
                   json_stringn((const char *) hash->data, hash->len)) != 0) {
        rc = NGX_ERROR;
    }

    ngx_goconnect_http_continue(ctx, rc);
}


/* The hash becomes the body's member password_hash. */
static ngx_int_t
ngx_goconnect_password_to_body(ngx_goconnect_http_ctx_t *ctx,
                               ngx_str_t *password)
{
    return ngx_goconnect_password_asked(
        ctx, ngx_goconnect_password_hash(ctx->request, password,
                                         ngx_goconnect_password_hashed, ctx));
}


/* Puts what the first function returned into the body. */
static ngx_int_t
ngx_goconnect_password_found(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *found;
    int failed;

    found = ngx_goconnect_http_answer(ctx);
    if (found == NULL) {
        return NGX_ERROR;
    }

    failed = json_object_update(ctx->body, found);
    json_decref(found);

    return failed ? NGX_ERROR : NGX_OK;
}


/*
 * Compares ctx->password with the body's password_hash.  If that is null,
 * because there is no such user or tenant, it takes as long.
 */
static ngx_int_t
ngx_goconnect_password_compare(ngx_goconnect_http_ctx_t *ctx,
                               ngx_goconnect_password_done_pt done)
{
    ngx_str_t hash;
    json_t *value;

    value = json_object_get(ctx->body, "password_hash");
    hash.data = (u_char *) json_string_value(value);
    hash.len = json_string_length(value);

    return ngx_goconnect_password_asked(
        ctx,
        ngx_goconnect_password_verify(ctx->request, &ctx->password,
                                      hash.data ? &hash : NULL, done, ctx));
}


/* rc of a comparison; the body's member verified says how it ended */
static ngx_int_t
ngx_goconnect_password_verdict(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
{
    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return ngx_goconnect_password_asked(ctx, rc);
    }

    return json_object_set_new(ctx->body, "verified",
                               json_boolean(rc == NGX_OK))
               ? NGX_ERROR
               : NGX_OK;
}


static void
ngx_goconnect_password_compared(ngx_http_request_t *r, ngx_int_t rc,
                                ngx_str_t *hash, void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;

    (void) r;
    (void) hash;

    ngx_goconnect_http_continue(ctx, ngx_goconnect_password_verdict(ctx, rc));
}


ngx_int_t
ngx_goconnect_step_register_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_take(ctx, "password", &ctx->password) !=
            NGX_OK ||
        ngx_goconnect_http_secret(ctx, "refresh_hash") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_password_to_body(ctx, &ctx->password);
}


/* What is left in the body is the username. */
ngx_int_t
ngx_goconnect_step_login_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_password_take(ctx, "password", &ctx->password);
}


ngx_int_t
ngx_goconnect_step_login_between(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_found(ctx) != NGX_OK ||
        ngx_goconnect_http_secret(ctx, "refresh_hash") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_password_compare(ctx, ngx_goconnect_password_compared);
}


ngx_int_t
ngx_goconnect_step_password_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_take(ctx, "password", &ctx->password) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_password_take(ctx, "new_password", &ctx->new_password);
}


/* The old password is right: old_hash keeps it, and the new one is hashed. */
static void
ngx_goconnect_password_changed(ngx_http_request_t *r, ngx_int_t rc,
                               ngx_str_t *hash, void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;
    ngx_uint_t right;

    (void) r;
    (void) hash;

    right = rc == NGX_OK;
    rc = ngx_goconnect_password_verdict(ctx, rc);

    if (rc == NGX_OK && right) {
        rc = json_object_set(ctx->body, "old_hash",
                             json_object_get(ctx->body, "password_hash"))
                 ? NGX_ERROR
                 : ngx_goconnect_password_to_body(ctx, &ctx->new_password);
    }

    ngx_goconnect_http_continue(ctx, rc);
}


ngx_int_t
ngx_goconnect_step_password_between(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_found(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_password_compare(ctx, ngx_goconnect_password_changed);
}


ngx_int_t
ngx_goconnect_step_reset_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_take(ctx, "password", &ctx->password) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_secret_hash(ctx, "token", "token_hash");
}


/* The token is good: only now a hash is worth its time. */
ngx_int_t
ngx_goconnect_step_reset_between(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_password_to_body(ctx, &ctx->password);
}


ngx_int_t
ngx_goconnect_step_tenant_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_take(ctx, "password", &ctx->password) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    return ctx->password.data
               ? ngx_goconnect_password_to_body(ctx, &ctx->password)
               : NGX_OK;
}


ngx_int_t
ngx_goconnect_step_tenant_join_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_take(ctx, "password", &ctx->password) !=
        NGX_OK) {
        return NGX_ERROR;
    }

    return json_object_set_new(ctx->body, "given",
                               json_boolean(ctx->password.data != NULL))
               ? NGX_ERROR
               : NGX_OK;
}


/* The function says whether a password decides. */
ngx_int_t
ngx_goconnect_step_tenant_join_between(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_password_found(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!json_is_true(json_object_get(ctx->body, "check"))) {
        return NGX_OK;
    }

    return ngx_goconnect_password_compare(ctx, ngx_goconnect_password_compared);
}
