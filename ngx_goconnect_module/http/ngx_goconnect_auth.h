/*
 * Access tokens (JWT), and the random secrets of which the database keeps
 * hashes only: refresh tokens, tickets, invite codes.
 */


#ifndef NGX_GOCONNECT_AUTH_H
#define NGX_GOCONNECT_AUTH_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_GOCONNECT_ID_LEN 36             /* a UUID in text */
#define NGX_GOCONNECT_ACCESS_LIFE (15 * 60) /* seconds */
#define NGX_GOCONNECT_SECRET_LEN 43         /* base64url of 256 bits */
#define NGX_GOCONNECT_DIGEST_LEN 64         /* SHA-256 in hex */


/* who is calling; ids are NUL-terminated, lower case */
typedef struct {
    u_char user[NGX_GOCONNECT_ID_LEN + 1];
    u_char session[NGX_GOCONNECT_ID_LEN + 1];
    u_char device[NGX_GOCONNECT_ID_LEN + 1]; /* "": a user's session */
    time_t expires;
} ngx_goconnect_identity_t;


/*
 * Verifies an access token.  NGX_OK with *id filled; NGX_DECLINED: malformed,
 * forged, expired, of another audience, issuer or key.  A session that was
 * revoked since is the database's to refuse.
 */
ngx_int_t ngx_goconnect_auth_token(ngx_str_t *token,
                                   ngx_goconnect_identity_t *id);

/*
 * The token of `Authorization: Bearer TOKEN`, not copied.  NGX_OK;
 * NGX_DECLINED: no such header, or of another scheme.
 */
ngx_int_t ngx_goconnect_auth_bearer(ngx_http_request_t *r, ngx_str_t *token);

/*
 * Makes an access token in `pool`; device may be NULL or empty.  Ids are
 * NGX_GOCONNECT_ID_LEN bytes.  It lives NGX_GOCONNECT_ACCESS_LIFE seconds.
 */
ngx_int_t ngx_goconnect_auth_issue(ngx_pool_t *pool, const u_char *user,
                                   const u_char *session, const u_char *device,
                                   ngx_str_t *token);

/* forgets what was verified for a session, user or device (36 bytes) */
void ngx_goconnect_auth_forget(const u_char *id);


/* cryptographic random bytes; NGX_ERROR is logged */
ngx_int_t ngx_goconnect_secret_random(u_char *out, size_t len);

/*
 * A new secret: NGX_GOCONNECT_SECRET_LEN characters for the client, and the
 * NGX_GOCONNECT_DIGEST_LEN of them for the database.  Neither ends with NUL.
 */
ngx_int_t ngx_goconnect_secret_create(u_char *secret, u_char *digest);

/* SHA-256 in hex of what a client sent, NGX_GOCONNECT_DIGEST_LEN bytes */
ngx_int_t ngx_goconnect_secret_digest(const u_char *data, size_t len,
                                      u_char *digest);

/*
 * HMAC-SHA256 in hex under the current invite key: how codes that are too
 * short for a bare hash are looked up.
 */
ngx_int_t ngx_goconnect_secret_code_hmac(const u_char *code, size_t len,
                                         u_char *digest);

/* overwrites, in a way that the compiler keeps */
void ngx_goconnect_secret_wipe(void *p, size_t len);


/* for the root file: in each worker */
ngx_int_t ngx_goconnect_auth_init_process(ngx_cycle_t *cycle);
void ngx_goconnect_auth_exit_process(ngx_cycle_t *cycle);


#endif /* NGX_GOCONNECT_AUTH_H */
