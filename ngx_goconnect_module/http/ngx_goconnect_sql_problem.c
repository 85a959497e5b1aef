#include "http/ngx_goconnect_sql_problem.h"

#include "http/ngx_goconnect_http_check.h"


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


static const char *
ngx_goconnect_sql_field(const PGresult *res, int field)
{
    const char *text;

    text = PQresultErrorField(res, field);

    return text ? text : "";
}


/* GCsss raised by a function: a refusal after its first write */
static ngx_int_t
ngx_goconnect_sql_raised(const PGresult *res,
                         ngx_goconnect_sql_problem_t *problem)
{
    ngx_int_t status;

    status = ngx_atoi((u_char *) problem->state + 2, 3);

    if (status < 400 || status > 599) {
        return NGX_DECLINED;
    }

    problem->status = (ngx_uint_t) status;
    problem->code = problem->message;
    problem->field = ngx_goconnect_sql_field(res, PG_DIAG_COLUMN_NAME);
    problem->detail = ngx_goconnect_sql_field(res, PG_DIAG_MESSAGE_DETAIL);

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_sql_constraint(const PGresult *res,
                             ngx_goconnect_sql_problem_t *problem)
{
    const ngx_goconnect_constraint_t *constraint;
    const char *name;

    name = ngx_goconnect_sql_field(res, PG_DIAG_CONSTRAINT_NAME);

    for (constraint = ngx_goconnect_constraints; constraint->name;
         constraint++) {
        if (strcmp(constraint->name, name) == 0) {
            problem->status = constraint->status;
            problem->code = constraint->code;
            problem->field = constraint->field;
            problem->detail = constraint->detail;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_goconnect_sql_passing(ngx_goconnect_sql_problem_t *problem)
{
    const ngx_goconnect_sqlstate_t *known;

    for (known = ngx_goconnect_sqlstates; known->state; known++) {
        if (strncmp(problem->state, known->state, strlen(known->state)) == 0) {
            problem->status = NGX_HTTP_SERVICE_UNAVAILABLE;
            problem->code = known->code;
            problem->field = "";
            problem->detail = known->detail;
            problem->level = known->level;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_goconnect_sql_problem(const PGresult *res,
                          ngx_goconnect_sql_problem_t *problem)
{
    ngx_int_t rc;

    ngx_memzero(problem, sizeof(*problem));
    problem->state = ngx_goconnect_sql_field(res, PG_DIAG_SQLSTATE);
    problem->message = ngx_goconnect_sql_field(res, PG_DIAG_MESSAGE_PRIMARY);
    problem->level = NGX_LOG_STDERR;

    rc = NGX_DECLINED;

    if (strncmp(problem->state, "GC", 2) == 0) {
        rc = ngx_goconnect_sql_raised(res, problem);

    } else if (strncmp(problem->state, "23", 2) == 0) {
        rc = ngx_goconnect_sql_constraint(res, problem);
    }

    if (rc != NGX_OK) {
        rc = ngx_goconnect_sql_passing(problem);
    }

    if (rc != NGX_OK) {
        problem->level = NGX_LOG_ERR;
    }

    return rc;
}


/* what is wrong with one field is told as what C itself finds wrong with it */
json_t *
ngx_goconnect_sql_refusal(const ngx_goconnect_sql_problem_t *problem)
{
    if (problem->status != NGX_GOCONNECT_HTTP_UNPROCESSABLE ||
        problem->field[0] == '\0') {
        return json_pack("{ssss}", "detail", problem->detail, "code",
                         problem->code);
    }

    return ngx_goconnect_check_refusal(
        json_pack("[{ssssss}]", "field", problem->field, "code", problem->code,
                  "detail", problem->detail));
}
