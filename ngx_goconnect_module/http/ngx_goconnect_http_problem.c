#include "http/ngx_goconnect_http_request.h"

#include "core/gc_status.h"


/* seconds: after 503, and after 429 */
#define NGX_GOCONNECT_RETRY_AFTER "2"
#define NGX_GOCONNECT_RETRY_LIMITED "60"


typedef struct {
    const char *name;
    ngx_uint_t status;
    const char *code;
    const char *field; /* "": none */
    const char *detail;
} ngx_goconnect_constraint_t;


#define GC_CONSTRAINT(name, status, code, field, detail) \
    {#name, status, code, field, detail},

static const ngx_goconnect_constraint_t ngx_goconnect_constraints[] = {
#include "http/constraints.def"
    {NULL, 0, NULL, NULL, NULL}};


/* SQLSTATEs, or classes of them, that pass by themselves */
typedef struct {
    const char *state;
    const char *code;
    const char *detail;
    ngx_uint_t level;
} ngx_goconnect_sqlstate_t;


static const ngx_goconnect_sqlstate_t ngx_goconnect_sqlstates[] = {
    {"40", "busy", "Others are changing the same; nothing was changed.",
     NGX_LOG_INFO},
    {"55P03", "busy", "Others are changing the same; nothing was changed.",
     NGX_LOG_INFO},
    {"57014", "timeout", "The database took too long; nothing was changed.",
     NGX_LOG_WARN},
    {"57", "database_unavailable", "The database is restarting.", NGX_LOG_WARN},
    {"53", "database_unavailable", "The database is out of resources.",
     NGX_LOG_ERR},
    {"25006", "database_unavailable", "The database is failing over.",
     NGX_LOG_WARN},
    {"42883", "not_migrated", "The database has no such release.", NGX_LOG_ERR},
    {"42501", "not_migrated", "The database lacks grants.", NGX_LOG_ERR},
    {"3F000", "not_migrated", "The database has no such release.", NGX_LOG_ERR},
    {NULL, NULL, NULL, 0}};


/* RFC 9110, section 11.6.1: every 401 says how; RFC 6750, section 3 */
static ngx_int_t
ngx_goconnect_http_challenge(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status)
{
    static const ngx_str_t plain = ngx_string("Bearer realm=\"goconnect\"");
    static const ngx_str_t invalid =
        ngx_string("Bearer realm=\"goconnect\", error=\"invalid_token\"");
    static const ngx_str_t scope =
        ngx_string("Bearer realm=\"goconnect\", error=\"insufficient_scope\"");
    const ngx_str_t *value;

    if (status == NGX_HTTP_UNAUTHORIZED) {
        value = ctx->route->credential != NGX_GOCONNECT_CREDENTIAL_NONE &&
                        ctx->request->headers_in.authorization
                    ? &invalid
                    : &plain;

    } else if (status == NGX_HTTP_FORBIDDEN &&
               ctx->identity.device[0] != '\0') {
        value = &scope;

    } else {
        return NGX_OK;
    }

    return ngx_goconnect_http_header(ctx->request, "WWW-Authenticate", value);
}


static ngx_int_t
ngx_goconnect_http_retry_after(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status)
{
    static const ngx_str_t soon = ngx_string(NGX_GOCONNECT_RETRY_AFTER);
    static const ngx_str_t later = ngx_string(NGX_GOCONNECT_RETRY_LIMITED);

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        return ngx_goconnect_http_header(ctx->request, "Retry-After", &soon);
    }

    if (status == NGX_HTTP_TOO_MANY_REQUESTS) {
        return ngx_goconnect_http_header(ctx->request, "Retry-After", &later);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_http_problem_send(ngx_goconnect_http_ctx_t *ctx,
                                ngx_uint_t status, const json_t *problem)
{
    static const ngx_str_t type = ngx_string("application/problem+json");
    static const ngx_str_t no_store = ngx_string("no-store");
    ngx_str_t body;

    if (ngx_goconnect_http_challenge(ctx, status) != NGX_OK ||
        ngx_goconnect_http_retry_after(ctx, status) != NGX_OK ||
        ngx_goconnect_http_header(ctx->request, "Cache-Control", &no_store) !=
            NGX_OK ||
        ngx_goconnect_http_dump(ctx, problem, &body) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_send(ctx, status, &type, &body);
}


/* members: code, detail and errors, if any; released */
static ngx_int_t
ngx_goconnect_http_problem_with(ngx_goconnect_http_ctx_t *ctx,
                                ngx_uint_t status, json_t *members)
{
    json_t *problem;
    ngx_int_t rc;

    problem = json_pack("{sssssI}", "type", "about:blank", "title",
                        gc_status_phrase((unsigned) status), "status",
                        (json_int_t) status);

    if (problem == NULL || members == NULL ||
        json_object_update_missing(problem, members) != 0) {
        rc = NGX_ERROR;

    } else {
        rc = ngx_goconnect_http_problem_send(ctx, status, problem);
    }

    json_decref(problem);
    json_decref(members);

    return rc;
}


ngx_int_t
ngx_goconnect_http_problem(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status,
                           const char *code, const char *detail)
{
    return ngx_goconnect_http_problem_with(
        ctx, status, json_pack("{ssss}", "detail", detail, "code", code));
}


ngx_int_t
ngx_goconnect_http_problem_fields(ngx_goconnect_http_ctx_t *ctx, json_t *errors)
{
    const char *code, *one;
    json_t *error;
    size_t i;

    if (errors == NULL) {
        return NGX_ERROR;
    }

    code = "unknown_field";

    json_array_foreach(errors, i, error)
    {
        one = json_string_value(json_object_get(error, "code"));

        if (strcmp(one, code) != 0) {
            code = "invalid_fields";
            break;
        }
    }

    return ngx_goconnect_http_problem_with(
        ctx, NGX_GOCONNECT_HTTP_UNPROCESSABLE,
        json_pack("{ssssso}", "detail", "Some fields are not as they must be.",
                  "code", code, "errors", errors));
}


ngx_int_t
ngx_goconnect_http_unavailable(ngx_goconnect_http_ctx_t *ctx, const char *code,
                               const char *detail)
{
    return ngx_goconnect_http_problem(ctx, NGX_HTTP_SERVICE_UNAVAILABLE, code,
                                      detail);
}


ngx_int_t
ngx_goconnect_http_refusal(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_http_answer_t *answer;
    json_error_t error;
    json_t *members;

    answer = &ctx->answer;
    members = json_loadb((const char *) answer->body.data, answer->body.len, 0,
                         &error);

    if (members == NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "%V() refused with %ui and no reason",
                      &ctx->route->finish, answer->status);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_problem_with(ctx, answer->status, members);
}


static const char *
ngx_goconnect_http_sql_field(const PGresult *res, int field)
{
    const char *text;

    text = PQresultErrorField(res, field);

    return text ? text : "";
}


/* what is wrong with one field is told as what C itself finds wrong with it */
static ngx_int_t
ngx_goconnect_http_sql_refusal(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t status,
                               const char *code, const char *field,
                               const char *detail)
{
    if (status != NGX_GOCONNECT_HTTP_UNPROCESSABLE || field[0] == '\0') {
        return ngx_goconnect_http_problem(ctx, status, code, detail);
    }

    return ngx_goconnect_http_problem_fields(
        ctx, json_pack("[{ssssss}]", "field", field, "code", code, "detail",
                       detail));
}


/* GCsss raised by a function: a refusal after its first write */
static ngx_int_t
ngx_goconnect_http_sql_raised(ngx_goconnect_http_ctx_t *ctx,
                              const PGresult *res, const char *state)
{
    ngx_int_t status;

    status = ngx_atoi((u_char *) state + 2, 3);

    if (status < 400 || status > 599) {
        return NGX_ERROR;
    }

    return ngx_goconnect_http_sql_refusal(
        ctx, (ngx_uint_t) status,
        ngx_goconnect_http_sql_field(res, PG_DIAG_MESSAGE_PRIMARY),
        ngx_goconnect_http_sql_field(res, PG_DIAG_COLUMN_NAME),
        ngx_goconnect_http_sql_field(res, PG_DIAG_MESSAGE_DETAIL));
}


static const ngx_goconnect_constraint_t *
ngx_goconnect_http_constraint(const PGresult *res)
{
    const ngx_goconnect_constraint_t *constraint;
    const char *name;

    name = ngx_goconnect_http_sql_field(res, PG_DIAG_CONSTRAINT_NAME);

    for (constraint = ngx_goconnect_constraints; constraint->name;
         constraint++) {
        if (strcmp(constraint->name, name) == 0) {
            return constraint;
        }
    }

    return NULL;
}


static const ngx_goconnect_sqlstate_t *
ngx_goconnect_http_sqlstate(const char *state)
{
    const ngx_goconnect_sqlstate_t *known;

    for (known = ngx_goconnect_sqlstates; known->state; known++) {
        if (strncmp(state, known->state, strlen(known->state)) == 0) {
            return known;
        }
    }

    return NULL;
}


static void
ngx_goconnect_http_sql_log(ngx_goconnect_http_ctx_t *ctx, ngx_uint_t level,
                           const PGresult *res, const char *state)
{
    ngx_log_error(level, ctx->request->connection->log, 0,
                  "%V: the database said %s: %s", &ctx->route->name, state,
                  ngx_goconnect_http_sql_field(res, PG_DIAG_MESSAGE_PRIMARY));
}


ngx_int_t
ngx_goconnect_http_sql_error(ngx_goconnect_http_ctx_t *ctx, const PGresult *res)
{
    const ngx_goconnect_constraint_t *constraint;
    const ngx_goconnect_sqlstate_t *known;
    const char *state;

    state = ngx_goconnect_http_sql_field(res, PG_DIAG_SQLSTATE);

    if (strncmp(state, "GC", 2) == 0) {
        return ngx_goconnect_http_sql_raised(ctx, res, state);
    }

    if (strncmp(state, "23", 2) == 0) {
        constraint = ngx_goconnect_http_constraint(res);

        if (constraint) {
            return ngx_goconnect_http_sql_refusal(
                ctx, constraint->status, constraint->code, constraint->field,
                constraint->detail);
        }
    }

    known = ngx_goconnect_http_sqlstate(state);

    if (known == NULL) {
        ngx_goconnect_http_sql_log(ctx, NGX_LOG_ERR, res, state);
        return NGX_ERROR;
    }

    ngx_goconnect_http_sql_log(ctx, known->level, res, state);

    return ngx_goconnect_http_unavailable(ctx, known->code, known->detail);
}
