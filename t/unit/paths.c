#include "core/gc_paths.h"

#include "core/gc_mesh.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static gc_path_t
report(unsigned network, unsigned from, unsigned to, int64_t at)
{
    gc_path_t path = {.path = GC_PATH_DIRECT, .rtt = 1500, .at = at};
    char id[GC_UUID_LEN + 1];

    snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000001", network);
    memcpy(path.network, id, GC_UUID_LEN);
    snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000002", from);
    memcpy(path.from, id, GC_UUID_LEN);
    snprintf(id, sizeof(id), "%08x-0000-4000-8000-000000000003", to);
    memcpy(path.to, id, GC_UUID_LEN);

    return path;
}


static const unsigned char key[GC_SIPHASH_KEY] = "sixteen bytes...";


static gc_paths_t *
table(void **memory, size_t size)
{
    gc_paths_t *paths;

    *memory = calloc(1, size);
    paths = gc_paths_init(*memory, size, key);
    cr_assert_not_null(paths);
    gc_paths_enter(paths);

    return paths;
}


Test(paths, too_little_memory_is_refused)
{
    char memory[1024];

    cr_assert_null(gc_paths_init(memory, sizeof(memory), key));
}


Test(paths, the_last_report_of_a_pair_counts)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 100000);
    gc_path_t path = report(1, 2, 3, 100), found[4];

    gc_paths_put(paths, &path, 1);
    path.path = GC_PATH_RELAYED;
    path.at = 110;
    gc_paths_put(paths, &path, 1);

    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 4), 1);
    cr_assert_eq(found[0].path, GC_PATH_RELAYED);
    cr_assert_eq(found[0].rtt, 1500);

    /* the other direction is another pair */
    path = report(1, 3, 2, 110);
    gc_paths_put(paths, &path, 1);
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 4), 2);

    /* it says how many there are, and writes no more than there is room for */
    memset(found, 0, sizeof(found));
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 1), 2);
    cr_assert_eq(found[1].at, 0);
    cr_assert_eq(gc_paths_find(paths, path.network, path.from, found, 4), 1);
    path = report(1, 4, 4, 0);
    cr_assert_eq(gc_paths_find(paths, path.network, path.from, found, 4), 0);
    path = report(2, 2, 3, 0);
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 4), 0);
    free(memory);
}


Test(paths, what_others_tell_does_not_replace_what_is_younger)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 100000);
    gc_path_t path = report(1, 2, 3, 100), found[1];

    gc_paths_put(paths, &path, 1);
    path.path = GC_PATH_RELAYED;
    gc_paths_put(paths, &path, 0);
    gc_paths_find(paths, path.network, NULL, found, 1);
    cr_assert_eq(found[0].path, GC_PATH_DIRECT);

    /* it reports elsewhere now */
    path.at = 101;
    gc_paths_put(paths, &path, 0);
    gc_paths_find(paths, path.network, NULL, found, 1);
    cr_assert_eq(found[0].path, GC_PATH_RELAYED);
    cr_assert_eq(gc_paths_take(paths, found, 1), 0, "not ours to tell");

    gc_paths_forget(paths, path.network, path.to, 102);
    path.at = 101;
    gc_paths_put(paths, &path, 0);
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 1), 0,
                 "a late word of who has left");
    path.at = 103;
    gc_paths_put(paths, &path, 0);
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 1), 1);
    free(memory);
}


Test(paths, what_changed_is_told_once)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 100000);
    gc_path_t a = report(1, 2, 3, 100), b = report(1, 3, 2, 100), found[4];
    uint64_t version;

    gc_paths_put(paths, &a, 1);
    gc_paths_put(paths, &b, 1);
    cr_assert_eq(gc_paths_changed(paths, a.network, 1, found, 4), 2);
    version = gc_paths_version(paths);

    /* the same again is no change */
    a.at = 130;
    gc_paths_put(paths, &a, 1);
    cr_assert_eq(gc_paths_changed(paths, a.network, version, found, 4), 0);

    b.sent = 7;
    gc_paths_put(paths, &b, 1);
    cr_assert_eq(gc_paths_changed(paths, a.network, version, found, 4), 1);
    cr_assert_eq(found[0].sent, 7);

    /* but the other nodes hear that it still holds */
    cr_assert_eq(gc_paths_take(paths, found, 4), 2);
    cr_assert_eq(gc_paths_take(paths, found, 4), 0);
    gc_paths_put(paths, &a, 1);
    cr_assert_eq(gc_paths_take(paths, found, 4), 1);
    free(memory);
}


Test(paths, what_is_not_reported_any_more_is_gone)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 100000);
    gc_path_t a = report(1, 2, 3, 1000), b = report(1, 3, 2, 1050), found[4];
    uint64_t version;

    gc_paths_expire(paths, 1000);
    gc_paths_put(paths, &a, 1);
    gc_paths_put(paths, &b, 1);
    version = gc_paths_version(paths);

    gc_paths_expire(paths, 1000 + GC_PATHS_LIFE);
    cr_assert_eq(gc_paths_find(paths, a.network, NULL, found, 4), 2);
    gc_paths_expire(paths, 1001 + GC_PATHS_LIFE);
    cr_assert_eq(gc_paths_find(paths, a.network, NULL, found, 4), 1);
    cr_assert_eq(gc_paths_changed(paths, a.network, version, found, 4), 1);
    cr_assert_eq(found[0].path, GC_PATH_GONE);
    cr_assert_arr_eq(found[0].from, a.from, GC_UUID_LEN);

    gc_paths_expire(paths, 5000);
    gc_paths_expire(paths, 6000);
    cr_assert_eq(gc_paths_count(paths), 0, "and forgotten after a while");
    cr_assert_eq(gc_paths_find(paths, a.network, NULL, found, 4), 0);

    /* a clock that is set back ends nothing too early, and takes reports */
    a.at = 100;
    gc_paths_expire(paths, 100);
    gc_paths_put(paths, &a, 1);
    gc_paths_expire(paths, 150);
    cr_assert_eq(gc_paths_find(paths, a.network, NULL, found, 4), 1);
    free(memory);
}


Test(paths, who_leaves_takes_his_pairs_along)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 100000);
    gc_path_t path, found[8];
    unsigned i, j;
    uint64_t version;

    for (i = 1; i <= 3; i++) {
        for (j = 1; j <= 3; j++) {
            path = report(1, i, j, 100);
            memcpy(path.to + 24, path.from + 24, 12);
            gc_paths_put(paths, &path, 1);
        }
    }

    version = gc_paths_version(paths);
    path = report(1, 2, 2, 0);
    gc_paths_forget(paths, path.network, path.from, 101);
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, found, 8), 4);
    cr_assert_eq(gc_paths_changed(paths, path.network, version, found, 8), 5);
    path = report(9, 2, 2, 0);
    gc_paths_forget(paths, path.network, path.from, 101);
    free(memory);
}


/* how many pairs of a network or device are left */
static size_t
left_of(gc_paths_t *paths, const gc_path_t *of, const char *peer)
{
    return gc_paths_find(paths, of->network, peer, NULL, 0);
}


Test(paths, a_device_cannot_push_out_others)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 1000000);
    gc_path_t small = report(1, 1, 2, 100), path = small;
    unsigned i;

    gc_paths_put(paths, &small, 1);

    for (i = 0; i < 10 * GC_PATHS_DEVICE_MAX; i++) {
        path = report(1, 7, 1000 + i, 101 + i / 100);
        gc_paths_put(paths, &path, 1);
    }

    cr_assert_eq(left_of(paths, &path, path.from), GC_PATHS_DEVICE_MAX);
    cr_assert_eq(left_of(paths, &path, path.to), 1, "its last word is there");
    cr_assert_eq(left_of(paths, &small, small.from), 1);
    free(memory);
}


Test(paths, a_network_cannot_push_out_others)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 400000);
    size_t capacity = gc_paths_capacity(paths);
    gc_path_t path, first;
    unsigned i, j;

    cr_assert_gt(capacity, 500);
    cr_assert_lt(capacity, GC_PATHS_NETWORK_MAX);

    /* small ones first, long ago */
    for (i = 0; i < 20; i++) {
        path = report(100 + i, 1, 2, 10);
        gc_paths_put(paths, &path, 1);
    }

    for (i = 0; i < 4 * capacity; i++) {
        path = report(1, i / 100, 1000 + i, 20 + i / 100);
        gc_paths_put(paths, &path, 1);
    }

    cr_assert_eq(gc_paths_count(paths), capacity);

    for (i = 0; i < 20; i++) {
        path = report(100 + i, 1, 2, 10);
        cr_assert_eq(left_of(paths, &path, NULL), 1);
    }

    /* a second large one comes to a fair share, and the first keeps one */
    for (i = 0; i < 4 * capacity; i++) {
        path = report(2, i / 100, 1000 + i, 500);
        gc_paths_put(paths, &path, 1);
    }

    first = report(1, 1, 1, 1);
    cr_assert_geq(3 * left_of(paths, &first, NULL), capacity - 20);
    cr_assert_geq(3 * left_of(paths, &path, NULL), capacity - 20);
    cr_assert_eq(gc_paths_count(paths), capacity);

    /* and in it, all devices something */
    for (j = 0; j < 8; j++) {
        path = report(2, 70000 + j, 5, 501);
        gc_paths_put(paths, &path, 1);
    }

    for (j = 0; j < 8; j++) {
        path = report(2, 70000 + j, 5, 501);
        cr_assert_eq(left_of(paths, &path, path.from), 1);
    }

    free(memory);
}


Test(paths, a_table_of_single_pairs_keeps_the_newest)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 50000);
    size_t i, n = gc_paths_capacity(paths);
    gc_path_t path;

    for (i = 0; i < 5 * n; i++) {
        path = report((unsigned) i, 1, 2, 100);
        gc_paths_put(paths, &path, 1);
    }

    cr_assert_eq(gc_paths_count(paths), n);

    for (i = 4 * n; i < 5 * n; i++) {
        path = report((unsigned) i, 1, 2, 100);
        cr_assert_eq(left_of(paths, &path, NULL), 1);
    }

    free(memory);
}


Test(paths, a_network_has_its_bound)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 8000000);
    gc_path_t path = report(1, 1, 1, 1);
    unsigned i;

    cr_assert_gt(gc_paths_capacity(paths), GC_PATHS_NETWORK_MAX + 1000);

    for (i = 0; i < GC_PATHS_NETWORK_MAX + 1000; i++) {
        path = report(1, i / 50, i, 100);
        gc_paths_put(paths, &path, 1);
    }

    cr_assert_eq(left_of(paths, &path, NULL), GC_PATHS_NETWORK_MAX);
    free(memory);
}


Test(paths, a_table_in_which_somebody_died_is_emptied)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 100000);
    gc_path_t path = report(1, 2, 3, 100);

    gc_paths_put(paths, &path, 1);
    cr_assert_eq(gc_paths_enter(paths), 1, "entered, and not left");
    cr_assert_eq(gc_paths_emptied(paths), 1);
    cr_assert_eq(left_of(paths, &path, NULL), 0);
    gc_paths_put(paths, &path, 1);
    gc_paths_leave(paths);
    cr_assert_eq(gc_paths_enter(paths), 0);
    cr_assert_eq(left_of(paths, &path, NULL), 1);
    free(memory);
}


Test(paths, a_round_repeats_all_that_is_own)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 400000);
    gc_path_t path, found[200];
    size_t n = 0;
    unsigned i;

    for (i = 0; i < 100; i++) {
        path = report(i % 7, i, 3, 100);
        gc_paths_put(paths, &path, i % 2);
    }

    cr_assert_eq(gc_paths_take(paths, found, 200), 50);

    for (i = 0; i < 60; i++) {
        gc_paths_repeat(paths, 60);
        n += gc_paths_take(paths, found, 200);
    }

    cr_assert_geq(n, 50);
    cr_assert_leq(n, 100);
    free(memory);
}


/* any order of everything, on a table that is far too small */
Test(paths, nothing_gets_lost_in_a_storm)
{
    void *memory;
    gc_paths_t *paths = table(&memory, 60000);
    gc_path_t path, found[64];
    unsigned i, x = 1;
    size_t n;

    for (i = 0; i < 200000; i++) {
        x = x * 1103515245 + 12345;
        path = report(x >> 8 & 7, x >> 12 & 31, x >> 18 & 63, 1000 + i / 100);
        path.sent = x;

        switch (x >> 28) {
        case 0:
            gc_paths_forget(paths, path.network, path.from, path.at);
            break;
        case 1:
            gc_paths_expire(paths, path.at);
            break;
        case 2:
            gc_paths_repeat(paths, 7);
            (void) gc_paths_take(paths, found, 64);
            break;
        default:
            gc_paths_put(paths, &path, (int) (x >> 27 & 1));
            cr_assert_eq(left_of(paths, &path, NULL) > 0, 1);
        }

        cr_assert_leq(gc_paths_count(paths), gc_paths_capacity(paths));
    }

    gc_paths_expire(paths, 100000);
    gc_paths_expire(paths, 200000);
    n = gc_paths_take(paths, found, 64);
    cr_assert_eq(n, 0);
    cr_assert_eq(gc_paths_count(paths), 0);
    free(memory);
}


/*
 * What the nodes tell each other
 */

Test(mesh, what_is_written_is_read)
{
    gc_path_t path[200], found[GC_MESH_PAIRS];
    char text[GC_MESH_TEXT];
    size_t i, n, len, done = 0, texts = 0;

    for (i = 0; i < 200; i++) {
        path[i] = report(1 + (unsigned) i / 90, 7 + (unsigned) i / 30,
                         (unsigned) i, 1000 - (int64_t) i % 90);
        path[i].path = (uint8_t) (i % 3);
        path[i].sent = INT64_MAX;
        path[i].rtt = UINT32_MAX - (uint32_t) i;
    }

    while (done < 200) {
        n = gc_mesh_write(text, &len, path + done, 200 - done, 1000);
        cr_assert_gt(len, 0);
        cr_assert_leq(len, GC_MESH_TEXT);
        cr_assert_eq(gc_mesh_read(text, len, found, 1000), n);

        for (i = 0; i < n; i++, done++) {
            cr_assert_arr_eq(found[i].network, path[done].network, GC_UUID_LEN);
            cr_assert_arr_eq(found[i].from, path[done].from, GC_UUID_LEN);
            cr_assert_arr_eq(found[i].to, path[done].to, GC_UUID_LEN);
            cr_assert_eq(found[i].path, path[done].path);
            cr_assert_eq(found[i].rtt, path[done].rtt);
            cr_assert_eq(found[i].sent, path[done].sent);
            cr_assert_eq(found[i].at, path[done].at);
        }

        texts++;
    }

    cr_assert_leq(texts, 4);

    /* what is too old, or gone, is not said */
    n = gc_mesh_write(text, &len, path, 1, 2000);
    cr_assert_eq(n, 1);
    cr_assert_eq(len, 0);
    path[0].path = GC_PATH_GONE;
    cr_assert_eq(gc_mesh_write(text, &len, path, 1, 1000), 1);
    cr_assert_eq(len, 0);
}


/* each byte wrong in each way: refused, or a report within its bounds */
Test(mesh, nothing_is_believed_that_is_not_well_formed)
{
    gc_path_t path[3], found[GC_MESH_PAIRS];
    unsigned char raw[GC_MESH_BYTES], bad[GC_MESH_BYTES];
    char text[GC_MESH_TEXT + 8];
    size_t i, j, k, n, len, size;

    for (i = 0; i < 3; i++) {
        path[i] = report(1, 2 + (unsigned) i / 2, 9 + (unsigned) i, 1000);
    }

    gc_mesh_write(text, &len, path, 3, 1000);
    cr_assert_eq(gc_mesh_read(text, len, found, 1000), 3);

    for (i = 0; i < len; i++) {
        cr_assert_eq(gc_mesh_read(text, i, found, 1000), 0, "cut at %zu", i);
    }

    size = 1 + 2 * 33 + 3 * 38;
    cr_assert_eq(gc_base64_decode(raw, size, text, len), 0);

    for (i = 0; i < size; i++) {
        for (j = 1; j < 256; j++) {
            memcpy(bad, raw, size);
            bad[i] ^= (unsigned char) j;
            gc_base64_encode(text, bad, size);
            n = gc_mesh_read(text, len, found, 1000);
            cr_assert(n == 0 || n == 3);

            for (k = 0; k < n; k++) {
                cr_assert_leq(found[k].path, GC_PATH_RELAYED);
                cr_assert_geq(found[k].at, 1000 - GC_PATHS_LIFE);
                cr_assert_leq(found[k].at, 1000);
                cr_assert_leq(found[k].received, INT64_MAX);
                cr_assert(gc_uuid_valid(found[k].to, GC_UUID_LEN));
            }
        }
    }

    memset(text, 'A', sizeof(text));
    cr_assert_eq(gc_mesh_read(text, GC_MESH_TEXT, found, 1000), 0);
    cr_assert_eq(gc_mesh_read(text, GC_MESH_TEXT + 4, found, 1000), 0);
    cr_assert_eq(gc_mesh_read("====", 4, found, 1000), 0);
    cr_assert_eq(gc_mesh_read("AQ==", 4, found, 1000), 0);
}
