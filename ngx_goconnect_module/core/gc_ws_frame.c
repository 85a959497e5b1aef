#include "core/gc_ws_frame.h"

#include <string.h>


enum {
    GC_WS_STATE_HEADER = 0, /* the first two bytes */
    GC_WS_STATE_LENGTH,     /* 16 or 64 bits of length */
    GC_WS_STATE_MASK,
    GC_WS_STATE_PAYLOAD,
    GC_WS_STATE_CLOSED,
    GC_WS_STATE_FAILED
};


/* RFC 3629, section 4; -1: not UTF-8 */
static int
gc_ws_utf8_first(gc_ws_utf8_t *utf8, uint8_t byte)
{
    utf8->low = 0x80;
    utf8->high = 0xbf;

    if (byte < 0x80) {
        return 0;
    }

    if (byte < 0xc2 || byte > 0xf4) {
        return -1;
    }

    utf8->need = (uint8_t) (byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3);

    switch (byte) {
    case 0xe0: /* overlong */
        utf8->low = 0xa0;
        break;
    case 0xed: /* surrogates */
        utf8->high = 0x9f;
        break;
    case 0xf0: /* overlong */
        utf8->low = 0x90;
        break;
    case 0xf4: /* above U+10FFFF */
        utf8->high = 0x8f;
        break;
    }

    return 0;
}


static int
gc_ws_utf8_feed(gc_ws_utf8_t *utf8, const uint8_t *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (utf8->need == 0) {
            if (gc_ws_utf8_first(utf8, p[i]) != 0) {
                return -1;
            }
            continue;
        }

        if (p[i] < utf8->low || p[i] > utf8->high) {
            return -1;
        }

        utf8->low = 0x80;
        utf8->high = 0xbf;
        utf8->need--;
    }

    return 0;
}


int
gc_ws_text_valid(const uint8_t *text, size_t len)
{
    gc_ws_utf8_t utf8;

    memset(&utf8, 0, sizeof(utf8));

    return gc_ws_utf8_feed(&utf8, text, len) == 0 && utf8.need == 0;
}


void
gc_ws_parser_init(gc_ws_parser_t *parser, unsigned flags, uint32_t limit)
{
    memset(parser, 0, sizeof(*parser));

    parser->flags = (uint8_t) flags;
    parser->limit = limit;
}


static int
gc_ws_is_control(const gc_ws_parser_t *parser)
{
    return (parser->opcode & 0x8) != 0;
}


static unsigned
gc_ws_check_opcode(gc_ws_parser_t *parser, const char **why)
{
    switch (parser->opcode) {
    case GC_WS_OP_CLOSE:
    case GC_WS_OP_PING:
    case GC_WS_OP_PONG:
        *why = "fragmented control frame";
        return parser->fin ? 0 : GC_WS_CLOSE_PROTOCOL;

    case GC_WS_OP_CONTINUATION:
        *why = "continuation of nothing";
        return parser->message ? 0 : GC_WS_CLOSE_PROTOCOL;

    case GC_WS_OP_BINARY:
        if (parser->flags & GC_WS_TEXT_ONLY) {
            *why = "binary message";
            return GC_WS_CLOSE_UNSUPPORTED;
        }
        /* fall through */

    case GC_WS_OP_TEXT:
        *why = "new message inside a fragmented one";
        return parser->message ? GC_WS_CLOSE_PROTOCOL : 0;
    }

    *why = "reserved opcode";
    return GC_WS_CLOSE_PROTOCOL;
}


/* RSV1 may stand on the first frame of a message, if that was agreed on */
static int
gc_ws_check_reserved(const gc_ws_parser_t *parser)
{
    unsigned reserved, opcode;

    reserved = parser->header[0] & 0x70;
    opcode = parser->header[0] & 0xf;

    if (reserved == 0) {
        return 0;
    }

    return reserved == GC_WS_RSV1 && (parser->flags & GC_WS_DEFLATE) &&
                   (opcode == GC_WS_OP_TEXT || opcode == GC_WS_OP_BINARY)
               ? 0
               : -1;
}


/* RFC 6455, section 5.2 */
static unsigned
gc_ws_check_header(gc_ws_parser_t *parser, const char **why)
{
    int masked;

    if (gc_ws_check_reserved(parser) != 0) {
        *why = "reserved bit set";
        return GC_WS_CLOSE_PROTOCOL;
    }

    masked = (parser->header[1] & 0x80) != 0;

    if (masked != ((parser->flags & GC_WS_SERVER) != 0)) {
        *why = masked ? "masked frame from a server"
                      : "unmasked frame from a client";
        return GC_WS_CLOSE_PROTOCOL;
    }

    parser->fin = (parser->header[0] & GC_WS_FIN) != 0;
    parser->opcode = parser->header[0] & 0xf;
    parser->left = parser->header[1] & 0x7f;

    if (gc_ws_is_control(parser) && parser->left > GC_WS_CONTROL_MAX) {
        *why = "control frame above 125 bytes";
        return GC_WS_CLOSE_PROTOCOL;
    }

    return gc_ws_check_opcode(parser, why);
}


/* the length is known and smallest possible: RFC 6455, section 5.2 */
static unsigned
gc_ws_check_length(gc_ws_parser_t *parser, const char **why)
{
    size_t i, bytes;

    bytes = parser->left == 126 ? 2 : parser->left == 127 ? 8 : 0;

    if (bytes) {
        parser->left = 0;

        for (i = 0; i < bytes; i++) {
            parser->left = parser->left << 8 | parser->header[2 + i];
        }

        if (parser->left >> 63 || parser->left < (bytes == 2 ? 126 : 65536)) {
            *why = "length not in its shortest form";
            return GC_WS_CLOSE_PROTOCOL;
        }
    }

    if (gc_ws_is_control(parser)) {
        return 0;
    }

    /* before any memory is taken for it */
    if (parser->left > parser->limit - parser->size) {
        *why = "message above the limit";
        return GC_WS_CLOSE_TOO_BIG;
    }

    parser->size += (uint32_t) parser->left;

    return 0;
}


static void
gc_ws_begin_payload(gc_ws_parser_t *parser)
{
    parser->state = GC_WS_STATE_PAYLOAD;
    parser->turn = 0;
    parser->got = 0;

    if (parser->opcode == GC_WS_OP_CLOSE) {
        memset(&parser->reason, 0, sizeof(parser->reason));
        parser->code = 0;
        return;
    }

    if (parser->opcode == GC_WS_OP_TEXT || parser->opcode == GC_WS_OP_BINARY) {
        memset(&parser->text, 0, sizeof(parser->text));
        parser->message = parser->opcode;
        parser->began = 0;
        parser->packed = (parser->header[0] & GC_WS_RSV1) != 0;
    }
}


static gc_ws_event_e
gc_ws_fail(gc_ws_parser_t *parser, gc_ws_event_t *event, unsigned code,
           const char *why)
{
    parser->state = GC_WS_STATE_FAILED;
    parser->code = (uint16_t) code;

    event->type = GC_WS_FAIL;
    event->code = (uint16_t) code;
    event->why = why;

    return GC_WS_FAIL;
}


int
gc_ws_close_code_valid(unsigned code)
{
    if (code >= 3000) {
        return code <= 4999;
    }

    return code >= 1000 && code <= 1014 && code != 1004 &&
           code != GC_WS_CLOSE_NO_STATUS && code != 1006;
}


static gc_ws_event_e
gc_ws_close(gc_ws_parser_t *parser, gc_ws_event_t *event, const uint8_t *p,
            size_t len)
{
    size_t i;

    for (i = 0; i < len && parser->got < 2; i++) {
        parser->code = (uint16_t) (parser->code << 8 | p[i]);
        parser->got++;
    }

    if (gc_ws_utf8_feed(&parser->reason, p + i, len - i) != 0) {
        return gc_ws_fail(parser, event, GC_WS_CLOSE_INVALID,
                          "close reason is not UTF-8");
    }

    if (parser->left != 0) {
        return GC_WS_MORE;
    }

    if (parser->got == 1 ||
        (parser->got == 2 && !gc_ws_close_code_valid(parser->code))) {
        return gc_ws_fail(parser, event, GC_WS_CLOSE_PROTOCOL,
                          "invalid close code");
    }

    if (parser->reason.need != 0) {
        return gc_ws_fail(parser, event, GC_WS_CLOSE_INVALID,
                          "close reason is not UTF-8");
    }

    parser->state = GC_WS_STATE_CLOSED;

    event->type = GC_WS_CLOSE;
    event->code = parser->code;
    event->first = 1;
    event->last = 1;

    return GC_WS_CLOSE;
}


static gc_ws_event_e
gc_ws_control(gc_ws_parser_t *parser, gc_ws_event_t *event)
{
    event->type = parser->opcode == GC_WS_OP_PING ? GC_WS_PING : GC_WS_PONG;
    event->opcode = parser->opcode;
    event->first = parser->got == 0;
    event->last = parser->left == 0;

    parser->got = 1;

    return event->type;
}


static gc_ws_event_e
gc_ws_data(gc_ws_parser_t *parser, gc_ws_event_t *event)
{
    event->type = GC_WS_DATA;
    event->opcode = parser->message;
    event->packed = parser->packed;
    event->first = !parser->began;
    event->last = parser->left == 0 && parser->fin;

    parser->began = 1;

    if (parser->message == GC_WS_OP_TEXT && !parser->packed &&
        (gc_ws_utf8_feed(&parser->text, event->data, event->len) != 0 ||
         (event->last && parser->text.need != 0))) {
        return gc_ws_fail(parser, event, GC_WS_CLOSE_INVALID,
                          "text is not UTF-8");
    }

    if (event->last) {
        parser->message = 0;
        parser->size = 0;
    }

    return GC_WS_DATA;
}


/* a piece of a payload; the frame may end with it */
static gc_ws_event_e
gc_ws_payload(gc_ws_parser_t *parser, uint8_t **pos, uint8_t *end,
              gc_ws_event_t *event)
{
    gc_ws_event_e type;

    event->data = *pos;
    event->len = (size_t) (end - *pos);

    if (event->len > parser->left) {
        event->len = (size_t) parser->left;
    }

    if (parser->flags & GC_WS_SERVER) {
        gc_ws_mask(event->data, event->len, parser->mask, parser->turn);
        parser->turn = (uint8_t) ((parser->turn + event->len) & 3);
    }

    *pos += event->len;
    parser->left -= event->len;

    if (parser->opcode == GC_WS_OP_CLOSE) {
        type = gc_ws_close(parser, event, event->data, event->len);

    } else if (gc_ws_is_control(parser)) {
        type = gc_ws_control(parser, event);

    } else {
        type = gc_ws_data(parser, event);
    }

    if (parser->left == 0 && parser->state == GC_WS_STATE_PAYLOAD) {
        parser->state = GC_WS_STATE_HEADER;
        parser->got = 0;
    }

    return type;
}


/* what one byte of the header completes; 0, or a close code with *why */
static unsigned
gc_ws_header_byte(gc_ws_parser_t *parser, uint8_t byte, const char **why)
{
    unsigned code;
    uint8_t size;

    if (parser->state == GC_WS_STATE_MASK) {
        parser->mask[parser->got++] = byte;

        if (parser->got == sizeof(parser->mask)) {
            gc_ws_begin_payload(parser);
        }

        return 0;
    }

    parser->header[parser->got++] = byte;

    if (parser->got == 2) {
        code = gc_ws_check_header(parser, why);

        if (code) {
            return code;
        }

        parser->state = GC_WS_STATE_LENGTH;
    }

    if (parser->state != GC_WS_STATE_LENGTH) {
        return 0;
    }

    size = (uint8_t) (parser->left == 126 ? 4 : parser->left == 127 ? 10 : 2);

    if (parser->got < size) {
        return 0;
    }

    code = gc_ws_check_length(parser, why);

    if (code) {
        return code;
    }

    parser->state = GC_WS_STATE_MASK;
    parser->got = 0;

    if (!(parser->flags & GC_WS_SERVER)) {
        gc_ws_begin_payload(parser);
    }

    return 0;
}


/* a payload that goes on, or an empty one whose frame is to be told */
static int
gc_ws_payload_ready(gc_ws_parser_t *parser, const uint8_t *pos,
                    const uint8_t *end)
{
    return parser->state == GC_WS_STATE_PAYLOAD &&
           (pos < end || parser->left == 0);
}


gc_ws_event_e
gc_ws_parse(gc_ws_parser_t *parser, uint8_t **pos, uint8_t *end,
            gc_ws_event_t *event)
{
    unsigned code;
    const char *why;
    gc_ws_event_e type;

    memset(event, 0, sizeof(*event));

    if (parser->state == GC_WS_STATE_CLOSED) {
        event->type = GC_WS_CLOSE;
        event->code = parser->code;
        return GC_WS_CLOSE;
    }

    if (parser->state == GC_WS_STATE_FAILED) {
        return gc_ws_fail(parser, event, parser->code, "already failed");
    }

    for (;;) {
        if (gc_ws_payload_ready(parser, *pos, end)) {
            type = gc_ws_payload(parser, pos, end, event);

            if (type != GC_WS_MORE) {
                return type;
            }

            continue;
        }

        if (*pos == end) {
            return GC_WS_MORE;
        }

        code = gc_ws_header_byte(parser, *(*pos)++, &why);

        if (code) {
            return gc_ws_fail(parser, event, code, why);
        }
    }
}


void
gc_ws_mask(uint8_t *data, size_t len, const uint8_t *mask, size_t turn)
{
    size_t i;
    uint8_t wide[8];
    uint64_t key, word;

    for (i = 0; i < sizeof(wide); i++) {
        wide[i] = mask[(turn + i) & 3];
    }

    memcpy(&key, wide, sizeof(key));

    for (i = 0; i + sizeof(word) <= len; i += sizeof(word)) {
        memcpy(&word, data + i, sizeof(word));
        word ^= key;
        memcpy(data + i, &word, sizeof(word));
    }

    for (/* void */; i < len; i++) {
        data[i] ^= mask[(turn + i) & 3];
    }
}


size_t
gc_ws_header_size(uint64_t len, int masked)
{
    size_t size;

    size = len < 126 ? 2 : len < 65536 ? 4 : 10;

    return masked ? size + 4 : size;
}


size_t
gc_ws_header(uint8_t *out, unsigned first, uint64_t len, const uint8_t *mask)
{
    uint8_t *p;
    int shift;

    p = out;
    *p++ = (uint8_t) first;

    if (len < 126) {
        *p++ = (uint8_t) len;
        shift = 0;

    } else if (len < 65536) {
        *p++ = 126;
        shift = 16;

    } else {
        *p++ = 127;
        shift = 64;
    }

    while (shift) {
        shift -= 8;
        *p++ = (uint8_t) (len >> shift);
    }

    if (mask) {
        out[1] |= 0x80;
        memcpy(p, mask, 4);
        p += 4;
    }

    return (size_t) (p - out);
}


size_t
gc_ws_close_payload(uint8_t *out, unsigned code, const char *reason)
{
    size_t len;

    if (code == 0) {
        return 0;
    }

    out[0] = (uint8_t) (code >> 8);
    out[1] = (uint8_t) code;

    len = reason ? strlen(reason) : 0;

    if (len > GC_WS_CONTROL_MAX - 2) {
        len = GC_WS_CONTROL_MAX - 2;

        while (len && ((uint8_t) reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    if (len) {
        memcpy(out + 2, reason, len);
    }

    return len + 2;
}
