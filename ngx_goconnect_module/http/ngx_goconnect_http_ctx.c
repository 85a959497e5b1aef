#include "http/ngx_goconnect_http.h"


/* a quoted member of a composite's text: each byte may double */
static u_char *
ngx_goconnect_ctx_quote(u_char *p, const u_char *data, size_t len)
{
    size_t i;

    *p++ = '"';

    for (i = 0; i < len; i++) {
        if (data[i] == '"' || data[i] == '\\') {
            *p++ = data[i];
        }

        *p++ = data[i];
    }

    *p++ = '"';

    return p;
}


static u_char *
ngx_goconnect_ctx_string(u_char *p, const ngx_str_t *value)
{
    *p++ = ',';

    if (value == NULL || value->len == 0) {
        return p;
    }

    return ngx_goconnect_ctx_quote(p, value->data, value->len);
}


static u_char *
ngx_goconnect_ctx_id(u_char *p, const u_char *id)
{
    if (id[0] == '\0') {
        return p;
    }

    return ngx_cpymem(p, id, NGX_GOCONNECT_ID_LEN);
}


static size_t
ngx_goconnect_ctx_len(const ngx_str_t *value)
{
    return value == NULL ? 1 : 2 * value->len + sizeof(",\"\"") - 1;
}


/* the attributes stand in the order of api_N.ctx */
ngx_int_t
ngx_goconnect_ctx_param(ngx_pool_t *pool, const ngx_goconnect_ctx_t *ctx,
                        ngx_str_t *text)
{
    static const ngx_goconnect_identity_t nobody;
    const ngx_goconnect_identity_t *id;
    u_char *p;

    id = ctx->identity ? ctx->identity : &nobody;

    text->len = sizeof("(,,)") - 1 + 3 * NGX_GOCONNECT_ID_LEN +
                ngx_goconnect_ctx_len(ctx->address) +
                ngx_goconnect_ctx_len(ctx->request_id) +
                ngx_goconnect_ctx_len(ctx->if_match) +
                ngx_goconnect_ctx_len(ctx->idempotency_key);

    text->data = ngx_pnalloc(pool, text->len);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    p = text->data;
    *p++ = '(';
    p = ngx_goconnect_ctx_id(p, id->user);
    *p++ = ',';
    p = ngx_goconnect_ctx_id(p, id->session);
    *p++ = ',';
    p = ngx_goconnect_ctx_id(p, id->device);
    p = ngx_goconnect_ctx_string(p, ctx->address);
    p = ngx_goconnect_ctx_string(p, ctx->request_id);
    p = ngx_goconnect_ctx_string(p, ctx->if_match);
    p = ngx_goconnect_ctx_string(p, ctx->idempotency_key);
    *p++ = ')';

    text->len = (size_t) (p - text->data);

    return NGX_OK;
}
