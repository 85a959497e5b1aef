#include "http/ngx_goconnect_http_qr.h"

#include <qrencode.h>

#include "http/ngx_goconnect_auth.h"


#define NGX_GOCONNECT_QR_MARGIN 4 /* modules, ISO/IEC 18004, section 6.3.8 */


/* One run of dark modules in a row. */
static void
ngx_goconnect_qr_run(ngx_goconnect_text_t *svg, int x, int y, int width)
{
    ngx_goconnect_text_add(svg, "M", NULL);
    ngx_goconnect_text_number(svg, x + NGX_GOCONNECT_QR_MARGIN);
    ngx_goconnect_text_add(svg, " ", NULL);
    ngx_goconnect_text_number(svg, y + NGX_GOCONNECT_QR_MARGIN);
    ngx_goconnect_text_add(svg, "h", NULL);
    ngx_goconnect_text_number(svg, width);
    ngx_goconnect_text_add(svg, "v1h-", NULL);
    ngx_goconnect_text_number(svg, width);
    ngx_goconnect_text_add(svg, "z", NULL);
}


static void
ngx_goconnect_qr_row(ngx_goconnect_text_t *svg, const QRcode *code, int y)
{
    const unsigned char *row;
    int x, begin;

    row = code->data + (ptrdiff_t) y * code->width;

    for (x = 0; x < code->width; x++) {

        if (!(row[x] & 1)) {
            continue;
        }

        begin = x;

        while (x < code->width && (row[x] & 1)) {
            x++;
        }

        ngx_goconnect_qr_run(svg, begin, y, x - begin);
    }
}


static void
ngx_goconnect_qr_draw(ngx_goconnect_text_t *svg, const QRcode *code)
{
    int y, size;

    size = code->width + 2 * NGX_GOCONNECT_QR_MARGIN;

    ngx_goconnect_text_add(svg,
                           "<svg xmlns=\"http://www.w3.org/2000/svg\" "
                           "viewBox=\"0 0 ",
                           NULL);
    ngx_goconnect_text_number(svg, size);
    ngx_goconnect_text_add(svg, " ", NULL);
    ngx_goconnect_text_number(svg, size);
    ngx_goconnect_text_add(svg,
                           "\" shape-rendering=\"crispEdges\">"
                           "<rect width=\"100%\" height=\"100%\" "
                           "fill=\"#fff\"/><path d=\"",
                           NULL);

    for (y = 0; y < code->width; y++) {
        ngx_goconnect_qr_row(svg, code, y);
    }

    ngx_goconnect_text_add(svg, "\"/></svg>\n", NULL);
}


ngx_int_t
ngx_goconnect_qr_svg(ngx_goconnect_text_t *svg, const u_char *data, size_t len)
{
    static const QRecLevel levels[] = {QR_ECLEVEL_M, QR_ECLEVEL_L};
    QRcode *code;
    size_t i;

    if (len > NGX_GOCONNECT_QR_MAX) {
        return NGX_DECLINED;
    }

    code = NULL;

    /* the better of the two that has room */
    for (i = 0; code == NULL && i < sizeof(levels) / sizeof(levels[0]); i++) {
        code = QRcode_encodeData((int) len, data, 0, levels[i]);
    }

    if (code == NULL) {
        return NGX_ERROR;
    }

    ngx_goconnect_qr_draw(svg, code);
    ngx_goconnect_secret_wipe(code->data,
                              (size_t) code->width * (size_t) code->width);
    QRcode_free(code);

    return svg->failed ? NGX_ERROR : NGX_OK;
}
