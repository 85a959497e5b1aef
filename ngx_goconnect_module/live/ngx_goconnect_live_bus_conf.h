/* The directive goconnect_bus. */


#ifndef NGX_GOCONNECT_LIVE_BUS_CONF_H
#define NGX_GOCONNECT_LIVE_BUS_CONF_H


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_GOCONNECT_BUS_WORD_MAX 512 /* bytes of a name or a password */


typedef struct {
    u_char host[NGX_INET6_ADDRSTRLEN + 1]; /* numbers: hiredis would block */
    int port;
} ngx_goconnect_bus_address_t;


/* a Redis; strings are NUL-terminated */
typedef struct ngx_goconnect_bus_conf_s {
    ngx_str_t path;         /* of a UNIX socket; empty: addresses */
    ngx_array_t *addresses; /* of ngx_goconnect_bus_address_t */
    ngx_str_t user;         /* empty: Redis' own default */
    ngx_str_t password;     /* empty: none; wiped with the pool */
    ngx_int_t database;     /* NGX_CONF_UNSET: not said */
} ngx_goconnect_bus_conf_t;


/*
 * Reads the directive's arguments.  NGX_OK with *conf, NULL for LISTEN/NOTIFY;
 * or NGX_ERROR after having logged what is wrong.
 */
ngx_int_t ngx_goconnect_bus_conf(ngx_conf_t *cf,
                                 ngx_goconnect_bus_conf_t **conf);


#endif /* NGX_GOCONNECT_LIVE_BUS_CONF_H */
