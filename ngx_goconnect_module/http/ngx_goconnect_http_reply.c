#include "http/ngx_goconnect_http_request.h"


static const ngx_str_t ngx_goconnect_json_type = ngx_string("application/json");


ngx_int_t
ngx_goconnect_http_header(ngx_http_request_t *r, const char *name,
                          const ngx_str_t *value)
{
    ngx_table_elt_t *header;

    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->hash = 1;
    header->key.data = (u_char *) name;
    header->key.len = strlen(name);
    header->value = *value;
#if (nginx_version >= 1023000)
    header->next = NULL;
#endif

    return NGX_OK;
}


ngx_table_elt_t *
ngx_goconnect_http_header_in(ngx_http_request_t *r, const char *name)
{
    ngx_list_part_t *part;
    ngx_table_elt_t *header;
    ngx_uint_t i;
    size_t len;

    len = strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (header[i].key.len == len &&
                ngx_strncasecmp(header[i].key.data, (u_char *) name, len) ==
                    0) {
                return &header[i];
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_goconnect_http_dump(ngx_goconnect_http_ctx_t *ctx, const json_t *json,
                        ngx_str_t *text)
{
    size_t size;

    size = json_dumpb(json, NULL, 0, JSON_COMPACT);

    text->data = ngx_pnalloc(ctx->request->pool, size);
    if (size == 0 || text->data == NULL) {
        return NGX_ERROR;
    }

    text->len = json_dumpb(json, (char *) text->data, size, JSON_COMPACT);

    return NGX_OK;
}


json_t *
ngx_goconnect_http_answer(ngx_goconnect_http_ctx_t *ctx)
{
    json_error_t error;
    json_t *json;

    json = json_loadb((const char *) ctx->answer.body.data,
                      ctx->answer.body.len, 0, &error);
    if (json == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "%V: the answer is not JSON: %s", &ctx->route->name,
                      error.text);
    }

    return json;
}


ngx_int_t
ngx_goconnect_http_answer_set(ngx_goconnect_http_ctx_t *ctx, json_t *json)
{
    ngx_int_t rc;

    if (json == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_goconnect_http_dump(ctx, json, &ctx->answer.body);
    json_decref(json);

    return rc;
}


static void
ngx_goconnect_http_status(ngx_http_request_t *r, ngx_uint_t status)
{
    r->headers_out.status = status;

    if (status == NGX_GOCONNECT_HTTP_UNPROCESSABLE) {
        /* has no reason phrase in nginx */
        ngx_str_set(&r->headers_out.status_line, "422 Unprocessable Content");
    }
}


static ngx_int_t
ngx_goconnect_http_output(ngx_http_request_t *r, const ngx_str_t *body)
{
    ngx_chain_t link;
    ngx_int_t rc;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    link.next = NULL;
    link.buf = ngx_calloc_buf(r->pool);
    if (link.buf == NULL) {
        return NGX_ERROR;
    }

    link.buf->pos = body->data;
    link.buf->last = body->data + body->len;
    link.buf->memory = body->len > 0;
    link.buf->last_buf = (r == r->main);
    link.buf->last_in_chain = 1;

    return ngx_http_output_filter(r, &link);
}


ngx_int_t
ngx_goconnect_http_send(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status,
                        const ngx_str_t *type, const ngx_str_t *body)
{
    ngx_http_request_t *r;

    r = ctx->request;
    r->connection->log->action = "answering an API request";

    if (r->request_body == NULL && ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }

    ngx_goconnect_http_status(r, status);
    r->headers_out.content_length_n = (off_t) body->len;

    if (body->len > 0) {
        r->headers_out.content_type = *type;
        r->headers_out.content_type_len = type->len;

    } else {
        r->header_only = 1;
    }

    if (status == NGX_HTTP_NO_CONTENT || status == NGX_HTTP_NOT_MODIFIED) {
        r->headers_out.content_length_n = -1;
    }

    /* If-Match is the function's, If-None-Match is answered here */
    r->disable_not_modified = 1;

    ctx->rc = ngx_goconnect_http_output(r, body);

    return NGX_DECLINED;
}


/* An opaque tag without its mark of weakness (RFC 9110, section 8.8.3.2) */
static void
ngx_goconnect_http_strong(ngx_str_t *tag)
{
    if (tag->len > 2 && tag->data[0] == 'W' && tag->data[1] == '/') {
        tag->data += 2;
        tag->len -= 2;
    }
}


/* RFC 9110, section 13.1.2: a list of tags, or * */
static ngx_uint_t
ngx_goconnect_http_none_match(const ngx_str_t *list, const ngx_str_t *etag)
{
    u_char *p, *end;
    ngx_str_t tag;

    p = list->data;
    end = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    while (p < end) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        tag.data = p;

        while (p < end && *p != ',' && *p != ' ' && *p != '\t') {
            p++;
        }

        tag.len = (size_t) (p - tag.data);
        ngx_goconnect_http_strong(&tag);

        if (tag.len == etag->len &&
            ngx_memcmp(tag.data, etag->data, tag.len) == 0) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_goconnect_http_unchanged(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_http_request_t *r;

    r = ctx->request;

    return ctx->answer.etag.len > 0 && ctx->answer.status == NGX_HTTP_OK &&
           (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) &&
           r->headers_in.if_none_match != NULL &&
           ngx_goconnect_http_none_match(&r->headers_in.if_none_match->value,
                                         &ctx->answer.etag);
}


static ngx_int_t
ngx_goconnect_http_etag(ngx_http_request_t *r, const ngx_str_t *etag)
{
    ngx_int_t rc;
    ngx_list_part_t *part;

    if (etag->len == 0) {
        return NGX_OK;
    }

    rc = ngx_goconnect_http_header(r, "ETag", etag);
    if (rc != NGX_OK) {
        return rc;
    }

    /* nginx weakens it when it compresses the body */
    part = r->headers_out.headers.last;
    r->headers_out.etag = (ngx_table_elt_t *) part->elts + part->nelts - 1;

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_headers(ngx_goconnect_http_ctx_t *ctx)
{
    static const ngx_str_t no_store = ngx_string("no-store");
    static const ngx_str_t private = ngx_string("private, no-cache");
    static const ngx_str_t accept = ngx_string("Accept");
    ngx_http_request_t *r;

    r = ctx->request;

    if (ngx_goconnect_http_header(r, "Cache-Control",
                                  ctx->route->flags & NGX_GOCONNECT_ROUTE_SECRET
                                      ? &no_store
                                      : &private) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->answer.location.len > 0 &&
        ngx_goconnect_http_header(r, "Location", &ctx->answer.location) !=
            NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->answer.vary_accept &&
        ngx_goconnect_http_header(r, "Vary", &accept) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_etag(r, &ctx->answer.etag);
}


ngx_int_t
ngx_goconnect_http_reply(ngx_goconnect_http_ctx_t *ctx)
{
    static const ngx_str_t nothing = ngx_null_string;
    ngx_goconnect_http_answer_t *answer;

    answer = &ctx->answer;

    if (ngx_goconnect_http_headers(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_goconnect_http_unchanged(ctx)) {
        return ngx_goconnect_http_send(ctx, NGX_HTTP_NOT_MODIFIED, NULL,
                                       &nothing);
    }

    if (answer->content_type.len == 0) {
        answer->content_type = ngx_goconnect_json_type;
    }

    return ngx_goconnect_http_send(ctx, answer->status, &answer->content_type,
                                   &answer->body);
}
