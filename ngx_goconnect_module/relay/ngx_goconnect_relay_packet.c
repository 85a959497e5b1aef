/* What is done with a packet, by the rules of core/gc_relay_rules.h. */


#include "relay/ngx_goconnect_relay_private.h"
#include "shm/ngx_goconnect_metrics.h"

#include <ngx_event.h>
#include <time.h>


#define NGX_GOCONNECT_RELAY_SEARCHES 64 /* of a worker at once */


/* An initiation whose peer is still looked for. */
typedef struct {
    gc_relay_search_t search;
    gc_relay_address_t from;
    u_char packet[GC_WG_INITIATION];
} ngx_goconnect_relay_search_t;


static ngx_uint_t ngx_goconnect_relay_counts[GC_RELAY_VERDICTS];
static ngx_uint_t ngx_goconnect_relay_bytes;

static ngx_goconnect_relay_search_t
    ngx_goconnect_relay_searches[NGX_GOCONNECT_RELAY_SEARCHES];
static ngx_uint_t ngx_goconnect_relay_nsearches;
static ngx_event_t ngx_goconnect_relay_searching;


uint64_t
ngx_goconnect_relay_now(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_BOOTTIME, &now);

    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}


void
ngx_goconnect_relay_count(void)
{
    ngx_uint_t i;

    for (i = 0; i < GC_RELAY_VERDICTS; i++) {

        if (ngx_goconnect_relay_counts[i]) {
            ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_RELAY_FORWARDED + i,
                                     ngx_goconnect_relay_counts[i]);
            ngx_goconnect_relay_counts[i] = 0;
        }
    }

    if (ngx_goconnect_relay_bytes) {
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_RELAY_BYTES,
                                 ngx_goconnect_relay_bytes);
        ngx_goconnect_relay_bytes = 0;
    }
}


static void
ngx_goconnect_relay_outs(const gc_relay_send_t *send)
{
    unsigned i;

    for (i = 0; i < send->nouts; i++) {
        ngx_goconnect_relay_say(&send->outs[i].to, send->outs[i].data,
                                send->outs[i].size);
    }
}


/* Under the lock. */
static gc_relay_verdict_e
ngx_goconnect_relay_shake(ngx_goconnect_relay_conf_t *conf, u_char *packet,
                          size_t len, gc_wg_type_e type,
                          const gc_relay_address_t *from, uint64_t now,
                          gc_relay_search_t *search)
{
    gc_relay_send_t send;
    gc_relay_verdict_e verdict;

    verdict = gc_relay_handshake(conf->table, &from->remote, packet, type, now,
                                 search, &send);

    if (verdict == GC_RELAY_FORWARDED) {
        /* what it is sent from may be gone before it leaves */
        ngx_goconnect_relay_say(&send.to, packet, len);
        ngx_goconnect_relay_bytes += len;
    }

    ngx_goconnect_relay_outs(&send);

    return verdict;
}


static void
ngx_goconnect_relay_later(ngx_goconnect_relay_conf_t *conf,
                          const u_char *packet, const gc_relay_address_t *from,
                          const gc_relay_search_t *search)
{
    ngx_goconnect_relay_search_t *later;

    if (ngx_goconnect_relay_nsearches == NGX_GOCONNECT_RELAY_SEARCHES) {
        ngx_goconnect_relay_counts[GC_RELAY_DROP_BUDGET]++;
        return;
    }

    later = &ngx_goconnect_relay_searches[ngx_goconnect_relay_nsearches++];
    later->search = *search;
    later->from = *from;
    ngx_memcpy(later->packet, packet, GC_WG_INITIATION);

    ngx_goconnect_relay_searching.data = conf;
    ngx_post_event(&ngx_goconnect_relay_searching, &ngx_posted_next_events);
}


/* One slice of each search, then whatever else the worker has to do. */
static void
ngx_goconnect_relay_search(ngx_event_t *ev)
{
    uint64_t now;
    ngx_uint_t i, n;
    gc_relay_verdict_e verdict;
    ngx_goconnect_relay_search_t *search;
    ngx_goconnect_relay_conf_t *conf = ev->data;

    n = ngx_goconnect_relay_nsearches;
    ngx_goconnect_relay_nsearches = 0;

    /* a worker that ends has no sockets any more */

    if (ngx_exiting || ngx_goconnect_relay_lock(conf) != NGX_OK) {
        ngx_goconnect_relay_counts[GC_RELAY_DROP_BUDGET] += n;
        ngx_goconnect_relay_count();
        return;
    }

    now = ngx_goconnect_relay_now();

    for (i = 0; i < n; i++) {
        search = &ngx_goconnect_relay_searches[i];
        verdict = ngx_goconnect_relay_shake(
            conf, search->packet, sizeof(search->packet), GC_WG_TYPE_INITIATION,
            &search->from, now, &search->search);

        if (verdict == GC_RELAY_SEARCHING) {
            ngx_goconnect_relay_searches[ngx_goconnect_relay_nsearches++] =
                *search;

        } else {
            ngx_goconnect_relay_counts[verdict]++;
        }
    }

    ngx_goconnect_relay_unlock(conf);
    ngx_goconnect_relay_flush();
    ngx_goconnect_relay_count();

    if (ngx_goconnect_relay_nsearches) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static gc_relay_verdict_e
ngx_goconnect_relay_handshake(ngx_goconnect_relay_conf_t *conf, u_char *packet,
                              size_t len, gc_wg_type_e type,
                              const gc_relay_address_t *from, uint64_t now)
{
    gc_relay_search_t search;
    gc_relay_verdict_e verdict;

    if (ngx_goconnect_relay_lock(conf) != NGX_OK) {
        return GC_RELAY_DROP_BUDGET;
    }

    ngx_memzero(&search, sizeof(search));
    verdict =
        ngx_goconnect_relay_shake(conf, packet, len, type, from, now, &search);
    ngx_goconnect_relay_unlock(conf);

    if (verdict == GC_RELAY_SEARCHING) {
        ngx_goconnect_relay_searching.handler = ngx_goconnect_relay_search;
        ngx_goconnect_relay_searching.log = ngx_cycle->log;
        ngx_goconnect_relay_later(conf, packet, from, &search);
    }

    return verdict;
}


static gc_relay_verdict_e
ngx_goconnect_relay_stun(ngx_goconnect_relay_conf_t *conf, const u_char *packet,
                         size_t len, const gc_relay_address_t *from,
                         uint64_t now)
{
    gc_relay_send_t send;
    gc_relay_verdict_e verdict;
    gc_relay_message_t message;

    if (gc_relay_message_read(&message, packet, len) != 0) {
        return GC_RELAY_DROP_MALFORMED;
    }

    if (message.kind == GC_RELAY_BINDING) {
        ngx_goconnect_relay_binding(conf, &message, from);
        return GC_RELAY_ANSWERED;
    }

    /* answers and indications are for peers */

    if (message.kind != GC_RELAY_REGISTER) {
        return GC_RELAY_DROP_MALFORMED;
    }

    if (ngx_goconnect_relay_lock(conf) != NGX_OK) {
        return GC_RELAY_DROP_BUDGET;
    }

    verdict = gc_relay_register(conf->table, conf->keys, conf->nkeys, &message,
                                from, now, (uint64_t) ngx_time(), &send);
    ngx_goconnect_relay_unlock(conf);
    ngx_goconnect_relay_outs(&send);

    return verdict;
}


static void
ngx_goconnect_relay_stranger(ngx_goconnect_relay_conf_t *conf,
                             const gc_relay_address_t *from, uint64_t now)
{
    gc_relay_send_t send;

    if (ngx_goconnect_relay_lock(conf) == NGX_OK) {
        gc_relay_stranger(conf->table, from, now, &send);
        ngx_goconnect_relay_unlock(conf);
        ngx_goconnect_relay_outs(&send);
    }
}


/* Anything but data. */
static gc_relay_verdict_e
ngx_goconnect_relay_other(ngx_goconnect_relay_conf_t *conf, u_char *packet,
                          size_t len, gc_wg_type_e type,
                          const gc_relay_address_t *from, uint64_t now)
{
    if (gc_stun_like(packet, len)) {
        return ngx_goconnect_relay_stun(conf, packet, len, from, now);
    }

    return type == GC_WG_NONE ? GC_RELAY_DROP_MALFORMED
                              : ngx_goconnect_relay_handshake(conf, packet, len,
                                                              type, from, now);
}


/* Neighbours in a train that go to the same peer. */
typedef struct {
    gc_relay_address_t to;
    u_char *data;
    size_t len;
} ngx_goconnect_relay_run_t;


static void
ngx_goconnect_relay_run(ngx_goconnect_relay_run_t *run, size_t segment)
{
    if (run->len) {
        ngx_goconnect_relay_send(&run->to, run->data, run->len, segment);
        ngx_goconnect_relay_bytes += run->len;
        run->len = 0;
    }
}


void
ngx_goconnect_relay_packets(ngx_goconnect_relay_conf_t *conf, u_char *data,
                            size_t len, size_t segment,
                            const gc_relay_address_t *from, uint64_t now)
{
    size_t size;
    gc_wg_type_e type;
    gc_relay_send_t send;
    gc_relay_verdict_e verdict;
    ngx_goconnect_relay_run_t run;

    run.len = 0;

    for (/* void */; len; len -= size, data += size) {
        size = segment ? ngx_min(segment, len) : len;
        type = gc_wg_packet_type(data, size);

        if (type == GC_WG_TYPE_DATA) {
            verdict =
                gc_relay_data(conf->table, &from->remote, data, now, &send);

        } else {
            ngx_goconnect_relay_run(&run, segment);
            verdict =
                ngx_goconnect_relay_other(conf, data, size, type, from, now);
        }

        ngx_goconnect_relay_counts[verdict]++;

        if (verdict == GC_RELAY_DROP_STRANGER) {
            ngx_goconnect_relay_stranger(conf, from, now);
            continue;
        }

        if (type != GC_WG_TYPE_DATA || verdict != GC_RELAY_FORWARDED) {
            continue;
        }

        if (run.len && (run.data + run.len != data ||
                        !ngx_goconnect_relay_same(&run.to, &send.to))) {
            ngx_goconnect_relay_run(&run, segment);
        }

        if (run.len == 0) {
            run.data = data;
            run.to = send.to;
        }

        run.len += size;
    }

    ngx_goconnect_relay_run(&run, segment);
}
