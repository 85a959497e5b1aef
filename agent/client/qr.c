#include "client/qr.h"

#include <qrencode.h>

#define QR_MARGIN 4 /* modules, ISO/IEC 18004, 9.1 */
#define QR_COLOURS "\033[30;107m"
#define QR_PLAIN "\033[0m"


static int
qr_dark(const QRcode *code, int x, int y)
{
    x -= QR_MARGIN;
    y -= QR_MARGIN;

    return x >= 0 && y >= 0 && x < code->width && y < code->width &&
           (code->data[y * code->width + x] & 1);
}


static void
qr_line(FILE *file, const QRcode *code, int y, int width)
{
    static const char *const blocks[] = {" ", "\u2580", "\u2584", "\u2588"};
    int x;

    fputs(QR_COLOURS, file);

    for (x = 0; x < width; x++) {
        fputs(blocks[qr_dark(code, x, y) + 2 * qr_dark(code, x, y + 1)], file);
    }

    fputs(QR_PLAIN "\n", file);
}


int
qr_print(FILE *file, const char *text, int columns)
{
    int width, y;
    QRcode *code;

    code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (code == NULL) {
        return -1;
    }

    width = code->width + 2 * QR_MARGIN;

    for (y = 0; width <= columns && y < width; y += 2) {
        qr_line(file, code, y, width);
    }

    QRcode_free(code);
    return width <= columns ? 0 : -1;
}
