/*
 * Topics of a worker: their names, and the table in which they stand.
 */

#include "live/ngx_goconnect_live_topic.h"
#include "core/gc_uuid.h"


#define NGX_GOCONNECT_TOPIC_BUCKETS 256 /* at first */


ngx_goconnect_topics_t ngx_goconnect_topics;


/* FNV-1a with a seed: names are the clients' to choose */
static uint32_t
ngx_goconnect_topic_hash(gc_slice_t name)
{
    uint32_t hash;
    size_t i;

    hash = ngx_goconnect_topics.seed;

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (u_char) name.data[i]) * 16777619;
    }

    return hash ^ (hash >> 15);
}


ngx_uint_t
ngx_goconnect_topic_valid(gc_slice_t name)
{
    static const struct {
        const char *prefix;
        size_t len;
        const char *parts[2];
    } kinds[] = {
        {"user:", 5, {NULL, NULL}},
        {"device:", 7, {NULL, NULL}},
        {"tenant:", 7, {"/staff", NULL}},
        {"network:", 8, {"/staff", "/mesh"}},
    };
    const char *rest, *part;
    size_t i, j, left;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (name.len < kinds[i].len + GC_UUID_LEN ||
            ngx_memcmp(name.data, kinds[i].prefix, kinds[i].len) != 0) {
            continue;
        }

        rest = name.data + kinds[i].len;

        if (!gc_uuid_valid(rest, GC_UUID_LEN)) {
            return 0;
        }

        left = name.len - kinds[i].len - GC_UUID_LEN;

        for (j = 0; left && j < 2; j++) {
            part = kinds[i].parts[j];

            if (part && left == ngx_strlen(part) &&
                ngx_memcmp(rest + GC_UUID_LEN, part, left) == 0) {
                left = 0;
            }
        }

        return left == 0;
    }

    return 0;
}


/* twice the buckets; without memory the chains just grow longer */
static void
ngx_goconnect_topic_rehash(void)
{
    ngx_goconnect_topic_t **buckets, *topic, *next;
    ngx_uint_t i, n;

    n = ngx_goconnect_topics.nbuckets * 2;

    buckets = ngx_calloc(n * sizeof(ngx_goconnect_topic_t *), ngx_cycle->log);
    if (buckets == NULL) {
        return;
    }

    for (i = 0; i < ngx_goconnect_topics.nbuckets; i++) {
        for (topic = ngx_goconnect_topics.buckets[i]; topic; topic = next) {
            next = topic->next;
            topic->next = buckets[topic->hash & (n - 1)];
            buckets[topic->hash & (n - 1)] = topic;
        }
    }

    ngx_free(ngx_goconnect_topics.buckets);
    ngx_goconnect_topics.buckets = buckets;
    ngx_goconnect_topics.nbuckets = n;
}


static ngx_goconnect_topic_t *
ngx_goconnect_topic_create(gc_slice_t name, uint32_t hash)
{
    ngx_goconnect_topic_t *topic, **bucket;

    topic =
        ngx_calloc(sizeof(ngx_goconnect_topic_t) + name.len, ngx_cycle->log);
    if (topic == NULL) {
        return NULL;
    }

    topic->seq = NGX_GOCONNECT_SEQ_UNKNOWN;
    topic->hash = hash;
    topic->len = (u_char) name.len;
    ngx_memcpy(topic->name, name.data, name.len);
    ngx_queue_init(&topic->subs);
    ngx_queue_init(&topic->watchers);

    if (++ngx_goconnect_topics.count > ngx_goconnect_topics.nbuckets) {
        ngx_goconnect_topic_rehash();
    }

    bucket = &ngx_goconnect_topics
                  .buckets[hash & (ngx_goconnect_topics.nbuckets - 1)];
    topic->next = *bucket;
    *bucket = topic;

    return topic;
}


ngx_goconnect_topic_t *
ngx_goconnect_topic_get(gc_slice_t name, ngx_uint_t create)
{
    ngx_goconnect_topic_t *topic;
    uint32_t hash;

    if (name.len == 0 || name.len > NGX_GOCONNECT_TOPIC_MAX) {
        return NULL;
    }

    hash = ngx_goconnect_topic_hash(name);
    topic = ngx_goconnect_topics
                .buckets[hash & (ngx_goconnect_topics.nbuckets - 1)];

    for (/* void */; topic; topic = topic->next) {
        if (topic->hash == hash && topic->len == name.len &&
            ngx_memcmp(topic->name, name.data, name.len) == 0) {
            return topic;
        }
    }

    return create ? ngx_goconnect_topic_create(name, hash) : NULL;
}


void
ngx_goconnect_topic_release(ngx_goconnect_topic_t *topic)
{
    ngx_goconnect_topic_t **p;

    if (!ngx_queue_empty(&topic->subs) || !ngx_queue_empty(&topic->watchers)) {
        return;
    }

    if (topic->fanout) {
        ngx_goconnect_fanout_free(topic->fanout);
    }

    ngx_goconnect_typing_free(topic);
    ngx_goconnect_mesh_free(topic);

    p = &ngx_goconnect_topics
             .buckets[topic->hash & (ngx_goconnect_topics.nbuckets - 1)];

    while (*p != topic) {
        p = &(*p)->next;
    }

    *p = topic->next;
    ngx_goconnect_topics.count--;
    ngx_free(topic);
}


ngx_int_t
ngx_goconnect_topic_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_topics.nbuckets = NGX_GOCONNECT_TOPIC_BUCKETS;
    ngx_goconnect_topics.buckets = ngx_calloc(
        NGX_GOCONNECT_TOPIC_BUCKETS * sizeof(ngx_goconnect_topic_t *),
        cycle->log);
    if (ngx_goconnect_topics.buckets == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_order_init();
    ngx_goconnect_fanout_init();
    ngx_goconnect_typing_init();

    return ngx_goconnect_live_random(&ngx_goconnect_topics.seed,
                                     sizeof(ngx_goconnect_topics.seed));
}
