/*
 * permessage-deflate (RFC 7692) without context takeover: every message
 * stands for itself, so a worker needs one compressor and one decompressor,
 * however many sockets it has, and what is compressed once goes to all.
 */

#include "ws/ngx_goconnect_ws_private.h"

#include <zlib.h>


#define NGX_GOCONNECT_WS_DEFLATE_LEVEL 3
#define NGX_GOCONNECT_WS_DEFLATE_MEMORY 8
#define NGX_GOCONNECT_WS_DEFLATE_TAIL 4 /* of a flush; not sent */
#define NGX_GOCONNECT_WS_INFLATE_LEAST 1024


typedef struct {
    z_stream in;
    z_stream out;
    unsigned in_ready : 1;
    unsigned out_ready : 1;
} ngx_goconnect_ws_deflate_t;


static ngx_goconnect_ws_deflate_t ngx_goconnect_ws_deflate;


static ngx_int_t
ngx_goconnect_ws_inflate_begin(void)
{
    z_stream *z;

    z = &ngx_goconnect_ws_deflate.in;

    if (ngx_goconnect_ws_deflate.in_ready) {
        return inflateReset(z) == Z_OK ? NGX_OK : NGX_ERROR;
    }

    if (inflateInit2(z, -MAX_WBITS) != Z_OK) {
        return NGX_ERROR;
    }

    ngx_goconnect_ws_deflate.in_ready = 1;

    return NGX_OK;
}


/* more room, but never more than one byte above what is allowed */
static ngx_int_t
ngx_goconnect_ws_inflate_grow(ngx_goconnect_ws_inflated_t *to, size_t max)
{
    u_char *p;
    size_t room;

    room = ngx_min(to->room * 2, max + 1);

    p = ngx_alloc(room, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, to->data, to->len);
    ngx_free(to->data);

    to->data = p;
    to->room = room;

    return NGX_OK;
}


/* all of the input that z has */
static ngx_int_t
ngx_goconnect_ws_inflate_run(z_stream *z, ngx_goconnect_ws_inflated_t *to,
                             size_t max)
{
    int rc;

    for (;;) {
        z->next_out = to->data + to->len;
        z->avail_out = (uInt) (to->room - to->len);

        rc = inflate(z, Z_SYNC_FLUSH);
        to->len = to->room - z->avail_out;

        if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END) {
            return rc == Z_MEM_ERROR ? NGX_ERROR : NGX_DECLINED;
        }

        if (to->len > max) {
            return NGX_BUSY;
        }

        if (rc == Z_STREAM_END) {
            /* a final block may be followed by others: RFC 7692, 7.2.3.4 */
            if (z->avail_in == 0) {
                return NGX_OK;
            }

            if (inflateReset(z) != Z_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (z->avail_out) {
            return NGX_OK;
        }

        if (ngx_goconnect_ws_inflate_grow(to, max) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


ngx_int_t
ngx_goconnect_ws_inflate(u_char *data, size_t len, size_t max,
                         ngx_goconnect_ws_inflated_t *to)
{
    static u_char tail[] = {0x00, 0x00, 0xff, 0xff};
    z_stream *z;
    ngx_int_t rc;

    if (ngx_goconnect_ws_inflate_begin() != NGX_OK) {
        return NGX_ERROR;
    }

    to->len = 0;
    to->room =
        ngx_min(ngx_max(len * 2, NGX_GOCONNECT_WS_INFLATE_LEAST), max + 1);
    to->data = ngx_alloc(to->room, ngx_cycle->log);
    if (to->data == NULL) {
        return NGX_ERROR;
    }

    z = &ngx_goconnect_ws_deflate.in;
    z->next_in = data;
    z->avail_in = (uInt) len;

    rc = ngx_goconnect_ws_inflate_run(z, to, max);

    if (rc == NGX_OK) {
        z->next_in = tail;
        z->avail_in = sizeof(tail);

        rc = ngx_goconnect_ws_inflate_run(z, to, max);
    }

    /* 128: where a block ends; elsewhere the message was cut short */
    if (rc == NGX_OK && !(z->data_type & 128)) {
        rc = NGX_DECLINED;
    }

    if (rc != NGX_OK) {
        ngx_free(to->data);
        to->data = NULL;
    }

    return rc;
}


static z_stream *
ngx_goconnect_ws_deflate_begin(void)
{
    z_stream *z;

    z = &ngx_goconnect_ws_deflate.out;

    if (ngx_goconnect_ws_deflate.out_ready) {
        return deflateReset(z) == Z_OK ? z : NULL;
    }

    if (deflateInit2(z, NGX_GOCONNECT_WS_DEFLATE_LEVEL, Z_DEFLATED, -MAX_WBITS,
                     NGX_GOCONNECT_WS_DEFLATE_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }

    ngx_goconnect_ws_deflate.out_ready = 1;

    return z;
}


ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_deflate(unsigned first, const u_char *data, size_t len)
{
    ngx_goconnect_ws_frame_t *frame;
    z_stream *z;
    u_char *buf, *payload;
    size_t room;

    z = ngx_goconnect_ws_deflate_begin();
    if (z == NULL) {
        return NULL;
    }

    room = deflateBound(z, (uLong) len) + 16;

    buf = ngx_alloc(room, ngx_cycle->log);
    if (buf == NULL) {
        return NULL;
    }

    z->next_in = (u_char *) data;
    z->avail_in = (uInt) len;
    z->next_out = buf;
    z->avail_out = (uInt) room;

    frame = NULL;

    if (deflate(z, Z_SYNC_FLUSH) == Z_OK && z->avail_out) {
        len = room - z->avail_out - NGX_GOCONNECT_WS_DEFLATE_TAIL;

        frame = ngx_goconnect_ws_frame_alloc(first, len, &payload);
        if (frame) {
            ngx_memcpy(payload, buf, len);
        }
    }

    ngx_free(buf);

    return frame;
}


ngx_goconnect_ws_frame_t *
ngx_goconnect_ws_frame_stored(unsigned first, const u_char *data, size_t len)
{
    ngx_goconnect_ws_frame_t *frame;
    u_char *payload;

    frame = ngx_goconnect_ws_frame_alloc(
        first | GC_WS_RSV1, NGX_GOCONNECT_WS_STORED_HEAD + len, &payload);
    if (frame == NULL) {
        return NULL;
    }

    /* not the last block, stored; length and its complement: RFC 1951, 3.2.4 */
    payload[0] = 0;
    payload[1] = (u_char) (len & 0xff);
    payload[2] = (u_char) (len >> 8 & 0xff);
    payload[3] = (u_char) ~payload[1];
    payload[4] = (u_char) ~payload[2];
    ngx_memcpy(payload + NGX_GOCONNECT_WS_STORED_HEAD, data, len);

    return frame;
}


void
ngx_goconnect_ws_deflate_exit(void)
{
    if (ngx_goconnect_ws_deflate.in_ready) {
        (void) inflateEnd(&ngx_goconnect_ws_deflate.in);
    }

    if (ngx_goconnect_ws_deflate.out_ready) {
        (void) deflateEnd(&ngx_goconnect_ws_deflate.out);
    }

    ngx_memzero(&ngx_goconnect_ws_deflate, sizeof(ngx_goconnect_ws_deflate));
}
