#include "http/ngx_goconnect_http_steps.h"

#include "http/ngx_goconnect_password.h"


#define NGX_GOCONNECT_TICKET_LIFE 30 /* seconds */


/*
 * A new secret: the client will be told ctx->secret, the function gets its
 * hash as the body's member `name`.
 */
static ngx_int_t
ngx_goconnect_account_secret(ngx_goconnect_http_ctx_t *ctx, const char *name)
{
    u_char digest[NGX_GOCONNECT_DIGEST_LEN];

    ctx->secret.data =
        ngx_pnalloc(ctx->request->pool, NGX_GOCONNECT_SECRET_LEN);
    if (ctx->secret.data == NULL) {
        return NGX_ERROR;
    }

    ctx->secret.len = NGX_GOCONNECT_SECRET_LEN;

    if (ngx_goconnect_secret_create(ctx->secret.data, digest) != NGX_OK) {
        return NGX_ERROR;
    }

    return json_object_set_new(ctx->body, name,
                               json_stringn((char *) digest, sizeof(digest)))
               ? NGX_ERROR
               : NGX_OK;
}


/* Moves the password out of the body that goes to the database. */
static ngx_int_t
ngx_goconnect_account_password(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *password;

    password = json_object_get(ctx->body, "password");

    ctx->password.len = json_string_length(password);
    ctx->password.data = ngx_pnalloc(ctx->request->pool, ctx->password.len + 1);
    if (ctx->password.data == NULL) {
        ctx->password.len = 0;
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->password.data, json_string_value(password),
               ctx->password.len);
    ngx_goconnect_secret_wipe((char *) json_string_value(password),
                              ctx->password.len);

    return json_object_del(ctx->body, "password") ? NGX_ERROR : NGX_OK;
}


/* What the thread pool said when it was asked. */
static ngx_int_t
ngx_goconnect_account_asked(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
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


static ngx_int_t
ngx_goconnect_register_body(ngx_goconnect_http_ctx_t *ctx,
                            const ngx_str_t *hash)
{
    if (json_object_set_new(
            ctx->body, "password_hash",
            json_stringn((const char *) hash->data, hash->len)) != 0) {
        return NGX_ERROR;
    }

    return ngx_goconnect_account_secret(ctx, "refresh_hash");
}


static void
ngx_goconnect_register_hashed(ngx_http_request_t *r, ngx_int_t rc,
                              ngx_str_t *hash, void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;

    (void) r;

    if (rc == NGX_OK) {
        rc = ngx_goconnect_register_body(ctx, hash);

    } else {
        rc = ngx_goconnect_account_asked(ctx, rc);
    }

    ngx_goconnect_http_continue(ctx, rc);
}


ngx_int_t
ngx_goconnect_step_register_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_account_password(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_account_asked(
        ctx, ngx_goconnect_password_hash(ctx->request, &ctx->password,
                                         ngx_goconnect_register_hashed, ctx));
}


/* What is left in the body is the username. */
ngx_int_t
ngx_goconnect_step_login_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_account_password(ctx);
}


static void
ngx_goconnect_login_verified(ngx_http_request_t *r, ngx_int_t rc,
                             ngx_str_t *hash, void *data)
{
    ngx_goconnect_http_ctx_t *ctx = data;

    (void) r;
    (void) hash;

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        rc = json_object_set_new(ctx->body, "verified",
                                 json_boolean(rc == NGX_OK)) == 0
                 ? ngx_goconnect_account_secret(ctx, "refresh_hash")
                 : NGX_ERROR;

    } else {
        rc = ngx_goconnect_account_asked(ctx, rc);
    }

    ngx_goconnect_http_continue(ctx, rc);
}


/*
 * The body becomes what the first function returned, user_id and
 * password_hash, which are null if there is no such user: that takes as long.
 */
ngx_int_t
ngx_goconnect_step_login_between(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_str_t hash;
    json_t *found, *value;

    found = ngx_goconnect_http_answer(ctx);
    if (found == NULL) {
        return NGX_ERROR;
    }

    json_decref(ctx->body);
    ctx->body = found;

    value = json_object_get(found, "password_hash");
    hash.data = (u_char *) json_string_value(value);
    hash.len = json_string_length(value);

    return ngx_goconnect_account_asked(
        ctx, ngx_goconnect_password_verify(ctx->request, &ctx->password,
                                           hash.data ? &hash : NULL,
                                           ngx_goconnect_login_verified, ctx));
}


ngx_int_t
ngx_goconnect_step_refresh_before(ngx_goconnect_http_ctx_t *ctx)
{
    u_char digest[NGX_GOCONNECT_DIGEST_LEN];
    json_t *token;

    token = json_object_get(ctx->body, "refresh_token");

    if (ngx_goconnect_secret_digest((const u_char *) json_string_value(token),
                                    json_string_length(token),
                                    digest) != NGX_OK ||
        json_object_del(ctx->body, "refresh_token") != 0 ||
        json_object_set_new(ctx->body, "refresh_hash",
                            json_stringn((char *) digest, sizeof(digest))) !=
            0) {
        return NGX_ERROR;
    }

    return ngx_goconnect_account_secret(ctx, "next_refresh_hash");
}


ngx_int_t
ngx_goconnect_step_device_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_account_secret(ctx, "refresh_hash");
}


/* answer.NAME, or answer.OBJECT.id; NULL: there is none */
static const u_char *
ngx_goconnect_tokens_id(const json_t *answer, const char *name,
                        const char *object)
{
    const json_t *id;

    id = json_object_get(answer, name);

    if (id == NULL) {
        id = json_object_get(json_object_get(answer, object), "id");
    }

    return (const u_char *) json_string_value(id);
}


static ngx_int_t
ngx_goconnect_tokens_issue(ngx_goconnect_http_ctx_t *ctx, const json_t *answer,
                           ngx_str_t *token)
{
    const u_char *user, *session, *device;

    user = ngx_goconnect_tokens_id(answer, "user_id", "user");
    session = ngx_goconnect_tokens_id(answer, "session_id", "session");
    device = ngx_goconnect_tokens_id(answer, "device_id", "device");

    if (user == NULL && ctx->identity.user[0] != '\0') {
        user = ctx->identity.user;
    }

    if (user == NULL || session == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "%V: the answer has no session", &ctx->route->name);
        return NGX_ERROR;
    }

    return ngx_goconnect_auth_issue(ctx->request->pool, user, session, device,
                                    token);
}


/* Adds the pair of tokens of the session that the function made. */
ngx_int_t
ngx_goconnect_step_tokens_after(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_str_t token;
    json_t *answer, *tokens;

    answer = ngx_goconnect_http_answer(ctx);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    if (ngx_goconnect_tokens_issue(ctx, answer, &token) != NGX_OK) {
        json_decref(answer);
        return NGX_ERROR;
    }

    tokens = json_pack(
        "{ss%sssiss%}", "access_token", (const char *) token.data, token.len,
        "token_type", "Bearer", "expires_in", NGX_GOCONNECT_ACCESS_LIFE,
        "refresh_token", (const char *) ctx->secret.data, ctx->secret.len);

    if (tokens == NULL || json_object_update_missing(tokens, answer) != 0) {
        json_decref(tokens);
        tokens = NULL;
    }

    json_decref(answer);

    return ngx_goconnect_http_answer_set(ctx, tokens);
}


ngx_int_t
ngx_goconnect_step_ticket_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_account_secret(ctx, "ticket_hash");
}


ngx_int_t
ngx_goconnect_step_ticket_after(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_http_answer_set(
        ctx,
        json_pack("{ss%si}", "ticket", (const char *) ctx->secret.data,
                  ctx->secret.len, "expires_in", NGX_GOCONNECT_TICKET_LIFE));
}
