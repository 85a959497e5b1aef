/*
 * The chain of the audit trail: what reading and writing it share.
 */


#ifndef NGX_GOCONNECT_HTTP_AUDIT_H
#define NGX_GOCONNECT_HTTP_AUDIT_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_audit.h"


/* offers the statement of verification to the pool, before the pool's init */
ngx_int_t ngx_goconnect_http_audit_statements(void);

/*
 * Reads a head or an anchor, {number, hash, signed_at, key_id, signature}, and
 * checks its signature. NULL, or "changed" or "unknown_key"; then *point is
 * what it says nevertheless, as far as it says anything.
 */
const char *ngx_goconnect_audit_point(gc_audit_mac_t *mac,
                                      const gc_keys_t *keys,
                                      gc_audit_mark_e mark, gc_slice_t chain,
                                      gc_slice_t json, gc_audit_point_t *point);


#endif /* NGX_GOCONNECT_HTTP_AUDIT_H */
