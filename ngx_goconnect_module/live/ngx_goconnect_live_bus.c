/*
 * The bus between workers: what is the same for all its back ends.
 */

#include "live/ngx_goconnect_live_private.h"

#include "http/ngx_goconnect_conf.h"


#define NGX_GOCONNECT_BUS_QUEUE_MAX 8388608 /* bytes that wait to be sent */
#define NGX_GOCONNECT_BUS_BACKOFF_MIN 50    /* ms */
#define NGX_GOCONNECT_BUS_BACKOFF_MAX 5000  /* ms */


typedef struct {
    const ngx_goconnect_bus_backend_t *backend;
    ngx_goconnect_bell_t *head; /* to be sent */
    ngx_goconnect_bell_t *tail;
    size_t bytes;
    ngx_msec_t backoff;
    unsigned up : 1;
    unsigned told : 1; /* it is down, and the log says why */
} ngx_goconnect_bus_t;


static ngx_goconnect_bus_t ngx_goconnect_bus;


/*
 * The queue
 */

ngx_goconnect_bell_t *
ngx_goconnect_bus_first(void)
{
    return ngx_goconnect_bus.head;
}


void
ngx_goconnect_bus_shift(void)
{
    ngx_goconnect_bus_t *bus;
    ngx_goconnect_bell_t *bell;

    bus = &ngx_goconnect_bus;
    bell = bus->head;
    bus->head = bell->next;

    if (bus->head == NULL) {
        bus->tail = NULL;
    }

    bus->bytes -= sizeof(ngx_goconnect_bell_t) + bell->len;
    ngx_free(bell);
}


void
ngx_goconnect_bus_clear(void)
{
    while (ngx_goconnect_bus.head) {
        ngx_goconnect_bus_shift();
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_LOST, 1);
    }
}


void
ngx_goconnect_bus_send(gc_slice_t text)
{
    ngx_goconnect_bus_t *bus;
    ngx_goconnect_bell_t *bell;
    size_t size;

    bus = &ngx_goconnect_bus;
    size = sizeof(ngx_goconnect_bell_t) + text.len;
    bell = NULL;

    if (text.len <= bus->backend->text_max &&
        bus->bytes + size <= NGX_GOCONNECT_BUS_QUEUE_MAX) {
        bell = ngx_alloc(size, ngx_cycle->log);
    }

    if (bell == NULL) {
        ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_LOST, 1);
        return;
    }

    bell->next = NULL;
    bell->len = text.len;
    ngx_memcpy(bell->text, text.data, text.len);
    bus->bytes += size;

    if (bus->tail) {
        bus->tail->next = bell;

    } else {
        bus->head = bell;
    }

    bus->tail = bell;

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_RUNG, 1);
    bus->backend->publish();
}


void
ngx_goconnect_bus_ring(ngx_goconnect_event_t *event)
{
    u_char buf[NGX_GOCONNECT_TOPIC_MAX + 64], *p;

    if (event->text.len <= ngx_goconnect_bus.backend->frame_max) {
        ngx_goconnect_bus_send(event->text);
        return;
    }

    if (event->seq == 0 || event->topic.len > NGX_GOCONNECT_TOPIC_MAX) {
        return;
    }

    p = ngx_snprintf(buf, sizeof(buf), "{\"topic\":\"%*s\",\"seq\":%L}",
                     event->topic.len, event->topic.data, event->seq);

    ngx_goconnect_bus_send(ngx_goconnect_slice(buf, (size_t) (p - buf)));
}


/*
 * What a back end tells
 */

void
ngx_goconnect_bus_incoming(gc_slice_t text)
{
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_HEARD, 1);
    ngx_goconnect_event_incoming(text);
}


void
ngx_goconnect_bus_lag(uint64_t lag)
{
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_BUS_LAG, lag);
}


void
ngx_goconnect_bus_up(void)
{
    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0, "goconnect: the bus is up");

    ngx_goconnect_bus.up = 1;
    ngx_goconnect_bus.told = 0;
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_BUS_UP, 1);

    /* what was sent before is not heard any more */
    ngx_goconnect_cache_flush();
    ngx_goconnect_sweep_now();
    ngx_goconnect_mesh_missed();
}


void
ngx_goconnect_bus_down(const char *what, const char *message)
{
    ngx_uint_t level;

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BUS_FAILED, 1);
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_BUS_UP, 0);

    /* one attempt fails like the other: that need not be read again */
    level = ngx_goconnect_bus.told ? NGX_LOG_INFO : NGX_LOG_NOTICE;

    ngx_log_error(level, ngx_cycle->log, 0,
                  "goconnect: the bus is down, %s: %*s", what,
                  strcspn(message, "\r\n"), message);

    if (ngx_goconnect_bus.up) {
        /* what other nodes change is not heard at once any more */
        ngx_goconnect_cache_flush();
    }

    ngx_goconnect_bus.up = 0;
    ngx_goconnect_bus.told = 1;
}


ngx_msec_t
ngx_goconnect_bus_delay(void)
{
    ngx_msec_t delay;

    delay = ngx_goconnect_bus.backoff;
    ngx_goconnect_bus.backoff =
        ngx_min(delay * 2, NGX_GOCONNECT_BUS_BACKOFF_MAX);

    /* all workers lose it together */
    return delay / 2 + (ngx_msec_t) ngx_random() % (delay / 2 + 1);
}


void
ngx_goconnect_bus_settled(void)
{
    ngx_goconnect_bus.backoff = NGX_GOCONNECT_BUS_BACKOFF_MIN;
}


ngx_int_t
ngx_goconnect_bus_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_bus.backend = ngx_goconnect_main_conf()->bus
                                    ? &ngx_goconnect_bus_redis
                                    : &ngx_goconnect_bus_notify;
    ngx_goconnect_bus_settled();

    return ngx_goconnect_bus.backend->start(cycle);
}


void
ngx_goconnect_bus_exit(void)
{
    if (ngx_goconnect_bus.backend) {
        ngx_goconnect_bus.backend->stop();
        ngx_goconnect_bus_clear();
    }
}
