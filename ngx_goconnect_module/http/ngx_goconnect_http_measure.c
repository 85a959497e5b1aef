#include "http/ngx_goconnect_http_steps.h"

#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_http.h"
#include "shm/ngx_goconnect_metrics.h"
#include "shm/ngx_goconnect_paths.h"


/* of a request to the API, else NULL */
static ngx_goconnect_http_ctx_t *
ngx_goconnect_http_measured(ngx_http_request_t *r)
{
    return r->content_handler == ngx_goconnect_http_handler
               ? ngx_http_get_module_ctx(r, ngx_http_goconnect_module)
               : NULL;
}


static ngx_int_t
ngx_goconnect_http_count(ngx_http_request_t *r)
{
    ngx_goconnect_http_ctx_t *ctx;
    ngx_msec_int_t ms;
    ngx_time_t *now;

    ctx = ngx_goconnect_http_measured(r);

    if (ctx == NULL) {
        return NGX_OK;
    }

    now = ngx_timeofday();
    ms = (ngx_msec_int_t) ((now->sec - r->start_sec) * 1000 +
                           (time_t) (now->msec - r->start_msec));

    ngx_goconnect_metrics_request(ngx_goconnect_route_number(ctx->route),
                                  r->headers_out.status,
                                  (uint64_t) ngx_max(ms, 0) * 1000);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_http_measure(ngx_conf_t *cf)
{
    ngx_goconnect_main_conf_t *gmcf;
    ngx_http_core_main_conf_t *cmcf;
    ngx_http_handler_pt *handler;
    ngx_str_t *names;
    ngx_uint_t n;

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_goconnect_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (!gmcf->used && !gmcf->relay && !gmcf->counting) {
        return NGX_OK;
    }

    if (!gmcf->used) {

        /* a relay without an API counts as well */

        gmcf->metrics =
            ngx_goconnect_metrics_zone(cf, &ngx_http_goconnect_module, NULL, 0);

        return gmcf->metrics ? NGX_OK : NGX_ERROR;
    }

    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    names = ngx_goconnect_route_names(cf, &n);

    if (handler == NULL || names == NULL) {
        return NGX_ERROR;
    }

    *handler = ngx_goconnect_http_count;

    gmcf->metrics =
        ngx_goconnect_metrics_zone(cf, &ngx_http_goconnect_module, names, n);

    gmcf->paths = ngx_goconnect_paths_zone(cf, &ngx_http_goconnect_module);

    return gmcf->metrics && gmcf->paths ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_goconnect_step_metrics_before(ngx_goconnect_http_ctx_t *ctx)
{
    ctx->answer.status = NGX_HTTP_OK;
    ngx_str_set(&ctx->answer.content_type,
                "text/plain; version=0.0.4; charset=utf-8");

    return ngx_goconnect_metrics_text(ctx->request->pool, &ctx->answer.body);
}


ngx_int_t
ngx_goconnect_http_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;
    ngx_str_t text;
    ngx_http_complex_value_t body;
    ngx_str_t type = ngx_string("text/plain; version=0.0.4; charset=utf-8");

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_goconnect_metrics_text(r->pool, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&body, sizeof(body));
    body.value = text;

    return ngx_http_send_response(r, NGX_HTTP_OK, &type, &body);
}


/*
 * Variables
 */

static void
ngx_goconnect_http_variable(ngx_http_variable_value_t *value, const void *data,
                            size_t len)
{
    value->data = (u_char *) data;
    value->len = (unsigned) len & 0xfffffff;
    value->valid = 1;
    value->no_cacheable = 1;
    value->not_found = len == 0;
}


static ngx_int_t
ngx_goconnect_http_variable_route(ngx_http_request_t *r,
                                  ngx_http_variable_value_t *value,
                                  uintptr_t data)
{
    ngx_goconnect_http_ctx_t *ctx;
    const char *path;

    ctx = ngx_goconnect_http_measured(r);
    path = ctx && ctx->route ? ctx->route->path : "";

    ngx_goconnect_http_variable(value, path, ngx_strlen(path));

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_variable_user(ngx_http_request_t *r,
                                 ngx_http_variable_value_t *value,
                                 uintptr_t data)
{
    ngx_goconnect_http_ctx_t *ctx;
    const char *user;

    ctx = ngx_goconnect_http_measured(r);
    user = ctx ? (const char *) ctx->identity.user : "";

    ngx_goconnect_http_variable(value, user, ngx_strlen(user));

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_variable_time(ngx_http_request_t *r,
                                 ngx_http_variable_value_t *value,
                                 uintptr_t data)
{
    ngx_goconnect_http_ctx_t *ctx;
    u_char *p;

    ctx = ngx_goconnect_http_measured(r);

    if (ctx == NULL || ctx->asked_at == 0) {
        ngx_goconnect_http_variable(value, "", 0);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_http_variable(
        value, p,
        (size_t) (ngx_sprintf(p, "%uL.%06uL", ctx->database_time / 1000000,
                              ctx->database_time % 1000000) -
                  p));

    return NGX_OK;
}


/* HIT or MISS, on routes whose answers are kept */
static ngx_int_t
ngx_goconnect_http_variable_cache(ngx_http_request_t *r,
                                  ngx_http_variable_value_t *value,
                                  uintptr_t data)
{
    ngx_goconnect_http_ctx_t *ctx;
    const char *word;

    ctx = ngx_goconnect_http_measured(r);
    word = ctx == NULL ? "" : ctx->cached ? "HIT" : ctx->cache ? "MISS" : "";

    ngx_goconnect_http_variable(value, word, ngx_strlen(word));

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_http_preconfiguration(ngx_conf_t *cf)
{
    static const struct {
        ngx_str_t name;
        ngx_http_get_variable_pt get;
    } variables[] = {
        {ngx_string("goconnect_route"), ngx_goconnect_http_variable_route},
        {ngx_string("goconnect_cache"), ngx_goconnect_http_variable_cache},
        {ngx_string("goconnect_user"), ngx_goconnect_http_variable_user},
        {ngx_string("goconnect_database_time"),
         ngx_goconnect_http_variable_time},
    };
    ngx_http_variable_t *variable;
    ngx_str_t name;
    size_t i;

    for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        name = variables[i].name;

        variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == NULL) {
            return NGX_ERROR;
        }

        variable->get_handler = variables[i].get;
    }

    return NGX_OK;
}
