/* process_test.c - nodes that are programs: what they see, how they join, how
 * their ends count, and that nothing they wrote is lost. argv[1]: the directory
 * of the helper programs. */
#include "harness.h"

#include <sys/stat.h>

/* --- programs --------------------------------------------------------------
 */

static void
test_process_programs_see_their_place(void **state)
{
    struct run run;

    (void)state;
    load(&run, "env: {A: top, B: top}\n"
               "nodes:\n"
               "  - id: a\n"
               "    path: shell\n"
               "    env: {B: own}\n"
               "    args: 'pwd; echo $A $B $PYTHONUNBUFFERED; "
               "test -n \"$DORA_NODE_CONFIG\" && echo config; "
               "test -z \"$DORA_RUN_ATTACH\" && echo plain; echo oops >&2'\n");
    start(&run);
    expect_success(&run);
    expect_log(&run,
               "a 1 6 /tmp\na 1 6 top own 1\na 1 6 config\na 1 6 plain\n");
    expect_log(&run, "a 2 6 oops\n");
    unload(&run);
}

static void
test_process_ends_of_programs_are_told_apart(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: shell, args: exit 0}\n"
               "  - {id: b, path: shell, args: sleep 0.1; exit 3}\n"
               "  - {id: c, path: shell, args: 'sleep 0.3; kill -SEGV $$'}\n"
               "  - {id: d, path: shell, args: 'sleep 0.3; kill -TERM $$'}\n");
    start(&run);
    expect_failure(&run, "node `b` exited with code 3");
    expect_exit(&run, 0, DORA_EXIT_SUCCESS, 0);
    expect_exit(&run, 1, DORA_EXIT_CODE, 3);
    expect_exit(&run, 2, DORA_EXIT_SIGNAL, SIGSEGV);
    expect_exit(&run, 3, DORA_EXIT_SIGNAL, SIGTERM);
    expect_log(&run, "b 0 1 exited with code 3\n");
    unload(&run);
}

static void
test_process_stop_terminates_programs(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: shell, args: echo up; sleep 100}]\n");
    start(&run);
    await_log(&run.log, "a 1 6 up");
    dora_dataflow_stop(run.flow);
    expect_success(&run);
    expect_exit(&run, 0, DORA_EXIT_SUCCESS, SIGTERM);
    unload(&run);
}

static void
test_process_kill_waits_for_nobody(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - id: a\n    path: shell\n"
               "    args: trap '' TERM; echo up; sleep 100; sleep 100\n");
    start(&run);
    await_log(&run.log, "a 1 6 up");
    dora_dataflow_stop(run.flow);
    dora_dataflow_kill(run.flow);
    expect_failure(&run, "node `a` did not stop in time and was killed");
    expect_exit(&run, 0, DORA_EXIT_GRACE, SIGKILL);
    unload(&run);
}

static void
test_process_last_words_are_complete(void **state)
{
    struct run run;

    (void)state;
    load(&run,
         "nodes:\n"
         "  - id: a\n    path: shell\n"
         "    args: 'sleep 100 & head -c 1000000 /dev/zero | tr \"\\0\" x; "
         "printf \"\\303\" >&2; kill -SEGV $$'\n");
    start(&run);
    expect_failure(&run,
                   "node `a` was killed by signal 11 (Segmentation fault)");
    assert_int_equal(run.log.longest, 1000000);
    expect_log(&run, "a 2 6 \303\n");
    unload(&run);
}

static void
test_process_floods_are_complete(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: shell, args: seq 200000}]\n");
    start(&run);
    expect_success(&run);
    assert_int_equal(run.log.count, 200001);
    expect_log(&run, "a 1 6 200000\n");
    unload(&run);
}

/* Program and directory were there at load, but not at start. */
static void
test_process_program_that_is_gone_is_named(void **state)
{
    char path[] = "/tmp/dora-dataflow-XXXXXX";
    DORA_AUTOFREE char *text = NULL;
    int fd = mkstemp(path);
    struct run run;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    (void)close(fd);
    text = dora__format("nodes: [{id: a, path: %s}]\n", path);
    load(&run, text);
    assert_int_equal(unlink(path), 0);
    start(&run);
    expect_failure(&run, "node `a` was not started: cannot execute its "
                         "program: No such file or directory");
    expect_exit(&run, 0, DORA_EXIT_NOT_STARTED, ENOENT);
    unload(&run);
}

static void
test_process_restart_policy_is_followed(void **state)
{
    struct dora_node_stats stats;
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: shell, args: exit 4, restart_policy: "
               "on-failure, max_restarts: 2, restart_delay: 0.01}\n");
    start(&run);
    expect_failure(&run, "node `a` exited with code 4");
    assert_int_equal(dora_dataflow_node_stats(run.flow, 0, &stats), 0);
    assert_int_equal(stats.restarts, 2);
    expect_log(&run, "max restarts (2) exceeded, giving up");
    unload(&run);
}

/* --- process nodes -------------------------------------------------------- */

#define SELF_PAIR(a, b)                                      \
    "nodes:\n"                                               \
    "  - {id: a, path: self, args: " a ", outputs: [out]}\n" \
    "  - id: b\n    path: self\n    args: " b "\n"           \
    "    inputs: {in: {source: a/out, queue_size: 100}}\n"

static void
test_process_process_nodes_exchange_messages(void **state)
{
    struct run run;

    (void)state;
    load(&run, SELF_PAIR("send", "consume"));
    start(&run);
    expect_success(&run);
    expect_log(&run, "b 1 6 got 10\n");
    unload(&run);
}

static void
test_process_process_and_callback_exchange_messages(void **state)
{
    struct seen seen = {0};
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: self, args: send, outputs: [out]}\n"
               "  - {id: b, path: callback, inputs: {in: a/out}}\n");
    callback(&run, "b", sink, &seen);
    start(&run);
    expect_success(&run);
    assert_int_equal(seen.inputs, 10);
    unload(&run);
}

static void
test_process_crash_reaches_the_consumer(void **state)
{
    struct run run;

    (void)state;
    load(&run, SELF_PAIR("crash", "consume"));
    start(&run);
    expect_failure(&run,
                   "node `a` was killed by signal 11 (Segmentation fault)");
    expect_exit(&run, 1, DORA_EXIT_SUCCESS, 0);
    unload(&run);
}

static void
test_process_death_before_the_barrier_ends_the_run(void **state)
{
    struct seen seen = {0};
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: self, args: early-crash, outputs: [out]}\n"
               "  - {id: b, path: self, args: consume, inputs: {in: a/out}}\n"
               "  - {id: c, path: callback, inputs: {in: a/out}}\n"
               "  - {id: d, path: shell, args: sleep 100}\n");
    callback(&run, "c", sink, &seen);
    start(&run);
    expect_failure(&run, "node `a` exited with code 9");
    expect_exit(&run, 0, DORA_EXIT_CODE, 9);
    expect_exit(&run, 2, DORA_EXIT_CONSEQUENCE, -ECANCELED);
    expect_exit(&run, 3, DORA_EXIT_CONSEQUENCE, SIGTERM);
    assert_false(seen.ended);
    expect_log(&run, "b 2 6 subscribe failed: node `a` ended before it joined");
    expect_log(&run, "- 0 1 the dataflow cannot run: node `a` exited with "
                     "code 9\n");
    unload(&run);
}

static void
test_process_end_without_joining_fails_those_who_wait(void **state)
{
    struct run run;

    (void)state;
    load(&run, SELF_PAIR("early-exit", "consume"));
    start(&run);
    expect_failure(&run, "node `a` ended (code 0) before it joined the "
                         "dataflow: it never called Node()");
    unload(&run);
    load(&run, "nodes: [{id: a, path: self, args: early-exit}]\n");
    start(&run);
    expect_success(&run);
    unload(&run);
}

static void
test_process_restarted_node_passes_the_barrier(void **state)
{
    struct dora_node_stats stats;
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: self, args: crash-once, outputs: [out], "
               "restart_policy: on-failure}\n"
               "  - {id: b, path: self, args: consume, inputs: {in: a/out}}\n");
    start(&run);
    expect_success(&run);
    assert_int_equal(dora_dataflow_node_stats(run.flow, 0, &stats), 0);
    assert_int_equal(stats.restarts, 1);
    unload(&run);
}

static void
test_process_nodes_that_outstay_their_inputs_are_ended(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: self, args: send, outputs: [out]}\n"
               "  - {id: b, path: self, args: stay, finish_grace_secs: 0.1, "
               "inputs: {in: a/out}}\n");
    start(&run);
    expect_failure(&run, "node `b` had to be stopped: it went on after all its "
                         "inputs had closed");
    expect_log(&run, "b 0 2 still runs though all its inputs have closed");
    unload(&run);
}

static void
test_process_kill_ends_what_ignores_everything(void **state)
{
    struct run run;

    (void)state;
    load(&run, SELF_PAIR("ignore-all", "ignore-all"));
    start(&run);
    await_log(&run.log, "a 1 3 up");
    await_log(&run.log, "b 1 3 up");
    dora_dataflow_kill(run.flow);
    assert_int_equal(dora_dataflow_wait(run.flow, -1, &run.err), -ECANCELED);
    expect_exit(&run, 0, DORA_EXIT_GRACE, SIGKILL);
    expect_exit(&run, 1, DORA_EXIT_GRACE, SIGKILL);
    unload(&run);
}

static int
says_here(struct dora_node *node, void *arg)
{
    dora_node_log(node, DORA_LEVEL_INFO, NULL, "here");
    return until_end(node, arg);
}

/* The number after `word` in the log. */
static pid_t
logged_pid(struct log *log, const char *word)
{
    const char *at;
    pid_t pid;

    await_log(log, word);
    (void)pthread_mutex_lock(&log->lock);
    at = strstr(log->text.text, word);
    pid = (pid_t)strtol(at + strlen(word), NULL, 10);
    (void)pthread_mutex_unlock(&log->lock);
    return pid;
}

/* Until the guardian has said that it was started. */
static void
await_start(struct run *run, size_t node)
{
    struct dora_node_stats stats = {0};

    while (dora_dataflow_node_stats(run->flow, node, &stats) == 0 &&
           stats.pid == 0)
        (void)usleep(1000);
}

static void
test_process_lost_guardian_fails_the_run(void **state)
{
    struct run run;
    pid_t guardian;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: shell, args: echo below $PPID; sleep 100}\n"
               "  - {id: b, path: callback}\n");
    callback(&run, "b", says_here, NULL);
    start(&run);
    await_log(&run.log, "here");
    guardian = logged_pid(&run.log, "below ");
    assert_true(guardian > 1);
    await_start(&run, 0);
    assert_int_equal(kill(guardian, SIGKILL), 0);
    assert_int_equal(dora_dataflow_wait(run.flow, -1, &run.err), -ECANCELED);
    expect_log(&run, "dora-guardian, which starts the nodes, was killed");
    expect_exit(&run, 0, DORA_EXIT_LOST, SIGKILL);
    expect_exit(&run, 1, DORA_EXIT_SUCCESS, 0);
    unload(&run);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_programs_see_their_place),
        cmocka_unit_test(test_process_ends_of_programs_are_told_apart),
        cmocka_unit_test(test_process_stop_terminates_programs),
        cmocka_unit_test(test_process_kill_waits_for_nobody),
        cmocka_unit_test(test_process_last_words_are_complete),
        cmocka_unit_test(test_process_floods_are_complete),
        cmocka_unit_test(test_process_program_that_is_gone_is_named),
        cmocka_unit_test(test_process_restart_policy_is_followed),
        cmocka_unit_test(test_process_process_nodes_exchange_messages),
        cmocka_unit_test(test_process_process_and_callback_exchange_messages),
        cmocka_unit_test(test_process_crash_reaches_the_consumer),
        cmocka_unit_test(test_process_death_before_the_barrier_ends_the_run),
        cmocka_unit_test(test_process_end_without_joining_fails_those_who_wait),
        cmocka_unit_test(test_process_restarted_node_passes_the_barrier),
        cmocka_unit_test(
            test_process_nodes_that_outstay_their_inputs_are_ended),
        cmocka_unit_test(test_process_kill_ends_what_ignores_everything),
        cmocka_unit_test(test_process_lost_guardian_fails_the_run),
    };
    int code;

    if (harness_begin(argc, argv, &code))
        return code;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
