/* verdict_test.c - how ends of nodes count, as one table. */
#include "flow/verdict.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include <cmocka.h>

#define EXITED(code) ((code) << 8)

static const struct {
    const char *what;
    struct dora__ending ending;
    enum dora_exit exit;
    int code;
    const char *text;
} cases[] = {
    {"returned", {.status = EXITED(0)}, DORA_EXIT_SUCCESS, 0, "ended"},
    {"code 3", {.status = EXITED(3)}, DORA_EXIT_CODE, 3, "exited with code 3"},
    {"code 3 during a stop",
     {.status = EXITED(3), .signalled = true},
     DORA_EXIT_CODE,
     3,
     "exited with code 3"},
    {"our SIGTERM",
     {.status = SIGTERM, .signalled = true},
     DORA_EXIT_SUCCESS,
     SIGTERM,
     "ended"},
    {"128 + SIGINT after our signal",
     {.status = EXITED(130), .signalled = true},
     DORA_EXIT_SUCCESS,
     130,
     "ended"},
    {"128 + SIGTERM after our signal",
     {.status = EXITED(143), .signalled = true},
     DORA_EXIT_SUCCESS,
     143,
     "ended"},
    {"somebody's SIGTERM",
     {.status = SIGTERM},
     DORA_EXIT_SIGNAL,
     SIGTERM,
     "was killed by signal 15 (Terminated)"},
    {"128 + SIGTERM unasked",
     {.status = EXITED(143)},
     DORA_EXIT_CODE,
     143,
     "exited with code 143"},
    {"crash with a core",
     {.status = SIGSEGV | 0x80},
     DORA_EXIT_SIGNAL,
     SIGSEGV,
     "was killed by signal 11 (Segmentation fault)"},
    {"crash during a stop",
     {.status = SIGSEGV, .signalled = true},
     DORA_EXIT_SIGNAL,
     SIGSEGV,
     "was killed by signal 11 (Segmentation fault)"},
    {"somebody's SIGKILL",
     {.status = SIGKILL},
     DORA_EXIT_SIGNAL,
     SIGKILL,
     "was killed by signal 9 (Killed)"},
    {"our SIGKILL",
     {.status = SIGKILL, .signalled = true, .killed = true},
     DORA_EXIT_GRACE,
     SIGKILL,
     "did not stop in time and was killed"},
    {"our SIGKILL of one that hung",
     {.status = SIGKILL, .signalled = true, .killed = true, .hung = true},
     DORA_EXIT_HUNG,
     SIGKILL,
     "hung and was killed"},
    {"ended just before our SIGKILL",
     {.status = EXITED(0), .signalled = true, .killed = true},
     DORA_EXIT_SUCCESS,
     0,
     "ended"},
    {"could not join",
     {.status = EXITED(1), .given_up = true},
     DORA_EXIT_CONSEQUENCE,
     1,
     "gave up because it could not join the dataflow"},
    {"crashed while it could not join",
     {.status = SIGABRT, .given_up = true},
     DORA_EXIT_SIGNAL,
     SIGABRT,
     "was killed by signal 6 (Aborted)"},
};

static void
test_verdict_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__text text = {0};
        int code = -1;
        enum dora_exit exit = dora__verdict(&cases[i].ending, &code);

        dora__verdict_text(exit, code, &text);
        if (exit != cases[i].exit || code != cases[i].code ||
            strcmp(text.text, cases[i].text) != 0)
            fail_msg("%s: exit %d, code %d, \"%s\"", cases[i].what, (int)exit,
                     code, text.text);
        free(text.text);
    }
}

static void
test_verdict_only_root_causes_fail_a_run(void **state)
{
    (void)state;
    assert_false(dora__verdict_fails(DORA_EXIT_NONE));
    assert_false(dora__verdict_fails(DORA_EXIT_SUCCESS));
    assert_false(dora__verdict_fails(DORA_EXIT_CONSEQUENCE));
    assert_true(dora__verdict_fails(DORA_EXIT_CODE));
    assert_true(dora__verdict_fails(DORA_EXIT_SIGNAL));
    assert_true(dora__verdict_fails(DORA_EXIT_GRACE));
    assert_true(dora__verdict_fails(DORA_EXIT_NOT_STARTED));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdict_table),
        cmocka_unit_test(test_verdict_only_root_causes_fail_a_run),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
