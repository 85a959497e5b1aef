#include "http/ngx_goconnect_http_route.h"
#include "http/ngx_goconnect_http_steps.h"


/* no function has more parameters, see NGX_GOCONNECT_PG_PARAMS_MAX */
#define NGX_GOCONNECT_SQL_PARAMS (sizeof(", $12") * NGX_GOCONNECT_PG_PARAMS_MAX)

/* The words of routes.def */
#define SECRET NGX_GOCONNECT_ROUTE_SECRET
#define IDEMPOTENT NGX_GOCONNECT_ROUTE_IDEMPOTENT
#define NO_CTX NGX_GOCONNECT_ROUTE_NO_CTX
#define CACHED(subject, view)                                            \
    (NGX_GOCONNECT_ROUTE_CACHED | NGX_GOCONNECT_ROUTE_CACHED_##subject | \
     NGX_GOCONNECT_ROUTE_CACHED_##view)

#define ngx_goconnect_step_NO_STEP NULL

#define GC_FIELD(name, type, min, max, presence, detail)                      \
    {                                                                         \
        name, NGX_GOCONNECT_FIELD_##type, min, max, NGX_GOCONNECT_##presence, \
            detail                                                            \
    }
#define GC_FIELDS(...)                                                         \
    (const ngx_goconnect_field_t[])                                            \
    {                                                                          \
        __VA_ARGS__,                                                           \
        {                                                                      \
            NULL, NGX_GOCONNECT_FIELD_TEXT, 0, 0, NGX_GOCONNECT_OPTIONAL, NULL \
        }                                                                      \
    }
#define GC_QUERY(...) GC_FIELDS(__VA_ARGS__)
#define GC_NO_QUERY NULL
#define GC_BODY(...) GC_FIELDS(__VA_ARGS__)
#define GC_BODY_OF_STEP ngx_goconnect_no_fields
#define GC_NO_BODY NULL

#define GC_ROUTE(name, method, path, credential, limit, lane, timeout, flags, \
                 begin, finish, before, between, after, query, body)          \
    {ngx_string(#name),                                                       \
     path,                                                                    \
     NGX_GOCONNECT_CREDENTIAL_##credential,                                   \
     NGX_GOCONNECT_LIMIT_##limit,                                             \
     NGX_GOCONNECT_PG_##lane,                                                 \
     timeout,                                                                 \
     flags,                                                                   \
     ngx_string(begin),                                                       \
     ngx_string(finish),                                                      \
     ngx_goconnect_step_##before,                                             \
     ngx_goconnect_step_##between,                                            \
     ngx_goconnect_step_##after,                                              \
     query,                                                                   \
     body},


static const ngx_goconnect_field_t ngx_goconnect_no_fields[] = {
    {NULL, NGX_GOCONNECT_FIELD_TEXT, 0, 0, NGX_GOCONNECT_OPTIONAL, NULL}};


static const ngx_goconnect_route_t ngx_goconnect_routes[] = {
#include "http/routes.def"
};

#undef GC_ROUTE
#define GC_ROUTE(name, method, path, ...) {GC_##method, path},

static const gc_router_row_t ngx_goconnect_route_paths[] = {
#include "http/routes.def"
};


#define NGX_GOCONNECT_NROUTES \
    (sizeof(ngx_goconnect_routes) / sizeof(ngx_goconnect_routes[0]))


static ngx_goconnect_route_statements_t
    ngx_goconnect_route_table[NGX_GOCONNECT_NROUTES];


ngx_str_t *
ngx_goconnect_route_names(ngx_conf_t *cf, ngx_uint_t *n)
{
    ngx_str_t *names;
    ngx_uint_t i;

    *n = NGX_GOCONNECT_NROUTES + 1;

    names = ngx_palloc(cf->pool, *n * sizeof(ngx_str_t));
    if (names == NULL) {
        return NULL;
    }

    for (i = 0; i < NGX_GOCONNECT_NROUTES; i++) {
        names[i] = ngx_goconnect_routes[i].name;
    }

    ngx_str_set(&names[i], "none");

    return names;
}


ngx_uint_t
ngx_goconnect_route_number(const ngx_goconnect_route_t *route)
{
    return route ? (ngx_uint_t) (route - ngx_goconnect_routes)
                 : NGX_GOCONNECT_NROUTES;
}


const ngx_goconnect_route_t *
ngx_goconnect_route_find(unsigned method, const ngx_str_t *path,
                         gc_router_match_t *match)
{
    if (!gc_router_match(ngx_goconnect_route_paths, NGX_GOCONNECT_NROUTES,
                         method, (const char *) path->data, path->len, match)) {
        return NULL;
    }

    return &ngx_goconnect_routes[match->row];
}


const ngx_goconnect_route_statements_t *
ngx_goconnect_route_calls(const ngx_goconnect_route_t *route)
{
    return &ngx_goconnect_route_table[route - ngx_goconnect_routes];
}


static ngx_uint_t
ngx_goconnect_route_nparams(const ngx_goconnect_route_t *route)
{
    const ngx_goconnect_field_t *field;
    ngx_uint_t n;

    n = gc_router_params(route->path);

    for (field = route->query; field && field->name; field++) {
        n++;
    }

    n += route->body ? 1 : 0;
    n += (route->flags & NGX_GOCONNECT_ROUTE_NO_CTX) ? 0 : 1;

    return n;
}


static ngx_int_t
ngx_goconnect_route_statement(ngx_pool_t *pool,
                              const ngx_goconnect_route_t *route,
                              const ngx_str_t *function,
                              ngx_goconnect_pg_statement_t *statement)
{
    static const char format[] =
        "SELECT status, body, etag, location, events FROM api_%d.%V(";
    ngx_uint_t i, n;
    u_char *p, *last;
    size_t size;

    size = sizeof(format) + NGX_INT_T_LEN + function->len +
           NGX_GOCONNECT_SQL_PARAMS;

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p + size;

    statement->name = *function;
    statement->lane = route->lane;
    statement->sql.data = p;

    p = ngx_slprintf(p, last, format, NGX_GOCONNECT_API_VERSION, function);
    n = ngx_goconnect_route_nparams(route);

    for (i = 1; i <= n; i++) {
        p = ngx_slprintf(p, last, i == 1 ? "$%ui" : ", $%ui", i);
    }

    p = ngx_slprintf(p, last, ")%Z");
    statement->sql.len = (size_t) (p - statement->sql.data) - 1;

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_route_prepare(ngx_pool_t *pool)
{
    ngx_goconnect_pg_statement_t *table, *last;
    const ngx_goconnect_route_t *route;
    ngx_uint_t i;

    table = ngx_pcalloc(pool, 2 * NGX_GOCONNECT_NROUTES * sizeof(*table));
    if (table == NULL) {
        return NGX_ERROR;
    }

    last = table;

    for (i = 0; i < NGX_GOCONNECT_NROUTES; i++) {
        route = &ngx_goconnect_routes[i];

        if (route->begin.len) {
            if (ngx_goconnect_route_statement(pool, route, &route->begin,
                                              last) != NGX_OK) {
                return NGX_ERROR;
            }

            ngx_goconnect_route_table[i].begin = last++;
        }

        if (route->finish.len) {
            if (ngx_goconnect_route_statement(pool, route, &route->finish,
                                              last) != NGX_OK) {
                return NGX_ERROR;
            }

            ngx_goconnect_route_table[i].finish = last++;
        }
    }

    return ngx_goconnect_pg_statements(table, (ngx_uint_t) (last - table));
}
