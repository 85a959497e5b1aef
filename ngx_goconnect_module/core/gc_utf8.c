#include "core/gc_utf8.h"


typedef struct {
    unsigned char first_low;
    unsigned char first_high;
    unsigned char tail;       /* bytes that follow */
    unsigned char second_low; /* bounds of the second byte */
    unsigned char second_high;
} gc_utf8_form_t;


/* RFC 3629, section 4 */
static const gc_utf8_form_t gc_utf8_forms[] = {
    {0x01, 0x7f, 0, 0x00, 0x00}, {0xc2, 0xdf, 1, 0x80, 0xbf},
    {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
    {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf},
    {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf},
    {0xf4, 0xf4, 3, 0x80, 0x8f},
};


static const gc_utf8_form_t *
gc_utf8_form(unsigned char first)
{
    size_t i;

    for (i = 0; i < sizeof(gc_utf8_forms) / sizeof(gc_utf8_forms[0]); i++) {
        if (first >= gc_utf8_forms[i].first_low &&
            first <= gc_utf8_forms[i].first_high) {
            return &gc_utf8_forms[i];
        }
    }

    return NULL;
}


static int
gc_utf8_tail_ok(const gc_utf8_form_t *form, const unsigned char *tail)
{
    size_t i;

    for (i = 0; i < form->tail; i++) {
        if ((tail[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return form->tail == 0 ||
           (tail[0] >= form->second_low && tail[0] <= form->second_high);
}


int
gc_utf8_count(const void *text, size_t len, size_t *chars)
{
    const unsigned char *p;
    const gc_utf8_form_t *form;
    size_t i, n;

    p = text;

    for (i = 0, n = 0; i < len; i += (size_t) form->tail + 1, n++) {
        form = gc_utf8_form(p[i]);

        if (form == NULL || form->tail > len - i - 1 ||
            !gc_utf8_tail_ok(form, &p[i + 1])) {
            return -1;
        }
    }

    *chars = n;

    return 0;
}
