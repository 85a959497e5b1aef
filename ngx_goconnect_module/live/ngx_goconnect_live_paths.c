/*
 * How devices reach their peers, as they tell: kept for GET networks/:id/mesh.
 */

#include "live/ngx_goconnect_live_private.h"

#include "core/gc_uuid.h"
#include "shm/ngx_goconnect_paths.h"


static ngx_int_t
ngx_goconnect_paths_kind(const char *name, uint8_t *path)
{
    static const char *names[] = {"none", "direct", "relayed"};
    uint8_t i;

    for (i = 0; name && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *path = i;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* a count that is absent is 0 */
static ngx_int_t
ngx_goconnect_paths_number(const json_t *item, const char *name, uint64_t max,
                           uint64_t *number)
{
    json_t *value;
    json_int_t n;

    value = json_object_get(item, name);
    n = json_integer_value(value);
    *number = (uint64_t) n;

    return value == NULL || json_is_null(value) ||
                   (json_is_integer(value) && n >= 0 && (uint64_t) n <= max)
               ? NGX_OK
               : NGX_DECLINED;
}


/* a member that nobody knows is a mistake: NGX_DECLINED */
static ngx_int_t
ngx_goconnect_paths_members(json_t *item)
{
    static const char *names[] = {"peer_id", "path", "rtt", "rx_bytes",
                                  "tx_bytes"};
    size_t i, known;

    known = 0;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        known += json_object_get(item, names[i]) != NULL;
    }

    return json_object_size(item) == known ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_goconnect_paths_item(json_t *item, gc_path_t *path)
{
    const char *to;
    uint64_t rtt;

    to = json_string_value(json_object_get(item, "peer_id"));

    if (ngx_goconnect_paths_members(item) != NGX_OK || to == NULL ||
        !gc_uuid_valid(to, strlen(to)) ||
        ngx_goconnect_paths_kind(
            json_string_value(json_object_get(item, "path")), &path->path) !=
            NGX_OK ||
        ngx_goconnect_paths_number(item, "rtt", UINT32_MAX, &rtt) != NGX_OK ||
        ngx_goconnect_paths_number(item, "rx_bytes", INT64_MAX,
                                   &path->received) != NGX_OK ||
        ngx_goconnect_paths_number(item, "tx_bytes", INT64_MAX, &path->sent) !=
            NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_memcpy(path->to, to, GC_UUID_LEN);
    path->rtt = (uint32_t) rtt;

    return NGX_OK;
}


void
ngx_goconnect_request_paths(ngx_goconnect_session_t *s, json_t *id,
                            json_t *data)
{
    ngx_goconnect_peer_t *from;
    const char *network;
    gc_path_t paths[NGX_GOCONNECT_PATHS_MAX];
    json_t *items, *item;
    size_t i;

    network = json_string_value(json_object_get(data, "network_id"));
    items = json_object_get(data, "paths");

    from = ngx_goconnect_session_peer(
        s, ngx_goconnect_slice(network, strlen(network)));

    if (from == NULL) {
        ngx_goconnect_session_error(s, id, 403, "not_a_peer",
                                    "This is no peer of that network.");
        return;
    }

    json_array_foreach(items, i, item)
    {
        ngx_memcpy(paths[i].network, from->network, GC_UUID_LEN);
        ngx_memcpy(paths[i].from, from->id, GC_UUID_LEN);

        if (ngx_goconnect_paths_item(item, &paths[i]) != NGX_OK) {
            ngx_goconnect_session_error(
                s, id, 422, "invalid_fields",
                "A path has a peer_id, a path (none, direct, relayed), and "
                "may have rtt, rx_bytes and tx_bytes.");
            return;
        }
    }

    /* all of it or nothing */
    ngx_goconnect_paths_put(paths, json_array_size(items), 1);

    ngx_goconnect_session_ok(s, id, ngx_goconnect_slice("", 0));
}
