/*
 * What goes over a bus that is open to others: texts under the key ring.
 */

#include "live/ngx_goconnect_live_private.h"

#include "core/gc_envelope.h"
#include "http/ngx_goconnect_conf.h"


#define NGX_GOCONNECT_BUS_SEAL_PREFIX 8       /* of a nonce: the worker's */
#define NGX_GOCONNECT_BUS_SEAL_COMPLAIN 60000 /* ms */


typedef struct {
    gc_envelope_t *envelope;
    u_char *out; /* one message, sealed */
    u_char *in;  /* and one, opened; it may be answered meanwhile */
    u_char prefix[NGX_GOCONNECT_BUS_SEAL_PREFIX];
    uint32_t sealed; /* messages under this prefix */
    ngx_msec_t complained;
    unsigned warned : 1;
} ngx_goconnect_bus_seal_t;


static ngx_goconnect_bus_seal_t ngx_goconnect_bus_sealer;


/* never twice: a random prefix, then a number */
static ngx_int_t
ngx_goconnect_bus_seal_nonce(u_char *nonce)
{
    ngx_goconnect_bus_seal_t *seal;

    seal = &ngx_goconnect_bus_sealer;

    if (seal->sealed == 0 &&
        ngx_goconnect_live_random(seal->prefix, sizeof(seal->prefix)) !=
            NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(nonce, seal->prefix, sizeof(seal->prefix));
    ngx_memcpy(nonce + sizeof(seal->prefix), &seal->sealed,
               sizeof(seal->sealed));
    seal->sealed++;

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_bus_seal(gc_slice_t text, gc_slice_t *sealed)
{
    ngx_goconnect_bus_seal_t *seal;
    u_char nonce[GC_ENVELOPE_NONCE];
    size_t len;

    seal = &ngx_goconnect_bus_sealer;

    if (text.len > NGX_GOCONNECT_BUS_SEAL_MAX ||
        ngx_goconnect_bus_seal_nonce(nonce) != NGX_OK) {
        return NGX_ERROR;
    }

    len = gc_envelope_close(seal->envelope, nonce, text.data, text.len,
                            seal->out);
    *sealed = ngx_goconnect_slice(seal->out, len);

    return len ? NGX_OK : NGX_ERROR;
}


static void
ngx_goconnect_bus_seal_refuse(void)
{
    ngx_goconnect_bus_seal_t *seal;

    seal = &ngx_goconnect_bus_sealer;

    ngx_goconnect_metric_add(NGX_GOCONNECT_METRIC_BELLS_REFUSED, 1);

    if (seal->warned &&
        ngx_current_msec - seal->complained < NGX_GOCONNECT_BUS_SEAL_COMPLAIN) {
        return;
    }

    seal->warned = 1;
    seal->complained = ngx_current_msec;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "goconnect: the bus carries messages that are not sealed "
                  "under a jwt key of this node's key ring");
}


ngx_int_t
ngx_goconnect_bus_unseal(gc_slice_t sealed, gc_slice_t *text)
{
    ngx_goconnect_bus_seal_t *seal;
    const u_char *nonce;
    size_t len;

    seal = &ngx_goconnect_bus_sealer;
    nonce = gc_envelope_nonce(sealed.data, sealed.len);

    /* one's own comes back too; who forges it is not heard either */
    if (nonce && seal->sealed &&
        ngx_memcmp(nonce, seal->prefix, sizeof(seal->prefix)) == 0) {
        return NGX_DECLINED;
    }

    if (gc_envelope_open(seal->envelope, sealed.data, sealed.len, seal->in,
                         NGX_GOCONNECT_BUS_SEAL_MAX, &len) != 0) {
        ngx_goconnect_bus_seal_refuse();
        return NGX_DECLINED;
    }

    *text = ngx_goconnect_slice(seal->in, len);

    return NGX_OK;
}


ngx_int_t
ngx_goconnect_bus_seal_place(const char *place)
{
    ngx_goconnect_bus_seal_t *seal;

    seal = &ngx_goconnect_bus_sealer;

    gc_envelope_free(seal->envelope);
    seal->envelope = gc_envelope_create(ngx_goconnect_main_conf()->keys, place);

    return seal->envelope ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_goconnect_bus_seal_init(ngx_cycle_t *cycle)
{
    ngx_goconnect_bus_seal_t *seal;

    seal = &ngx_goconnect_bus_sealer;
    seal->out = ngx_palloc(cycle->pool,
                           NGX_GOCONNECT_BUS_SEAL_MAX + GC_ENVELOPE_OVERHEAD);
    seal->in = ngx_palloc(cycle->pool, NGX_GOCONNECT_BUS_SEAL_MAX);

    return seal->out && seal->in ? NGX_OK : NGX_ERROR;
}


void
ngx_goconnect_bus_seal_exit(void)
{
    gc_envelope_free(ngx_goconnect_bus_sealer.envelope);
    ngx_goconnect_bus_sealer.envelope = NULL;
}
