/* cmocka.h - as much of cmocka as our tests use, in one header, for machines
 * that we cross-compile for and that have no libcmocka installed. Where the
 * real one is, it is used: this directory is on the include path of the
 * cross-compiled flavour only. */
#ifndef CROSS_CMOCKA_H
#define CROSS_CMOCKA_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

enum { CROSS_PASSED = 0, CROSS_FAILED, CROSS_SKIPPED };

static jmp_buf cross_out;

/* As cmocka, ends the test from wherever it is, on the test's own thread. */
__attribute__((noreturn, unused)) static void
cross_fail(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: error: %s\n", file, line, what);
    longjmp(cross_out, CROSS_FAILED);
}

__attribute__((unused)) static void
cross_compare(uintmax_t a, uintmax_t b, int equal, const char *what,
              const char *file, int line)
{
    if ((a == b) == equal)
        return;
    (void)fprintf(stderr, "%#jx %s %#jx\n", a, equal ? "!=" : "==", b);
    cross_fail(file, line, what);
}

__attribute__((unused)) static int
cross_run(const struct CMUnitTest *test, void *group_state)
{
    void *volatile state = group_state;
    int verdict;

    (void)printf("[ RUN      ] %s\n", test->name);
    (void)fflush(stdout);
    if (test->setup != NULL && test->setup((void **)&state) != 0)
        return CROSS_FAILED;
    verdict = setjmp(cross_out);
    if (verdict == CROSS_PASSED)
        test->test((void **)&state);
    if (test->teardown != NULL && test->teardown((void **)&state) != 0)
        verdict = CROSS_FAILED;
    (void)printf("[ %s ] %s\n",
                 verdict == CROSS_PASSED    ? "      OK"
                 : verdict == CROSS_SKIPPED ? " SKIPPED"
                                            : " FAILED ",
                 test->name);
    return verdict;
}

__attribute__((unused)) static int
cross_run_group(const struct CMUnitTest *tests, size_t count,
                int (*setup)(void **), int (*teardown)(void **))
{
    void *state = NULL;
    int failed = 0;

    (void)printf("[==========] Running %zu test(s).\n", count);
    if (setup != NULL && setup(&state) != 0)
        return 1;
    for (size_t i = 0; i < count; i++)
        failed += cross_run(&tests[i], state) == CROSS_FAILED;
    if (teardown != NULL && teardown(&state) != 0)
        failed++;
    (void)printf("[==========] %zu test(s) run.\n[  PASSED  ] %zu test(s).\n",
                 count, count - (size_t)failed);
    return failed;
}

#define cmocka_unit_test(t) \
    {                       \
#t, t, NULL, NULL   \
    }
#define cmocka_unit_test_setup(t, s) \
    {                                \
#t, t, s, NULL               \
    }
#define cmocka_unit_test_teardown(t, d) \
    {                                   \
#t, t, NULL, d                  \
    }
#define cmocka_unit_test_setup_teardown(t, s, d) \
    {                                            \
#t, t, s, d                              \
    }
#define cmocka_run_group_tests(tests, setup, teardown) \
    cross_run_group(tests, sizeof(tests) / sizeof *(tests), setup, teardown)

#define fail() cross_fail(__FILE__, __LINE__, "fail()")
#define fail_msg(...)                    \
    ((void)fprintf(stderr, __VA_ARGS__), \
     cross_fail(__FILE__, __LINE__, "fail_msg()"))
#define skip() longjmp(cross_out, CROSS_SKIPPED)

#define CROSS_COMPARE(a, b, equal, name)                 \
    cross_compare((uintmax_t)(a), (uintmax_t)(b), equal, \
                  name "(" #a ", " #b ")", __FILE__, __LINE__)
#define assert_int_equal(a, b) CROSS_COMPARE(a, b, 1, "assert_int_equal")
#define assert_int_not_equal(a, b) \
    CROSS_COMPARE(a, b, 0, "assert_int_not_equal")
#define assert_ptr_equal(a, b) \
    CROSS_COMPARE((uintptr_t)(a), (uintptr_t)(b), 1, "assert_ptr_equal")
#define assert_ptr_not_equal(a, b) \
    CROSS_COMPARE((uintptr_t)(a), (uintptr_t)(b), 0, "assert_ptr_not_equal")
#define assert_true(a) CROSS_COMPARE(!(a), 0, 1, "assert_true")
#define assert_false(a) CROSS_COMPARE(!(a), 1, 1, "assert_false")
#define assert_null(a) CROSS_COMPARE((a) == NULL, 1, 1, "assert_null")
#define assert_non_null(a) CROSS_COMPARE((a) != NULL, 1, 1, "assert_non_null")
#define assert_in_range(a, low, high)                      \
    CROSS_COMPARE((uintmax_t)(a) >= (uintmax_t)(low) &&    \
                      (uintmax_t)(a) <= (uintmax_t)(high), \
                  1, 1, "assert_in_range")
#define assert_return_code(rc, error) \
    CROSS_COMPARE((rc) >= 0, 1, 1, "assert_return_code")
#define assert_string_equal(a, b) \
    CROSS_COMPARE(strcmp((a), (b)) == 0, 1, 1, "assert_string_equal")
#define assert_string_not_equal(a, b) \
    CROSS_COMPARE(strcmp((a), (b)) == 0, 0, 1, "assert_string_not_equal")
#define assert_memory_equal(a, b, size) \
    CROSS_COMPARE(memcmp((a), (b), (size)) == 0, 1, 1, "assert_memory_equal")
#define assert_memory_not_equal(a, b, size)            \
    CROSS_COMPARE(memcmp((a), (b), (size)) == 0, 0, 1, \
                  "assert_memory_not_equal")

#endif
