/*
 * The WebSocket codec: every case is fed whole, in bytes, and in odd pieces,
 * and must tell the same story each time.
 */

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/gc_ws_frame.h"


#define LIMIT 65536


typedef struct {
    uint8_t *data;
    size_t len;
    size_t room;
} bytes_t;


typedef struct {
    char text[4096];
    size_t len;
    bytes_t message;
} story_t;


static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};


static void
put(bytes_t *b, const void *data, size_t len)
{
    if (b->len + len > b->room) {
        b->room = (b->len + len) * 2;
        b->data = realloc(b->data, b->room);
        cr_assert_not_null(b->data);
    }

    if (len) {
        memcpy(b->data + b->len, data, len);
    }

    b->len += len;
}


static void
frame_raw(bytes_t *b, unsigned first, const void *payload, size_t len,
          const uint8_t *key)
{
    uint8_t header[GC_WS_HEADER_MAX];
    size_t start, size;

    size = gc_ws_header(header, first, len, key);
    cr_assert_eq(size, gc_ws_header_size(len, key != NULL));

    put(b, header, size);
    start = b->len;
    put(b, payload, len);

    if (key) {
        gc_ws_mask(b->data + start, len, key, 0);
    }
}


static void
frame(bytes_t *b, unsigned first, const char *payload)
{
    frame_raw(b, first, payload, strlen(payload), mask);
}


__attribute__((format(printf, 2, 3))) static void
tell(story_t *story, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(story->text + story->len, sizeof(story->text) - story->len,
                  format, ap);
    va_end(ap);

    cr_assert(n >= 0 && (size_t) n < sizeof(story->text) - story->len);
    story->len += (size_t) n;
}


static void
tell_piece(story_t *story, bytes_t *piece, const char *name,
           const gc_ws_event_t *event)
{
    if (event->first) {
        piece->len = 0;
    }

    put(piece, event->data, event->len);

    if (!event->last) {
        return;
    }

    if (piece->len > 200) {
        tell(story, "%s:<%zu> ", name, piece->len);

    } else {
        tell(story, "%s:%.*s ", name, (int) piece->len,
             piece->len ? (char *) piece->data : "");
    }
}


/* feeds in pieces of `step` bytes and notes what comes out */
static void
run(const bytes_t *input, size_t step, unsigned flags, story_t *story)
{
    gc_ws_parser_t parser;
    gc_ws_event_t event;
    gc_ws_event_e type;
    bytes_t control = {0}, message = {0};
    uint8_t *piece, *pos;
    size_t at, n;

    memset(story, 0, sizeof(*story));
    gc_ws_parser_init(&parser, flags, LIMIT);
    type = GC_WS_MORE;

    for (at = 0; at < input->len; at += n) {
        n = input->len - at < step ? input->len - at : step;

        /* a copy of its own, so that a sanitizer sees each end */
        piece = malloc(n);
        cr_assert_not_null(piece);
        memcpy(piece, input->data + at, n);
        pos = piece;

        do {
            type = gc_ws_parse(&parser, &pos, piece + n, &event);
            cr_assert_eq(type, event.type);

            switch (type) {
            case GC_WS_MORE:
                cr_assert_eq(pos, piece + n);
                break;
            case GC_WS_DATA:
                tell_piece(story, &message,
                           event.opcode == GC_WS_OP_TEXT ? "text" : "binary",
                           &event);
                break;
            case GC_WS_PING:
                tell_piece(story, &control, "ping", &event);
                break;
            case GC_WS_PONG:
                tell_piece(story, &control, "pong", &event);
                break;
            case GC_WS_CLOSE:
                tell(story, "close:%u ", event.code);
                break;
            case GC_WS_FAIL:
                cr_assert_not_null(event.why);
                tell(story, "fail:%u ", event.code);
                break;
            }
        } while (type != GC_WS_MORE && type != GC_WS_CLOSE &&
                 type != GC_WS_FAIL);

        free(piece);

        if (type == GC_WS_CLOSE || type == GC_WS_FAIL) {
            break;
        }
    }

    if (type == GC_WS_CLOSE || type == GC_WS_FAIL) {
        pos = (uint8_t *) "";
        cr_assert_eq(gc_ws_parse(&parser, &pos, pos, &event), type,
                     "an end is an end");
    }

    free(control.data);
    free(message.data);

    if (story->len) {
        story->text[story->len - 1] = '\0';
    }
}


static void
expect_flags(bytes_t *input, unsigned flags, const char *want)
{
    static const size_t steps[] = {1, 2, 3, 7, 1000, 1 << 20};
    story_t *story;
    size_t i;

    story = malloc(sizeof(*story));
    cr_assert_not_null(story);

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        run(input, steps[i], flags, story);
        cr_assert_str_eq(story->text, want, "in pieces of %zu: %s, not %s",
                         steps[i], story->text, want);
    }

    free(story);
    free(input->data);
    memset(input, 0, sizeof(*input));
}


static void
expect(bytes_t *input, const char *want)
{
    expect_flags(input, GC_WS_SERVER, want);
}


static void
expect_sized(size_t len, const char *want)
{
    bytes_t b = {0};
    char *text;

    text = malloc(len + 1);
    cr_assert_not_null(text);
    memset(text, 'x', len);

    frame_raw(&b, GC_WS_FIN | GC_WS_OP_TEXT, text, len, mask);
    expect(&b, want);
    free(text);
}


/* RFC 6455, section 5.7 */
Test(ws_frame, examples_of_the_rfc)
{
    static const uint8_t hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d,
                                    0x7f, 0x9f, 0x4d, 0x51, 0x58};
    static const uint8_t plain[] = {0x81, 0x05, 'H', 'e', 'l', 'l', 'o'};
    static const uint8_t parts[] = {0x01, 0x03, 'H', 'e', 'l',
                                    0x80, 0x02, 'l', 'o'};
    bytes_t b = {0};

    put(&b, hello, sizeof(hello));
    expect(&b, "text:Hello");

    put(&b, plain, sizeof(plain));
    expect_flags(&b, 0, "text:Hello");

    put(&b, parts, sizeof(parts));
    expect_flags(&b, 0, "text:Hello");
}


Test(ws_frame, lengths_at_their_borders)
{
    expect_sized(0, "text:");
    expect_sized(1, "text:x");
    expect_sized(125, "text:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxx");
    expect_sized(201, "text:<201>");
    expect_sized(65535, "text:<65535>");
    expect_sized(65536, "text:<65536>");
    expect_sized(65537, "fail:1009");
}


Test(ws_frame, limit_counts_the_whole_message)
{
    bytes_t b = {0};
    char *half;

    half = calloc(1, LIMIT / 2 + 1);
    cr_assert_not_null(half);
    memset(half, 'x', LIMIT / 2);

    frame(&b, GC_WS_OP_TEXT, half);
    frame(&b, GC_WS_FIN | GC_WS_OP_CONTINUATION, half);
    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, half);
    expect(&b, "text:<65536> text:<32768>");

    frame(&b, GC_WS_OP_TEXT, half);
    frame(&b, GC_WS_OP_CONTINUATION, half);
    frame(&b, GC_WS_FIN | GC_WS_OP_CONTINUATION, "x");
    expect(&b, "fail:1009");

    free(half);
}


Test(ws_frame, length_is_refused_before_the_payload)
{
    static const uint8_t huge[] = {0x81, 0xff, 0x7f, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t negative[] = {0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t long16[] = {0x81, 0xfe, 0x00, 0x7d};
    static const uint8_t long64[] = {0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bytes_t b = {0};

    put(&b, huge, sizeof(huge));
    expect(&b, "fail:1009");

    put(&b, negative, sizeof(negative));
    expect(&b, "fail:1002");

    put(&b, long16, sizeof(long16));
    expect(&b, "fail:1002");

    put(&b, long64, sizeof(long64));
    expect(&b, "fail:1002");
}


Test(ws_frame, pings_and_pongs)
{
    bytes_t b = {0};
    char payload[GC_WS_CONTROL_MAX + 2];

    frame(&b, GC_WS_FIN | GC_WS_OP_PING, "");
    frame(&b, GC_WS_FIN | GC_WS_OP_PING, "abc");
    frame(&b, GC_WS_FIN | GC_WS_OP_PONG, "unasked");
    expect(&b, "ping: ping:abc pong:unasked");

    memset(payload, 'p', sizeof(payload));

    frame_raw(&b, GC_WS_FIN | GC_WS_OP_PING, payload, 126, mask);
    expect(&b, "fail:1002");

    frame(&b, GC_WS_OP_PING, "a");
    expect(&b, "fail:1002");
}


Test(ws_frame, reserved_bits_and_opcodes)
{
    bytes_t b = {0};
    unsigned bit, opcode;

    for (bit = 0x10; bit <= 0x40; bit <<= 1) {
        frame(&b, GC_WS_FIN | bit | GC_WS_OP_TEXT, "x");
        expect(&b, "fail:1002");

        frame(&b, GC_WS_FIN | bit | GC_WS_OP_PING, "x");
        expect(&b, "fail:1002");
    }

    for (opcode = 0; opcode < 16; opcode++) {
        if ((opcode >= 3 && opcode <= 7) || opcode >= 11) {
            frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "a");
            frame(&b, GC_WS_FIN | opcode, "");
            expect(&b, "text:a fail:1002");
        }
    }
}


Test(ws_frame, masks)
{
    bytes_t b = {0};
    uint8_t data[37], copy[37];
    size_t i, cut;

    frame_raw(&b, GC_WS_FIN | GC_WS_OP_TEXT, "x", 1, NULL);
    expect(&b, "fail:1002");

    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "x");
    expect_flags(&b, 0, "fail:1002");

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) (i * 7);
    }

    for (cut = 0; cut <= sizeof(data); cut++) {
        memcpy(copy, data, sizeof(data));
        gc_ws_mask(copy, cut, mask, 0);
        gc_ws_mask(copy + cut, sizeof(data) - cut, mask, cut);

        for (i = 0; i < sizeof(data); i++) {
            cr_assert_eq(copy[i], data[i] ^ mask[i & 3]);
        }
    }
}


Test(ws_frame, fragments)
{
    bytes_t b = {0};

    frame(&b, GC_WS_OP_TEXT, "a");
    frame(&b, GC_WS_OP_CONTINUATION, "");
    frame(&b, GC_WS_FIN | GC_WS_OP_PING, "between");
    frame(&b, GC_WS_OP_CONTINUATION, "b");
    frame(&b, GC_WS_FIN | GC_WS_OP_PONG, "too");
    frame(&b, GC_WS_FIN | GC_WS_OP_CONTINUATION, "c");
    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "next");
    expect(&b, "ping:between pong:too text:abc text:next");

    frame(&b, GC_WS_OP_TEXT, "");
    frame(&b, GC_WS_OP_CONTINUATION, "");
    frame(&b, GC_WS_FIN | GC_WS_OP_CONTINUATION, "");
    expect(&b, "text:");

    frame(&b, GC_WS_FIN | GC_WS_OP_CONTINUATION, "a");
    expect(&b, "fail:1002");

    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "whole");
    frame(&b, GC_WS_OP_CONTINUATION, "a");
    expect(&b, "text:whole fail:1002");

    frame(&b, GC_WS_OP_TEXT, "a");
    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "b");
    expect(&b, "fail:1002");

    frame(&b, GC_WS_OP_TEXT, "a");
    frame(&b, GC_WS_FIN | GC_WS_OP_BINARY, "b");
    expect(&b, "fail:1002");
}


Test(ws_frame, binary_only_where_it_is_allowed)
{
    bytes_t b = {0};

    frame(&b, GC_WS_FIN | GC_WS_OP_BINARY, "\xff\xfe");
    expect(&b, "binary:\xff\xfe");

    frame(&b, GC_WS_FIN | GC_WS_OP_BINARY, "abc");
    expect_flags(&b, GC_WS_SERVER | GC_WS_TEXT_ONLY, "fail:1003");
}


Test(ws_frame, utf8)
{
    static const char *good[] = {
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        "\xc2\x80",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\x7f",
    };
    static const char *bad[] = {
        "\x80",
        "\xbf",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xce",
        "\xe1\xbd",
        "\xf0\x90\x80",
        "\xce\x41",
        "a\xf8\x88",
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80",
    };
    bytes_t b = {0};
    char want[64];
    size_t i, cut, len;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        len = strlen(good[i]);
        snprintf(want, sizeof(want), "ping: text:%s", good[i]);

        for (cut = 0; cut <= len; cut++) {
            frame_raw(&b, GC_WS_OP_TEXT, good[i], cut, mask);
            frame(&b, GC_WS_FIN | GC_WS_OP_PING, "");
            frame_raw(&b, GC_WS_FIN | GC_WS_OP_CONTINUATION, good[i] + cut,
                      len - cut, mask);
            expect(&b, want);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, bad[i]);
        expect(&b, "fail:1007");
    }
}


Test(ws_frame, bad_utf8_fails_before_the_message_ends)
{
    bytes_t b = {0};

    frame(&b, GC_WS_OP_TEXT, "a\xf4\x90");
    expect(&b, "fail:1007");
}


Test(ws_frame, a_character_does_not_cross_messages)
{
    bytes_t b = {0};

    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "\xce\xba");
    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "\xba");
    expect(&b, "text:\xce\xba fail:1007");
}


static void
expect_close(unsigned code, const char *reason, const char *want)
{
    bytes_t b = {0};
    uint8_t payload[GC_WS_CONTROL_MAX];
    size_t len;

    len = gc_ws_close_payload(payload, code, reason);
    frame_raw(&b, GC_WS_FIN | GC_WS_OP_CLOSE, payload, len, mask);
    expect(&b, want);
}


Test(ws_frame, close_codes)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                    1009, 1010, 1011, 1012, 1013, 1014,
                                    3000, 3999, 4000, 4999};
    static const unsigned bad[] = {1,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    bytes_t b = {0};
    char want[32];
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(want, sizeof(want), "close:%u", good[i]);
        expect_close(good[i], "bye", want);
        cr_assert(gc_ws_close_code_valid(good[i]));
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_close(bad[i], "", "fail:1002");
    }

    expect_close(0, NULL, "close:0");
    expect_close(1000, "\xed\xa0\x80", "fail:1007");
    expect_close(1000, "\xce", "fail:1007");

    frame(&b, GC_WS_FIN | GC_WS_OP_CLOSE, "x");
    expect(&b, "fail:1002");

    /* nothing is read behind a close frame, and a message may stay open */
    frame(&b, GC_WS_OP_TEXT, "\xce");
    frame(&b, GC_WS_FIN | GC_WS_OP_CLOSE, "\x03\xe8");
    frame(&b, GC_WS_FIN | GC_WS_OP_TEXT, "x");
    expect(&b, "close:1000");
}


Test(ws_frame, close_reason_is_cut_between_characters)
{
    uint8_t payload[GC_WS_CONTROL_MAX];
    char reason[200];

    memset(reason, 'r', sizeof(reason));
    reason[199] = '\0';
    cr_assert_eq(gc_ws_close_payload(payload, 1000, reason), 125);

    memcpy(reason + 122, "\xce\xba", 2);
    cr_assert_eq(gc_ws_close_payload(payload, 1000, reason), 124);

    cr_assert_eq(gc_ws_close_payload(payload, 1000, NULL), 2);
    cr_assert_eq(gc_ws_close_payload(payload, 0, "x"), 0);
}


/* whatever comes, the parser ends without reading past what it was given */
Test(ws_frame, noise)
{
    bytes_t b = {0};
    story_t *story;
    unsigned i, j, seed;
    uint8_t byte;

    story = malloc(sizeof(*story));
    cr_assert_not_null(story);
    seed = 1;

    for (i = 0; i < 20000; i++) {
        b.len = 0;

        for (j = 0; j < 40; j++) {
            seed = seed * 1103515245 + 12345;
            byte = (uint8_t) (seed >> 16);
            put(&b, &byte, 1);
        }

        if (i & 1) {
            b.data[0] &= 0x8f;
            b.data[1] |= 0x80;
        }

        run(&b, 1 + i % 5, i & 2 ? GC_WS_SERVER : 0, story);
    }

    free(story);
    free(b.data);
}
