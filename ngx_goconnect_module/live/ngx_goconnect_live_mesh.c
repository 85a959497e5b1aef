/*
 * Who reaches whom, between nodes and for those who watch.
 *
 * One worker of each node tells the other nodes each second what its devices
 * have reported, and in the course of a minute all of it again.  Each worker
 * tells its watchers at most once a second what has changed.
 */

#include "live/ngx_goconnect_live_topic.h"

#include "core/gc_mesh.h"
#include "shm/ngx_goconnect_paths.h"


#define NGX_GOCONNECT_MESH_EVERY 1000 /* ms */
#define NGX_GOCONNECT_MESH_TAKE 4096  /* pairs told to the nodes in a second */
#define NGX_GOCONNECT_MESH_PART 150   /* pairs in a frame: some 32 KB */
#define NGX_GOCONNECT_MESH_JOBS 64    /* frames of a topic that wait */
#define NGX_GOCONNECT_MESH_HEAD 256   /* bytes of a frame without its pairs */
#define NGX_GOCONNECT_MESH_LINK 320   /* ... of a pair */


/* belongs to its topic */
struct ngx_goconnect_mesh_s {
    ngx_queue_t queue; /* of the worker */
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_paths_mark_t mark; /* up to which it was told */
};


typedef struct {
    ngx_queue_t queue;
    ngx_event_t timer;
} ngx_goconnect_meshes_t;


static ngx_goconnect_meshes_t ngx_goconnect_meshes;


/*
 * Other nodes
 */

static void
ngx_goconnect_mesh_say(ngx_uint_t ask)
{
    u_char buf[128], *p;

    p = ngx_snprintf(buf, sizeof(buf),
                     "{\"bus\":\"mesh\",\"node\":\"%*s\",\"ask\":%s}",
                     (size_t) NGX_GOCONNECT_PATHS_NODE,
                     ngx_goconnect_paths_node(), ask ? "true" : "false");

    ngx_goconnect_bus_send(ngx_goconnect_slice(buf, (size_t) (p - buf)));
}


static void
ngx_goconnect_mesh_tell_nodes(const gc_path_t *paths, size_t n)
{
    u_char buf[128 + GC_MESH_TEXT], *p, *links;
    size_t done, len;

    p = ngx_snprintf(
        buf, 128, "{\"bus\":\"mesh\",\"node\":\"%*s\",\"links\":\"",
        (size_t) NGX_GOCONNECT_PATHS_NODE, ngx_goconnect_paths_node());

    for (links = p; n; paths += done, n -= done) {
        done = gc_mesh_write((char *) links, &len, paths, n, ngx_time());

        if (len) {
            p = ngx_cpymem(links + len, "\"}", 2);
            ngx_goconnect_bus_send(
                ngx_goconnect_slice(buf, (size_t) (p - buf)));
        }
    }
}


static void
ngx_goconnect_mesh_nodes(void)
{
    ngx_goconnect_paths_second_t second;
    static gc_path_t paths[NGX_GOCONNECT_MESH_TAKE];

    if (ngx_goconnect_paths_second(&second, paths, NGX_GOCONNECT_MESH_TAKE) !=
        NGX_OK) {
        return;
    }

    if (second.say) {
        ngx_goconnect_mesh_say(second.ask);
    }

    ngx_goconnect_mesh_tell_nodes(paths, second.n);
}


/* whoever is on the bus may say anything: what is not well-formed is nothing */
void
ngx_goconnect_mesh_incoming(gc_slice_t text)
{
    gc_path_t paths[GC_MESH_PAIRS];
    gc_slice_t node, links, ask;
    size_t n;

    if (!gc_json_find_plain(text, "node", &node) ||
        node.len != NGX_GOCONNECT_PATHS_NODE ||
        ngx_memcmp(node.data, ngx_goconnect_paths_node(), node.len) == 0) {
        return;
    }

    if (gc_json_find(text, "ask", &ask)) {
        ngx_goconnect_paths_heard(gc_slice_is(ask, "true") != 0);

    } else if (gc_json_find_plain(text, "links", &links)) {
        n = gc_mesh_read(links.data, links.len, paths, ngx_time());

        if (n) {
            ngx_goconnect_paths_put(paths, n, 0);
        }
    }
}


void
ngx_goconnect_mesh_missed(void)
{
    ngx_goconnect_paths_ask();
}


void
ngx_goconnect_mesh_event(const ngx_goconnect_event_t *event)
{
    gc_slice_t network, remove, item, peer;
    gc_json_iter_t it;

    if (!gc_json_find_plain(event->data, "network_id", &network) ||
        !gc_uuid_valid(network.data, network.len) ||
        !gc_json_find(event->data, "remove", &remove) ||
        gc_json_array(&it, remove) != 0) {
        return;
    }

    while (gc_json_item(&it, &item)) {
        if (gc_json_plain(item, &peer) && gc_uuid_valid(peer.data, peer.len)) {
            ngx_goconnect_paths_forget(network.data, peer.data);
        }
    }
}


/*
 * Frames
 */

static u_char *
ngx_goconnect_mesh_link(u_char *p, u_char *last, const gc_path_t *path)
{
    static const char *names[] = {"none", "direct", "relayed"};
    time_t age;

    age = ngx_time() - (time_t) path->at;
    p = ngx_slprintf(p, last,
                     "{\"from_peer_id\":\"%*s\",\"to_peer_id\":\"%*s\","
                     "\"path\":\"%s\",\"round_trip_ms\":",
                     (size_t) GC_UUID_LEN, path->from, (size_t) GC_UUID_LEN,
                     path->to, names[path->path]);

    p = path->rtt ? ngx_slprintf(p, last, "%uD.%03uD", path->rtt / 1000,
                                 path->rtt % 1000)
                  : ngx_slprintf(p, last, "null");

    return ngx_slprintf(
        p, last, ",\"received_bytes\":%uL,\"sent_bytes\":%uL,\"age\":%T},",
        path->received, path->sent, ngx_max(age, 0));
}


static u_char *
ngx_goconnect_mesh_gone(u_char *p, u_char *last, const gc_path_t *path)
{
    return ngx_slprintf(
        p, last, "{\"from_peer_id\":\"%*s\",\"to_peer_id\":\"%*s\"},",
        (size_t) GC_UUID_LEN, path->from, (size_t) GC_UUID_LEN, path->to);
}


/* those that are gone, or those that are not, as a JSON array */
static u_char *
ngx_goconnect_mesh_list(u_char *p, u_char *last, const gc_path_t *paths,
                        size_t n, ngx_uint_t gone)
{
    size_t i;

    *p++ = '[';

    for (i = 0; i < n; i++) {
        if ((paths[i].path == GC_PATH_GONE) != gone) {
            continue;
        }

        p = gone ? ngx_goconnect_mesh_gone(p, last, &paths[i])
                 : ngx_goconnect_mesh_link(p, last, &paths[i]);
    }

    if (p[-1] == ',') {
        p--;
    }

    *p++ = ']';

    return p;
}


static ngx_goconnect_ws_frame_t *
ngx_goconnect_mesh_frame(ngx_goconnect_topic_t *topic, const gc_path_t *paths,
                         size_t n, ngx_uint_t full)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *buf, *p, *last;
    size_t size;

    size = NGX_GOCONNECT_MESH_HEAD + n * NGX_GOCONNECT_MESH_LINK;

    buf = ngx_alloc(size, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    last = buf + size;
    p = ngx_slprintf(
        buf, last,
        "{\"type\":\"mesh\",\"topic\":\"%*s\",\"data\":"
        "{\"network_id\":\"%*s\",\"full\":%s,\"links\":",
        (size_t) topic->len, topic->name, (size_t) NGX_GOCONNECT_ID_LEN,
        topic->name + sizeof("network:") - 1, full ? "true" : "false");
    p = ngx_goconnect_mesh_list(p, last, paths, n, 0);
    p = ngx_slprintf(p, last, ",\"gone\":");
    p = ngx_goconnect_mesh_list(p, last, paths, n, 1);
    p = ngx_cpymem(p, "}}", 2);

    frame = ngx_goconnect_ws_frame_text(buf, (size_t) (p - buf));
    ngx_free(buf);

    return frame;
}


/* tell is called with each frame; nothing that changed is no frame */
static ngx_int_t
ngx_goconnect_mesh_tell(ngx_goconnect_topic_t *topic,
                        ngx_goconnect_paths_mark_t *mark,
                        ngx_goconnect_state_tell_pt tell, void *data)
{
    ngx_goconnect_ws_frame_t *frame;
    gc_path_t *paths;
    size_t i, n, part;
    ngx_int_t rc;

    rc = ngx_goconnect_paths_changed(topic->name + sizeof("network:") - 1, mark,
                                     &paths, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    for (i = 0; rc == NGX_OK && (i < n || (i == 0 && mark->full)); i += part) {
        part = ngx_min(n - i, NGX_GOCONNECT_MESH_PART);
        frame = ngx_goconnect_mesh_frame(topic, paths + i, part,
                                         i == 0 && mark->full);
        rc = frame ? tell(data, frame) : NGX_ERROR;

        if (frame) {
            ngx_goconnect_ws_frame_unref(frame);
        }

        if (n == 0) {
            break;
        }
    }

    if (paths) {
        ngx_free(paths);
    }

    return rc;
}


/*
 * Watchers
 */

static ngx_uint_t
ngx_goconnect_mesh_topic(const ngx_goconnect_topic_t *topic)
{
    static const char part[] = "/mesh";
    size_t len;

    len = sizeof("network:") - 1 + NGX_GOCONNECT_ID_LEN;

    return topic->len == len + sizeof(part) - 1 &&
           ngx_memcmp(topic->name + len, part, sizeof(part) - 1) == 0;
}


ngx_int_t
ngx_goconnect_mesh_snapshot(ngx_goconnect_topic_t *topic,
                            ngx_goconnect_state_tell_pt tell, void *data)
{
    ngx_goconnect_paths_mark_t mark;
    ngx_goconnect_mesh_t *mesh;
    ngx_int_t rc;

    if (!ngx_goconnect_mesh_topic(topic)) {
        return NGX_OK;
    }

    ngx_memzero(&mark, sizeof(mark));
    rc = ngx_goconnect_mesh_tell(topic, &mark, tell, data);

    if (rc != NGX_OK || topic->mesh) {
        return rc;
    }

    mesh = ngx_calloc(sizeof(ngx_goconnect_mesh_t), ngx_cycle->log);
    if (mesh == NULL) {
        return NGX_ERROR;
    }

    mesh->topic = topic;
    mesh->mark = mark;
    topic->mesh = mesh;
    ngx_queue_insert_tail(&ngx_goconnect_meshes.queue, &mesh->queue);

    return NGX_OK;
}


void
ngx_goconnect_mesh_free(ngx_goconnect_topic_t *topic)
{
    if (topic->mesh) {
        ngx_queue_remove(&topic->mesh->queue);
        ngx_free(topic->mesh);
        topic->mesh = NULL;
    }
}


static ngx_int_t
ngx_goconnect_mesh_fanout(void *data, ngx_goconnect_ws_frame_t *frame)
{
    ngx_goconnect_fanout_add(data, frame, 0);
    return NGX_OK;
}


/* a topic whose frames are not out yet waits: then it is told of all at once */
static void
ngx_goconnect_mesh_watchers(void)
{
    ngx_goconnect_topic_t *topic;
    ngx_goconnect_mesh_t *mesh;
    ngx_queue_t *q;

    for (q = ngx_queue_head(&ngx_goconnect_meshes.queue);
         q != ngx_queue_sentinel(&ngx_goconnect_meshes.queue);
         q = ngx_queue_next(q)) {
        mesh = ngx_queue_data(q, ngx_goconnect_mesh_t, queue);
        topic = mesh->topic;

        if (topic->fanout == NULL ||
            topic->fanout->njobs < NGX_GOCONNECT_MESH_JOBS) {
            (void) ngx_goconnect_mesh_tell(topic, &mesh->mark,
                                           ngx_goconnect_mesh_fanout, topic);
        }
    }
}


static void
ngx_goconnect_mesh_handler(ngx_event_t *ev)
{
    ngx_goconnect_mesh_nodes();
    ngx_goconnect_mesh_watchers();
    ngx_add_timer(ev, NGX_GOCONNECT_MESH_EVERY);
}


ngx_int_t
ngx_goconnect_mesh_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_goconnect_meshes.queue);
    ngx_goconnect_live_event_init(&ngx_goconnect_meshes.timer,
                                  ngx_goconnect_mesh_handler);
    ngx_add_timer(&ngx_goconnect_meshes.timer, NGX_GOCONNECT_MESH_EVERY);

    return NGX_OK;
}
