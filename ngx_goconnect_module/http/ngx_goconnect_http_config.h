/* The configuration of a peer, as GET peers/:id/config answers it. */


#ifndef NGX_GOCONNECT_HTTP_CONFIG_H
#define NGX_GOCONNECT_HTTP_CONFIG_H


#include "http/ngx_goconnect_http_request.h"
#include "http/ngx_goconnect_http_text.h"


typedef enum {
    NGX_GOCONNECT_CONFIG_TEXT = 0, /* for wg-quick */
    NGX_GOCONNECT_CONFIG_JSON,
    NGX_GOCONNECT_CONFIG_SVG /* the text as a QR code */
} ngx_goconnect_config_e;


/* object.NAME as a string, "" if it is null */
const char *ngx_goconnect_config_string(const json_t *object, const char *name);

/* "MTU = N", if the network's settings name one */
void ngx_goconnect_config_mtu(ngx_goconnect_text_t *text,
                              const json_t *network);

/*
 * Makes the answer for a device without an agent, its private key opened. The
 * answer is wiped with the request.
 */
ngx_int_t ngx_goconnect_config_agentless(ngx_goconnect_http_ctx_t *ctx,
                                         json_t *answer,
                                         ngx_goconnect_config_e kind);


#endif /* NGX_GOCONNECT_HTTP_CONFIG_H */
