/*
 * bcrypt on a thread pool: a hash takes a quarter of a second, a worker has
 * none to spare.
 */


#ifndef NGX_GOCONNECT_PASSWORD_H
#define NGX_GOCONNECT_PASSWORD_H


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define NGX_GOCONNECT_PASSWORD_COST 12
#define NGX_GOCONNECT_PASSWORD_MAX 72  /* bcrypt ignores what is beyond */
#define NGX_GOCONNECT_PASSWORD_HASH 60 /* "$2b$12$" and 53 characters */


/*
 * Runs in the worker, in a later turn of the event loop.
 *
 * rc  NGX_OK        hashed, or the password is right
 *     NGX_DECLINED  the password is wrong
 *     NGX_BUSY      waited too long for a thread
 *     NGX_ERROR     logged: the hash is not one of ours, or libcrypt failed
 * hash: the new one, or the one that was compared; good until done returns
 */
typedef void (*ngx_goconnect_password_done_pt)(ngx_http_request_t *r,
                                               ngx_int_t rc, ngx_str_t *hash,
                                               void *data);


/*
 * Both copy what they are given and wipe the copy.  The caller holds a count
 * of r until `done`; when r is terminated before, done does not run.
 * NGX_OK; NGX_BUSY: too many are waiting, done will not run; NGX_ERROR.
 *
 * The password has 1 to NGX_GOCONNECT_PASSWORD_MAX bytes without NUL.  With
 * hash == NULL (no such user) _verify() does the same work and declines.
 */
ngx_int_t ngx_goconnect_password_hash(ngx_http_request_t *r,
                                      ngx_str_t *password,
                                      ngx_goconnect_password_done_pt done,
                                      void *data);
ngx_int_t ngx_goconnect_password_verify(ngx_http_request_t *r,
                                        ngx_str_t *password, ngx_str_t *hash,
                                        ngx_goconnect_password_done_pt done,
                                        void *data);


#endif /* NGX_GOCONNECT_PASSWORD_H */
