/*
 * Chains the audit trail.  Every second each worker asks for rows that no
 * chain has yet; the database gives them to one of all workers of all nodes.
 * It computes their hashes and signs the ends, under the current key of
 * purpose "audit", and stores that; if another one was faster, the database
 * takes nothing.  So a request does not wait for the end of a chain, and who
 * owns the database cannot write a chain anew.
 */

#include "http/ngx_goconnect_conf.h"
#include "http/ngx_goconnect_http_audit.h"
#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_AUDIT_EVERY 1000    /* ms */
#define NGX_GOCONNECT_AUDIT_TIMEOUT 10000 /* ms */


typedef struct {
    ngx_event_t timer;
    gc_audit_mac_t *mac;
    const gc_keys_t *keys;
    const gc_key_t *key;
    unsigned more : 1; /* the database has rows left */
} ngx_goconnect_audit_t;


static ngx_goconnect_audit_t ngx_goconnect_audit;


static int64_t
ngx_goconnect_audit_now(void)
{
    ngx_time_t *tp;

    tp = ngx_timeofday();

    return (int64_t) tp->sec * 1000000 + (int64_t) tp->msec * 1000;
}


static json_t *
ngx_goconnect_audit_hex(const u_char *hash)
{
    u_char hex[2 * GC_AUDIT_HASH];

    (void) ngx_hex_dump(hex, (u_char *) hash, GC_AUDIT_HASH);

    return json_stringn((char *) hex, sizeof(hex));
}


/* a signed end of a chain, as the database stores it */
static json_t *
ngx_goconnect_audit_signed(gc_audit_mark_e mark, gc_slice_t chain, int64_t from,
                           gc_audit_point_t *point)
{
    u_char signature[GC_AUDIT_HASH];
    gc_slice_t id;
    ngx_goconnect_audit_t *a;

    a = &ngx_goconnect_audit;
    point->signed_at = ngx_goconnect_audit_now();

    if (gc_audit_sign(a->mac, a->key, mark, chain, point, signature) !=
        GC_AUDIT_OK) {
        return NULL;
    }

    (void) gc_json_plain(chain, &id);

    return json_pack("{so sI sI so sI ss so}", "chain",
                     id.len ? json_stringn(id.data, id.len) : json_null(),
                     "from", (json_int_t) from, "number",
                     (json_int_t) point->number, "hash",
                     ngx_goconnect_audit_hex(point->hash), "signed_at",
                     (json_int_t) point->signed_at, "key_id", a->key->id,
                     "signature", ngx_goconnect_audit_hex(signature));
}


/*
 * Where the chain goes on; *from is what the database is to find there.  An
 * end that was not signed here, or with rows behind it, is not made good: a
 * number is left out, which verification finds for ever.
 */
static void
ngx_goconnect_audit_end(gc_slice_t object, gc_slice_t chain, int64_t *from,
                        gc_audit_point_t *point)
{
    gc_slice_t head, value;
    const char *wrong;
    int64_t last;

    ngx_memzero(point, sizeof(gc_audit_point_t));
    wrong = NULL;

    (void) gc_json_find(object, "head", &head);
    (void) gc_json_find(object, "last", &value);

    if (!gc_json_integer(value, &last)) {
        last = 0;
    }

    if (!gc_slice_is(head, "null")) {
        wrong = ngx_goconnect_audit_point(ngx_goconnect_audit.mac,
                                          ngx_goconnect_audit.keys,
                                          GC_AUDIT_HEAD, chain, head, point);
    }

    *from = point->number;

    if (wrong == NULL && last > point->number) {
        wrong = "behind its rows";
    }

    if (wrong) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: audit: the end of the chain %*s is not what "
                      "was signed (%s): it goes on, with a number left out",
                      chain.len, chain.data, wrong);
        point->number = ngx_max(point->number, last) + 1;
    }
}


/* {chain, head, last, rows} -> {chain, from, number, ..., rows}; NULL: failed
 */
static json_t *
ngx_goconnect_audit_chain(gc_slice_t object)
{
    gc_audit_point_t point;
    gc_audit_row_t row;
    gc_json_iter_t it;
    gc_slice_t chain, rows, text;
    int64_t from, id;
    json_t *list, *made;
    u_char hash[GC_AUDIT_HASH];

    (void) gc_json_find(object, "chain", &chain);
    (void) gc_json_find(object, "rows", &rows);

    ngx_goconnect_audit_end(object, chain, &from, &point);

    list = json_array();

    if (list == NULL || gc_json_array(&it, rows) != 0) {
        json_decref(list);
        return NULL;
    }

    while (gc_json_item(&it, &text)) {
        point.number++;

        if (gc_audit_row_parse(&row, text) != GC_AUDIT_OK ||
            !gc_json_integer(row.id, &id) ||
            gc_audit_row_hash(ngx_goconnect_audit.mac, ngx_goconnect_audit.key,
                              chain, point.number, point.hash, &row,
                              hash) != GC_AUDIT_OK ||
            json_array_append_new(list,
                                  json_pack("[I I o]", (json_int_t) id,
                                            (json_int_t) point.number,
                                            ngx_goconnect_audit_hex(hash)))) {
            json_decref(list);
            return NULL;
        }

        ngx_memcpy(point.hash, hash, GC_AUDIT_HASH);
    }

    made = ngx_goconnect_audit_signed(GC_AUDIT_HEAD, chain, from, &point);

    if (made == NULL || json_object_set(made, "rows", list)) {
        json_decref(made);
        made = NULL;
    }

    json_decref(list);

    return made;
}


/*
 * {chain, anchor, number, hash} -> {chain, from, number, ...}; *made is NULL
 * if the anchor before is not ours: then nothing is pruned.
 */
static ngx_int_t
ngx_goconnect_audit_anchor(gc_slice_t object, json_t **made)
{
    gc_audit_point_t before, point;
    gc_slice_t chain, anchor, hash;
    const char *wrong;

    *made = NULL;
    ngx_memzero(&before, sizeof(before));

    (void) gc_json_find(object, "chain", &chain);
    (void) gc_json_find(object, "anchor", &anchor);
    (void) gc_json_find(object, "hash", &hash);

    if (!gc_json_find_integer(object, "number", &point.number) ||
        !gc_audit_unhex(hash, point.hash)) {
        return NGX_ERROR;
    }

    wrong = gc_slice_is(anchor, "null")
                ? NULL
                : ngx_goconnect_audit_point(
                      ngx_goconnect_audit.mac, ngx_goconnect_audit.keys,
                      GC_AUDIT_ANCHOR, chain, anchor, &before);

    if (wrong) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: audit: the beginning of the chain %*s is not "
                      "what was signed (%s): it is not pruned",
                      chain.len, chain.data, wrong);
        return NGX_OK;
    }

    *made = ngx_goconnect_audit_signed(GC_AUDIT_ANCHOR, chain, before.number,
                                       &point);

    return *made ? NGX_OK : NGX_ERROR;
}


/* what is to be stored; NULL: nothing, or it has failed, which is logged */
static json_t *
ngx_goconnect_audit_work(gc_slice_t body)
{
    gc_json_iter_t it;
    gc_slice_t list, object;
    json_t *chains, *anchors, *made;

    chains = json_array();
    anchors = json_array();

    (void) gc_json_find(body, "chains", &list);
    (void) gc_json_array(&it, list);

    while (gc_json_item(&it, &object)) {
        if (json_array_append_new(chains, ngx_goconnect_audit_chain(object))) {
            goto failed;
        }
    }

    (void) gc_json_find(body, "prune", &list);
    (void) gc_json_array(&it, list);

    while (gc_json_item(&it, &object)) {
        if (ngx_goconnect_audit_anchor(object, &made) != NGX_OK ||
            (made && json_array_append_new(anchors, made))) {
            goto failed;
        }
    }

    if (json_array_size(chains) || json_array_size(anchors)) {
        return json_pack("{so so}", "chains", chains, "anchors", anchors);
    }

    json_decref(chains);
    json_decref(anchors);

    return NULL;

failed:

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "goconnect: audit: rows could not be chained");
    json_decref(chains);
    json_decref(anchors);

    return NULL;
}


static void
ngx_goconnect_audit_rest(void)
{
    if (ngx_exiting) {
        return;
    }

    ngx_add_timer(&ngx_goconnect_audit.timer,
                  ngx_goconnect_audit.more ? 1 : NGX_GOCONNECT_AUDIT_EVERY);
}


static void
ngx_goconnect_audit_stored(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;

    if (ngx_goconnect_live_reply(call, &reply) != NGX_OK ||
        reply.status >= 300) {
        ngx_goconnect_live_log(call);
        ngx_goconnect_audit.more = 0;
    }

    ngx_goconnect_pg_call_destroy(call);
    ngx_goconnect_audit_rest();
}


static void
ngx_goconnect_audit_store(json_t *work)
{
    ngx_goconnect_pg_call_t *call;
    char *text;

    text = json_dumps(work, JSON_COMPACT);
    call =
        text ? ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_AUDIT_STORE) : NULL;

    if (call == NULL ||
        ngx_goconnect_pg_call_param(call, (u_char *) text, strlen(text)) !=
            NGX_OK ||
        ngx_goconnect_pg_call_send(call, ngx_goconnect_audit_stored, NULL,
                                   NGX_GOCONNECT_AUDIT_TIMEOUT) != NGX_OK) {
        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        ngx_goconnect_audit.more = 0;
        ngx_goconnect_audit_rest();
    }

    free(text);
}


static void
ngx_goconnect_audit_taken(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;
    gc_slice_t more;
    json_t *work;

    work = NULL;
    ngx_goconnect_audit.more = 0;

    if (ngx_goconnect_live_reply(call, &reply) != NGX_OK ||
        reply.status >= 300) {
        ngx_goconnect_live_log(call);

    } else {
        work = ngx_goconnect_audit_work(reply.body);
        ngx_goconnect_audit.more = work &&
                                   gc_json_find(reply.body, "more", &more) &&
                                   gc_slice_is(more, "true");
    }

    ngx_goconnect_pg_call_destroy(call);

    if (work == NULL) {
        ngx_goconnect_audit_rest();
        return;
    }

    ngx_goconnect_audit_store(work);
    json_decref(work);
}


static void
ngx_goconnect_audit_handler(ngx_event_t *ev)
{
    ngx_goconnect_pg_call_t *call;

    if (ngx_exiting) {
        return;
    }

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_AUDIT_TAKE);

    if (call == NULL ||
        ngx_goconnect_pg_call_param(call, ngx_goconnect_live_worker.node,
                                    NGX_GOCONNECT_ID_LEN) != NGX_OK ||
        ngx_goconnect_pg_call_send(call, ngx_goconnect_audit_taken, NULL,
                                   NGX_GOCONNECT_AUDIT_TIMEOUT) != NGX_OK) {
        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        ngx_goconnect_audit.more = 0;
        ngx_goconnect_audit_rest();
    }
}


ngx_int_t
ngx_goconnect_audit_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_audit_t *a;

    a = &ngx_goconnect_audit;
    a->keys = ngx_goconnect_main_conf()->keys;
    a->key = gc_keys_current(a->keys, GC_KEY_AUDIT);

    if (a->key == NULL) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "goconnect: the audit trail is not chained: the key "
                      "file has no key for \"audit\"");
        return NGX_OK;
    }

    a->mac = gc_audit_mac_create();
    if (a->mac == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_live_event_init(&a->timer, ngx_goconnect_audit_handler);
    ngx_add_timer(&a->timer, NGX_GOCONNECT_AUDIT_EVERY);

    return NGX_OK;
}


void
ngx_goconnect_audit_exit(void)
{
    gc_audit_mac_destroy(ngx_goconnect_audit.mac);
    ngx_goconnect_audit.mac = NULL;
}
