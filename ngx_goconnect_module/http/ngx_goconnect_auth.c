/*
 * Access tokens.  The header of a token is one of those that we write
 * ourselves, so the key chooses the algorithm and the token has no say.
 */


#include "http/ngx_goconnect_auth.h"

#include <jwt.h>

#include "core/gc_claims.h"
#include "core/gc_uuid.h"
#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_token_cache.h"


#define NGX_GOCONNECT_TOKEN_MAX 1024
#define NGX_GOCONNECT_HEADER_MAX 256
#define NGX_GOCONNECT_ISSUER "goconnect" /* without a public URL */


/* a key, and how the tokens that it signs begin, the dot included */
typedef struct {
    const gc_key_t *key;
    size_t len;
    char header[NGX_GOCONNECT_HEADER_MAX];
} ngx_goconnect_signer_t;


static ngx_int_t ngx_goconnect_auth_signer(ngx_goconnect_signer_t *signer,
                                           const gc_key_t *key);
static jwt_t *ngx_goconnect_auth_jwt(const gc_key_t *key);
static ngx_goconnect_signer_t *ngx_goconnect_auth_find(ngx_str_t *token);
static ngx_int_t ngx_goconnect_auth_verify(ngx_str_t *token,
                                           ngx_goconnect_identity_t *id);
static ngx_int_t ngx_goconnect_auth_claims(jwt_t *jwt,
                                           ngx_goconnect_identity_t *id);
static ngx_int_t ngx_goconnect_auth_grants(jwt_t *jwt, const u_char *user,
                                           const u_char *session,
                                           const u_char *device);


static ngx_goconnect_signer_t ngx_goconnect_signers[GC_KEYS_MAX];
static ngx_uint_t ngx_goconnect_nsigners;
static char *ngx_goconnect_issuer;


ngx_int_t
ngx_goconnect_auth_init_process(ngx_cycle_t *cycle)
{
    ngx_str_t issuer;
    const gc_key_t *key;
    ngx_goconnect_main_conf_t *gmcf;

    gmcf = ngx_goconnect_main_conf();

    ngx_str_set(&issuer, NGX_GOCONNECT_ISSUER);

    if (gmcf->public_url.len) {
        issuer = gmcf->public_url;
    }

    ngx_goconnect_issuer = ngx_pnalloc(cycle->pool, issuer.len + 1);
    if (ngx_goconnect_issuer == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(ngx_goconnect_issuer, issuer.data, issuer.len) = '\0';

    ngx_goconnect_nsigners = 0;

    for (;;) {
        key = gc_keys_nth(gmcf->keys, GC_KEY_JWT, ngx_goconnect_nsigners);
        if (key == NULL) {
            break;
        }

        if (ngx_goconnect_auth_signer(
                &ngx_goconnect_signers[ngx_goconnect_nsigners], key) !=
            NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "goconnect: libjwt cannot sign with jwt key \"%s\"",
                          key->id);
            return NGX_ERROR;
        }

        ngx_goconnect_nsigners++;
    }

    return ngx_goconnect_token_cache_init(cycle);
}


void
ngx_goconnect_auth_exit_process(ngx_cycle_t *cycle)
{
    ngx_goconnect_token_cache_done();
}


ngx_int_t
ngx_goconnect_auth_token(ngx_str_t *token, ngx_goconnect_identity_t *id)
{
    u_char tag[NGX_GOCONNECT_TOKEN_TAG];

    if (token->len == 0 || token->len > NGX_GOCONNECT_TOKEN_MAX ||
        ngx_goconnect_token_cache_tag(token, tag) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_goconnect_token_cache_get(tag, id) == NGX_OK) {

        if (id->expires > ngx_time() - GC_CLAIMS_LEEWAY) {
            return NGX_OK;
        }

        return NGX_DECLINED;
    }

    if (ngx_goconnect_auth_verify(token, id) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_goconnect_token_cache_put(tag, id);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_auth_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    ngx_str_t *value;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.authorization->value;

    /* RFC 6750, section 2.1; the scheme in any case, RFC 9110, 11.1 */

    if (value->len < sizeof("Bearer ") - 1 ||
        ngx_strncasecmp(value->data, (u_char *) "Bearer ",
                        sizeof("Bearer ") - 1) != 0) {
        return NGX_DECLINED;
    }

    token->data = value->data + sizeof("Bearer ") - 1;
    token->len = value->len - (sizeof("Bearer ") - 1);

    while (token->len && *token->data == ' ') {
        token->data++;
        token->len--;
    }

    return token->len ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_goconnect_auth_issue(ngx_pool_t *pool, const u_char *user,
                         const u_char *session, const u_char *device,
                         ngx_str_t *token)
{
    char *text;
    jwt_t *jwt;
    ngx_int_t rc;

    /* libjwt has no memory pool: what it makes is copied */

    text = NULL;
    rc = NGX_ERROR;

    jwt = ngx_goconnect_auth_jwt(ngx_goconnect_signers[0].key);

    if (jwt &&
        ngx_goconnect_auth_grants(jwt, user, session, device) == NGX_OK) {
        text = jwt_encode_str(jwt);
    }

    if (text) {
        token->len = ngx_strlen(text);
        token->data = ngx_pnalloc(pool, token->len);

        if (token->data) {
            ngx_memcpy(token->data, text, token->len);
            rc = NGX_OK;
        }

        ngx_goconnect_secret_wipe(text, ngx_strlen(text));
        free(text);

    } else {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "goconnect: libjwt makes no token");
    }

    jwt_free(jwt);

    return rc;
}


void
ngx_goconnect_auth_forget(const u_char *id)
{
    ngx_goconnect_token_cache_forget(id);
}


/* an empty token shows how libjwt writes this key's header */

static ngx_int_t
ngx_goconnect_auth_signer(ngx_goconnect_signer_t *signer, const gc_key_t *key)
{
    char *text, *dot;
    jwt_t *jwt;
    ngx_int_t rc;

    rc = NGX_ERROR;
    text = NULL;

    jwt = ngx_goconnect_auth_jwt(key);

    if (jwt) {
        text = jwt_encode_str(jwt);
    }

    dot = text ? strchr(text, '.') : NULL;

    if (dot && dot - text < NGX_GOCONNECT_HEADER_MAX) {
        signer->key = key;
        signer->len = (size_t) (dot + 1 - text);
        ngx_memcpy(signer->header, text, signer->len);
        rc = NGX_OK;
    }

    if (text) {
        free(text);
    }

    jwt_free(jwt);

    return rc;
}


static jwt_t *
ngx_goconnect_auth_jwt(const gc_key_t *key)
{
    jwt_t *jwt;

    if (jwt_new(&jwt) != 0) {
        return NULL;
    }

    if (jwt_add_header(jwt, "kid", key->id) != 0 ||
        jwt_set_alg(jwt, JWT_ALG_HS256, key->secret, GC_KEYS_SECRET) != 0) {
        jwt_free(jwt);
        return NULL;
    }

    return jwt;
}


static ngx_goconnect_signer_t *
ngx_goconnect_auth_find(ngx_str_t *token)
{
    ngx_uint_t i;
    ngx_goconnect_signer_t *signer;

    for (i = 0; i < ngx_goconnect_nsigners; i++) {
        signer = &ngx_goconnect_signers[i];

        if (token->len > signer->len &&
            ngx_memcmp(token->data, signer->header, signer->len) == 0) {
            return signer;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_goconnect_auth_verify(ngx_str_t *token, ngx_goconnect_identity_t *id)
{
    int rc;
    char text[NGX_GOCONNECT_TOKEN_MAX + 1];
    jwt_t *jwt;
    ngx_int_t ok;
    ngx_goconnect_signer_t *signer;

    signer = ngx_goconnect_auth_find(token);

    if (signer == NULL || memchr(token->data, '\0', token->len)) {
        return NGX_DECLINED;
    }

    *ngx_cpymem(text, token->data, token->len) = '\0';

    rc = jwt_decode(&jwt, text, signer->key->secret, GC_KEYS_SECRET);

    ngx_goconnect_secret_wipe(text, token->len);

    if (rc != 0) {
        return NGX_DECLINED;
    }

    ok = jwt_get_alg(jwt) == JWT_ALG_HS256 ? ngx_goconnect_auth_claims(jwt, id)
                                           : NGX_DECLINED;
    jwt_free(jwt);

    return ok;
}


static ngx_int_t
ngx_goconnect_auth_claims(jwt_t *jwt, ngx_goconnect_identity_t *id)
{
    gc_claims_t claims;

    claims.issuer = jwt_get_grant(jwt, "iss");
    claims.audience = jwt_get_grant(jwt, "aud");
    claims.user = jwt_get_grant(jwt, "sub");
    claims.session = jwt_get_grant(jwt, "sid");
    claims.device = jwt_get_grant(jwt, "dev");
    claims.issued = jwt_get_grant_int(jwt, "iat");
    claims.expires = jwt_get_grant_int(jwt, "exp");

    if (gc_claims_check(&claims, ngx_goconnect_issuer, ngx_time()) !=
        GC_CLAIMS_OK) {
        return NGX_DECLINED;
    }

    /* the check has seen that they are UUIDs */

    ngx_memzero(id, sizeof(ngx_goconnect_identity_t));
    ngx_memcpy(id->user, claims.user, NGX_GOCONNECT_ID_LEN);
    ngx_memcpy(id->session, claims.session, NGX_GOCONNECT_ID_LEN);

    if (claims.device) {
        ngx_memcpy(id->device, claims.device, NGX_GOCONNECT_ID_LEN);
    }

    id->expires = (time_t) claims.expires;

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_auth_grants(jwt_t *jwt, const u_char *user, const u_char *session,
                          const u_char *device)
{
    time_t now;
    ngx_uint_t i;
    const u_char *id;

    static const char *const names[] = {"sub", "sid", "dev"};
    u_char text[NGX_GOCONNECT_ID_LEN + 1];

    now = ngx_time();

    if (jwt_add_grant(jwt, "iss", ngx_goconnect_issuer) != 0 ||
        jwt_add_grant(jwt, "aud", GC_CLAIMS_AUDIENCE) != 0 ||
        jwt_add_grant_int(jwt, "iat", (long) now) != 0 ||
        jwt_add_grant_int(jwt, "exp",
                          (long) (now + NGX_GOCONNECT_ACCESS_LIFE)) != 0) {
        return NGX_ERROR;
    }

    for (i = 0; i < 3; i++) {
        id = i == 0 ? user : i == 1 ? session : device;

        if (i == 2 && (id == NULL || id[0] == '\0')) {
            break;
        }

        ngx_cpystrn(text, (u_char *) id, sizeof(text));

        if (!gc_uuid_valid(text, ngx_strlen(text)) ||
            jwt_add_grant(jwt, names[i], (const char *) text) != 0) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
