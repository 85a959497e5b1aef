#include "http/ngx_goconnect_agentless.h"
#include "http/ngx_goconnect_http_steps.h"


#define NGX_GOCONNECT_TICKET_LIFE 30 /* seconds */


ngx_int_t
ngx_goconnect_http_secret(ngx_goconnect_http_ctx_t *ctx, const char *name)
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


ngx_int_t
ngx_goconnect_http_secret_hash(ngx_goconnect_http_ctx_t *ctx, const char *from,
                               const char *to)
{
    u_char digest[NGX_GOCONNECT_DIGEST_LEN];
    json_t *secret;

    secret = json_object_get(ctx->body, from);

    if (ngx_goconnect_secret_digest((const u_char *) json_string_value(secret),
                                    json_string_length(secret),
                                    digest) != NGX_OK ||
        json_object_del(ctx->body, from) != 0 ||
        json_object_set_new(ctx->body, to,
                            json_stringn((char *) digest, sizeof(digest))) !=
            0) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_step_refresh_before(ngx_goconnect_http_ctx_t *ctx)
{
    if (ngx_goconnect_http_secret_hash(ctx, "refresh_token", "refresh_hash") !=
        NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_secret(ctx, "next_refresh_hash");
}


static ngx_int_t
ngx_goconnect_device_key_problem(ngx_goconnect_http_ctx_t *ctx,
                                 const char *code, const char *detail)
{
    return ngx_goconnect_http_problem_fields(
        ctx, json_pack("[{ssssss}]", "field", "public_key", "code", code,
                       "detail", detail));
}


/* A device without an agent has no session, and a key that we make. */
ngx_int_t
ngx_goconnect_step_device_before(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *public_key;

    public_key = json_object_get(ctx->body, "public_key");

    if (!json_is_false(json_object_get(ctx->body, "agent"))) {
        return public_key != NULL
                   ? ngx_goconnect_http_secret(ctx, "refresh_hash")
                   : ngx_goconnect_device_key_problem(
                         ctx, "required", "The agent of a device has a key.");
    }

    if (public_key != NULL) {
        return ngx_goconnect_device_key_problem(
            ctx, "not_allowed",
            "The server makes the key of a device without an agent.");
    }

    return ngx_goconnect_agentless_identity(ctx->body);
}


ngx_int_t
ngx_goconnect_step_device_after(ngx_goconnect_http_ctx_t *ctx)
{
    return json_is_false(json_object_get(ctx->body, "agent"))
               ? NGX_OK
               : ngx_goconnect_step_tokens_after(ctx);
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
    return ngx_goconnect_http_secret(ctx, "ticket_hash");
}


ngx_int_t
ngx_goconnect_step_ticket_after(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_http_answer_set(
        ctx,
        json_pack("{ss%si}", "ticket", (const char *) ctx->secret.data,
                  ctx->secret.len, "expires_in", NGX_GOCONNECT_TICKET_LIFE));
}


ngx_int_t
ngx_goconnect_step_reset_link_before(ngx_goconnect_http_ctx_t *ctx)
{
    return ngx_goconnect_http_secret(ctx, "token_hash");
}


/* The token stands behind a #: browsers send that to nobody. */
ngx_int_t
ngx_goconnect_step_reset_link_after(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_str_t base;
    json_t *link;

    if (ngx_goconnect_http_base(ctx->request, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    link = ngx_goconnect_http_answer(ctx);
    if (link == NULL) {
        return NGX_ERROR;
    }

    if (json_object_set_new(
            link, "url",
            json_sprintf("%.*s/reset#%.*s", (int) base.len,
                         (const char *) base.data, (int) ctx->secret.len,
                         (const char *) ctx->secret.data)) != 0) {
        json_decref(link);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_answer_set(ctx, link);
}
