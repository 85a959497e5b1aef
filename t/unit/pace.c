#include "core/gc_pace.h"

#include <criterion/criterion.h>


/* sockets told after so many milliseconds, of a worker's n */
static uint32_t
told(uint32_t n, uint32_t ms)
{
    return gc_pace_batch(n, GC_PACE_TELL_MAX) * (ms / GC_PACE_TICK);
}


Test(pace, the_window_grows_with_the_sockets)
{
    static const uint32_t want[][2] = {
        {0, 0},       {1, 1},         {499, 1},          {500, 2},
        {1000, 3},    {10000, 21},    {50000, 101},      {59500, 120},
        {60000, 120}, {1000000, 120}, {UINT32_MAX, 120},
    };
    size_t i;

    for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        cr_expect_eq(gc_pace_window(want[i][0]), want[i][1], "%u: %u, not %u",
                     want[i][0], gc_pace_window(want[i][0]), want[i][1]);
    }
}


Test(pace, no_second_gets_more_than_its_share)
{
    uint32_t n, window;

    for (n = 1; n < 60000; n += 7) {
        window = gc_pace_window(n);
        cr_assert_leq(n / (window + 1), GC_PACE_RETURN_RATE);
    }
}


Test(pace, all_are_told_in_time_and_not_at_once)
{
    uint32_t n;

    cr_expect_eq(told(100, 1000), 1000);
    cr_expect_eq(told(20000, 1000), 1020);

    for (n = 1; n < 5000000; n = n * 3 + 1) {
        cr_assert_geq(told(n, GC_PACE_TELL_MAX), n);
    }

    /* an administrator's worker_shutdown_timeout may leave less, or nothing */
    cr_expect_eq(gc_pace_batch(10000, 1000), 501);
    cr_expect_eq(gc_pace_batch(10000, 0), 10001);

    /* a worker with many still takes most of the time that there is */
    for (n = 30000; n < 5000000; n *= 3) {
        cr_assert_lt(told(n, GC_PACE_TELL_MAX / 2), n);
    }
}
