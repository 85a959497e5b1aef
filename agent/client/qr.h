#ifndef GC_CLIENT_QR_H
#define GC_CLIENT_QR_H

#include <stdio.h>

/*
 * Draws text as a QR code (ISO/IEC 18004) of half blocks: two rows of modules
 * are one line. Colours are set, so that it is dark on light whatever the
 * terminal's are. Draws nothing and returns -1 if text is too long for a code,
 * or the code wider than columns.
 */
int qr_print(FILE *file, const char *text, int columns);

#endif
