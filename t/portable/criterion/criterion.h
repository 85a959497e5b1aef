/*
 * As much of Criterion as t/unit uses, for machines that it is not built for:
 * each test in a process of its own, its result as a line of TAP.
 */

#ifndef GC_PORTABLE_CRITERION_H
#define GC_PORTABLE_CRITERION_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct criterion_test {
    const char *name;
    void (*run)(void);
    void (*init)(void); /* before it; NULL: nothing */
    struct criterion_test *next;
};

/* t/portable/criterion.c */
void criterion_add(struct criterion_test *test);
void criterion_check(int fine, int end, const char *file, int line,
                     const char *what);

#define Test(suite, title, ...)                                          \
    static void suite##_##title##_run(void);                             \
    static struct criterion_test suite##_##title##_test = {              \
        .name = #suite "::" #title,                                      \
        .run = suite##_##title##_run,                                    \
        __VA_ARGS__};                                                    \
    __attribute__((constructor)) static void suite##_##title##_add(void) \
    {                                                                    \
        criterion_add(&suite##_##title##_test);                          \
    }                                                                    \
    static void suite##_##title##_run(void)

#define CRITERION_IS(fine, end, what) \
    criterion_check((fine) ? 1 : 0, end, __FILE__, __LINE__, what)

/* What a message would say is left out: file and line are there. */
#define cr_assert(a, ...) CRITERION_IS(a, 1, #a)
#define cr_assert_not(a, ...) CRITERION_IS(!(a), 1, "not " #a)
#define cr_assert_null(a, ...) CRITERION_IS((a) == NULL, 1, #a " is NULL")
#define cr_assert_not_null(a, ...) CRITERION_IS((a) != NULL, 1, #a " is there")
#define cr_assert_eq(a, b, ...) CRITERION_IS((a) == (b), 1, #a " == " #b)
#define cr_assert_neq(a, b, ...) CRITERION_IS((a) != (b), 1, #a " != " #b)
#define cr_assert_lt(a, b, ...) CRITERION_IS((a) < (b), 1, #a " < " #b)
#define cr_assert_leq(a, b, ...) CRITERION_IS((a) <= (b), 1, #a " <= " #b)
#define cr_assert_gt(a, b, ...) CRITERION_IS((a) > (b), 1, #a " > " #b)
#define cr_assert_geq(a, b, ...) CRITERION_IS((a) >= (b), 1, #a " >= " #b)
#define cr_assert_str_eq(a, b, ...) \
    CRITERION_IS(strcmp(a, b) == 0, 1, #a " is " #b)
#define cr_assert_str_neq(a, b, ...) \
    CRITERION_IS(strcmp(a, b) != 0, 1, #a " is not " #b)
#define cr_assert_arr_eq(a, b, n, ...) \
    CRITERION_IS(memcmp(a, b, n) == 0, 1, #a " is " #b)
#define cr_assert_fail(...) CRITERION_IS(0, 1, "must not come here")

#define cr_expect(a, ...) CRITERION_IS(a, 0, #a)
#define cr_expect_not(a, ...) CRITERION_IS(!(a), 0, "not " #a)
#define cr_expect_null(a, ...) CRITERION_IS((a) == NULL, 0, #a " is NULL")
#define cr_expect_not_null(a, ...) CRITERION_IS((a) != NULL, 0, #a " is there")
#define cr_expect_eq(a, b, ...) CRITERION_IS((a) == (b), 0, #a " == " #b)
#define cr_expect_lt(a, b, ...) CRITERION_IS((a) < (b), 0, #a " < " #b)
#define cr_expect_leq(a, b, ...) CRITERION_IS((a) <= (b), 0, #a " <= " #b)
#define cr_expect_gt(a, b, ...) CRITERION_IS((a) > (b), 0, #a " > " #b)
#define cr_expect_geq(a, b, ...) CRITERION_IS((a) >= (b), 0, #a " >= " #b)
#define cr_expect_neq(a, b, ...) CRITERION_IS((a) != (b), 0, #a " is not " #b)
#define cr_expect_str_eq(a, b, ...) \
    CRITERION_IS(strcmp(a, b) == 0, 0, #a " is " #b)

#endif
