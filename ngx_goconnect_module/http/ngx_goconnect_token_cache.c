#include "http/ngx_goconnect_token_cache.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>


#define NGX_GOCONNECT_TOKEN_SETS 1024 /* a power of 2 */
#define NGX_GOCONNECT_TOKEN_WAYS 4
#define NGX_GOCONNECT_TOKEN_KEY 32


typedef struct {
    u_char tag[NGX_GOCONNECT_TOKEN_TAG];
    ngx_goconnect_identity_t id; /* expires == 0: free */
} ngx_goconnect_token_t;


static ngx_goconnect_token_t *ngx_goconnect_token_set(const u_char *tag);


static ngx_goconnect_token_t *ngx_goconnect_tokens;
static EVP_MAC_CTX *ngx_goconnect_token_mac;


ngx_int_t
ngx_goconnect_token_cache_init(ngx_cycle_t *cycle)
{
    u_char key[NGX_GOCONNECT_TOKEN_KEY];
    EVP_MAC *mac;
    ngx_int_t rc;
    OSSL_PARAM params[2];

    static char digest[] = "SHA256";

    ngx_goconnect_tokens = ngx_pcalloc(
        cycle->pool, NGX_GOCONNECT_TOKEN_SETS * NGX_GOCONNECT_TOKEN_WAYS *
                         sizeof(ngx_goconnect_token_t));

    if (ngx_goconnect_tokens == NULL ||
        ngx_goconnect_secret_random(key, sizeof(key)) != NGX_OK) {
        return NGX_ERROR;
    }

    params[0] =
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
    params[1] = OSSL_PARAM_construct_end();

    /* kept keyed: a new start costs a tenth of a new context */

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ngx_goconnect_token_mac = mac ? EVP_MAC_CTX_new(mac) : NULL;

    rc = ngx_goconnect_token_mac &&
                 EVP_MAC_init(ngx_goconnect_token_mac, key, sizeof(key), params)
             ? NGX_OK
             : NGX_ERROR;

    EVP_MAC_free(mac);
    ngx_goconnect_secret_wipe(key, sizeof(key));

    if (rc != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "goconnect: no HMAC-SHA256 from OpenSSL");
    }

    return rc;
}


void
ngx_goconnect_token_cache_done(void)
{
    EVP_MAC_CTX_free(ngx_goconnect_token_mac);
    ngx_goconnect_token_mac = NULL;
}


ngx_int_t
ngx_goconnect_token_cache_tag(ngx_str_t *token, u_char *tag)
{
    size_t len;
    u_char mac[EVP_MAX_MD_SIZE];

    if (!EVP_MAC_init(ngx_goconnect_token_mac, NULL, 0, NULL) ||
        !EVP_MAC_update(ngx_goconnect_token_mac, token->data, token->len) ||
        !EVP_MAC_final(ngx_goconnect_token_mac, mac, &len, sizeof(mac))) {
        return NGX_ERROR;
    }

    ngx_memcpy(tag, mac, NGX_GOCONNECT_TOKEN_TAG);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_token_cache_get(const u_char *tag, ngx_goconnect_identity_t *id)
{
    ngx_uint_t i;
    ngx_goconnect_token_t *set;

    set = ngx_goconnect_token_set(tag);

    for (i = 0; i < NGX_GOCONNECT_TOKEN_WAYS; i++) {
        if (set[i].id.expires &&
            ngx_memcmp(set[i].tag, tag, NGX_GOCONNECT_TOKEN_TAG) == 0) {
            *id = set[i].id;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


void
ngx_goconnect_token_cache_put(const u_char *tag,
                              const ngx_goconnect_identity_t *id)
{
    ngx_uint_t i;
    ngx_goconnect_token_t *set, *victim;

    set = ngx_goconnect_token_set(tag);
    victim = set;

    for (i = 1; i < NGX_GOCONNECT_TOKEN_WAYS; i++) {
        if (set[i].id.expires < victim->id.expires) {
            victim = &set[i];
        }
    }

    ngx_memcpy(victim->tag, tag, NGX_GOCONNECT_TOKEN_TAG);
    victim->id = *id;
}


void
ngx_goconnect_token_cache_forget(const u_char *id)
{
    ngx_uint_t i, n;
    ngx_goconnect_token_t *t;

    n = NGX_GOCONNECT_TOKEN_SETS * NGX_GOCONNECT_TOKEN_WAYS;

    for (i = 0; i < n; i++) {
        t = &ngx_goconnect_tokens[i];

        if (t->id.expires &&
            (ngx_memcmp(t->id.session, id, NGX_GOCONNECT_ID_LEN) == 0 ||
             ngx_memcmp(t->id.user, id, NGX_GOCONNECT_ID_LEN) == 0 ||
             ngx_memcmp(t->id.device, id, NGX_GOCONNECT_ID_LEN) == 0)) {
            ngx_memzero(t, sizeof(ngx_goconnect_token_t));
        }
    }
}


static ngx_goconnect_token_t *
ngx_goconnect_token_set(const u_char *tag)
{
    uint32_t n;

    ngx_memcpy(&n, tag, sizeof(n));

    return &ngx_goconnect_tokens[(n & (NGX_GOCONNECT_TOKEN_SETS - 1)) *
                                 NGX_GOCONNECT_TOKEN_WAYS];
}
