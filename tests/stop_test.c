/* stop_test.c - how a dataflow is stopped: the graces, and what becomes of
 * nodes that were about to start again. argv[1]: the directory of the helper
 * programs. */
#include "harness.h"

#include <stdatomic.h>

#define MS (SECOND / 1000)

/* Ignores SIGTERM, and says that it came. */
#define DEAF                                           \
    "  - id: deaf\n    path: shell\n"                  \
    "    args: trap 'echo told' TERM; echo up; while " \
    "true; do sleep 0.01; done\n"

/* --- the graces ----------------------------------------------------------- */

/* Not so long as by default: 15 s. */
static void
test_stop_graces_can_be_short(void **state)
{
    struct run run;
    int64_t begun;

    (void)state;
    load_graced(
        &run, "nodes:\n" DEAF "  - {id: self, path: self, args: ignore-all}\n",
        100 * MS, 100 * MS);
    start(&run);
    await_log(&run.log, "deaf 1 6 up");
    await_log(&run.log, "self 1 3 up");
    begun = dora__now();
    dora_dataflow_stop(run.flow);
    expect_failure(&run, "node `deaf` did not stop in time and was killed");
    assert_true(dora__now() - begun >= 200 * MS);
    assert_true(dora__now() - begun < 5 * SECOND);
    expect_exit(&run, 0, DORA_EXIT_GRACE, SIGKILL);
    expect_exit(&run, 1, DORA_EXIT_GRACE, SIGKILL);
    expect_log(&run, "deaf 1 6 told");
    expect_log(&run, "self 0 2 has not stopped: sending SIGTERM");
    unload(&run);
}

static void
test_stop_second_grace_is_half_of_the_first(void **state)
{
    struct run run;
    int64_t begun;

    (void)state;
    load_graced(&run, "nodes:\n" DEAF, 400 * MS, 0);
    start(&run);
    await_log(&run.log, "deaf 1 6 up");
    begun = dora__now();
    dora_dataflow_stop(run.flow);
    expect_failure(&run, "node `deaf` did not stop in time and was killed");
    assert_true(dora__now() - begun >= 600 * MS);
    assert_true(dora__now() - begun < 4 * SECOND);
    unload(&run);
}

static void
test_stop_graces_can_be_for_ever(void **state)
{
    struct run run;

    (void)state;
    load_graced(&run, "nodes: [{id: self, path: self, args: ignore-all}]\n", 1,
                -1);
    start(&run);
    await_log(&run.log, "self 1 3 up");
    dora_dataflow_stop(run.flow);
    await_log(&run.log, "self 0 2 has not stopped: sending SIGTERM");
    assert_int_equal(dora_dataflow_wait(run.flow, 100 * MS, NULL), -ETIMEDOUT);
    dora_dataflow_kill(run.flow);
    expect_failure(&run, "node `self` did not stop in time and was killed");
    unload(&run);
}

static int
never_return(struct dora_node *node, void *arg)
{
    atomic_bool *let_go = arg;

    dora_node_log(node, DORA_LEVEL_INFO, NULL, "up");
    /* pairs with the test's */
    while (!atomic_load_explicit(let_go, memory_order_acquire))
        (void)usleep(1000);
    return 0;
}

static void
test_stop_graces_are_those_of_callbacks_too(void **state)
{
    static atomic_bool let_go;
    struct run run;

    (void)state;
    load_graced(&run, "nodes: [{id: a, path: callback}]\n", 50 * MS, 50 * MS);
    callback(&run, "a", never_return, &let_go);
    start(&run);
    await_log(&run.log, "a 1 3 up");
    dora_dataflow_stop(run.flow);
    expect_failure(&run, "node `a` did not return after the stop; its thread "
                         "is abandoned");
    expect_log(&run, "a 0 2 has not stopped: waiting for its function");
    unload(&run);
    /* pairs with never_return */
    atomic_store_explicit(&let_go, true, memory_order_release);
}

/* --- what was to be started again ----------------------------------------- */

static void
test_stop_leaves_a_crash_what_it_was(void **state)
{
    struct dora_node_stats stats;
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: shell, args: exit 4, restart_policy: always, "
               "restart_delay: 100}\n"
               "  - {id: b, path: shell, args: exit 0, restart_policy: always, "
               "restart_delay: 100}\n");
    start(&run);
    await_log(&run.log, "a 0 2 exited with code 4; starting it again");
    await_log(&run.log, "b 0 2 ended; starting it again");
    dora_dataflow_stop(run.flow);
    expect_failure(&run, "node `a` exited with code 4");
    expect_exit(&run, 0, DORA_EXIT_CODE, 4);
    expect_exit(&run, 1, DORA_EXIT_SUCCESS, 0);
    assert_int_equal(dora_dataflow_node_stats(run.flow, 0, &stats), 0);
    assert_int_equal(stats.restarts, 0);
    expect_log(&run, "a 0 1 exited with code 4\n");
    unload(&run);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_graces_can_be_short),
        cmocka_unit_test(test_stop_second_grace_is_half_of_the_first),
        cmocka_unit_test(test_stop_graces_can_be_for_ever),
        cmocka_unit_test(test_stop_graces_are_those_of_callbacks_too),
        cmocka_unit_test(test_stop_leaves_a_crash_what_it_was),
    };
    int code;

    if (harness_begin(argc, argv, &code))
        return code;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
