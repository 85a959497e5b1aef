/*
 * RFC 6455 frames without I/O: bytes in, events out, resumable at any byte.
 *
 * The parser keeps no payload.  Payload is unmasked where it lies and handed
 * on in the pieces in which it arrived; whoever wants a whole message joins
 * them.  Text is checked for UTF-8 over pieces and fragments as it comes.
 */


#ifndef GC_WS_FRAME_H
#define GC_WS_FRAME_H


#include <stddef.h>
#include <stdint.h>


/* RFC 6455, section 5.2 */
#define GC_WS_OP_CONTINUATION 0x0
#define GC_WS_OP_TEXT 0x1
#define GC_WS_OP_BINARY 0x2
#define GC_WS_OP_CLOSE 0x8
#define GC_WS_OP_PING 0x9
#define GC_WS_OP_PONG 0xa

#define GC_WS_FIN 0x80
#define GC_WS_RSV1 0x40 /* RFC 7692, section 6: a compressed message begins */

/* RFC 6455, section 5.5 */
#define GC_WS_CONTROL_MAX 125

/* RFC 6455, section 5.2: two bytes, a 64-bit length, a mask */
#define GC_WS_HEADER_MAX 14

/* RFC 6455, section 7.4.1; 0 stands for a close frame without a code */
#define GC_WS_CLOSE_NORMAL 1000
#define GC_WS_CLOSE_GOING_AWAY 1001
#define GC_WS_CLOSE_PROTOCOL 1002
#define GC_WS_CLOSE_UNSUPPORTED 1003
#define GC_WS_CLOSE_NO_STATUS 1005
#define GC_WS_CLOSE_INVALID 1007
#define GC_WS_CLOSE_POLICY 1008
#define GC_WS_CLOSE_TOO_BIG 1009
#define GC_WS_CLOSE_INTERNAL 1011
#define GC_WS_CLOSE_RESTART 1012

/* what a parser expects; or-ed */
#define GC_WS_SERVER 0x1    /* frames must be masked, else must not be */
#define GC_WS_TEXT_ONLY 0x2 /* binary messages are refused with 1003 */
#define GC_WS_DEFLATE 0x4   /* messages may be compressed */


typedef enum {
    GC_WS_MORE = 0, /* all bytes are taken */
    GC_WS_DATA,     /* a piece of a text or binary message */
    GC_WS_PING,     /* a piece of a ping's payload */
    GC_WS_PONG,     /* a piece of a pong's payload */
    GC_WS_CLOSE,    /* a whole close frame; nothing that follows is read */
    GC_WS_FAIL      /* to be answered by a close frame with `code` */
} gc_ws_event_e;


typedef struct {
    gc_ws_event_e type;
    uint8_t opcode;  /* DATA: TEXT or BINARY */
    uint8_t first;   /* DATA, PING, PONG: the first piece of it */
    uint8_t last;    /* the last piece: the message or frame is whole */
    uint8_t packed;  /* DATA: compressed; text is not checked for UTF-8 yet */
    uint16_t code;   /* CLOSE: the peer's, or 0; FAIL: what to answer */
    uint8_t *data;   /* DATA, PING, PONG: unmasked, inside the input */
    size_t len;      /* may be 0 */
    const char *why; /* FAIL: for a log */
} gc_ws_event_t;


/* where a decoder stands inside a character */
typedef struct {
    uint8_t need; /* bytes to come */
    uint8_t low;  /* bounds of the next one */
    uint8_t high;
} gc_ws_utf8_t;


typedef struct {
    uint64_t left;   /* payload bytes of this frame to come */
    uint32_t size;   /* payload bytes of this message so far */
    uint32_t limit;  /* of a message */
    uint16_t code;   /* of a close frame */
    uint8_t flags;   /* GC_WS_SERVER ... */
    uint8_t state;   /* private */
    uint8_t opcode;  /* of this frame */
    uint8_t message; /* opcode of the message that is under way, or 0 */
    uint8_t fin;     /* of this frame */
    uint8_t began;   /* a piece of this message was handed on */
    uint8_t packed;  /* this message is compressed */
    uint8_t got;     /* bytes of the header, then of a control payload */
    uint8_t turn;    /* index into mask */
    uint8_t mask[4];
    uint8_t header[10];
    gc_ws_utf8_t text;   /* of the message */
    gc_ws_utf8_t reason; /* of a close frame */
} gc_ws_parser_t;


/* limit: the largest message in bytes */
void gc_ws_parser_init(gc_ws_parser_t *parser, unsigned flags, uint32_t limit);

/*
 * Reads from *pos to end, stores the next event and moves *pos behind what
 * was read.  Call it until it returns GC_WS_MORE.  After CLOSE and FAIL it
 * returns the same again and takes no bytes.
 */
gc_ws_event_e gc_ws_parse(gc_ws_parser_t *parser, uint8_t **pos, uint8_t *end,
                          gc_ws_event_t *event);

/*
 * Writes a frame's header for len bytes of payload; `first` is the opcode,
 * or-ed with GC_WS_FIN.  mask: four bytes, or NULL for a server's frame.
 * Returns its size, at most GC_WS_HEADER_MAX.
 */
size_t gc_ws_header(uint8_t *out, unsigned first, uint64_t len,
                    const uint8_t *mask);

/* size of that header */
size_t gc_ws_header_size(uint64_t len, int masked);

/* whether it is UTF-8 from beginning to end */
int gc_ws_text_valid(const uint8_t *text, size_t len);

/* masks or unmasks; `turn` is the offset of data[0] in the payload */
void gc_ws_mask(uint8_t *data, size_t len, const uint8_t *mask, size_t turn);

/*
 * Payload of a close frame: code, and as much of `reason` (UTF-8, may be
 * NULL) as fits, cut between characters.  out has GC_WS_CONTROL_MAX bytes;
 * returns how many are used: none for code 0.
 */
size_t gc_ws_close_payload(uint8_t *out, unsigned code, const char *reason);

/* whether a close code may stand on the wire: RFC 6455, section 7.4 */
int gc_ws_close_code_valid(unsigned code);


#endif /* GC_WS_FRAME_H */
