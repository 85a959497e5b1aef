/*
 * The bus between workers, and what a back end of it is.
 *
 * A bus carries small texts from each worker to all others.  It may lose and
 * repeat: seq and the sweep make that harmless.  So nobody waits for it, and
 * a back end that is down or slow drops what it cannot send.
 *
 * The bus calls start() once in a worker, publish() when messages wait, and
 * stop() at the worker's end.  The back end takes what waits from the queue,
 * gives what comes to _incoming(), and says how it is by _up() and _down().
 */


#ifndef NGX_GOCONNECT_LIVE_BUS_H
#define NGX_GOCONNECT_LIVE_BUS_H


#include <ngx_config.h>
#include <ngx_core.h>

#include "core/gc_json_slice.h"


/* a message that waits to be sent */
typedef struct ngx_goconnect_bell_s ngx_goconnect_bell_t;

struct ngx_goconnect_bell_s {
    ngx_goconnect_bell_t *next;
    size_t len;
    u_char text[];
};


typedef struct {
    size_t text_max;  /* bytes of a message; what is longer is dropped */
    size_t frame_max; /* bytes of an event that goes whole, not as a hint */
    ngx_int_t (*start)(ngx_cycle_t *cycle);
    void (*publish)(void);
    void (*stop)(void);
} ngx_goconnect_bus_backend_t;


extern const ngx_goconnect_bus_backend_t ngx_goconnect_bus_notify;
extern const ngx_goconnect_bus_backend_t ngx_goconnect_bus_redis;


/* the queue, of bounded size: its first message or NULL; frees the first */
ngx_goconnect_bell_t *ngx_goconnect_bus_first(void);
void ngx_goconnect_bus_shift(void);

/* gives up all that waits */
void ngx_goconnect_bus_clear(void);

/* a message of another worker; text is not kept */
void ngx_goconnect_bus_incoming(gc_slice_t text);

/* from now on what others send is heard */
void ngx_goconnect_bus_up(void);

/* nothing is heard, or an attempt failed; message: the library's, or "" */
void ngx_goconnect_bus_down(const char *what, const char *message);

/* ms until the next attempt: grows, and half of it is left to chance */
ngx_msec_t ngx_goconnect_bus_delay(void);

/* the connection has proved itself: the next attempt need not wait */
void ngx_goconnect_bus_settled(void);

/* an own message came back, this many microseconds after it was sent */
void ngx_goconnect_bus_lag(uint64_t lag);


/*
 * ngx_goconnect_live_bus_seal.c: for a back end that is open to others
 */

#define NGX_GOCONNECT_BUS_SEAL_MAX 131072 /* bytes of a text */

/* place: the name that all workers of this server, and no others, send to */
ngx_int_t ngx_goconnect_bus_seal_init(ngx_cycle_t *cycle);
ngx_int_t ngx_goconnect_bus_seal_place(const char *place);
void ngx_goconnect_bus_seal_exit(void);

/* NGX_OK with *sealed, which lasts until the next call; or NGX_ERROR */
ngx_int_t ngx_goconnect_bus_seal(gc_slice_t text, gc_slice_t *sealed);

/*
 * NGX_OK with *text, which lasts until the next call; NGX_DECLINED: it is this
 * worker's own, or a stranger's, which is counted.
 */
ngx_int_t ngx_goconnect_bus_unseal(gc_slice_t sealed, gc_slice_t *text);


#endif /* NGX_GOCONNECT_LIVE_BUS_H */
