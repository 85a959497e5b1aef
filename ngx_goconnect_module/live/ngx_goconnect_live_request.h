/*
 * What the files of a client's requests share: dispatch and calls (request.c),
 * the channels (request_chat.c), and what devices say to their peers
 * (request_peer.c).
 */


#ifndef NGX_GOCONNECT_LIVE_REQUEST_H
#define NGX_GOCONNECT_LIVE_REQUEST_H


#include "http/ngx_goconnect_http_check.h"
#include "live/ngx_goconnect_live_private.h"


/* Handlers of the table; data is an object, its fields are checked. */
void ngx_goconnect_request_endpoints(ngx_goconnect_session_t *s, json_t *id,
                                     json_t *data);
void ngx_goconnect_request_signal(ngx_goconnect_session_t *s, json_t *id,
                                  json_t *data);
void ngx_goconnect_request_rotation_ack(ngx_goconnect_session_t *s, json_t *id,
                                        json_t *data);

/* These two look at the credential first, and check the fields themselves. */
void ngx_goconnect_request_chat(ngx_goconnect_session_t *s, json_t *id,
                                json_t *data);
void ngx_goconnect_request_typing(ngx_goconnect_session_t *s, json_t *id,
                                  json_t *data);

/* NGX_OK, or NGX_DECLINED: answered with what is wrong */
ngx_int_t ngx_goconnect_request_check(ngx_goconnect_session_t *s, json_t *id,
                                      const ngx_goconnect_field_t *fields,
                                      json_t *data);

/* answers 422 with one wrong field; the strings are constant */
void ngx_goconnect_request_wrong(ngx_goconnect_session_t *s, json_t *id,
                                 const char *field, const char *code,
                                 const char *detail);

/* a member that is a string, or NULL */
const char *ngx_goconnect_request_string(json_t *data, const char *name);

/* appends a parameter; text may be NULL: SQL's NULL */
ngx_int_t ngx_goconnect_request_param(ngx_goconnect_pg_call_t *call,
                                      const char *text);
ngx_int_t ngx_goconnect_request_json(ngx_goconnect_pg_call_t *call,
                                     json_t *json);

/* a call that could not be made up for want of memory */
void ngx_goconnect_request_broken(ngx_goconnect_session_t *s, json_t *id,
                                  ngx_goconnect_pg_call_t *call);

/* a call's answer is the function's body; what it published goes out first */
void ngx_goconnect_request_answer(ngx_goconnect_request_t *rq,
                                  ngx_goconnect_pg_call_t *call);

/*
 * The row of a call that was not refused.  NGX_DECLINED: the client has been
 * told why not.
 */
ngx_int_t ngx_goconnect_request_row(ngx_goconnect_request_t *rq,
                                    ngx_goconnect_pg_call_t *call,
                                    ngx_goconnect_reply_t *reply);


#endif /* NGX_GOCONNECT_LIVE_REQUEST_H */
