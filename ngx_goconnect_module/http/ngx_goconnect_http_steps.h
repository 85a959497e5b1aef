/*
 * The steps in C that rows of routes.def name.
 */


#ifndef NGX_GOCONNECT_HTTP_STEPS_H
#define NGX_GOCONNECT_HTTP_STEPS_H


#include "http/ngx_goconnect_http_request.h"


/* The release of the functions in sql/api: what sql/API_VERSION holds. */
#define NGX_GOCONNECT_API_VERSION 1

/* shared by the steps: NGX_OK or NGX_ERROR */

/*
 * A new secret: the client will be told ctx->secret, the function gets its
 * hash as the body's member `name`.
 */
ngx_int_t ngx_goconnect_http_secret(ngx_goconnect_http_ctx_t *ctx,
                                    const char *name);

/* The body's secret `from` becomes its hash, as the member `to`. */
ngx_int_t ngx_goconnect_http_secret_hash(ngx_goconnect_http_ctx_t *ctx,
                                         const char *from, const char *to);

/* The base of links: as configured, else as the client knows this server. */
ngx_int_t ngx_goconnect_http_base(ngx_http_request_t *r, ngx_str_t *base);

/* ngx_goconnect_http_password.c */
ngx_int_t ngx_goconnect_step_register_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_login_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_login_between(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_password_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_password_between(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_reset_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_reset_between(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_tenant_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_tenant_join_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_tenant_join_between(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_mesh.c */
ngx_int_t ngx_goconnect_step_mesh_after(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_measure.c */
ngx_int_t ngx_goconnect_step_metrics_before(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_account.c */
ngx_int_t ngx_goconnect_step_refresh_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_device_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_device_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_tokens_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_ticket_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_ticket_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_reset_link_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_reset_link_after(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_invite.c */
ngx_int_t ngx_goconnect_step_invite_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_invite_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_code_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_join_before(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_agentless.c */
ngx_int_t ngx_goconnect_step_peer_before(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_enrollment.c */
ngx_int_t ngx_goconnect_step_key_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_key_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_enroll_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_device_code_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_device_code_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_device_token_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_user_code_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_approve_before(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_config.c */
ngx_int_t ngx_goconnect_step_config_after(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_audit.c */
ngx_int_t ngx_goconnect_step_verify_after(ngx_goconnect_http_ctx_t *ctx);

/* ngx_goconnect_http_operation.c */
ngx_int_t ngx_goconnect_step_health_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_ready_after(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_info_before(ngx_goconnect_http_ctx_t *ctx);
ngx_int_t ngx_goconnect_step_openapi_before(ngx_goconnect_http_ctx_t *ctx);


#endif /* NGX_GOCONNECT_HTTP_STEPS_H */
