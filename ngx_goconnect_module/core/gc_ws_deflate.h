/*
 * permessage-deflate (RFC 7692) as far as it is words: the header
 * Sec-WebSocket-Extensions (RFC 6455, section 9.1), and what of its offers a
 * server agrees to that compresses once for many.
 */


#ifndef GC_WS_DEFLATE_H
#define GC_WS_DEFLATE_H


#include <stddef.h>


typedef enum {
    GC_WS_DEFLATE_WRONG = -1, /* the header's grammar is broken */
    GC_WS_DEFLATE_NONE = 0,   /* nothing that we agree to */
    GC_WS_DEFLATE_PLAIN,      /* agreed */
    GC_WS_DEFLATE_WINDOW      /* likewise; server_max_window_bits was named */
} gc_ws_deflate_e;


/*
 * Reads one header, to its end: a broken one is WRONG wherever it breaks.
 * Else the first offer that can be agreed to counts.
 */
gc_ws_deflate_e gc_ws_deflate_offer(const char *value, size_t len);

/* what the server's header says; agreed is PLAIN or WINDOW */
const char *gc_ws_deflate_answer(gc_ws_deflate_e agreed);


#endif /* GC_WS_DEFLATE_H */
