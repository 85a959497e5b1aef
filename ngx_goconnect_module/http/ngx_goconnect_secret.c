/* Random secrets, their digests, and what wipes them. */


#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "core/gc_base64.h"
#include "http/ngx_goconnect_auth.h"
#include "http/ngx_goconnect_conf.h"


#define NGX_GOCONNECT_SECRET_BYTES 32


ngx_int_t
ngx_goconnect_secret_random(u_char *out, size_t len)
{
    if (RAND_bytes(out, (int) len) == 1) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                  "goconnect: no random bytes from OpenSSL");

    return NGX_ERROR;
}


ngx_int_t
ngx_goconnect_secret_create(u_char *secret, u_char *digest)
{
    u_char bytes[NGX_GOCONNECT_SECRET_BYTES];

    if (ngx_goconnect_secret_random(bytes, sizeof(bytes)) != NGX_OK) {
        return NGX_ERROR;
    }

    gc_base64url_encode((char *) secret, bytes, sizeof(bytes));
    ngx_goconnect_secret_wipe(bytes, sizeof(bytes));

    return ngx_goconnect_secret_digest(secret, NGX_GOCONNECT_SECRET_LEN,
                                       digest);
}


ngx_int_t
ngx_goconnect_secret_digest(const u_char *data, size_t len, u_char *digest)
{
    u_char md[EVP_MAX_MD_SIZE];

    if (EVP_Digest(data, len, md, NULL, EVP_sha256(), NULL) != 1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "goconnect: no SHA-256 from OpenSSL");
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(digest, md, NGX_GOCONNECT_DIGEST_LEN / 2);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_secret_code_hmac(const u_char *code, size_t len, u_char *digest)
{
    u_char md[EVP_MAX_MD_SIZE];
    const gc_key_t *key;

    key = gc_keys_current(ngx_goconnect_main_conf()->keys, GC_KEY_INVITE);

    if (key == NULL || HMAC(EVP_sha256(), key->secret, GC_KEYS_SECRET, code,
                            len, md, NULL) == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "goconnect: no HMAC under the invite key");
        return NGX_ERROR;
    }

    (void) ngx_hex_dump(digest, md, NGX_GOCONNECT_DIGEST_LEN / 2);

    return NGX_OK;
}


void
ngx_goconnect_secret_wipe(void *p, size_t len)
{
    OPENSSL_cleanse(p, len);
}
