/* QR codes as SVG (ISO/IEC 18004). */


#ifndef NGX_GOCONNECT_HTTP_QR_H
#define NGX_GOCONNECT_HTTP_QR_H


#include "http/ngx_goconnect_http_text.h"


#define NGX_GOCONNECT_QR_MAX 2953 /* bytes: version 40, level L */


/*
 * Appends an SVG document whose dark squares spell the len bytes of data.
 * NGX_OK; NGX_DECLINED: more than a QR code holds; NGX_ERROR: no memory.
 */
ngx_int_t ngx_goconnect_qr_svg(ngx_goconnect_text_t *svg, const u_char *data,
                               size_t len);


#endif /* NGX_GOCONNECT_HTTP_QR_H */
