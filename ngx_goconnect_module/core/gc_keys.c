#include "core/gc_keys.h"

#include <string.h>

#include "core/gc_base64.h"


typedef struct {
    const char *data;
    size_t len;
} gc_keys_word_t;


static const char *gc_keys_line(gc_keys_t *ring, const char *line, size_t len);
static const char *gc_keys_add(gc_keys_t *ring, const gc_keys_word_t *words);
static size_t gc_keys_split(gc_keys_word_t *words, size_t max, const char *line,
                            size_t len);
static int gc_keys_id_valid(const gc_keys_word_t *word);
static int gc_keys_known(const gc_keys_t *ring, const gc_key_t *key);


static const char *const gc_keys_purposes[GC_KEY_PURPOSES] = {
    [GC_KEY_JWT] = "jwt",     [GC_KEY_INVITE] = "invite",
    [GC_KEY_SEAL] = "seal",   [GC_KEY_AUDIT] = "audit",
    [GC_KEY_RELAY] = "relay",
};


const char *
gc_keys_purpose(gc_key_purpose_e purpose)
{
    return gc_keys_purposes[purpose];
}


int
gc_keys_parse(gc_keys_t *ring, const char *text, size_t len,
              gc_keys_error_t *error)
{
    size_t n;
    const char *end;

    memset(ring, 0, sizeof(gc_keys_t));

    error->line = 0;
    error->why = NULL;

    while (len) {
        end = memchr(text, '\n', len);
        n = end ? (size_t) (end - text) : len;

        error->line++;
        error->why = gc_keys_line(ring, text, n);

        if (error->why) {
            gc_keys_wipe(ring);
            return -1;
        }

        n += end != NULL;
        text += n;
        len -= n;
    }

    if (ring->n == 0) {
        error->line = 0;
        error->why = "there is no key in it";
        return -1;
    }

    return 0;
}


const gc_key_t *
gc_keys_current(const gc_keys_t *ring, gc_key_purpose_e purpose)
{
    return gc_keys_nth(ring, purpose, 0);
}


const gc_key_t *
gc_keys_nth(const gc_keys_t *ring, gc_key_purpose_e purpose, size_t n)
{
    size_t i;

    for (i = 0; i < ring->n; i++) {
        if (ring->keys[i].purpose == purpose && n-- == 0) {
            return &ring->keys[i];
        }
    }

    return NULL;
}


void
gc_keys_wipe(gc_keys_t *ring)
{
    volatile unsigned char *p;
    size_t i;

    p = (volatile unsigned char *) ring;

    for (i = 0; i < sizeof(gc_keys_t); i++) {
        p[i] = 0;
    }
}


/* NULL, or what is wrong with the line */

static const char *
gc_keys_line(gc_keys_t *ring, const char *line, size_t len)
{
    size_t n;
    gc_keys_word_t words[4];

    if (len && line[len - 1] == '\r') {
        len--;
    }

    n = gc_keys_split(words, 4, line, len);

    if (n == 0 || words[0].data[0] == '#') {
        return NULL;
    }

    if (n != 3) {
        return "expected three words: PURPOSE ID BASE64";
    }

    return gc_keys_add(ring, words);
}


static const char *
gc_keys_add(gc_keys_t *ring, const gc_keys_word_t *words)
{
    gc_key_t *key;
    unsigned purpose;

    if (ring->n == GC_KEYS_MAX) {
        return "there are more than 64 keys";
    }

    key = &ring->keys[ring->n];

    for (purpose = 0; purpose < GC_KEY_PURPOSES; purpose++) {
        if (strlen(gc_keys_purposes[purpose]) == words[0].len &&
            memcmp(gc_keys_purposes[purpose], words[0].data, words[0].len) ==
                0) {
            break;
        }
    }

    if (purpose == GC_KEY_PURPOSES) {
        return "unknown purpose; expected jwt, invite, seal, audit or relay";
    }

    key->purpose = (gc_key_purpose_e) purpose;

    if (!gc_keys_id_valid(&words[1])) {
        return "bad id; expected 1 to 32 letters, digits, '.', '_' or '-'";
    }

    memcpy(key->id, words[1].data, words[1].len);
    key->id[words[1].len] = '\0';

    if (gc_keys_known(ring, key)) {
        return "this purpose has a key of that id already";
    }

    if (gc_base64_decode(key->secret, GC_KEYS_SECRET, words[2].data,
                         words[2].len) != 0) {
        return "bad secret; expected 32 bytes in base64 (44 characters)";
    }

    ring->n++;

    return NULL;
}


/* the number of words between blanks, at most max */

static size_t
gc_keys_split(gc_keys_word_t *words, size_t max, const char *line, size_t len)
{
    size_t i, n;

    n = 0;
    i = 0;

    while (n < max) {

        while (i < len && (line[i] == ' ' || line[i] == '\t')) {
            i++;
        }

        if (i == len) {
            break;
        }

        words[n].data = line + i;

        while (i < len && line[i] != ' ' && line[i] != '\t') {
            i++;
        }

        words[n].len = (size_t) (line + i - words[n].data);
        n++;
    }

    return n;
}


static int
gc_keys_id_valid(const gc_keys_word_t *word)
{
    char c;
    size_t i;

    if (word->len > GC_KEYS_ID_MAX) {
        return 0;
    }

    for (i = 0; i < word->len; i++) {
        c = word->data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-')) {
            return 0;
        }
    }

    return 1;
}


static int
gc_keys_known(const gc_keys_t *ring, const gc_key_t *key)
{
    size_t i;

    for (i = 0; i < ring->n; i++) {
        if (ring->keys[i].purpose == key->purpose &&
            strcmp(ring->keys[i].id, key->id) == 0) {
            return 1;
        }
    }

    return 0;
}
