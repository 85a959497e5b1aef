/*
 * The access tokens that a worker has verified lately, so that the next
 * request with one need not parse it again.  Of fixed size; a token is known
 * by a keyed hash whose key is the worker's own, so that nobody can choose
 * the place of an entry, and tokens are not kept.
 */


#ifndef NGX_GOCONNECT_TOKEN_CACHE_H
#define NGX_GOCONNECT_TOKEN_CACHE_H


#include "http/ngx_goconnect_auth.h"


#define NGX_GOCONNECT_TOKEN_TAG 16


ngx_int_t ngx_goconnect_token_cache_init(ngx_cycle_t *cycle);
void ngx_goconnect_token_cache_done(void);

ngx_int_t ngx_goconnect_token_cache_tag(ngx_str_t *token, u_char *tag);

/* NGX_OK with *id filled, expired or not; NGX_DECLINED */
ngx_int_t ngx_goconnect_token_cache_get(const u_char *tag,
                                        ngx_goconnect_identity_t *id);

/* takes the place of an expired entry, or of the one that expires first */
void ngx_goconnect_token_cache_put(const u_char *tag,
                                   const ngx_goconnect_identity_t *id);

/* drops what belongs to a session, user or device */
void ngx_goconnect_token_cache_forget(const u_char *id);


#endif /* NGX_GOCONNECT_TOKEN_CACHE_H */
