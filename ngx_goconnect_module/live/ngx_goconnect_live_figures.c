/*
 * What /metrics tells of a worker and of the whole server, kept where every
 * worker that is asked can read it. A worker tells its own each second. The
 * community's figures are read by one worker from the database's statistics,
 * which counts nothing there, and by none while the database is away.
 */

#include "live/ngx_goconnect_live_private.h"

#include <sys/resource.h>

#include "live/ngx_goconnect_live_topic.h"


#define NGX_GOCONNECT_FIGURES_EVERY 1000 /* ms */
#define NGX_GOCONNECT_FIGURES_READ 15    /* times as rare */
#define NGX_GOCONNECT_FIGURES_TIMEOUT 5000


typedef struct {
    ngx_event_t timer;
    ngx_uint_t turn;
    ngx_goconnect_ws_stats_t told;
    ngx_uint_t devices;
    unsigned flying : 1;
} ngx_goconnect_figures_t;


static ngx_goconnect_figures_t ngx_goconnect_figures;


static void
ngx_goconnect_figures_read_done(ngx_goconnect_pg_call_t *call)
{
    static const struct {
        const char *name;
        ngx_goconnect_metric_e metric;
    } figures[] = {
        {"users", NGX_GOCONNECT_METRIC_USERS},
        {"tenants", NGX_GOCONNECT_METRIC_TENANTS},
        {"networks", NGX_GOCONNECT_METRIC_NETWORKS},
        {"devices", NGX_GOCONNECT_METRIC_DEVICES},
        {"peers", NGX_GOCONNECT_METRIC_PEERS},
        {"messages", NGX_GOCONNECT_METRIC_MESSAGES},
        {"online", NGX_GOCONNECT_METRIC_ONLINE},
        {"users_online", NGX_GOCONNECT_METRIC_USERS_ONLINE},
    };
    ngx_goconnect_reply_t reply;
    int64_t n;
    size_t i;

    ngx_goconnect_figures.flying = 0;

    if (ngx_goconnect_live_reply(call, &reply) == NGX_OK) {
        for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
            if (gc_json_find_integer(reply.body, figures[i].name, &n)) {
                ngx_goconnect_metric_set(figures[i].metric, (uint64_t) n);
            }
        }

        ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_FIGURES_AT,
                                 (uint64_t) ngx_time());
    }

    ngx_goconnect_live_log(call);
    ngx_goconnect_pg_call_destroy(call);
}


static void
ngx_goconnect_figures_read(void)
{
    ngx_goconnect_pg_call_t *call;

    call = ngx_goconnect_live_call(NGX_GOCONNECT_LIVE_FIGURES);
    if (call == NULL) {
        return;
    }

    if (ngx_goconnect_pg_call_send(call, ngx_goconnect_figures_read_done, NULL,
                                   NGX_GOCONNECT_FIGURES_TIMEOUT) != NGX_OK) {
        ngx_goconnect_pg_call_destroy(call);
        return;
    }

    ngx_goconnect_figures.flying = 1;
}


static uint64_t
ngx_goconnect_figures_time(const struct timeval *tv)
{
    return (uint64_t) tv->tv_sec * 1000000 + (uint64_t) tv->tv_usec;
}


/* proc_pid_statm(5): the second number is of resident pages */
static uint64_t
ngx_goconnect_figures_resident(void)
{
    u_char buf[128], *p, *last;
    ssize_t n;
    int fd;

    fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, buf, sizeof(buf));
    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    p = ngx_strlchr(buf, buf + n, ' ');
    last = p ? ngx_strlchr(p + 1, buf + n, ' ') : NULL;

    if (last == NULL) {
        return 0;
    }

    n = ngx_atosz(p + 1, (size_t) (last - p - 1));

    return n > 0 ? (uint64_t) n * ngx_pagesize : 0;
}


static void
ngx_goconnect_figures_process(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_CPU_USER,
                                 ngx_goconnect_figures_time(&usage.ru_utime));
        ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_CPU_SYSTEM,
                                 ngx_goconnect_figures_time(&usage.ru_stime));
    }

    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_RESIDENT,
                             ngx_goconnect_figures_resident());
}


static void
ngx_goconnect_figures_sockets(void)
{
    ngx_goconnect_ws_stats_t now, *told;

    now = ngx_goconnect_ws_stats;
    told = &ngx_goconnect_figures.told;

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_WS_OPENED,
                             now.opened - told->opened);
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_WS_CLOSED,
                             now.closed - told->closed);
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_WS_RECEIVED,
                             now.received - told->received);
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_WS_SENT,
                             now.sent - told->sent);
    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_LIMIT_SLOW,
                             now.slow - told->slow);
    *told = now;

    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_WS_OPEN,
                             ngx_goconnect_ws_count());
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_TOPICS,
                             ngx_goconnect_topics.count);
}


void
ngx_goconnect_figures_device(ngx_int_t change)
{
    ngx_goconnect_figures.devices += (ngx_uint_t) change;
    ngx_goconnect_metric_set(NGX_GOCONNECT_METRIC_WS_DEVICES,
                             ngx_goconnect_figures.devices);
}


static void
ngx_goconnect_figures_handler(ngx_event_t *ev)
{
    ngx_goconnect_figures_process();
    ngx_goconnect_figures_sockets();

    if (ngx_worker == 0 && !ngx_goconnect_figures.flying && !ngx_exiting &&
        ngx_goconnect_figures.turn++ % NGX_GOCONNECT_FIGURES_READ == 0) {
        ngx_goconnect_figures_read();
    }

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_GOCONNECT_FIGURES_EVERY);
    }
}


ngx_int_t
ngx_goconnect_figures_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_live_event_init(&ngx_goconnect_figures.timer,
                                  ngx_goconnect_figures_handler);
    ngx_add_timer(&ngx_goconnect_figures.timer, 1);

    return NGX_OK;
}
