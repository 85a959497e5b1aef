#include "http/ngx_goconnect_http_steps.h"

#include "shm/ngx_goconnect_paths.h"


static json_t *
ngx_goconnect_mesh_link(const gc_path_t *path)
{
    static const char *names[] = {"none", "direct", "relayed"};

    return json_pack(
        "{ss# ss# ss so sI sI sI}", "from_peer_id", path->from, GC_UUID_LEN,
        "to_peer_id", path->to, GC_UUID_LEN, "path",
        names[path->path <= GC_PATH_RELAYED ? path->path : GC_PATH_NONE],
        "round_trip_ms",
        path->rtt ? json_real((double) path->rtt / 1000) : json_null(),
        "received_bytes", (json_int_t) path->received, "sent_bytes",
        (json_int_t) path->sent, "age", (json_int_t) (ngx_time() - path->at));
}


/* the ids of the peers as SQL listed them, to look them up by */
static json_t *
ngx_goconnect_mesh_known(const json_t *peers)
{
    json_t *known, *peer;
    size_t i;

    known = json_object();

    json_array_foreach(peers, i, peer)
    {
        json_object_set_new(
            known, json_string_value(json_object_get(peer, "id")), json_true());
    }

    return known;
}


static ngx_uint_t
ngx_goconnect_mesh_has(const json_t *known, const char *id)
{
    char text[GC_UUID_LEN + 1];

    ngx_memcpy(text, id, GC_UUID_LEN);
    text[GC_UUID_LEN] = '\0';

    return json_object_get(known, text) != NULL;
}


/* The links of the answer's peers: what their devices reported to this node. */
ngx_int_t
ngx_goconnect_step_mesh_after(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *answer, *known, *links;
    gc_path_t *paths;
    size_t i, n;

    paths = ngx_goconnect_paths_find(
        ctx->request->pool, ctx->params[0].data,
        ctx->query[0].len ? ctx->query[0].data : NULL, &n);
    answer = ngx_goconnect_http_answer(ctx);

    if (paths == NULL || answer == NULL) {
        json_decref(answer);
        return NGX_ERROR;
    }

    known = ngx_goconnect_mesh_known(json_object_get(answer, "peers"));
    links = json_array();

    for (i = 0; i < n; i++) {
        if (ngx_goconnect_mesh_has(known, paths[i].from) &&
            ngx_goconnect_mesh_has(known, paths[i].to)) {
            json_array_append_new(links, ngx_goconnect_mesh_link(&paths[i]));
        }
    }

    json_decref(known);
    json_object_set_new(answer, "links", links);

    return ngx_goconnect_http_answer_set(ctx, answer);
}
