/*
 * JSON against what is expected of it: one value against its field of
 * routes.def, an object against all of them, a text at all.
 */


#ifndef NGX_GOCONNECT_HTTP_CHECK_H
#define NGX_GOCONNECT_HTTP_CHECK_H


#include "http/ngx_goconnect_http_request.h"


typedef struct {
    const char *code; /* NULL: the value is good */
    const char *detail;
    size_t item;        /* of a list, counted from 1; 0: the whole value */
    const char *member; /* of an object in the list, or NULL */
} ngx_goconnect_verdict_t;


ngx_goconnect_verdict_t ngx_goconnect_good(void);

/* A refusal; all strings are constant. */
ngx_goconnect_verdict_t ngx_goconnect_bad(const char *code, const char *detail);
ngx_goconnect_verdict_t ngx_goconnect_bad_member(const char *member,
                                                 const char *code,
                                                 const char *detail);

/* value may be NULL: the field is absent. */
ngx_goconnect_verdict_t
ngx_goconnect_check_value(const ngx_goconnect_field_t *field,
                          const json_t *value);

/*
 * What is wrong with the members of an object: an array of {field, code,
 * detail}, empty if all is well; NULL: no memory.  The second one makes
 * {detail, code, errors} of such an array, which is released.
 */
json_t *ngx_goconnect_check_members(const ngx_goconnect_field_t *fields,
                                    json_t *object);
json_t *ngx_goconnect_check_refusal(json_t *errors);

/*
 * Reads JSON that nests at most `depth` deep: a value to be released, or why
 * it is none.
 */
ngx_goconnect_verdict_t ngx_goconnect_check_json(const u_char *text, size_t len,
                                                 size_t depth, json_t **value);


#endif /* NGX_GOCONNECT_HTTP_CHECK_H */
