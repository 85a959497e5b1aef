#include "http/ngx_goconnect_http_request.h"

#include "http/ngx_goconnect_conf.h"


/*
 * CORS (Fetch Standard, section 3.2). Credentials are bearer tokens, which a
 * page must have to send them, so cookies are never allowed along.
 */


typedef struct {
    const char *name;
    ngx_str_t value;
} ngx_goconnect_cors_header_t;


/* what a script may read besides the safelisted headers */
static const ngx_goconnect_cors_header_t ngx_goconnect_cors_actual[] = {
    {"Access-Control-Expose-Headers",
     ngx_string("ETag, Location, Retry-After, WWW-Authenticate, "
                "X-Request-Id")},
    {NULL, ngx_null_string}};


/* what it may send */
static const ngx_goconnect_cors_header_t ngx_goconnect_cors_preflight[] = {
    {"Access-Control-Allow-Headers",
     ngx_string("Authorization, Content-Type, Idempotency-Key, If-Match, "
                "If-None-Match")},
    {"Access-Control-Max-Age", ngx_string("600")},
    {NULL, ngx_null_string}};


static ngx_int_t
ngx_goconnect_cors_headers(ngx_http_request_t *r,
                           const ngx_goconnect_cors_header_t *header)
{
    for (; header->name; header++) {
        if (ngx_goconnect_http_header(r, header->name, &header->value) !=
            NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_goconnect_cors_allowed(const ngx_array_t *origins, const ngx_str_t *origin)
{
    const ngx_str_t *one;
    ngx_uint_t i;

    one = origins->elts;

    for (i = 0; i < origins->nelts; i++) {
        if (one[i].len == origin->len &&
            ngx_strncasecmp(one[i].data, origin->data, origin->len) == 0) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_goconnect_http_cors(ngx_goconnect_http_ctx_t *ctx, const ngx_str_t *methods)
{
    static const ngx_str_t vary = ngx_string("Origin");
    ngx_goconnect_main_conf_t *conf;
    ngx_http_request_t *r;
    ngx_table_elt_t *origin;

    r = ctx->request;
    conf = ngx_goconnect_main_conf();

    if (conf == NULL || conf->cors_origins == NULL) {
        return NGX_OK;
    }

    origin = ngx_goconnect_http_header_in(r, "Origin");

    if (methods == NULL &&
        ngx_goconnect_http_header(r, "Vary", &vary) != NGX_OK) {
        return NGX_ERROR;
    }

    if (origin == NULL ||
        !ngx_goconnect_cors_allowed(conf->cors_origins, &origin->value)) {
        return NGX_OK;
    }

    if (methods) {
        return ngx_goconnect_http_header(r, "Access-Control-Allow-Methods",
                                         methods) == NGX_OK
                   ? ngx_goconnect_cors_headers(r, ngx_goconnect_cors_preflight)
                   : NGX_ERROR;
    }

    return ngx_goconnect_http_header(r, "Access-Control-Allow-Origin",
                                     &origin->value) == NGX_OK
               ? ngx_goconnect_cors_headers(r, ngx_goconnect_cors_actual)
               : NGX_ERROR;
}
