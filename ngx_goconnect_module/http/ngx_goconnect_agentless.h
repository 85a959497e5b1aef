/*
 * The keys of devices without an agent: the server makes them, and the
 * database keeps the private halves sealed (core/gc_seal.h).
 */


#ifndef NGX_GOCONNECT_AGENTLESS_H
#define NGX_GOCONNECT_AGENTLESS_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <jansson.h>

#include "core/gc_base64.h"


#define NGX_GOCONNECT_AGENTLESS_KEY 32
#define NGX_GOCONNECT_AGENTLESS_TEXT GC_BASE64_LEN(NGX_GOCONNECT_AGENTLESS_KEY)


/*
 * Gives the body of POST devices a new public_key. Its private half is
 * forgotten: it only names the device. NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_goconnect_agentless_identity(json_t *body);

/*
 * Opens a peer's private key: sealed is the hex text that the database gave,
 * key gets NGX_GOCONNECT_AGENTLESS_TEXT characters of base64 and no NUL; the
 * caller wipes them. NGX_OK; NGX_ERROR: logged.
 */
ngx_int_t ngx_goconnect_agentless_open(const char *peer, const char *sealed,
                                       u_char *key);


#endif /* NGX_GOCONNECT_AGENTLESS_H */
