/*
 * Netmaps, encoded once for each network and version and shared by all the
 * devices that ask: after a restart they all come at once.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_NETMAP_PART 64000     /* bytes of a part */
#define NGX_GOCONNECT_NETMAP_LEAST 4096     /* of them for peers */
#define NGX_GOCONNECT_NETMAP_CACHE 16777216 /* bytes of what is kept */
#define NGX_GOCONNECT_NETMAP_TIMEOUT 15000  /* ms */
#define NGX_GOCONNECT_NETMAP_PACK 1024    /* bytes; below them it costs more */
#define NGX_GOCONNECT_NETMAP_BUCKETS 1024 /* a power of two */
#define NGX_GOCONNECT_NETMAP_PARTS_MAX 4096


typedef struct ngx_goconnect_netmap_load_s ngx_goconnect_netmap_load_t;


/* of the networks with the same hash */
typedef struct {
    ngx_goconnect_netmap_t *cached;
    ngx_goconnect_netmap_load_t *loads;
} ngx_goconnect_netmap_bucket_t;


/* somebody who waits for a map */
typedef struct {
    ngx_queue_t queue;
    ngx_goconnect_session_t *session; /* one reference */
    int64_t version;
    ngx_goconnect_netmap_done_pt done;
    void *data;
    ngx_uint_t i;
} ngx_goconnect_netmap_waiter_t;


/* a network whose map is being asked for, on behalf of the first waiter */
struct ngx_goconnect_netmap_load_s {
    ngx_goconnect_netmap_load_t *next; /* of its bucket */
    ngx_queue_t waiters;
    ngx_goconnect_netmap_waiter_t *leader; /* in whose name */
    u_char network[NGX_GOCONNECT_ID_LEN];
};


typedef struct {
    ngx_queue_t cached; /* each has one reference */
    size_t bytes;
    ngx_goconnect_netmap_bucket_t buckets[NGX_GOCONNECT_NETMAP_BUCKETS];
} ngx_goconnect_netmaps_t;


static ngx_goconnect_netmaps_t ngx_goconnect_netmaps;


static void ngx_goconnect_netmap_load(ngx_goconnect_netmap_load_t *load);


static ngx_goconnect_netmap_bucket_t *
ngx_goconnect_netmap_bucket(const u_char *network)
{
    uint32_t hash;

    hash = ngx_crc32_short((u_char *) network, NGX_GOCONNECT_ID_LEN);

    return &ngx_goconnect_netmaps
                .buckets[hash & (NGX_GOCONNECT_NETMAP_BUCKETS - 1)];
}


void
ngx_goconnect_netmap_unref(ngx_goconnect_netmap_t *netmap)
{
    ngx_uint_t i;

    if (--netmap->refs > 0) {
        return;
    }

    for (i = 0; i < netmap->nparts; i++) {
        ngx_goconnect_ws_frame_unref(netmap->parts[i]);

        if (netmap->packed[i]) {
            ngx_goconnect_ws_frame_unref(netmap->packed[i]);
        }
    }

    ngx_free(netmap);
}


static ngx_goconnect_netmap_t *
ngx_goconnect_netmap_find(const u_char *network)
{
    ngx_goconnect_netmap_t *netmap;

    for (netmap = ngx_goconnect_netmap_bucket(network)->cached; netmap;
         netmap = netmap->next) {
        if (ngx_memcmp(netmap->network, network, NGX_GOCONNECT_ID_LEN) == 0) {
            return netmap;
        }
    }

    return NULL;
}


static void
ngx_goconnect_netmap_evict(ngx_goconnect_netmap_t *netmap)
{
    ngx_goconnect_netmap_t **p;

    p = &ngx_goconnect_netmap_bucket(netmap->network)->cached;

    while (*p != netmap) {
        p = &(*p)->next;
    }

    *p = netmap->next;
    netmap->cached = 0;

    ngx_queue_remove(&netmap->queue);
    ngx_goconnect_netmaps.bytes -= netmap->bytes;
    ngx_goconnect_netmap_unref(netmap);
}


/* out with the least recently used, until the rest fits */
static void
ngx_goconnect_netmap_fit(void)
{
    ngx_queue_t *q;

    while (ngx_goconnect_netmaps.bytes > NGX_GOCONNECT_NETMAP_CACHE) {
        q = ngx_queue_head(&ngx_goconnect_netmaps.cached);
        ngx_goconnect_netmap_evict(
            ngx_queue_data(q, ngx_goconnect_netmap_t, queue));
    }
}


static void
ngx_goconnect_netmap_cache(ngx_goconnect_netmap_t *netmap)
{
    ngx_goconnect_netmap_bucket_t *bucket;
    ngx_goconnect_netmap_t *old;

    old = ngx_goconnect_netmap_find(netmap->network);

    if (old) {
        ngx_goconnect_netmap_evict(old);
    }

    bucket = ngx_goconnect_netmap_bucket(netmap->network);
    netmap->next = bucket->cached;
    bucket->cached = netmap;
    netmap->cached = 1;

    netmap->refs++;
    ngx_queue_insert_tail(&ngx_goconnect_netmaps.cached, &netmap->queue);
    ngx_goconnect_netmaps.bytes += netmap->bytes;

    ngx_goconnect_netmap_fit();
}


void
ngx_goconnect_netmap_forget(void)
{
    ngx_queue_t *q;

    while (!ngx_queue_empty(&ngx_goconnect_netmaps.cached)) {
        q = ngx_queue_head(&ngx_goconnect_netmaps.cached);
        ngx_goconnect_netmap_evict(
            ngx_queue_data(q, ngx_goconnect_netmap_t, queue));
    }
}


/*
 * Encoding
 */

/* how many of the items of `it` fit in a part; moves behind them */
static gc_slice_t
ngx_goconnect_netmap_take(gc_json_iter_t *it, size_t room, ngx_uint_t *more)
{
    gc_json_iter_t at;
    gc_slice_t item, taken;

    taken = ngx_goconnect_slice("", 0);
    at = *it;
    *more = 0;

    while (gc_json_item(&at, &item)) {
        if (taken.len && (size_t) (item.data + item.len - taken.data) > room) {
            *more = 1;
            return taken;
        }

        if (taken.len == 0) {
            taken.data = item.data;
        }

        taken.len = (size_t) (item.data + item.len - taken.data);
        *it = at;
    }

    return taken;
}


static ngx_goconnect_ws_frame_t *
ngx_goconnect_netmap_part(const u_char *network, int64_t version,
                          ngx_uint_t part, ngx_uint_t last, gc_slice_t head,
                          gc_slice_t peers)
{
    static const char format[] =
        "\"data\":{\"network_id\":\"\",\"version\":,\"part\":,\"last\":false,"
        "\"peers\":[]}}";
    ngx_goconnect_ws_frame_t *frame;
    u_char *payload, *buf, *p;
    size_t size;

    size = sizeof(format) + NGX_GOCONNECT_ID_LEN + 2 * NGX_INT64_LEN +
           head.len + peers.len;

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    p = ngx_snprintf(buf, size,
                     "\"data\":{\"network_id\":\"%*s\",\"version\":%L,"
                     "\"part\":%ui,\"last\":%s,%*s\"peers\":[%*s]}}",
                     (size_t) NGX_GOCONNECT_ID_LEN, network, version, part,
                     last ? "true" : "false", head.len, head.data, peers.len,
                     peers.data);

    frame = ngx_goconnect_ws_frame_alloc(GC_WS_FIN | GC_WS_OP_CONTINUATION,
                                         (size_t) (p - buf), &payload);
    if (frame) {
        ngx_memcpy(payload, buf, (size_t) (p - buf));
        frame->snapshot = 1;
    }

    ngx_free(buf);

    return frame;
}


/* what only the first part carries, each with a comma behind */
static ngx_int_t
ngx_goconnect_netmap_head(gc_slice_t body, ngx_str_t *head)
{
    static const char *names[] = {"network", "relays", "dns", "rules"};
    gc_slice_t value;
    u_char *last;
    size_t i;

    head->data = ngx_alloc(body.len + 128, ngx_cycle->log);
    if (head->data == NULL) {
        return NGX_ERROR;
    }

    last = head->data;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (gc_json_find(body, names[i], &value)) {
            last = ngx_sprintf(last, "\"%s\":%*s,", names[i], value.len,
                               value.data);
        }
    }

    head->len = (size_t) (last - head->data);

    return NGX_OK;
}


static ngx_int_t
ngx_goconnect_netmap_parts(ngx_goconnect_netmap_t *netmap, gc_slice_t head,
                           gc_json_iter_t *peers)
{
    ngx_goconnect_ws_frame_t *frame;
    gc_slice_t taken;
    ngx_uint_t more;
    size_t room;

    do {
        room = head.len < NGX_GOCONNECT_NETMAP_PART - NGX_GOCONNECT_NETMAP_LEAST
                   ? NGX_GOCONNECT_NETMAP_PART - head.len
                   : NGX_GOCONNECT_NETMAP_LEAST;

        taken = ngx_goconnect_netmap_take(peers, room, &more);

        frame =
            netmap->nparts == NGX_GOCONNECT_NETMAP_PARTS_MAX
                ? NULL
                : ngx_goconnect_netmap_part(netmap->network, netmap->version,
                                            netmap->nparts, !more, head, taken);
        if (frame == NULL) {
            return NGX_ERROR;
        }

        netmap->parts[netmap->nparts++] = frame;
        netmap->bytes += frame->len;
        head.len = 0;
    } while (more);

    return NGX_OK;
}


/* once for each part, when the first socket comes that can read it */
ngx_goconnect_ws_frame_t *
ngx_goconnect_netmap_packed(ngx_goconnect_netmap_t *netmap, ngx_uint_t part)
{
    ngx_goconnect_ws_frame_t *frame, *plain;
    size_t head;

    plain = netmap->parts[part];

    if (netmap->packed[part] || plain->len < NGX_GOCONNECT_NETMAP_PACK) {
        return netmap->packed[part];
    }

    head = plain->len < 65536 + 4 ? 4 : 10;

    frame =
        ngx_goconnect_ws_frame_deflate(GC_WS_FIN | GC_WS_OP_CONTINUATION,
                                       plain->data + head, plain->len - head);
    if (frame == NULL) {
        return NULL;
    }

    frame->snapshot = 1;
    netmap->packed[part] = frame;
    netmap->bytes += frame->len;

    if (netmap->cached) {
        ngx_goconnect_netmaps.bytes += frame->len;
        ngx_goconnect_netmap_fit();
    }

    return frame;
}


static ngx_goconnect_netmap_t *
ngx_goconnect_netmap_encode(const u_char *network, gc_slice_t body)
{
    ngx_goconnect_netmap_t *netmap;
    gc_json_iter_t it;
    gc_slice_t peers;
    ngx_str_t head;
    ngx_int_t rc;
    size_t n;

    (void) gc_json_find(body, "peers", &peers);

    /* each part but the last is at least half full */
    n = 2 + peers.len / (NGX_GOCONNECT_NETMAP_PART / 4);

    netmap = ngx_calloc(sizeof(ngx_goconnect_netmap_t) +
                            2 * n * sizeof(ngx_goconnect_ws_frame_t *),
                        ngx_cycle->log);
    if (netmap == NULL) {
        return NULL;
    }

    netmap->refs = 1;
    netmap->packed = netmap->parts + n;
    netmap->bytes = sizeof(ngx_goconnect_netmap_t) + 2 * n * sizeof(void *);
    ngx_memcpy(netmap->network, network, NGX_GOCONNECT_ID_LEN);

    if (!gc_json_find_integer(body, "version", &netmap->version) ||
        !gc_json_find_integer(body, "seq", &netmap->seq) ||
        ngx_goconnect_netmap_head(body, &head) != NGX_OK) {
        ngx_free(netmap);
        return NULL;
    }

    (void) gc_json_array(&it, peers);

    rc = ngx_goconnect_netmap_parts(
        netmap, ngx_goconnect_slice(head.data, head.len), &it);
    ngx_free(head.data);

    if (rc != NGX_OK) {
        ngx_goconnect_netmap_unref(netmap);
        return NULL;
    }

    return netmap;
}


/*
 * Loading
 */

static void
ngx_goconnect_netmap_tell(ngx_goconnect_netmap_waiter_t *waiter,
                          ngx_goconnect_netmap_t *netmap, ngx_uint_t status)
{
    if (netmap) {
        netmap->refs++;
    }

    ngx_queue_remove(&waiter->queue);
    waiter->done(waiter->data, waiter->i, netmap, status);
    ngx_goconnect_session_unref(waiter->session);
    ngx_free(waiter);
}


static ngx_goconnect_netmap_waiter_t *
ngx_goconnect_netmap_first(ngx_goconnect_netmap_load_t *load)
{
    return ngx_queue_data(ngx_queue_head(&load->waiters),
                          ngx_goconnect_netmap_waiter_t, queue);
}


static void
ngx_goconnect_netmap_serve(ngx_goconnect_netmap_load_t *load,
                           ngx_goconnect_netmap_t *netmap)
{
    ngx_goconnect_netmap_waiter_t *waiter;
    ngx_queue_t *q, *next;

    for (q = ngx_queue_head(&load->waiters);
         q != ngx_queue_sentinel(&load->waiters); q = next) {
        next = ngx_queue_next(q);
        waiter = ngx_queue_data(q, ngx_goconnect_netmap_waiter_t, queue);

        /* whoever knows of a younger one waits for the next load */
        if (waiter->version <= netmap->version) {
            ngx_goconnect_netmap_tell(waiter, netmap, 200);
        }
    }
}


static void
ngx_goconnect_netmap_load_free(ngx_goconnect_netmap_load_t *load)
{
    ngx_goconnect_netmap_load_t **p;

    p = &ngx_goconnect_netmap_bucket(load->network)->loads;

    while (*p != load) {
        p = &(*p)->next;
    }

    *p = load->next;
    ngx_free(load);
}


/* on with those who still wait, or the end */
static void
ngx_goconnect_netmap_next(ngx_goconnect_netmap_load_t *load)
{
    if (!ngx_queue_empty(&load->waiters)) {
        ngx_goconnect_netmap_load(load);
        return;
    }

    ngx_goconnect_netmap_load_free(load);
}


static void
ngx_goconnect_netmap_loaded(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_netmap_load_t *load;
    ngx_goconnect_netmap_t *netmap;
    ngx_goconnect_reply_t reply;
    ngx_uint_t status;

    load = call->data;
    netmap = NULL;
    status = 503;

    if (ngx_goconnect_live_reply(call, &reply) == NGX_OK) {
        status = reply.status;

        if (status < 300) {
            netmap = ngx_goconnect_netmap_encode(load->network, reply.body);
            status = 500;
        }
    }

    ngx_goconnect_pg_call_destroy(call);

    if (netmap) {
        ngx_goconnect_netmap_cache(netmap);
        ngx_goconnect_netmap_serve(load, netmap);

        ngx_goconnect_netmap_unref(netmap);
    }

    /* perhaps only the one in whose name it was asked may not; the others
     * try in their own */
    if (!ngx_queue_empty(&load->waiters) &&
        ngx_goconnect_netmap_first(load) == load->leader) {
        ngx_goconnect_netmap_tell(load->leader, NULL, status);
    }

    ngx_goconnect_netmap_next(load);
}


static void
ngx_goconnect_netmap_load(ngx_goconnect_netmap_load_t *load)
{
    ngx_goconnect_netmap_waiter_t *waiter;
    ngx_goconnect_pg_call_t *call;

    while (!ngx_queue_empty(&load->waiters)) {
        waiter = ngx_goconnect_netmap_first(load);
        load->leader = waiter;

        if (!ngx_goconnect_session_is_open(waiter->session)) {
            ngx_goconnect_netmap_tell(waiter, NULL, 503);
            continue;
        }

        call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_NETMAP);

        if (call &&
            ngx_goconnect_request_ctx(waiter->session, call, NULL) == NGX_OK &&
            ngx_goconnect_pg_call_param(call, load->network,
                                        NGX_GOCONNECT_ID_LEN) == NGX_OK &&
            ngx_goconnect_pg_call_send(call, ngx_goconnect_netmap_loaded, load,
                                       NGX_GOCONNECT_NETMAP_TIMEOUT) ==
                NGX_OK) {
            return;
        }

        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        ngx_goconnect_netmap_tell(waiter, NULL, 503);
    }

    ngx_goconnect_netmap_load_free(load);
}


static ngx_goconnect_netmap_load_t *
ngx_goconnect_netmap_load_find(const char *network)
{
    ngx_goconnect_netmap_load_t *load;

    for (load = ngx_goconnect_netmap_bucket((u_char *) network)->loads; load;
         load = load->next) {
        if (ngx_memcmp(load->network, network, NGX_GOCONNECT_ID_LEN) == 0) {
            return load;
        }
    }

    return NULL;
}


void
ngx_goconnect_netmap_get(ngx_goconnect_session_t *s, gc_slice_t network,
                         int64_t version, ngx_goconnect_netmap_done_pt done,
                         void *data, ngx_uint_t i)
{
    ngx_goconnect_netmap_bucket_t *bucket;
    ngx_goconnect_netmap_waiter_t *waiter;
    ngx_goconnect_netmap_load_t *load;
    ngx_goconnect_netmap_t *netmap;

    netmap = ngx_goconnect_netmap_find((const u_char *) network.data);

    if (netmap && netmap->version >= version) {
        ngx_queue_remove(&netmap->queue);
        ngx_queue_insert_tail(&ngx_goconnect_netmaps.cached, &netmap->queue);
        netmap->refs++;
        done(data, i, netmap, 200);
        return;
    }

    waiter = ngx_calloc(sizeof(ngx_goconnect_netmap_waiter_t), ngx_cycle->log);
    if (waiter == NULL) {
        done(data, i, NULL, 500);
        return;
    }

    waiter->session = s;
    waiter->version = version;
    waiter->done = done;
    waiter->data = data;
    waiter->i = i;
    s->refs++;

    load = ngx_goconnect_netmap_load_find(network.data);

    if (load) {
        ngx_queue_insert_tail(&load->waiters, &waiter->queue);
        return;
    }

    load = ngx_calloc(sizeof(ngx_goconnect_netmap_load_t), ngx_cycle->log);
    if (load == NULL) {
        ngx_goconnect_session_unref(s);
        ngx_free(waiter);
        done(data, i, NULL, 500);
        return;
    }

    ngx_memcpy(load->network, network.data, NGX_GOCONNECT_ID_LEN);
    ngx_queue_init(&load->waiters);
    ngx_queue_insert_tail(&load->waiters, &waiter->queue);

    bucket = ngx_goconnect_netmap_bucket(load->network);
    load->next = bucket->loads;
    bucket->loads = load;

    ngx_goconnect_netmap_load(load);
}


ngx_int_t
ngx_goconnect_netmap_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_goconnect_netmaps.cached);

    return NGX_OK;
}
