/*
 * The nginx module: its directives and what it does as processes come and go.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ngx_goconnect_auth.h"
#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_http.h"
#include "http/ngx_goconnect_keys.h"
#include "live/ngx_goconnect_live.h"
#include "live/ngx_goconnect_live_bus_conf.h"
#include "pg/ngx_goconnect_pg.h"
#include "relay/ngx_goconnect_relay.h"
#include "shm/ngx_goconnect_cache.h"
#include "shm/ngx_goconnect_paths.h"


#define NGX_HTTP_GOCONNECT_LANE_MAX 64
#define NGX_HTTP_GOCONNECT_DEPTH_MAX 64


typedef struct {
    ngx_str_t name; /* with the '=' */
    ngx_uint_t max;
    size_t offset;    /* in ngx_goconnect_pg_conf_t */
    ngx_uint_t value; /* unless configured */
} ngx_http_goconnect_pool_option_t;


static void *ngx_http_goconnect_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_goconnect_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_goconnect_database(ngx_conf_t *cf, ngx_command_t *cmd,
                                         void *conf);
static char *ngx_http_goconnect_keys(ngx_conf_t *cf, ngx_command_t *cmd,
                                     void *conf);
static char *ngx_http_goconnect_pool(ngx_conf_t *cf, ngx_command_t *cmd,
                                     void *conf);
static char *ngx_http_goconnect_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd,
                                            void *conf);
static char *ngx_http_goconnect_public_url(ngx_conf_t *cf, ngx_command_t *cmd,
                                           void *conf);
static ngx_int_t ngx_http_goconnect_origin(ngx_conf_t *cf,
                                           const char *directive,
                                           ngx_str_t *value, ngx_str_t *origin);
static char *ngx_http_goconnect_cache(ngx_conf_t *cf, ngx_command_t *cmd,
                                      void *conf);
static char *ngx_http_goconnect_bus(ngx_conf_t *cf, ngx_command_t *cmd,
                                    void *conf);
static char *ngx_http_goconnect_compression(ngx_conf_t *cf, ngx_command_t *cmd,
                                            void *conf);
static char *ngx_http_goconnect_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd,
                                            void *conf);
static char *ngx_http_goconnect_relay(ngx_conf_t *cf, ngx_command_t *cmd,
                                      void *conf);
static char *ngx_http_goconnect_api(ngx_conf_t *cf, ngx_command_t *cmd,
                                    void *conf);
static char *ngx_http_goconnect_ws(ngx_conf_t *cf, ngx_command_t *cmd,
                                   void *conf);
static ngx_int_t ngx_http_goconnect_relay_init(ngx_conf_t *cf,
                                               ngx_goconnect_main_conf_t *gmcf);
static char *ngx_http_goconnect_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
                                        void *conf);
static char *ngx_http_goconnect_merge_loc_conf(ngx_conf_t *cf, void *parent,
                                               void *child);
static char *ngx_http_goconnect_location(ngx_conf_t *cf,
                                         ngx_http_handler_pt handler);
static ngx_int_t ngx_http_goconnect_init_process(ngx_cycle_t *cycle);
static void ngx_http_goconnect_exit_process(ngx_cycle_t *cycle);


static const ngx_http_goconnect_pool_option_t
    ngx_http_goconnect_pool_options[] = {

        {ngx_string("read="), NGX_HTTP_GOCONNECT_LANE_MAX,
         offsetof(ngx_goconnect_pg_conf_t, connections) +
             NGX_GOCONNECT_PG_READ * sizeof(ngx_uint_t),
         4},

        {ngx_string("depth="), NGX_HTTP_GOCONNECT_DEPTH_MAX,
         offsetof(ngx_goconnect_pg_conf_t, depth), 8},

        {ngx_string("write="), NGX_HTTP_GOCONNECT_LANE_MAX,
         offsetof(ngx_goconnect_pg_conf_t, connections) +
             NGX_GOCONNECT_PG_WRITE * sizeof(ngx_uint_t),
         4},

        {ngx_string("bulk="), NGX_HTTP_GOCONNECT_LANE_MAX,
         offsetof(ngx_goconnect_pg_conf_t, connections) +
             NGX_GOCONNECT_PG_BULK * sizeof(ngx_uint_t),
         1},

        {ngx_null_string, 0, 0, 0}};


static ngx_command_t ngx_http_goconnect_commands[] = {

    {ngx_string("goconnect_database"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_http_goconnect_database, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_keys"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_http_goconnect_keys, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_pool"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
     ngx_http_goconnect_pool, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_thread_pool"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_http_goconnect_thread_pool, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_public_url"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_http_goconnect_public_url, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_cache"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_http_goconnect_cache, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_bus"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12,
     ngx_http_goconnect_bus, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_compression"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_http_goconnect_compression, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_cors_origin"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
     ngx_http_goconnect_cors_origin, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_relay"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
     ngx_http_goconnect_relay, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},

    {ngx_string("goconnect_metrics"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_goconnect_metrics, 0, 0, NULL},

    {ngx_string("goconnect_api"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_goconnect_api, 0, 0, NULL},

    {ngx_string("goconnect_ws"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_goconnect_ws, 0, 0, NULL},

    ngx_null_command};


static ngx_http_module_t ngx_http_goconnect_module_ctx = {
    ngx_goconnect_http_preconfiguration,  /* preconfiguration */
    ngx_goconnect_http_postconfiguration, /* postconfiguration */

    ngx_http_goconnect_create_main_conf, /* create main configuration */
    ngx_http_goconnect_init_main_conf,   /* init main configuration */

    NULL, /* create server configuration */
    NULL, /* merge server configuration */

    NULL,                             /* create location configuration */
    ngx_http_goconnect_merge_loc_conf /* merge location configuration */
};


ngx_module_t ngx_http_goconnect_module = {
    NGX_MODULE_V1,
    &ngx_http_goconnect_module_ctx,  /* module context */
    ngx_http_goconnect_commands,     /* module directives */
    NGX_HTTP_MODULE,                 /* module type */
    NULL,                            /* init master */
    ngx_goconnect_live_init_module,  /* init module */
    ngx_http_goconnect_init_process, /* init process */
    NULL,                            /* init thread */
    NULL,                            /* exit thread */
    ngx_http_goconnect_exit_process, /* exit process */
    NULL,                            /* exit master */
    NGX_MODULE_V1_PADDING};


static void *
ngx_http_goconnect_create_main_conf(ngx_conf_t *cf)
{
    ngx_goconnect_main_conf_t *gmcf;

    /* set by ngx_pcalloc(): all the strings, pointers and counts */

    gmcf = ngx_pcalloc(cf->pool, sizeof(ngx_goconnect_main_conf_t));

    if (gmcf) {
        gmcf->compression = NGX_CONF_UNSET;
    }

    return gmcf;
}


static char *
ngx_http_goconnect_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_uint_t *value;
    const char *missing;
    const ngx_http_goconnect_pool_option_t *option;

    ngx_conf_init_value(gmcf->compression, 1);

    option = ngx_http_goconnect_pool_options;

    for (; option->name.len; option++) {
        value = (ngx_uint_t *) ((u_char *) &gmcf->pg + option->offset);

        if (*value == 0) {
            *value = option->value;
        }
    }

    if (gmcf->relay && ngx_http_goconnect_relay_init(cf, gmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (!gmcf->used) {
        return NGX_CONF_OK;
    }

    missing = gmcf->pg.conninfo.len == 0 ? "goconnect_database CONNINFO"
              : gmcf->keys == NULL       ? "goconnect_keys FILE"
              : gmcf->thread_pool == NULL
                  ? "goconnect_thread_pool NAME (and, outside of http, "
                    "\"thread_pool NAME threads=2;\")"
                  : NULL;

    if (missing) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect: the http block needs \"%s\"", missing);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    char *why;
    ngx_str_t *value;

    if (gmcf->pg.conninfo.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    gmcf->pg.conninfo = value[1];

    /* the string itself is not logged: it may hold a password */

    why = ngx_goconnect_pg_conf_check(cf, &gmcf->pg);

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_database: %s; expected a libpq "
                           "connection string, such as \"host=/run/postgresql "
                           "dbname=goconnect user=goconnect\"",
                           why);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_str_t *value;

    if (gmcf->keys) {
        return "is duplicate";
    }

    value = cf->args->elts;
    gmcf->keys_file = value[1];

    if (ngx_conf_full_name(cf->cycle, &gmcf->keys_file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    gmcf->keys = ngx_goconnect_keys_read(cf, &gmcf->keys_file);

    return gmcf->keys ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_goconnect_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_int_t n;
    ngx_str_t *value;
    ngx_uint_t i, *field;
    const ngx_http_goconnect_pool_option_t *option;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        option = ngx_http_goconnect_pool_options;

        while (option->name.len && ngx_strncmp(value[i].data, option->name.data,
                                               option->name.len) != 0) {
            option++;
        }

        if (option->name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "goconnect_pool: unknown parameter \"%V\"; "
                               "expected read=N, depth=N, write=N or bulk=N",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        n = ngx_atoi(value[i].data + option->name.len,
                     value[i].len - option->name.len);

        if (n < 1 || (ngx_uint_t) n > option->max) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "goconnect_pool: \"%V\" is out of range; "
                               "expected %V1 to %V%ui",
                               &value[i], &option->name, &option->name,
                               option->max);
            return NGX_CONF_ERROR;
        }

        field = (ngx_uint_t *) ((u_char *) &gmcf->pg + option->offset);

        if (*field) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "goconnect_pool: \"%V\" is duplicate",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        *field = (ngx_uint_t) n;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_str_t *value;

    if (gmcf->thread_pool) {
        return "is duplicate";
    }

    value = cf->args->elts;

    /* nginx itself refuses a name that no "thread_pool" declares */

    gmcf->thread_pool = ngx_thread_pool_add(cf, &value[1]);

    return gmcf->thread_pool ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* scheme, host and port, without the slash that may stand at the end */
static ngx_int_t
ngx_http_goconnect_origin(ngx_conf_t *cf, const char *directive,
                          ngx_str_t *value, ngx_str_t *origin)
{
    u_char *p;
    size_t scheme;
    ngx_url_t u;

    *origin = *value;

    if (origin->len && origin->data[origin->len - 1] == '/') {
        origin->len--;
    }

    scheme = ngx_strncmp(origin->data, "https://", 8) == 0  ? 8
             : ngx_strncmp(origin->data, "http://", 7) == 0 ? 7
                                                            : 0;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url.data = origin->data + scheme;
    u.url.len = origin->len - scheme;
    u.default_port = 80;
    u.no_resolve = 1;

    p = u.url.data;

    while (p < origin->data + origin->len &&
           ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
            (*p >= '0' && *p <= '9') || ngx_strchr(".-:[]", *p))) {
        p++;
    }

    if (scheme == 0 || p != origin->data + origin->len ||
        ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s: \"%V\" is not an address; expected "
                           "https://HOST or https://HOST:PORT (or http://), "
                           "without a path",
                           directive, value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static char *
ngx_http_goconnect_public_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_str_t *value, url;

    if (gmcf->public_url.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_goconnect_origin(cf, "goconnect_public_url", &value[1],
                                  &url) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    gmcf->public_url = url;

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ssize_t size;
    ngx_str_t *value, number;

    if (gmcf->cache_set) {
        return "is duplicate";
    }

    gmcf->cache_set = 1;
    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    size = NGX_ERROR;

    if (ngx_strncmp(value[1].data, "zone=", 5) == 0) {
        number.data = value[1].data + 5;
        number.len = value[1].len - 5;
        size = ngx_parse_size(&number);
    }

    if (size < NGX_GOCONNECT_CACHE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "goconnect_cache: \"%V\" is not a size; expected "
                           "zone=SIZE of 256k or more, such as zone=16m, or "
                           "off",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    gmcf->cache = ngx_goconnect_cache_zone(cf, (size_t) size);

    return gmcf->cache ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_goconnect_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    if (gmcf->relay) {
        return "is duplicate";
    }

    gmcf->relay = ngx_goconnect_relay_conf(cf);

    return gmcf->relay ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_goconnect_relay_init(ngx_conf_t *cf, ngx_goconnect_main_conf_t *gmcf)
{
    gc_keys_t *ring;
    ngx_str_t *file;

    file = ngx_goconnect_relay_key_file(gmcf->relay);
    ring = gmcf->keys;

    if (file->len) {
        ring = ngx_goconnect_keys_read_relay(cf, file);

        if (ring == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_goconnect_relay_init_conf(cf, gmcf->relay, ring);
}


static char *
ngx_http_goconnect_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t *clcf;
    ngx_goconnect_main_conf_t *gmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "is duplicate, or the location is another module's already";
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_goconnect_module);
    gmcf->counting = 1;

    clcf->handler = ngx_goconnect_http_metrics_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_bus(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    if (gmcf->bus_set) {
        return "is duplicate";
    }

    gmcf->bus_set = 1;

    return ngx_goconnect_bus_conf(cf, &gmcf->bus) == NGX_OK ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


static char *
ngx_http_goconnect_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_str_t *value, *origin;
    ngx_uint_t i;

    if (gmcf->cors_origins == NULL) {
        gmcf->cors_origins = ngx_array_create(cf->pool, 2, sizeof(ngx_str_t));
        if (gmcf->cors_origins == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        origin = ngx_array_push(gmcf->cors_origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        if (ngx_http_goconnect_origin(cf, "goconnect_cors_origin", &value[i],
                                      origin) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_goconnect_location(cf, ngx_goconnect_http_handler);
}


static char *
ngx_http_goconnect_compression(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_goconnect_main_conf_t *gmcf = conf;

    ngx_str_t *value;

    if (gmcf->compression != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "netmap") == 0) {
        gmcf->compression = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        gmcf->compression = 0;

    } else {
        return "takes \"netmap\" or \"off\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_ws(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_goconnect_location(cf, ngx_goconnect_live_handler);
}


static char *
ngx_http_goconnect_location(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t *clcf;
    ngx_goconnect_main_conf_t *gmcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "is duplicate, or the location is another module's already";
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_goconnect_module);
    gmcf->used = 1;

    clcf->handler = handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_goconnect_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /*
     * The API has its own limit and answers it as every other mistake: nginx
     * would send a page of HTML and log an error.
     */

    if (clcf->handler == ngx_goconnect_http_handler) {
        clcf->client_max_body_size = 0;
    }

    return NGX_CONF_OK;
}


ngx_goconnect_main_conf_t *
ngx_goconnect_main_conf(void)
{
    return ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_goconnect_module);
}


static ngx_int_t
ngx_http_goconnect_init_process(ngx_cycle_t *cycle)
{
    ngx_goconnect_main_conf_t *gmcf;

    /* the cache manager and loader come by here as well */

    if (ngx_process != NGX_PROCESS_WORKER &&
        ngx_process != NGX_PROCESS_SINGLE) {
        return NGX_OK;
    }

    gmcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_goconnect_module);

    if (gmcf == NULL) {
        return NGX_OK;
    }

    if (gmcf->metrics) {
        ngx_goconnect_metrics_init_process(gmcf->metrics);
    }

    if (gmcf->relay &&
        ngx_goconnect_relay_init_process(cycle, gmcf->relay) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!gmcf->used) {
        return NGX_OK;
    }

    ngx_goconnect_http_events_handler = ngx_goconnect_live_publish;
    ngx_goconnect_cache_init_process(gmcf->cache);
    ngx_goconnect_paths_init_process(gmcf->paths);

    if (ngx_goconnect_auth_init_process(cycle) != NGX_OK ||
        ngx_goconnect_http_init_process(cycle) != NGX_OK ||
        ngx_goconnect_live_statements() != NGX_OK ||
        ngx_goconnect_pg_init_process(cycle, &gmcf->pg) != NGX_OK ||
        ngx_goconnect_live_init_process(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_goconnect_exit_process(ngx_cycle_t *cycle)
{
    ngx_goconnect_main_conf_t *gmcf;

    gmcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_goconnect_module);

    if (gmcf == NULL || !gmcf->used) {
        return;
    }

    ngx_goconnect_live_exit_process(cycle);
    ngx_goconnect_pg_exit_process(cycle);
    ngx_goconnect_auth_exit_process(cycle);
}
