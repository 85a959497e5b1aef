/*
 * The relay inside nginx's workers (docs/relay.md): UDP sockets that forward
 * WireGuard's packets as they are, and answer STUN.  Any worker forwards any
 * packet: what is known of peers is one table, shared by all, which outlives
 * reloads, restarts and killed workers.
 */


#ifndef NGX_GOCONNECT_RELAY_H
#define NGX_GOCONNECT_RELAY_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_keys.h"


typedef struct ngx_goconnect_relay_conf_s ngx_goconnect_relay_conf_t;


/*
 * Reads the directive `goconnect_relay` and asks nginx for its sockets.  NULL:
 * it was logged what is wrong.
 */
ngx_goconnect_relay_conf_t *ngx_goconnect_relay_conf(ngx_conf_t *cf);

/* The file of the relay's own keys; empty: they follow from the key ring's. */
ngx_str_t *ngx_goconnect_relay_key_file(ngx_goconnect_relay_conf_t *conf);

/*
 * When all directives are read: its keys, out of its own file's ring or else
 * the key ring (which may be NULL: there is none), and its table.
 */
ngx_int_t ngx_goconnect_relay_init_conf(ngx_conf_t *cf,
                                        ngx_goconnect_relay_conf_t *conf,
                                        const gc_keys_t *ring);

/* Begins to forward in this worker. */
ngx_int_t ngx_goconnect_relay_init_process(ngx_cycle_t *cycle,
                                           ngx_goconnect_relay_conf_t *conf);


#endif /* NGX_GOCONNECT_RELAY_H */
