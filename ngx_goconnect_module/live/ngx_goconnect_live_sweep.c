/*
 * The sweep: reads what was committed since the last one, whatever became of
 * its bell.  Its cost follows new events, not topics.  One is in flight at a
 * time; one begins every second, when the bus comes back, and at once when a
 * topic has a hole.
 */

#include "live/ngx_goconnect_live_private.h"


#define NGX_GOCONNECT_SWEEP_EVERY 1000     /* ms */
#define NGX_GOCONNECT_SWEEP_SOON 200       /* ms, until there is a beginning */
#define NGX_GOCONNECT_SWEEP_PAGES 20       /* of about 1,000 events each */
#define NGX_GOCONNECT_SWEEP_TIMEOUT 10000  /* ms */
#define NGX_GOCONNECT_SWEEP_FROM_MAX 65536 /* bytes */


typedef struct {
    ngx_event_t timer;
    ngx_uint_t started; /* sweeps so far */
    ngx_uint_t pages;   /* of the one in flight */
    ngx_msec_t began;   /* likewise */
    u_char *from;       /* what the last page gave as next */
    size_t from_len;    /* 0: from about now on */
    unsigned flying : 1;
    unsigned again : 1;
    unsigned first : 1; /* the one in flight has no beginning */
    unsigned stale : 1; /* what is in flight counts for nothing */
} ngx_goconnect_sweep_t;


static ngx_goconnect_sweep_t ngx_goconnect_sweep;


static void ngx_goconnect_sweep_page(void);


ngx_uint_t
ngx_goconnect_sweep_round(void)
{
    return ngx_goconnect_sweep.started + 1;
}


static void
ngx_goconnect_sweep_in(ngx_msec_t delay)
{
    /* ngx_add_timer() leaves a timer alone that is about to run anyway */
    if (ngx_goconnect_sweep.timer.timer_set) {
        ngx_del_timer(&ngx_goconnect_sweep.timer);
    }

    ngx_add_timer(&ngx_goconnect_sweep.timer, delay);
}


static void
ngx_goconnect_sweep_rest(void)
{
    ngx_goconnect_sweep.flying = 0;

    /* not from within a delivery, and not in a circle without a pause */
    ngx_goconnect_sweep_in(ngx_goconnect_sweep.again ? 1
                           : ngx_goconnect_sweep.from_len == 0
                               ? NGX_GOCONNECT_SWEEP_SOON
                               : NGX_GOCONNECT_SWEEP_EVERY);
    ngx_goconnect_sweep.again = 0;
}


static void
ngx_goconnect_sweep_begin(void)
{
    ngx_goconnect_sweep.flying = 1;
    ngx_goconnect_sweep.started++;
    ngx_goconnect_sweep.pages = 0;
    ngx_goconnect_sweep.first = ngx_goconnect_sweep.from_len == 0;
    ngx_goconnect_sweep.began = ngx_current_msec;

    ngx_goconnect_sweep_page();
}


void
ngx_goconnect_sweep_now(void)
{
    if (ngx_goconnect_sweep.flying) {
        ngx_goconnect_sweep.again = 1;
        return;
    }

    ngx_goconnect_sweep_in(1);
}


void
ngx_goconnect_sweep_forget(void)
{
    ngx_goconnect_sweep.from_len = 0;
    ngx_goconnect_sweep.stale = ngx_goconnect_sweep.flying;

    ngx_goconnect_sweep_now();
}


static void
ngx_goconnect_sweep_events(gc_slice_t events)
{
    ngx_goconnect_event_t event;
    gc_json_iter_t it;
    gc_slice_t frame;
    ngx_uint_t skip;

    if (gc_json_array(&it, events) != 0) {
        return;
    }

    skip = ngx_goconnect_sweep.pages > NGX_GOCONNECT_SWEEP_PAGES;

    while (gc_json_item(&it, &frame)) {
        if (ngx_goconnect_event_parse(frame, &event) != NGX_OK) {
            continue;
        }

        ngx_goconnect_event_advance(&event);

        if (ngx_goconnect_sweep.first &&
            !ngx_goconnect_topic_known(event.topic)) {
            /* nobody waits for what came before it was known */
            continue;
        }

        if (skip) {
            ngx_goconnect_topic_skip(&event);

        } else {
            ngx_goconnect_topic_event(&event);
        }
    }
}


static ngx_int_t
ngx_goconnect_sweep_advance(gc_slice_t body)
{
    gc_slice_t next;
    u_char *from;

    if (!gc_json_find_plain(body, "next", &next) || next.len == 0 ||
        next.len > NGX_GOCONNECT_SWEEP_FROM_MAX) {
        return NGX_ERROR;
    }

    from = ngx_alloc(next.len, ngx_cycle->log);
    if (from == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(from, next.data, next.len);

    if (ngx_goconnect_sweep.from) {
        ngx_free(ngx_goconnect_sweep.from);
    }

    ngx_goconnect_sweep.from = from;
    ngx_goconnect_sweep.from_len = next.len;

    return NGX_OK;
}


/* it has seen all that was committed when it began */
static void
ngx_goconnect_sweep_end(void)
{
    if (ngx_goconnect_sweep.pages > NGX_GOCONNECT_SWEEP_PAGES) {
        ngx_goconnect_topic_skipped();
    }

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_SWEEPS, 1);

    if (ngx_goconnect_sweep.first) {
        /* what came before it, perhaps nobody has seen */
        ngx_goconnect_cache_flush();
    }

    ngx_goconnect_cache_swept(ngx_goconnect_sweep.began);
    ngx_goconnect_topic_swept(ngx_goconnect_sweep.started);
    ngx_goconnect_sweep_rest();
}


/* NGX_AGAIN: there is more; NGX_ERROR: it counts for nothing */
static ngx_int_t
ngx_goconnect_sweep_take(gc_slice_t body)
{
    gc_slice_t value;

    if (ngx_goconnect_epoch_check(body) != NGX_OK ||
        ngx_goconnect_sweep.stale) {
        ngx_goconnect_sweep.stale = 0;
        return NGX_ERROR;
    }

    ngx_goconnect_sweep.pages++;

    if (gc_json_find(body, "events", &value)) {
        ngx_goconnect_sweep_events(value);
    }

    if (ngx_goconnect_sweep_advance(body) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "goconnect: the sweep says no place to go on from");
        return NGX_ERROR;
    }

    return gc_json_find(body, "more", &value) && gc_slice_is(value, "true")
               ? NGX_AGAIN
               : NGX_OK;
}


static void
ngx_goconnect_sweep_done(ngx_goconnect_pg_call_t *call)
{
    ngx_goconnect_reply_t reply;
    ngx_int_t rc;

    rc = NGX_ERROR;

    if (ngx_goconnect_live_reply(call, &reply) == NGX_OK &&
        reply.status < 300) {
        rc = ngx_goconnect_sweep_take(reply.body);

    } else {
        ngx_goconnect_live_log(call);
        ngx_goconnect_sweep.stale = 0;
        ngx_goconnect_sweep.again = 0;
    }

    ngx_goconnect_pg_call_destroy(call);

    if (rc == NGX_AGAIN) {
        ngx_goconnect_sweep_page();

    } else if (rc == NGX_OK) {
        ngx_goconnect_sweep_end();

    } else {
        ngx_goconnect_sweep_rest();
    }
}


static void
ngx_goconnect_sweep_page(void)
{
    ngx_goconnect_pg_call_t *call;
    u_char *from;

    from = ngx_goconnect_sweep.from_len ? ngx_goconnect_sweep.from : NULL;

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_SWEEP);

    if (call == NULL ||
        ngx_goconnect_pg_call_param(call, from, ngx_goconnect_sweep.from_len) !=
            NGX_OK ||
        ngx_goconnect_pg_call_send(call, ngx_goconnect_sweep_done, NULL,
                                   NGX_GOCONNECT_SWEEP_TIMEOUT) != NGX_OK) {
        if (call) {
            ngx_goconnect_pg_call_destroy(call);
        }

        ngx_goconnect_sweep.again = 0;
        ngx_goconnect_sweep_rest();
    }
}


static void
ngx_goconnect_sweep_handler(ngx_event_t *ev)
{
    if (ngx_exiting && ngx_goconnect_ws_count() == 0) {
        return;
    }

    if (!ngx_goconnect_sweep.flying) {
        ngx_goconnect_sweep_begin();
    }
}


ngx_int_t
ngx_goconnect_sweep_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_live_event_init(&ngx_goconnect_sweep.timer,
                                  ngx_goconnect_sweep_handler);
    ngx_add_timer(&ngx_goconnect_sweep.timer, 1);

    return NGX_OK;
}
