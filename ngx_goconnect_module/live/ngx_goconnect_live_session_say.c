/*
 * What is said to a client: answers, and what went wrong.
 */

#include "live/ngx_goconnect_live_private.h"
#include "core/gc_status.h"


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


/* GCsss raised by a function; NGX_DECLINED: something else */
static ngx_int_t
ngx_goconnect_session_raised(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    const char *state, *code, *detail;
    json_t *body;
    ngx_int_t status;
    char *text;

    state = ngx_goconnect_pg_call_sqlstate(call);
    status = ngx_strncmp(state, "GC", 2) == 0
                 ? ngx_atoi((u_char *) state + 2, 3)
                 : NGX_ERROR;

    if (status < 400 || status > 599) {
        return NGX_DECLINED;
    }

    code = PQresultErrorField(call->res, PG_DIAG_MESSAGE_PRIMARY);
    detail = PQresultErrorField(call->res, PG_DIAG_MESSAGE_DETAIL);

    body = json_pack("{ssss}", "detail", detail ? detail : "", "code",
                     code ? code : "refused");
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);

    if (text == NULL) {
        return NGX_DECLINED;
    }

    ngx_goconnect_session_problem(s, id, (ngx_uint_t) status,
                                  ngx_goconnect_slice(text, strlen(text)));
    free(text);

    return NGX_OK;
}


/* an error of the database that a function did not raise itself */
static void
ngx_goconnect_session_sql_error(ngx_goconnect_session_t *s, json_t *id,
                                ngx_goconnect_pg_call_t *call)
{
    static const char *passing[] = {"40", "53", "55P03", "57", "25006"};
    const char *state;
    size_t i;

    state = ngx_goconnect_pg_call_sqlstate(call);

    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        if (strncmp(state, passing[i], strlen(passing[i])) == 0) {
            ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                          "goconnect: %V: the database said %s",
                          &call->statement->name, state);
            ngx_goconnect_session_error(s, id, 503, "busy",
                                        "Nothing was changed; try again.");
            return;
        }
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "goconnect: %V: the database said %s: %s",
                  &call->statement->name, state,
                  PQresultErrorField(call->res, PG_DIAG_MESSAGE_PRIMARY));
    ngx_goconnect_session_error(s, id, 500, "internal",
                                "The server failed; it is in its log.");
}


void
ngx_goconnect_session_failed(ngx_goconnect_session_t *s, json_t *id,
                             ngx_goconnect_pg_call_t *call)
{
    switch (call->rc) {
    case NGX_GOCONNECT_PG_OK:
        /* a row that made no sense: logged */
        ngx_goconnect_session_error(s, id, 500, "internal",
                                    "The server failed; it is in its log.");
        break;

    case NGX_GOCONNECT_PG_ERROR:
        if (ngx_goconnect_session_raised(s, id, call) != NGX_OK) {
            ngx_goconnect_session_sql_error(s, id, call);
        }
        break;

    case NGX_GOCONNECT_PG_UNKNOWN:
        ngx_goconnect_session_error(s, id, 503, "outcome_unknown",
                                    "The database was lost before it answered: "
                                    "the change may have been made.");
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
