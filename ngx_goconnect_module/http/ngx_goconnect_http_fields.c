#include "http/ngx_goconnect_http_check.h"


/* A body can be wrong in more places than anybody reads. */
#define NGX_GOCONNECT_HTTP_ERRORS_MAX 20


/* The place of what is wrong: FIELD, FIELD[ITEM] or FIELD[ITEM].MEMBER */
static json_t *
ngx_goconnect_errors_place(const char *field, ngx_goconnect_verdict_t verdict)
{
    if (verdict.item == 0) {
        return json_string(field);
    }

    return json_sprintf("%s[%zu]%s%s", field, verdict.item - 1,
                        verdict.member ? "." : "",
                        verdict.member ? verdict.member : "");
}


static ngx_int_t
ngx_goconnect_errors_add(json_t *errors, const char *field,
                         ngx_goconnect_verdict_t verdict)
{
    if (verdict.code == NULL ||
        json_array_size(errors) == NGX_GOCONNECT_HTTP_ERRORS_MAX) {
        return NGX_OK;
    }

    return json_array_append_new(
               errors,
               json_pack("{sossss}", "field",
                         ngx_goconnect_errors_place(field, verdict), "code",
                         verdict.code, "detail", verdict.detail)) == 0
               ? NGX_OK
               : NGX_ERROR;
}


/* Ends a check: errors is released. */
static ngx_int_t
ngx_goconnect_errors_end(ngx_goconnect_http_ctx_t *ctx, json_t *errors,
                         ngx_int_t rc)
{
    if (rc == NGX_OK && json_array_size(errors) > 0) {
        return ngx_goconnect_http_problem_fields(ctx, errors);
    }

    json_decref(errors);

    return rc;
}


static const ngx_goconnect_field_t *
ngx_goconnect_field_find(const ngx_goconnect_field_t *fields, const char *name)
{
    for (; fields->name; fields++) {
        if (strcmp(fields->name, name) == 0) {
            return fields;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_goconnect_check_unknown(const ngx_goconnect_field_t *fields, json_t *object,
                            json_t *errors)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        if (ngx_goconnect_field_find(fields, name) == NULL &&
            ngx_goconnect_errors_add(
                errors, name,
                ngx_goconnect_bad("unknown_field",
                                  "There is no such field.")) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_check_fields(const ngx_goconnect_field_t *fields, json_t *object,
                           json_t *errors)
{
    const ngx_goconnect_field_t *field;

    if (!json_is_object(object)) {
        return ngx_goconnect_errors_add(
            errors, "",
            ngx_goconnect_bad("invalid_type", "The body must be an object."));
    }

    for (field = fields; field->name; field++) {
        if (ngx_goconnect_errors_add(
                errors, field->name,
                ngx_goconnect_check_value(
                    field, json_object_get(object, field->name))) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_goconnect_check_unknown(fields, object, errors);
}


json_t *
ngx_goconnect_check_members(const ngx_goconnect_field_t *fields, json_t *object)
{
    json_t *errors;

    errors = json_array();

    if (errors == NULL ||
        ngx_goconnect_check_fields(fields, object, errors) != NGX_OK) {
        json_decref(errors);
        return NULL;
    }

    return errors;
}


/* what is only unknown has a code of its own */
json_t *
ngx_goconnect_check_refusal(json_t *errors)
{
    const char *code, *one;
    json_t *error;
    size_t i;

    code = "unknown_field";

    json_array_foreach(errors, i, error)
    {
        one = json_string_value(json_object_get(error, "code"));

        if (strcmp(one, code) != 0) {
            code = "invalid_fields";
            break;
        }
    }

    return json_pack("{ssssso}", "detail",
                     "Some fields are not as they must be.", "code", code,
                     "errors", errors);
}


/* No body at all stands for an empty object. */
ngx_int_t
ngx_goconnect_http_check_body(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *errors;

    if (ctx->body == NULL) {
        ctx->body = json_object();
    }

    errors = ctx->body
                 ? ngx_goconnect_check_members(ctx->route->body, ctx->body)
                 : NULL;

    return errors ? ngx_goconnect_errors_end(ctx, errors, NGX_OK) : NGX_ERROR;
}


/* The argument as it is decoded: %XX, and + for a space. */
static ngx_int_t
ngx_goconnect_query_decode(ngx_pool_t *pool, ngx_str_t *value)
{
    u_char *text, *from, *to;
    size_t i;

    text = ngx_pnalloc(pool, value->len + 1);
    if (text == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < value->len; i++) {
        text[i] = value->data[i] == '+' ? ' ' : value->data[i];
    }

    from = text;
    to = text;
    ngx_unescape_uri(&to, &from, value->len, 0);

    value->data = text;
    value->len = (size_t) (to - text);

    return NGX_OK;
}


/* Null, which is of the wrong type, for what is neither. */
static json_t *
ngx_goconnect_query_bool(const ngx_str_t *text)
{
    if (text->len == 4 && ngx_memcmp(text->data, "true", 4) == 0) {
        return json_true();
    }

    if (text->len == 5 && ngx_memcmp(text->data, "false", 5) == 0) {
        return json_false();
    }

    return json_null();
}


/* A query has text only: numbers and booleans are read here. */
static json_t *
ngx_goconnect_query_value(const ngx_goconnect_field_t *field,
                          const ngx_str_t *text)
{
    ngx_int_t number;

    if (field->type == NGX_GOCONNECT_FIELD_BOOL) {
        return ngx_goconnect_query_bool(text);
    }

    if (field->type == NGX_GOCONNECT_FIELD_INT) {
        number = ngx_atoi(text->data, text->len);
        return number == NGX_ERROR ? json_null() : json_integer(number);
    }

    return json_stringn((const char *) text->data, text->len);
}


static ngx_goconnect_verdict_t
ngx_goconnect_query_check(const ngx_goconnect_field_t *field,
                          const ngx_str_t *text)
{
    ngx_goconnect_verdict_t verdict;
    json_t *value;

    value = ngx_goconnect_query_value(field, text);
    if (value == NULL) {
        return ngx_goconnect_bad("invalid_utf8", "This is not UTF-8.");
    }

    verdict = ngx_goconnect_check_value(field, value);
    json_decref(value);

    return verdict;
}


static void
ngx_goconnect_query_default(const ngx_goconnect_field_t *field,
                            ngx_str_t *value)
{
    if (field->detail[0] == '\0') {
        ngx_str_null(value);
        return;
    }

    value->data = (u_char *) field->detail;
    value->len = strcspn(field->detail, "|");
}


static ngx_int_t
ngx_goconnect_check_query_fields(ngx_goconnect_http_ctx_t *ctx, json_t *errors)
{
    const ngx_goconnect_field_t *field;
    ngx_http_request_t *r;
    ngx_str_t *value;

    r = ctx->request;
    value = ctx->query;

    for (field = ctx->route->query; field->name; field++, value++) {
        if (ngx_http_arg(r, (u_char *) field->name, strlen(field->name),
                         value) != NGX_OK ||
            value->len == 0) {
            ngx_goconnect_query_default(field, value);
            continue;
        }

        if (ngx_goconnect_query_decode(r->pool, value) != NGX_OK ||
            ngx_goconnect_errors_add(errors, field->name,
                                     ngx_goconnect_query_check(field, value)) !=
                NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_http_check_query(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *errors;

    if (ctx->route->query == NULL) {
        return NGX_OK;
    }

    errors = json_array();
    if (errors == NULL) {
        return NGX_ERROR;
    }

    return ngx_goconnect_errors_end(
        ctx, errors, ngx_goconnect_check_query_fields(ctx, errors));
}
