/*
 * Checks of the fields of routes.def that are lists, and of their items.
 */


#ifndef NGX_GOCONNECT_HTTP_CHECK_LIST_H
#define NGX_GOCONNECT_HTTP_CHECK_LIST_H


#include "http/ngx_goconnect_http_check.h"


/* Lists of min to max items: value is an array. */
ngx_goconnect_verdict_t
ngx_goconnect_check_uuids(const ngx_goconnect_field_t *field,
                          const json_t *value);
ngx_goconnect_verdict_t
ngx_goconnect_check_labels(const ngx_goconnect_field_t *field,
                           const json_t *value);
ngx_goconnect_verdict_t
ngx_goconnect_check_cidrs(const ngx_goconnect_field_t *field,
                          const json_t *value);
ngx_goconnect_verdict_t
ngx_goconnect_check_rules(const ngx_goconnect_field_t *field,
                          const json_t *value);

/* A range of either family; value is a string. */
ngx_goconnect_verdict_t
ngx_goconnect_check_prefix(const ngx_goconnect_field_t *field,
                           const json_t *value);

/* Whom a firewall rule is about; value is a string. */
ngx_goconnect_verdict_t
ngx_goconnect_check_selector(const ngx_goconnect_field_t *field,
                             const json_t *value);

/* A firewall rule; value is an object. */
ngx_goconnect_verdict_t
ngx_goconnect_check_rule(const ngx_goconnect_field_t *field,
                         const json_t *value);


#endif /* NGX_GOCONNECT_HTTP_CHECK_LIST_H */
