/* The key ring's file, read while nginx reads its configuration. */


#ifndef NGX_GOCONNECT_KEYS_H
#define NGX_GOCONNECT_KEYS_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_keys.h"


/*
 * Reads the ring into cf->pool, which wipes it when it is destroyed.  NULL
 * after having logged what is wrong with the file: its place, its permissions
 * (it belongs to root or to nginx's own user, nobody else may open it), its
 * text, or that it has no jwt, invite or seal key.
 */
gc_keys_t *ngx_goconnect_keys_read(ngx_conf_t *cf, ngx_str_t *file);

/* Likewise a file that has relay keys alone. */
gc_keys_t *ngx_goconnect_keys_read_relay(ngx_conf_t *cf, ngx_str_t *file);


#endif /* NGX_GOCONNECT_KEYS_H */
