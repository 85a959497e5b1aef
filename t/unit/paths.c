#include "core/gc_paths.h"

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


Test(paths, too_little_memory_is_refused)
{
    char memory[64];

    cr_assert_null(gc_paths_init(memory, sizeof(memory)));
}


Test(paths, the_last_report_of_a_pair_counts)
{
    size_t size = 100000;
    void *memory = malloc(size);
    gc_paths_t *paths = gc_paths_init(memory, size);
    gc_path_t path = report(1, 2, 3, 100), found[4];

    gc_paths_put(paths, &path);
    path.path = GC_PATH_RELAYED;
    path.at = 110;
    gc_paths_put(paths, &path);

    cr_assert_eq(gc_paths_find(paths, path.network, NULL, 0, found, 4), 1);
    cr_assert_eq(found[0].path, GC_PATH_RELAYED);
    cr_assert_eq(found[0].rtt, 1500);

    /* the other direction is another pair */
    path = report(1, 3, 2, 110);
    gc_paths_put(paths, &path);
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, 0, found, 4), 2);

    /* it says how many there are, and writes no more than there is room for */
    memset(found, 0, sizeof(found));
    cr_assert_eq(gc_paths_find(paths, path.network, NULL, 0, found, 1), 2);
    cr_assert_eq(found[1].at, 0);
    cr_assert_eq(gc_paths_find(paths, path.network, path.from, 0, found, 4), 1);
    cr_assert_eq(gc_paths_find(paths, path.network, path.network, 0, found, 4),
                 0);
    free(memory);
}


Test(paths, networks_and_ages_are_told_apart)
{
    size_t size = 100000;
    void *memory = malloc(size);
    gc_paths_t *paths = gc_paths_init(memory, size);
    gc_path_t a = report(1, 2, 3, 100), b = report(9, 4, 5, 200), found[4];

    gc_paths_put(paths, &a);
    gc_paths_put(paths, &b);

    cr_assert_eq(gc_paths_find(paths, a.network, NULL, 100, found, 4), 1);
    cr_assert_eq(gc_paths_find(paths, a.network, NULL, 101, found, 4), 0);
    cr_assert_eq(gc_paths_find(paths, b.network, NULL, 101, found, 4), 1);
    free(memory);
}


Test(paths, a_full_table_keeps_the_newest)
{
    size_t size = 20000;
    void *memory = malloc(size);
    gc_paths_t *paths = gc_paths_init(memory, size);
    gc_path_t *found = malloc(1000 * sizeof(*found)), path;
    size_t i, n, capacity = gc_paths_capacity(paths);

    cr_assert_gt(capacity, 32);
    cr_assert_lt(capacity, 500);

    for (i = 0; i < 5 * capacity; i++) {
        path = report(1, (unsigned) i, 7, (int64_t) i + 1);
        gc_paths_put(paths, &path);
    }

    n = gc_paths_find(paths, path.network, NULL, 0, found, 1000);
    cr_assert_leq(n, capacity);
    cr_assert_gt(n, capacity / 2);

    /* whoever came last is there */
    for (i = 0; i < n && found[i].at != (int64_t) (5 * capacity); i++) {
    }

    cr_assert_lt(i, n);
    free(found);
    free(memory);
}
