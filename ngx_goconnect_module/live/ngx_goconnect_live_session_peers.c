/*
 * Peers of the devices that are connected here: who gets a signal.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_PEER_BUCKETS 1024


typedef struct {
    ngx_goconnect_peer_t *buckets[NGX_GOCONNECT_PEER_BUCKETS];
    uint32_t seed;
} ngx_goconnect_peers_t;


static ngx_goconnect_peers_t ngx_goconnect_peers;


static ngx_goconnect_peer_t **
ngx_goconnect_peer_bucket(const u_char *id)
{
    uint32_t hash;
    ngx_uint_t i;

    hash = ngx_goconnect_peers.seed;

    for (i = 0; i < NGX_GOCONNECT_ID_LEN; i++) {
        hash = (hash ^ id[i]) * 16777619;
    }

    return &ngx_goconnect_peers
                .buckets[(hash ^ (hash >> 15)) % NGX_GOCONNECT_PEER_BUCKETS];
}


ngx_goconnect_peer_t *
ngx_goconnect_peer_find(gc_slice_t id)
{
    ngx_goconnect_peer_t *peer;

    if (id.len != NGX_GOCONNECT_ID_LEN) {
        return NULL;
    }

    peer = *ngx_goconnect_peer_bucket((const u_char *) id.data);

    while (peer && ngx_memcmp(peer->id, id.data, NGX_GOCONNECT_ID_LEN) != 0) {
        peer = peer->next;
    }

    return peer;
}


ngx_goconnect_peer_t *
ngx_goconnect_session_peer(ngx_goconnect_session_t *s, gc_slice_t network)
{
    ngx_uint_t i;

    if (network.len != NGX_GOCONNECT_ID_LEN) {
        return NULL;
    }

    for (i = 0; i < s->npeers; i++) {
        if (ngx_memcmp(s->peers[i].network, network.data,
                       NGX_GOCONNECT_ID_LEN) == 0) {
            return &s->peers[i];
        }
    }

    return NULL;
}


void
ngx_goconnect_session_peers_free(ngx_goconnect_session_t *s)
{
    ngx_goconnect_peer_t **p;
    ngx_uint_t i;

    for (i = 0; i < s->npeers; i++) {
        p = ngx_goconnect_peer_bucket(s->peers[i].id);

        while (*p != &s->peers[i]) {
            p = &(*p)->next;
        }

        *p = s->peers[i].next;
    }

    if (s->peers) {
        ngx_free(s->peers);
    }

    s->peers = NULL;
    s->npeers = 0;
}


static ngx_int_t
ngx_goconnect_session_peer_ids(gc_slice_t item, gc_slice_t *network,
                               gc_slice_t *id)
{
    return gc_json_find_plain(item, "network_id", network) &&
                   gc_json_find_plain(item, "peer_id", id) &&
                   network->len == NGX_GOCONNECT_ID_LEN &&
                   id->len == NGX_GOCONNECT_ID_LEN
               ? NGX_OK
               : NGX_DECLINED;
}


void
ngx_goconnect_session_peers(ngx_goconnect_session_t *s, gc_slice_t peers)
{
    ngx_goconnect_peer_t *peer, **bucket;
    gc_slice_t item, network, id;
    gc_json_iter_t it;
    ngx_uint_t n;

    ngx_goconnect_session_peers_free(s);

    if (gc_json_array(&it, peers) != 0) {
        return;
    }

    for (n = 0; gc_json_item(&it, &item) && n < UINT16_MAX; n++) {
        /* void */
    }

    if (n == 0) {
        return;
    }

    s->peers = ngx_alloc(n * sizeof(ngx_goconnect_peer_t), ngx_cycle->log);
    if (s->peers == NULL) {
        return;
    }

    (void) gc_json_array(&it, peers);

    while (s->npeers < n && gc_json_item(&it, &item)) {
        if (ngx_goconnect_session_peer_ids(item, &network, &id) != NGX_OK) {
            continue;
        }

        peer = &s->peers[s->npeers++];
        peer->session = s;
        ngx_memcpy(peer->network, network.data, NGX_GOCONNECT_ID_LEN);
        ngx_memcpy(peer->id, id.data, NGX_GOCONNECT_ID_LEN);

        bucket = ngx_goconnect_peer_bucket(peer->id);
        peer->next = *bucket;
        *bucket = peer;
    }
}


ngx_int_t
ngx_goconnect_peer_init(ngx_cycle_t *cycle)
{
    return ngx_goconnect_live_random(&ngx_goconnect_peers.seed,
                                     sizeof(ngx_goconnect_peers.seed));
}
