/*
 * Verifying a chain of the audit trail: range by range, so that neither memory
 * nor the event loop is held by a long one. The database gives the rows, the
 * key stays here.
 */

#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_http_audit.h"
#include "http/ngx_goconnect_http_steps.h"

#include "core/gc_audit.h"


#define NGX_GOCONNECT_VERIFY_ROWS 100000 /* of one request */
#define NGX_GOCONNECT_VERIFY_AT_ONCE 4   /* in a worker */
#define NGX_GOCONNECT_VERIFY_TIMEOUT 5000


/* In the request's pool; the cleanup ends it. */
typedef struct {
    gc_audit_mac_t *mac;
    const gc_keys_t *keys;
    ngx_str_t id;     /* of the chain */
    gc_slice_t chain; /* as it is signed */

    json_t *head; /* what the answer tells of it, or NULL */
    gc_audit_point_t end;
    const char *end_wrong; /* the head does not hold, or NULL */
    ngx_uint_t has_end;

    int64_t from;   /* the first number that is looked at */
    int64_t number; /* of the row before the next */
    u_char hash[GC_AUDIT_HASH];
    int64_t verified;
    int64_t erased;
    int64_t unchained;

    const char *broken; /* why, or NULL */
    int64_t broken_at;
    int64_t broken_id; /* 0: no row */
    unsigned more : 1;
} ngx_goconnect_verify_t;


static ngx_int_t ngx_goconnect_verify_range(ngx_goconnect_http_ctx_t *ctx);

static ngx_uint_t ngx_goconnect_verify_running;


/* one table of one statement; the route's own are in routes.def */
static const ngx_goconnect_pg_statement_t ngx_goconnect_verify_statement = {
    ngx_string("audit_verify_range"),
    ngx_string("SELECT status, body, etag, location, events "
               "FROM api_1.audit_verify_range($1, $2, $3)"),
    NGX_GOCONNECT_PG_BULK};


ngx_int_t
ngx_goconnect_http_audit_statements(void)
{
    return ngx_goconnect_pg_statements(&ngx_goconnect_verify_statement, 1);
}


static ngx_goconnect_verify_t *
ngx_goconnect_verify_of(ngx_goconnect_http_ctx_t *ctx)
{
    return ctx->step;
}


static void
ngx_goconnect_verify_cleanup(void *data)
{
    ngx_goconnect_verify_t *v;

    v = data;

    gc_audit_mac_destroy(v->mac);
    json_decref(v->head);
    ngx_goconnect_verify_running--;
}


static ngx_goconnect_verify_t *
ngx_goconnect_verify_create(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_verify_t *v;
    ngx_pool_cleanup_t *cln;

    cln = ngx_pool_cleanup_add(ctx->request->pool,
                               sizeof(ngx_goconnect_verify_t));
    if (cln == NULL) {
        return NULL;
    }

    v = cln->data;
    ngx_memzero(v, sizeof(ngx_goconnect_verify_t));

    cln->handler = ngx_goconnect_verify_cleanup;
    ngx_goconnect_verify_running++;

    v->keys = ngx_goconnect_main_conf()->keys;
    v->mac = gc_audit_mac_create();
    ctx->step = v;

    return v->mac ? v : NULL;
}


static gc_slice_t
ngx_goconnect_verify_copy(ngx_pool_t *pool, gc_slice_t slice)
{
    u_char *copy;

    copy = ngx_pnalloc(pool, slice.len + 1);

    if (copy) {
        ngx_memcpy(copy, slice.data, slice.len);
        slice.data = (char *) copy;

    } else {
        slice.data = NULL;
    }

    return slice;
}


static void
ngx_goconnect_verify_break(ngx_goconnect_verify_t *v, const char *why,
                           int64_t number, gc_slice_t id)
{
    if (v->broken) {
        return;
    }

    v->broken = why;
    v->broken_at = number;

    if (!gc_json_integer(id, &v->broken_id)) {
        v->broken_id = 0;
    }
}


const char *
ngx_goconnect_audit_point(gc_audit_mac_t *mac, const gc_keys_t *keys,
                          gc_audit_mark_e mark, gc_slice_t chain,
                          gc_slice_t json, gc_audit_point_t *point)
{
    u_char signature[GC_AUDIT_HASH], made[GC_AUDIT_HASH];
    gc_slice_t hash, sign, id;
    const gc_key_t *key;

    (void) gc_json_find(json, "hash", &hash);
    (void) gc_json_find(json, "signature", &sign);
    (void) gc_json_find_plain(json, "key_id", &id);

    if (!gc_json_find_integer(json, "number", &point->number) ||
        !gc_json_find_integer(json, "signed_at", &point->signed_at) ||
        !gc_audit_unhex(hash, point->hash) ||
        !gc_audit_unhex(sign, signature)) {
        return "changed";
    }

    key = gc_audit_key(keys, id);

    if (key == NULL) {
        return "unknown_key";
    }

    if (gc_audit_sign(mac, key, mark, chain, point, made) != GC_AUDIT_OK ||
        !gc_audit_equal(made, signature)) {
        return "changed";
    }

    return NULL;
}


/* {number, hash, signed_at, key_id}: what somebody may note down */
static json_t *
ngx_goconnect_verify_tell(gc_slice_t json)
{
    json_error_t error;
    json_t *object;

    object = json_loadb(json.data, json.len, 0, &error);
    json_object_del(object, "signature");

    return object;
}


/* The rows that were pruned end in an anchor: go on behind it. */
static ngx_int_t
ngx_goconnect_verify_anchor(ngx_goconnect_verify_t *v, gc_slice_t json)
{
    gc_audit_point_t point;
    gc_slice_t none = {"", 0};

    if (json.len == 0 || gc_slice_is(json, "null")) {
        return NGX_DECLINED;
    }

    if (ngx_goconnect_audit_point(v->mac, v->keys, GC_AUDIT_ANCHOR, v->chain,
                                  json, &point)) {
        ngx_goconnect_verify_break(v, "anchor", v->number, none);
        return NGX_ERROR;
    }

    if (point.number < v->number) {
        return NGX_DECLINED;
    }

    v->number = point.number;
    ngx_memcpy(v->hash, point.hash, GC_AUDIT_HASH);

    return NGX_OK;
}


/* where to begin: at the anchor, or behind the row that the cursor names */
static void
ngx_goconnect_verify_begin(ngx_goconnect_verify_t *v, gc_slice_t body)
{
    gc_slice_t anchor, hash, none = {"", 0};
    ngx_int_t rc;

    (void) gc_json_find(body, "anchor", &anchor);
    (void) gc_json_find(body, "after_hash", &hash);
    (void) gc_json_find_integer(body, "after", &v->number);

    rc = ngx_goconnect_verify_anchor(v, anchor);

    if (rc == NGX_DECLINED && v->number > 0 && !gc_audit_unhex(hash, v->hash)) {
        ngx_goconnect_verify_break(v, "missing", v->number, none);
    }

    v->from = v->number + 1;
}


/* the end, which must not be before the last row */
static void
ngx_goconnect_verify_head(ngx_goconnect_verify_t *v, gc_slice_t body)
{
    gc_slice_t head, last;
    int64_t number;

    (void) gc_json_find(body, "head", &head);
    (void) gc_json_find(body, "last", &last);

    if (!gc_json_integer(last, &number)) {
        number = 0;
    }

    if (gc_slice_is(head, "null")) {
        v->end_wrong = number ? "head" : NULL;
        v->end.number = number;
        return;
    }

    v->has_end = 1;
    v->head = ngx_goconnect_verify_tell(head);
    v->end_wrong = ngx_goconnect_audit_point(v->mac, v->keys, GC_AUDIT_HEAD,
                                             v->chain, head, &v->end);

    if (v->end_wrong) {
        v->end_wrong = "head";

    } else if (number > v->end.number) {
        v->end_wrong = "head";
    }

    if (v->end_wrong && number > v->end.number) {
        v->end.number = number;
    }
}


/* NULL, or what is wrong with the next row */
static const char *
ngx_goconnect_verify_row(ngx_goconnect_verify_t *v, gc_slice_t json,
                         gc_audit_row_t *row)
{
    u_char hash[GC_AUDIT_HASH];
    gc_audit_personal_t personal;
    const gc_key_t *key;

    if (gc_audit_row_parse(row, json) != GC_AUDIT_OK) {
        return "changed";
    }

    if (row->number != v->number + 1) {
        return "missing";
    }

    key = gc_audit_key(v->keys, row->key);

    if (key == NULL) {
        return "unknown_key";
    }

    if (gc_audit_row_hash(v->mac, key, v->chain, row->number, v->hash, row,
                          hash) != GC_AUDIT_OK ||
        !gc_audit_equal(hash, row->hash)) {
        return "changed";
    }

    if (gc_audit_personal(row, &personal) != GC_AUDIT_OK || personal.wrong) {
        return "personal";
    }

    ngx_memcpy(v->hash, hash, GC_AUDIT_HASH);
    v->number = row->number;
    v->erased += personal.erased;
    v->verified++;

    return NULL;
}


/* at the end: is it the one that was signed? */
static void
ngx_goconnect_verify_end(ngx_goconnect_verify_t *v)
{
    gc_slice_t none = {"", 0};

    if (v->broken || v->more) {
        return;
    }

    if (v->end_wrong) {
        ngx_goconnect_verify_break(v, v->end_wrong, v->end.number, none);

    } else if (v->has_end && v->number == v->end.number &&
               !gc_audit_equal(v->hash, v->end.hash)) {
        ngx_goconnect_verify_break(v, "head", v->end.number, none);
    }
}


static json_t *
ngx_goconnect_verify_broken(ngx_goconnect_verify_t *v)
{
    static const struct {
        const char *why;
        const char *detail;
    } words[] = {
        {"changed", "This row, or its place, is not what was signed."},
        {"missing", "There is no row of this number any more."},
        {"personal", "A personal field of this row is not what was signed."},
        {"unknown_key",
         "The key ring has no key of the id that this row names."},
        {"head", "The end of the chain is not what was signed."},
        {"anchor", "The beginning of the chain is not what was signed."},
    };
    const char *detail;
    size_t i;

    if (v->broken == NULL) {
        return json_null();
    }

    detail = "";

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].why, v->broken) == 0) {
            detail = words[i].detail;
        }
    }

    return json_pack("{sI so ss ss}", "number", (json_int_t) v->broken_at, "id",
                     v->broken_id ? json_integer(v->broken_id) : json_null(),
                     "reason", v->broken, "detail", detail);
}


static ngx_int_t
ngx_goconnect_verify_answer(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_verify_t *v;
    json_t *cursor;

    v = ngx_goconnect_verify_of(ctx);

    ngx_goconnect_verify_end(v);

    cursor = v->more && !v->broken ? json_sprintf("%lld", (long long) v->number)
                                   : json_null();

    return ngx_goconnect_http_answer_set(
        ctx, json_pack(
                 "{sb sI sI sI sI sI so so so}", "intact", v->broken == NULL,
                 "first", (json_int_t) v->from, "last", (json_int_t) v->number,
                 "verified", (json_int_t) v->verified, "erased",
                 (json_int_t) v->erased, "unchained", (json_int_t) v->unchained,
                 "head", v->head ? json_incref(v->head) : json_null(), "broken",
                 ngx_goconnect_verify_broken(v), "next_cursor", cursor));
}


/* NGX_OK: there may be more; NGX_DECLINED: this was all */
static ngx_int_t
ngx_goconnect_verify_rows(ngx_goconnect_verify_t *v, gc_slice_t body)
{
    const char *wrong;
    gc_audit_row_t row;
    gc_json_iter_t it;
    gc_slice_t rows, json, none = {"", 0};

    if (!gc_json_find(body, "rows", &rows) || gc_json_array(&it, rows) != 0) {
        return NGX_ERROR;
    }

    while (v->number < v->end.number && gc_json_item(&it, &json)) {

        wrong = ngx_goconnect_verify_row(v, json, &row);

        if (wrong) {
            ngx_goconnect_verify_break(v, wrong, v->number + 1,
                                       strcmp(wrong, "missing") ? row.id
                                                                : none);
            return NGX_DECLINED;
        }

        if (v->verified >= NGX_GOCONNECT_VERIFY_ROWS &&
            v->number < v->end.number) {
            v->more = 1;
            return NGX_DECLINED;
        }
    }

    return v->number < v->end.number ? NGX_OK : NGX_DECLINED;
}


/* A client that went away while its request was read is not told of again. */
static ngx_uint_t
ngx_goconnect_verify_alone(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_connection_t *c;

    c = ctx->request->connection;

#if (NGX_HAVE_EPOLLRDHUP)
    if (c->read->pending_eof) {
        return 1;
    }
#endif

    return c->error;
}


static ngx_int_t
ngx_goconnect_verify_next(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_verify_t *v;
    ngx_int_t rc;
    gc_slice_t body, anchor, none = {"", 0};
    int64_t before, pruned;

    if (ngx_goconnect_verify_alone(ctx)) {
        ctx->rc = NGX_HTTP_CLIENT_CLOSED_REQUEST;
        return NGX_DECLINED;
    }

    v = ngx_goconnect_verify_of(ctx);
    body.data = (char *) ctx->answer.body.data;
    body.len = ctx->answer.body.len;
    before = v->number;

    /* what was pruned since the last range is behind us */
    if (gc_json_find(body, "anchor", &anchor) &&
        gc_json_find_integer(anchor, "number", &pruned) && pruned > v->number) {
        rc = ngx_goconnect_verify_anchor(v, anchor);

        if (rc == NGX_ERROR) {
            return ngx_goconnect_verify_answer(ctx);
        }
    }

    rc = ngx_goconnect_verify_rows(v, body);

    if (rc == NGX_OK && v->number == before) {
        ngx_goconnect_verify_break(v, "missing", v->number + 1, none);
        rc = NGX_DECLINED;
    }

    if (rc == NGX_DECLINED) {
        return ngx_goconnect_verify_answer(ctx);
    }

    return rc == NGX_OK ? ngx_goconnect_verify_range(ctx) : rc;
}


static ngx_int_t
ngx_goconnect_verify_range(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_pg_call_t *call;
    ngx_goconnect_verify_t *v;
    u_char number[NGX_INT64_LEN], *end;

    v = ngx_goconnect_verify_of(ctx);
    end = ngx_sprintf(number, "%L", v->number);

    call = ngx_goconnect_pg_call_create(&ngx_goconnect_verify_statement);
    if (call == NULL) {
        return NGX_ERROR;
    }

    if (ngx_goconnect_pg_call_param(call, ctx->ctx_param.data,
                                    ctx->ctx_param.len) != NGX_OK ||
        ngx_goconnect_pg_call_param(call, v->id.data, v->id.len) != NGX_OK ||
        ngx_goconnect_pg_call_param(call, number, (size_t) (end - number)) !=
            NGX_OK) {
        ngx_goconnect_pg_call_destroy(call);
        return NGX_ERROR;
    }

    return ngx_goconnect_http_call_step(ctx, call, NGX_GOCONNECT_VERIFY_TIMEOUT,
                                        ngx_goconnect_verify_next);
}


/* The function has said where the chain begins and ends. */
ngx_int_t
ngx_goconnect_step_verify_after(ngx_goconnect_http_ctx_t *ctx)
{
    ngx_goconnect_verify_t *v;
    gc_slice_t body, chain, id;

    if (ngx_goconnect_verify_running >= NGX_GOCONNECT_VERIFY_AT_ONCE) {
        return ngx_goconnect_http_unavailable(
            ctx, "busy", "Other chains are being verified; try again.");
    }

    v = ngx_goconnect_verify_create(ctx);
    if (v == NULL) {
        return NGX_ERROR;
    }

    body.data = (char *) ctx->answer.body.data;
    body.len = ctx->answer.body.len;

    (void) gc_json_find(body, "chain", &chain);
    (void) gc_json_find_plain(body, "id", &id);
    (void) gc_json_find_integer(body, "unchained", &v->unchained);

    v->chain = ngx_goconnect_verify_copy(ctx->request->pool, chain);
    id = ngx_goconnect_verify_copy(ctx->request->pool, id);
    v->id.data = (u_char *) id.data;
    v->id.len = id.len;

    if (v->chain.data == NULL || v->id.data == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_verify_head(v, body);
    ngx_goconnect_verify_begin(v, body);

    if (v->broken || v->number >= v->end.number) {
        return ngx_goconnect_verify_answer(ctx);
    }

    return ngx_goconnect_verify_range(ctx);
}
