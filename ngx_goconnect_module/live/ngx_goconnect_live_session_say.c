/*
 * What is said to a client: answers, and what went wrong.
 */

#include "live/ngx_goconnect_live_private.h"
#include "core/gc_status.h"
#include "http/ngx_goconnect_sql_problem.h"


void
ngx_goconnect_session_say(ngx_goconnect_session_t *s, const char *type,
                          json_t *id, const gc_slice_t *parts, ngx_uint_t n)
{
    static const char head[] = "{\"type\":\"";
    static const char id_head[] = "\",\"id\":";
    static const char data_head[] = ",\"data\":";
    ngx_goconnect_ws_frame_t *frame;
    size_t type_len, id_len, len;
    u_char *p, *payload;
    ngx_uint_t i;

    if (!ngx_goconnect_session_is_open(s)) {
        return;
    }

    type_len = ngx_strlen(type);
    id_len = id ? json_dumpb(id, NULL, 0, JSON_ENCODE_ANY) : 0;

    len = sizeof(head) - 1 + type_len + 1 + sizeof(data_head) - 1 + 1;

    if (id_len) {
        len += sizeof(id_head) - 2 + id_len;
    }

    for (i = 0; i < n; i++) {
        len += parts[i].len;
    }

    frame =
        ngx_goconnect_ws_frame_alloc(GC_WS_FIN | GC_WS_OP_TEXT, len, &payload);
    if (frame == NULL) {
        ngx_goconnect_ws_close(s->ws, GC_WS_CLOSE_INTERNAL, "out of memory");
        return;
    }

    p = ngx_cpymem(payload, head, sizeof(head) - 1);
    p = ngx_cpymem(p, type, type_len);

    if (id_len) {
        p = ngx_cpymem(p, id_head, sizeof(id_head) - 1);
        p += json_dumpb(id, (char *) p, id_len, JSON_ENCODE_ANY);

    } else {
        *p++ = '"';
    }

    p = ngx_cpymem(p, data_head, sizeof(data_head) - 1);

    for (i = 0; i < n; i++) {
        p = ngx_cpymem(p, parts[i].data, parts[i].len);
    }

    *p = '}';

    ngx_goconnect_ws_send(s->ws, frame);
    ngx_goconnect_ws_frame_unref(frame);
}


void
ngx_goconnect_session_ok(ngx_goconnect_session_t *s, json_t *id,
                         gc_slice_t data)
{
    if (data.len == 0) {
        data = ngx_goconnect_slice("{}", 2);
    }

    ngx_goconnect_session_say(s, "ok", id, &data, 1);
}


void
ngx_goconnect_session_problem(ngx_goconnect_session_t *s, json_t *id,
                              ngx_uint_t status, gc_slice_t body)
{
    gc_slice_t parts[2];
    gc_json_iter_t it;
    u_char head[128], *p;

    if (gc_json_object(&it, body) != 0) {
        ngx_goconnect_session_error(s, id, status, "refused", "");
        return;
    }

    p = ngx_snprintf(head, sizeof(head),
                     "{\"type\":\"about:blank\",\"title\":\"%s\","
                     "\"status\":%ui,",
                     gc_status_phrase((unsigned) status), status);

    parts[0] = ngx_goconnect_slice(head, (size_t) (p - head));
    parts[1] = ngx_goconnect_slice(it.pos, (size_t) (it.end - it.pos));

    ngx_goconnect_session_say(s, "error", id, parts, 2);
}


void
ngx_goconnect_session_error(ngx_goconnect_session_t *s, json_t *id,
                            ngx_uint_t status, const char *code,
                            const char *detail)
{
    u_char body[512], *p;

    p = ngx_snprintf(body, sizeof(body), "{\"detail\":\"%s\",\"code\":\"%s\"}",
                     detail, code);

    ngx_goconnect_session_problem(
        s, id, status, ngx_goconnect_slice(body, (size_t) (p - body)));
}


/* an error of the database: the same problem as over REST */
static void
ngx_goconnect_session_sql_error(ngx_goconnect_session_t *s, json_t *id,
                                ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_sql_problem_t problem;
    json_t *body;
    ngx_int_t rc;
    char *text;

    rc = ngx_goconnect_sql_problem(call->res, &problem);

    if (problem.level != NGX_LOG_STDERR) {
        ngx_log_error(problem.level, ngx_cycle->log, 0,
                      "goconnect: %V: the database said %s: %s",
                      &call->statement->name, problem.state, problem.message);
    }

    body = rc == NGX_OK ? ngx_goconnect_sql_refusal(&problem) : NULL;
    text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);

    if (text == NULL) {
        ngx_goconnect_session_error(s, id, 500, "internal",
                                    "The server has failed.");
        return;
    }

    ngx_goconnect_session_problem(s, id, problem.status,
                                  ngx_goconnect_slice(text, strlen(text)));
    free(text);
}


void
ngx_goconnect_session_failed(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    switch (call->rc) {
    case NGX_GOCONNECT_PG_OK:
        /* a row that made no sense: logged */
        ngx_goconnect_session_error(s, id, 500, "internal",
                                    "The server has failed.");
        break;

    case NGX_GOCONNECT_PG_ERROR:
        ngx_goconnect_session_sql_error(s, id, call);
        break;

    case NGX_GOCONNECT_PG_UNKNOWN:
        ngx_goconnect_session_error(s, id, 503, "outcome_unknown",
                                    "The database was lost before it answered: "
                                    "the change may have been made. Look "
                                    "before you repeat it.");
        break;

    case NGX_GOCONNECT_PG_UNAVAILABLE:
        ngx_goconnect_session_error(s, id, 503, "database_unavailable",
                                    "The database is away for a moment.");
        break;

    case NGX_GOCONNECT_PG_TIMEOUT:
        ngx_goconnect_session_error(
            s, id, 503, "timeout",
            "The database took too long; nothing was changed.");
        break;

    case NGX_GOCONNECT_PG_BUSY:
        ngx_goconnect_session_error(s, id, 503, "busy",
                                    "The server is overloaded.");
        break;
    }
}
