/* The grammar of Sec-WebSocket-Extensions, and what is agreed to. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/gc_ws_deflate.h"


#define PMD "permessage-deflate"


static void
offers(const char *const *values, gc_ws_deflate_e want)
{
    gc_ws_deflate_e got;

    for (; *values; values++) {
        got = gc_ws_deflate_offer(*values, strlen(*values));
        cr_expect_eq(got, want, "%s: %d, not %d", *values, (int) got,
                     (int) want);
    }
}


Test(ws_deflate, what_is_agreed_to)
{
    static const char *const values[] = {
        PMD,
        "Permessage-Deflate",
        " \t" PMD " ",
        PMD "; client_max_window_bits",
        PMD ";client_max_window_bits=8",
        PMD "; client_max_window_bits=\"15\"",
        PMD "; client_max_window_bits=\"1\\0\"",
        PMD " ; client_no_context_takeover ; server_no_context_takeover",
        "x-webkit-deflate-frame, " PMD,
        "foo; a=1; b=\"c\", ," PMD ",",
        PMD "; server_max_window_bits=9, " PMD,
        PMD "; nobody_knows, " PMD "; client_max_window_bits",
        NULL};

    offers(values, GC_WS_DEFLATE_PLAIN);
}


Test(ws_deflate, a_named_window_is_named_in_the_answer)
{
    static const char *const values[] = {
        PMD "; server_max_window_bits=15",
        PMD "; client_max_window_bits; server_max_window_bits=\"15\"", NULL};

    offers(values, GC_WS_DEFLATE_WINDOW);

    cr_expect_str_eq(gc_ws_deflate_answer(GC_WS_DEFLATE_PLAIN),
                     PMD "; server_no_context_takeover; "
                         "client_no_context_takeover");
    cr_expect_str_eq(gc_ws_deflate_answer(GC_WS_DEFLATE_WINDOW),
                     PMD "; server_no_context_takeover; "
                         "client_no_context_takeover; "
                         "server_max_window_bits=15");
}


/* RFC 7692, section 7.1: such an offer is declined, the others still count */
Test(ws_deflate, what_is_declined)
{
    static const char *const values[] = {
        "",
        " , ,",
        "foo",
        "permessage-deflat",
        "permessage-deflate2",
        PMD "; server_max_window_bits",
        PMD "; server_max_window_bits=14",
        PMD "; server_max_window_bits=7",
        PMD "; server_max_window_bits=16",
        PMD "; server_max_window_bits=015",
        PMD "; server_max_window_bits=+15",
        PMD "; server_max_window_bits=115555555555",
        PMD "; client_max_window_bits=0",
        PMD "; client_max_window_bits=16",
        PMD "; client_max_window_bits=8x",
        PMD "; client_max_window_bits; client_max_window_bits=9",
        PMD "; server_no_context_takeover=1",
        PMD "; client_no_context_takeover=\"a\"",
        PMD "; server_no_context_takeover; server_no_context_takeover",
        PMD "; nobody_knows",
        NULL};

    offers(values, GC_WS_DEFLATE_NONE);
}


/* RFC 6455, section 9.1: the handshake fails, wherever the header breaks */
Test(ws_deflate, what_is_no_list_of_extensions)
{
    static const char *const values[] = {";",
                                         "=",
                                         PMD ";",
                                         PMD "; ;",
                                         PMD "; a=",
                                         PMD "; a=,",
                                         PMD "; a=\"",
                                         PMD "; a=\"b",
                                         PMD "; a=\"\"",
                                         PMD "; a=\"b c\"",
                                         PMD "; a=\"b\\",
                                         PMD "; a=\"b\"c",
                                         PMD " client_max_window_bits",
                                         PMD ", \"quoted\"",
                                         PMD ", a/b",
                                         PMD "\x01",
                                         PMD "; \xc3\xa4",
                                         NULL};

    offers(values, GC_WS_DEFLATE_WRONG);
    cr_expect_eq(gc_ws_deflate_offer(PMD "\0", sizeof(PMD)),
                 GC_WS_DEFLATE_WRONG);
}


/* nothing is read behind the end, wherever that is */
Test(ws_deflate, every_beginning_of_a_header)
{
    static const char text[] =
        PMD "; client_max_window_bits=\"1\\5\"; server_max_window_bits=15";
    char *copy;
    size_t len;

    for (len = 0; len < sizeof(text); len++) {
        copy = malloc(len ? len : 1);
        cr_assert_not_null(copy);
        memcpy(copy, text, len);
        (void) gc_ws_deflate_offer(copy, len);
        free(copy);
    }
}
