/*
 * The steps in C that rows of routes.def name.
 */


#ifndef NGX_GOCONNECT_HTTP_STEPS_H
#define NGX_GOCONNECT_HTTP_STEPS_H


#include "http/ngx_goconnect_http_request.h"


/* The release of the functions in sql/api: what sql/API_VERSION holds. */
#define NGX_GOCONNECT_API_VERSION 1

/* ngx_goconnect_http_account.c */
ngx_int_t ngx_goconnect_step_register_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_login_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_login_between(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_refresh_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_device_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_tokens_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_ticket_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_ticket_after(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_invite.c */
ngx_int_t ngx_goconnect_step_invite_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_invite_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_code_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_join_before(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_config.c */
ngx_int_t ngx_goconnect_step_config_after(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_operation.c */
ngx_int_t ngx_goconnect_step_health_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_ready_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_info_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_openapi_before(ngx_goconnect_http_ctx_t *ctx);


#endif /* NGX_GOCONNECT_HTTP_STEPS_H */
