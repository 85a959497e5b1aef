#include "http/ngx_goconnect_http_steps.h"

#include "shm/ngx_goconnect_paths.h"


/* what 200 peers have to tell of each other does not fit everywhere: beyond
 * that a caller asks for one peer, and gets what is of it */
#define NGX_GOCONNECT_MESH_LINKS 4096


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


/* whether the list, as SQL made it, has a peer of this id */
static ngx_uint_t
ngx_goconnect_mesh_has(const json_t *peers, const char *id)
{
    const char *known;
    json_t *peer;
    size_t i;

    json_array_foreach(peers, i, peer)
    {
        known = json_string_value(json_object_get(peer, "id"));

        if (known && ngx_strncmp(known, id, GC_UUID_LEN) == 0) {
            return 1;
        }
    }

    return 0;
}


/* The links of the answer's peers: what their devices reported to this node. */
ngx_int_t
ngx_goconnect_step_mesh_after(ngx_goconnect_http_ctx_t *ctx)
{
    json_t *answer, *links, *peers;
    const gc_path_t *path;
    gc_path_t *paths;
    ngx_str_t *peer;
    size_t i, n;

    peer = &ctx->query[0];

    paths = ngx_palloc(ctx->request->pool,
                       NGX_GOCONNECT_MESH_LINKS * sizeof(gc_path_t));
    answer = ngx_goconnect_http_answer(ctx);
    links = json_array();

    if (paths == NULL || answer == NULL || links == NULL) {
        json_decref(answer);
        json_decref(links);
        return NGX_ERROR;
    }

    peers = json_object_get(answer, "peers");
    n = ngx_goconnect_paths_find(ctx->params[0].data, paths,
                                 NGX_GOCONNECT_MESH_LINKS);

    for (i = 0; i < n; i++) {
        path = &paths[i];

        if (peer->len &&
            ngx_strncmp(peer->data, path->from, GC_UUID_LEN) != 0 &&
            ngx_strncmp(peer->data, path->to, GC_UUID_LEN) != 0) {
            continue;
        }

        if (ngx_goconnect_mesh_has(peers, path->from) &&
            ngx_goconnect_mesh_has(peers, path->to)) {
            json_array_append_new(links, ngx_goconnect_mesh_link(path));
        }
    }

    json_object_set_new(answer, "links", links);

    return ngx_goconnect_http_answer_set(ctx, answer);
}
