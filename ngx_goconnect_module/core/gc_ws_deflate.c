#include "core/gc_ws_deflate.h"

#include <string.h>
#include <strings.h>


#define GC_WS_DEFLATE_NAME "permessage-deflate"
#define GC_WS_DEFLATE_BARE                              \
    GC_WS_DEFLATE_NAME "; server_no_context_takeover; " \
                       "client_no_context_takeover"

/* what is compressed for all is compressed with the largest window */
#define GC_WS_DEFLATE_BITS 15
#define GC_WS_DEFLATE_BITS_MIN 8

/* longer than any value that means something, unquoted */
#define GC_WS_DEFLATE_VALUE_MAX 8


enum {
    GC_WS_DEFLATE_SERVER_KEEPS = 0x1, /* parameters that were seen */
    GC_WS_DEFLATE_CLIENT_KEEPS = 0x2,
    GC_WS_DEFLATE_SERVER_BITS = 0x4,
    GC_WS_DEFLATE_CLIENT_BITS = 0x8
};


typedef struct {
    const char *pos;
    const char *end;
} gc_ws_words_t;


typedef struct {
    const char *data;
    size_t len;
} gc_ws_word_t;


typedef struct {
    gc_ws_word_t name;
    char value[GC_WS_DEFLATE_VALUE_MAX];
    size_t len; /* of the value; above the room of it: too long to be ours */
    int valued;
} gc_ws_param_t;


/* RFC 7230, section 3.2.6 */
static int
gc_ws_is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}


static void
gc_ws_space(gc_ws_words_t *in)
{
    while (in->pos < in->end && (*in->pos == ' ' || *in->pos == '\t')) {
        in->pos++;
    }
}


/* whether the next character is c; takes it, and spaces around it */
static int
gc_ws_take(gc_ws_words_t *in, char c)
{
    gc_ws_space(in);

    if (in->pos == in->end || *in->pos != c) {
        return 0;
    }

    in->pos++;
    gc_ws_space(in);

    return 1;
}


static int
gc_ws_token(gc_ws_words_t *in, gc_ws_word_t *word)
{
    word->data = in->pos;

    while (in->pos < in->end && gc_ws_is_token(*in->pos)) {
        in->pos++;
    }

    word->len = (size_t) (in->pos - word->data);

    return word->len ? 0 : -1;
}


static void
gc_ws_param_add(gc_ws_param_t *param, char c)
{
    if (param->len < sizeof(param->value)) {
        param->value[param->len] = c;
    }

    param->len++;
}


/* what is quoted must be a token when it no longer is: RFC 6455, 9.1 */
static int
gc_ws_quoted(gc_ws_words_t *in, gc_ws_param_t *param)
{
    while (in->pos < in->end && *in->pos != '"') {
        if (*in->pos == '\\' && ++in->pos == in->end) {
            return -1;
        }

        if (!gc_ws_is_token(*in->pos)) {
            return -1;
        }

        gc_ws_param_add(param, *in->pos++);
    }

    if (in->pos == in->end || param->len == 0) {
        return -1;
    }

    in->pos++;

    return 0;
}


static int
gc_ws_param(gc_ws_words_t *in, gc_ws_param_t *param)
{
    gc_ws_word_t word;
    size_t i;

    memset(param, 0, sizeof(*param));

    if (gc_ws_token(in, &param->name) != 0) {
        return -1;
    }

    if (!gc_ws_take(in, '=')) {
        return 0;
    }

    param->valued = 1;

    if (in->pos < in->end && *in->pos == '"') {
        in->pos++;
        return gc_ws_quoted(in, param);
    }

    if (gc_ws_token(in, &word) != 0) {
        return -1;
    }

    for (i = 0; i < word.len; i++) {
        gc_ws_param_add(param, word.data[i]);
    }

    return 0;
}


static int
gc_ws_word_is(const gc_ws_word_t *word, const char *text)
{
    return word->len == strlen(text) &&
           strncasecmp(word->data, text, word->len) == 0;
}


/* 8 to 15 without a leading zero, else 0 */
static int
gc_ws_bits(const gc_ws_param_t *param)
{
    int bits;
    size_t i;

    if (param->len == 0 || param->len > 2 || param->value[0] == '0') {
        return 0;
    }

    bits = 0;

    for (i = 0; i < param->len; i++) {
        if (param->value[i] < '0' || param->value[i] > '9') {
            return 0;
        }

        bits = bits * 10 + (param->value[i] - '0');
    }

    return bits >= GC_WS_DEFLATE_BITS_MIN && bits <= GC_WS_DEFLATE_BITS ? bits
                                                                        : 0;
}


/* which parameter it is, if we can agree to it, else 0: RFC 7692, 7.1 */
static unsigned
gc_ws_deflate_param(const gc_ws_param_t *param)
{
    if (gc_ws_word_is(&param->name, "server_no_context_takeover")) {
        return param->valued ? 0 : GC_WS_DEFLATE_SERVER_KEEPS;
    }

    if (gc_ws_word_is(&param->name, "client_no_context_takeover")) {
        return param->valued ? 0 : GC_WS_DEFLATE_CLIENT_KEEPS;
    }

    if (gc_ws_word_is(&param->name, "server_max_window_bits")) {
        return gc_ws_bits(param) == GC_WS_DEFLATE_BITS
                   ? GC_WS_DEFLATE_SERVER_BITS
                   : 0;
    }

    if (gc_ws_word_is(&param->name, "client_max_window_bits")) {
        return !param->valued || gc_ws_bits(param) ? GC_WS_DEFLATE_CLIENT_BITS
                                                   : 0;
    }

    return 0;
}


/* one extension with its parameters */
static gc_ws_deflate_e
gc_ws_extension(gc_ws_words_t *in)
{
    gc_ws_param_t param;
    gc_ws_word_t name;
    unsigned seen, one;
    int good;

    if (gc_ws_token(in, &name) != 0) {
        return GC_WS_DEFLATE_WRONG;
    }

    good = gc_ws_word_is(&name, GC_WS_DEFLATE_NAME);
    seen = 0;

    while (gc_ws_take(in, ';')) {
        if (gc_ws_param(in, &param) != 0) {
            return GC_WS_DEFLATE_WRONG;
        }

        one = gc_ws_deflate_param(&param);

        if (one == 0 || (seen & one)) {
            good = 0;
        }

        seen |= one;
    }

    if (!good) {
        return GC_WS_DEFLATE_NONE;
    }

    return seen & GC_WS_DEFLATE_SERVER_BITS ? GC_WS_DEFLATE_WINDOW
                                            : GC_WS_DEFLATE_PLAIN;
}


gc_ws_deflate_e
gc_ws_deflate_offer(const char *value, size_t len)
{
    gc_ws_deflate_e agreed, one;
    gc_ws_words_t in;

    in.pos = value;
    in.end = value + len;
    agreed = GC_WS_DEFLATE_NONE;

    for (;;) {
        /* empty elements of a list are skipped: RFC 7230, section 7 */
        while (gc_ws_take(&in, ',')) {
            continue;
        }

        if (in.pos == in.end) {
            return agreed;
        }

        one = gc_ws_extension(&in);

        if (one == GC_WS_DEFLATE_WRONG) {
            return GC_WS_DEFLATE_WRONG;
        }

        if (agreed == GC_WS_DEFLATE_NONE) {
            agreed = one;
        }

        gc_ws_space(&in);

        if (in.pos < in.end && *in.pos != ',') {
            return GC_WS_DEFLATE_WRONG;
        }
    }
}


const char *
gc_ws_deflate_answer(gc_ws_deflate_e agreed)
{
    return agreed == GC_WS_DEFLATE_WINDOW ? GC_WS_DEFLATE_BARE
               "; server_max_window_bits=15"
                                          : GC_WS_DEFLATE_BARE;
}
