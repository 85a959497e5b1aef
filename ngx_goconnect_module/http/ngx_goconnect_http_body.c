#include "http/ngx_goconnect_http_check.h"


/* arrays and objects in each other: settings have three */
#define NGX_GOCONNECT_HTTP_DEPTH_MAX 16


static ngx_int_t
ngx_goconnect_http_body_too_large(ngx_goconnect_http_ctx_t *ctx)
{
    /* what the client has not sent yet is not asked for */
    ctx->request->expect_tested = 1;

    if (ctx->request->reading_body) {
        ctx->request->keepalive = 0;
    }

    return ngx_goconnect_http_problem(ctx, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                      "body_too_large",
                                      "A body has at most 65536 bytes.");
}


/* RFC 8259, section 11: the media type has no parameters that matter */
static ngx_uint_t
ngx_goconnect_http_body_is_json(ngx_http_request_t *r)
{
    static const ngx_str_t json = ngx_string("application/json");
    ngx_str_t *type;

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len >= json.len &&
           ngx_strncasecmp(type->data, json.data, json.len) == 0 &&
           (type->len == json.len || type->data[json.len] == ';' ||
            type->data[json.len] == ' ');
}


/* Leaves ctx->body NULL if there was no body at all. */
static ngx_int_t
ngx_goconnect_http_body_parse(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_verdict_t verdict;

    if (ctx->received == 0) {
        return NGX_OK;
    }

    if (!ngx_goconnect_http_body_is_json(ctx->request)) {
        return ngx_goconnect_http_problem(ctx, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                          "unsupported_media_type",
                                          "The body must be application/json.");
    }

    verdict = ngx_goconnect_check_json(
        ctx->buffer, ctx->received, NGX_GOCONNECT_HTTP_DEPTH_MAX, &ctx->body);

    return verdict.code
               ? ngx_goconnect_http_problem(ctx, NGX_HTTP_BAD_REQUEST,
                                            verdict.code, verdict.detail)
               : NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_body_complete(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_int_t rc;

    rc = ngx_goconnect_http_body_parse(ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_goconnect_http_check_body(ctx);
}


/* Moves what nginx has read to ctx->buffer. */
static ngx_int_t
ngx_goconnect_http_body_take(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_http_request_t *r;
    ngx_chain_t *link;
    size_t size;

    r = ctx->request;

    for (link = r->request_body->bufs; link; link = link->next) {
        size = (size_t) ngx_buf_size(link->buf);

        if (size > NGX_GOCONNECT_HTTP_BODY_MAX - ctx->received) {
            return ngx_goconnect_http_body_too_large(ctx);
        }

        /* an empty body is a buffer without memory */
        if (size != 0) {
            ngx_memcpy(ctx->buffer + ctx->received, link->buf->pos, size);
        }

        ctx->received += size;
        link->buf->pos = link->buf->last;
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}


/* Ends in ngx_http_finalize_request, or in a wait. */
static void
ngx_goconnect_http_body_end(ngx_goconnect_http_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        rc = ngx_goconnect_http_body_complete(ctx);
    }

    rc = ngx_goconnect_http_run(ctx, rc);

    if (rc != NGX_DONE) {
        ngx_http_finalize_request(ctx->request, rc);
    }
}


static void
ngx_goconnect_http_body_read(ngx_http_request_t *r)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_int_t rc;

    ctx = ngx_http_get_module_ctx(r, ngx_http_goconnect_module);
    rc = NGX_OK;

    while (r->reading_body) {
        rc = ngx_http_read_unbuffered_request_body(r);
        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (r->request_body->bufs == NULL && rc == NGX_AGAIN) {
            return;
        }

        rc = ngx_goconnect_http_body_take(ctx);
        if (rc != NGX_OK) {
            break;
        }
    }

    ngx_goconnect_http_body_end(ctx, rc);
}


static void
ngx_goconnect_http_body_first(ngx_http_request_t *r)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_int_t rc;

    ctx = ngx_http_get_module_ctx(r, ngx_http_goconnect_module);
    rc = ngx_goconnect_http_body_take(ctx);

    if (rc != NGX_OK) {
        ngx_goconnect_http_body_end(ctx, rc);
        return;
    }

    r->read_event_handler = ngx_goconnect_http_body_read;
    ngx_goconnect_http_body_read(r);
}


ngx_int_t
ngx_goconnect_http_read_body(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_http_request_t *r;
    ngx_int_t rc;
    size_t size;

    r = ctx->request;
    size = NGX_GOCONNECT_HTTP_BODY_MAX;

    if (r->headers_in.content_length_n > NGX_GOCONNECT_HTTP_BODY_MAX) {
        return ngx_goconnect_http_run(ctx,
                                      ngx_goconnect_http_body_too_large(ctx));
    }

    if (r->headers_in.content_length_n >= 0) {
        size = (size_t) r->headers_in.content_length_n;
    }

    ctx->buffer = ngx_pnalloc(r->pool, size + 1);
    if (ctx->buffer == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->connection->log->action = "reading the body of an API request";
    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_goconnect_http_body_first);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}
