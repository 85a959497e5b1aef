/*
 * Cutting JSON into slices: what PostgreSQL writes comes out byte for byte,
 * and what is no JSON leads nowhere out of bounds.
 */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/gc_json_slice.h"


static gc_slice_t
slice(const char *text)
{
    gc_slice_t s = {text, strlen(text)};

    return s;
}


Test(json_slice, members_in_order)
{
    gc_json_iter_t it;
    gc_slice_t key, value;

    cr_assert_eq(
        gc_json_object(&it, slice(" { \"a\" : 1,\n\"b\":[1,{\"c\":2}],"
                                  "\"d\" : \"x\\\"},\" , \"e\":null}")),
        0);

    cr_assert(gc_json_member(&it, &key, &value));
    cr_assert(gc_slice_is(key, "a") && gc_slice_is(value, "1"));
    cr_assert(gc_json_member(&it, &key, &value));
    cr_assert(gc_slice_is(key, "b") && gc_slice_is(value, "[1,{\"c\":2}]"));
    cr_assert(gc_json_member(&it, &key, &value));
    cr_assert(gc_slice_is(key, "d") && gc_slice_is(value, "\"x\\\"},\""));
    cr_assert(gc_json_member(&it, &key, &value));
    cr_assert(gc_slice_is(key, "e") && gc_slice_is(value, "null"));
    cr_assert_not(gc_json_member(&it, &key, &value));
    cr_assert_not(gc_json_member(&it, &key, &value));
}


Test(json_slice, items_of_an_array)
{
    gc_json_iter_t it;
    gc_slice_t value;

    cr_assert_eq(gc_json_array(&it, slice("[{\"a\" : []}, \"]\", -3.5e1,[]]")),
                 0);
    cr_assert(gc_json_item(&it, &value) && gc_slice_is(value, "{\"a\" : []}"));
    cr_assert(gc_json_item(&it, &value) && gc_slice_is(value, "\"]\""));
    cr_assert(gc_json_item(&it, &value) && gc_slice_is(value, "-3.5e1"));
    cr_assert(gc_json_item(&it, &value) && gc_slice_is(value, "[]"));
    cr_assert_not(gc_json_item(&it, &value));

    cr_assert_eq(gc_json_array(&it, slice(" [ ] ")), 0);
    cr_assert_not(gc_json_item(&it, &value));
    cr_assert_eq(gc_json_array(&it, slice("{}")), -1);
    cr_assert_eq(gc_json_array(&it, slice("")), -1);
    cr_assert_eq(gc_json_object(&it, slice("null")), -1);
}


Test(json_slice, finding)
{
    gc_slice_t value;
    int64_t n;
    const char *text =
        "{\"topic\" : \"user:1\", \"seq\" : 41, \"x\":{\"seq\":1},"
        " \"esc\":\"a\\nb\", \"big\":9223372036854775808}";

    cr_assert(gc_json_find_plain(slice(text), "topic", &value));
    cr_assert(gc_slice_is(value, "user:1"));
    cr_assert(gc_json_find_integer(slice(text), "seq", &n) && n == 41);
    cr_assert_not(gc_json_find(slice(text), "none", &value));
    cr_assert_eq(value.len, 0);
    cr_assert_not(gc_json_find_plain(slice(text), "esc", &value));
    cr_assert_not(gc_json_find_plain(slice(text), "seq", &value));
    cr_assert_not(gc_json_find_integer(slice(text), "big", &n));
    cr_assert_not(gc_json_find(slice("[1]"), "a", &value));
}


Test(json_slice, integers)
{
    int64_t n;

    cr_assert(gc_json_integer(slice("0"), &n) && n == 0);
    cr_assert(gc_json_integer(slice("-7"), &n) && n == -7);
    cr_assert(gc_json_integer(slice("9223372036854775807"), &n) &&
              n == INT64_MAX);
    cr_assert(gc_json_integer(slice("-9223372036854775808"), &n) &&
              n == INT64_MIN);
    cr_assert_not(gc_json_integer(slice("-9223372036854775809"), &n));
    cr_assert_not(gc_json_integer(slice(""), &n));
    cr_assert_not(gc_json_integer(slice("-"), &n));
    cr_assert_not(gc_json_integer(slice("1.5"), &n));
    cr_assert_not(gc_json_integer(slice("null"), &n));
}


/* every prefix of a document, in a buffer of exactly its size */
Test(json_slice, broken_text_stays_in_bounds)
{
    const char *text = "{\"a\":[1,\"\\\\\\\"\",{\"b\":null}],\"c\" : \"x\" }";
    gc_json_iter_t it;
    gc_slice_t s, key, value;
    char *copy;

    for (s.len = 1; s.len <= strlen(text); s.len++) {
        copy = malloc(s.len);
        cr_assert_not_null(copy);
        memcpy(copy, text, s.len);
        s.data = copy;

        if (gc_json_object(&it, s) == 0) {
            while (gc_json_member(&it, &key, &value)) {
                cr_assert(value.data + value.len <= copy + s.len);
            }
        }

        free(copy);
    }
}
