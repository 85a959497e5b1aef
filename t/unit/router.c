/*
 * The router: which row a method and path lead to.
 */

#include <criterion/criterion.h>
#include <string.h>

#include "core/gc_router.h"


#define ID "0123abcd-0123-4567-89ab-0123456789ab"
#define ID2 "ffffffff-0123-4567-89ab-0123456789ab"


static const gc_router_row_t rows[] = {
    {GC_GET, "/things"},
    {GC_POST, "/things"},
    {GC_GET, "/things/{id:uuid}"},
    {GC_DELETE, "/things/{id:uuid}"},
    {GC_GET, "/things/{id:uuid}/parts/{part:uuid}"},
    {GC_DELETE, "/codes/{id:uuid}"},
    {GC_GET, "/codes/{code:code}"},
    {GC_POST, "/codes/{code:code}/accept"},
};

static gc_router_match_t match;


static int
go(unsigned method, const char *path)
{
    memset(&match, 0, sizeof(match));

    return gc_router_match(rows, sizeof(rows) / sizeof(rows[0]), method, path,
                           strlen(path), &match);
}


Test(router, literals)
{
    cr_assert(go(GC_GET, "/things"));
    cr_assert_eq(match.row, 0);
    cr_assert_eq(match.nparams, 0);
    cr_assert(go(GC_POST, "/things"));
    cr_assert_eq(match.row, 1);
}


Test(router, parameters)
{
    cr_assert(go(GC_DELETE, "/things/" ID));
    cr_assert_eq(match.row, 3);
    cr_assert_eq(match.nparams, 1);
    cr_assert_eq(match.params[0].len, 36);
    cr_assert_eq(memcmp(match.params[0].data, ID, 36), 0);

    cr_assert(go(GC_GET, "/things/" ID "/parts/" ID2));
    cr_assert_eq(match.row, 4);
    cr_assert_eq(match.nparams, 2);
    cr_assert_eq(memcmp(match.params[1].data, ID2, 36), 0);
}


Test(router, type_decides_between_rows)
{
    cr_assert(go(GC_DELETE, "/codes/" ID));
    cr_assert_eq(match.row, 5);
    cr_assert(go(GC_GET, "/codes/ABCDE-FGHJK"));
    cr_assert_eq(match.row, 6);
    cr_assert_eq(match.params[0].len, 11);
    cr_assert(go(GC_POST, "/codes/ABCDE/accept"));
    cr_assert_eq(match.row, 7);
}


Test(router, other_methods_are_told)
{
    cr_assert_not(go(GC_PATCH, "/things"));
    cr_assert_eq(match.methods, GC_GET | GC_POST);
    cr_assert_not(go(GC_POST, "/things/" ID));
    cr_assert_eq(match.methods, GC_GET | GC_DELETE);
    cr_assert_not(go(0, "/things"));
    cr_assert_eq(match.methods, GC_GET | GC_POST);
}


Test(router, unknown_paths)
{
    static const char *const unknown[] = {
        "",
        "/",
        "/thing",
        "/things/",
        "/thingsx",
        "/things/" ID "/",
        "/things/" ID "x",
        "/things/0123ABCD-0123-4567-89ab-0123456789ab",
        "/things/0123abcd",
        "/things//parts/" ID,
        "/things/" ID "/parts",
        "/things/" ID "/parts/",
        "/codes/",
        "/codes/a_b",
        "/codes/123456789012345678901234567890123",
        "/codes//accept",
    };
    size_t i;

    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        cr_assert_not(go(GC_GET, unknown[i]), "%s", unknown[i]);
        cr_assert_eq(match.methods, 0, "%s", unknown[i]);
    }
}


Test(router, params_of_a_pattern)
{
    cr_assert_eq(gc_router_params("/things"), 0);
    cr_assert_eq(gc_router_params("/things/{id:uuid}"), 1);
    cr_assert_eq(gc_router_params("/things/{id:uuid}/parts/{part:uuid}"), 2);
}
