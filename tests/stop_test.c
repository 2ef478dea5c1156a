/* stop_test.c - how a dataflow is stopped: the graces, what becomes of
 * nodes that were about to start again, and from where it may be done (T50).
 * argv[1]: the directory of the helper programs. */
#include "harness.h"

#include <stdatomic.h>
#include <sys/wait.h>

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
        100 * MS, 500 * MS);
    start(&run);
    await_log(&run.log, "deaf 1 6 up");
    await_log(&run.log, "self 1 3 up");
    begun = dora__now();
    dora_dataflow_stop(run.flow);
    /* Either may be the first to end. */
    assert_int_equal(dora_dataflow_wait(run.flow, -1, NULL), -ECANCELED);
    assert_true(dora__now() - begun >= 600 * MS);
    assert_true(dora__now() - begun < 8 * SECOND);
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

/* --- where it is called --------------------------------------------------- */

#define TWO_THAT_WAIT                               \
    "nodes:\n"                                      \
    "  - {id: a, path: callback, outputs: [out]}\n" \
    "  - id: b\n    path: callback\n    inputs: {in: a/out}\n"

struct listener {
    struct run *run;
    unsigned stops, failures;
    void (*call)(struct listener *listener); /* at the first input */
};

/* Hears until the stream has ended, and counts how often it was stopped. */
static int
listen_on(struct dora_node *node, void *arg)
{
    struct listener *listener = arg;
    struct dora_event event;

    dora_node_log(node, DORA_LEVEL_INFO, NULL, "up");
    while (next(node, &event) == 1) {
        if (event.type == DORA_EVENT_INPUT && listener->call != NULL)
            listener->call(listener);
        listener->stops += event.type == DORA_EVENT_STOP;
        listener->failures += event.type == DORA_EVENT_NODE_FAILED;
        dora_sample_unref(event.sample);
    }
    return 0;
}

static int
send_one(struct dora_node *node, void *arg)
{
    return dora_node_send(node, dora_node_output(node, "out"), "1", 1, NULL, 0,
                          NULL) < 0
               ? 1
               : listen_on(node, arg);
}

/* `a` sends one message to `b`, which calls `call` for it, or NULL. */
static void
begin(struct run *run, struct listener listeners[static 2],
      void (*call)(struct listener *listener))
{
    load(run, TWO_THAT_WAIT);
    listeners[0] = (struct listener){.run = run};
    listeners[1] = (struct listener){.run = run, .call = call};
    callback(run, "a", send_one, &listeners[0]);
    callback(run, "b", listen_on, &listeners[1]);
    start(run);
    await_log(&run->log, "a 1 3 up");
    await_log(&run->log, "b 1 3 up");
}

/* Each node was stopped once. */
static void
finish(struct run *run, const struct listener listeners[static 2])
{
    expect_success(run);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(listeners[i].stops, 1);
        assert_int_equal(listeners[i].failures, 0);
    }
    unload(run);
}

static void *
stop_often(void *flow)
{
    for (int i = 0; i < 1000; i++)
        dora_dataflow_stop(flow);
    return NULL;
}

static void
test_stop_by_many_threads_at_once(void **state)
{
    struct listener listeners[2];
    pthread_t threads[4];
    struct run run;

    (void)state;
    begin(&run, listeners, NULL);
    for (size_t i = 0; i < DORA_COUNT(threads); i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, stop_often, run.flow), 0);
    for (size_t i = 0; i < DORA_COUNT(threads); i++)
        (void)pthread_join(threads[i], NULL);
    finish(&run, listeners);
}

static struct dora_dataflow *signalled;

static void
stop_signalled(int number)
{
    (void)number;
    dora_dataflow_stop(signalled);
}

static void
test_stop_by_a_signal_handler(void **state)
{
    struct sigaction action = {.sa_handler = stop_signalled}, before;
    struct listener listeners[2];
    struct run run;

    (void)state;
    begin(&run, listeners, NULL);
    signalled = run.flow;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    finish(&run, listeners);
    (void)sigaction(SIGUSR1, &before, NULL);
}

static void
stop_twice(struct listener *listener)
{
    dora_dataflow_stop(listener->run->flow);
    dora_dataflow_stop(listener->run->flow);
}

static void
test_stop_by_a_node_itself(void **state)
{
    struct listener listeners[2];
    struct run run;

    (void)state;
    begin(&run, listeners, stop_twice);
    finish(&run, listeners);
}

/* The supervisor's own thread. */
static void
stop_at_words(void *arg, const struct dora_log_record *record)
{
    (void)record;
    dora_dataflow_stop(*(struct dora_dataflow **)arg);
}

static void
test_stop_by_the_log_sink(void **state)
{
    static const char text[] = "nodes: [{id: a, path: callback}]\n";
    struct dora_dataflow *flow;
    struct dora_options options = {.size = sizeof options,
                                   .no_files = true,
                                   .log = stop_at_words,
                                   .log_arg = &flow};
    struct listener listener = {.run = NULL};

    (void)state;
    assert_int_equal(dora_dataflow_load_string(text, strlen(text), "test.yml",
                                               &options, &flow, NULL),
                     0);
    assert_int_equal(
        dora_dataflow_set_callback(flow, "a", listen_on, &listener, NULL), 0);
    assert_int_equal(dora_dataflow_start(flow, NULL), 0);
    assert_int_equal(dora_dataflow_wait(flow, -1, NULL), 0);
    assert_int_equal(listener.stops, 1);
    dora_dataflow_free(flow);
}

static void
test_stop_after_the_end_changes_nothing(void **state)
{
    struct listener listeners[2];
    struct run run;

    (void)state;
    begin(&run, listeners, stop_twice);
    expect_success(&run);
    dora_dataflow_stop(run.flow);
    dora_dataflow_kill(run.flow);
    finish(&run, listeners);
}

/* --- forked children -------------------------------------------------------
 */

static int
in_a_child(struct run *run)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(300);
        dora_dataflow_stop(run->flow);
        dora_dataflow_kill(run->flow);
        if (dora_dataflow_wait(run->flow, -1, NULL) != -ECHILD)
            _exit(1);
        dora_dataflow_free(run->flow);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void
fork_now(struct listener *listener)
{
    (void)in_a_child(listener->run);
}

static void
test_stop_in_a_forked_child_affects_nothing(void **state)
{
    struct listener listeners[2];
    struct run run;

    (void)state;
    begin(&run, listeners, fork_now);
    assert_int_equal(in_a_child(&run), 0);
    assert_int_equal(dora_dataflow_wait(run.flow, 100 * MS, NULL), -ETIMEDOUT);
    dora_dataflow_stop(run.flow);
    finish(&run, listeners);
}

/* With processes: their guardian is the parent's as well. */
static void
test_stop_in_a_forked_child_ends_no_process(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: self, path: self}]\n");
    start(&run);
    await_log(&run.log, "self 1 3 up");
    assert_int_equal(in_a_child(&run), 0);
    assert_int_equal(dora_dataflow_wait(run.flow, 100 * MS, NULL), -ETIMEDOUT);
    dora_dataflow_kill(run.flow);
    expect_failure(&run, "node `self` did not stop in time and was killed");
    unload(&run);
}

/* What was only loaded may be started by either. */
static void
test_stop_is_for_whoever_has_started(void **state)
{
    struct listener listener = {.run = NULL};
    struct run run;
    pid_t pid;
    int status;

    (void)state;
    load(&run, "nodes: [{id: a, path: callback}]\n");
    callback(&run, "a", listen_on, &listener);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)alarm(300);
        start(&run);
        dora_dataflow_stop(run.flow);
        expect_success(&run);
        unload(&run);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    start(&run);
    dora_dataflow_stop(run.flow);
    expect_success(&run);
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
        cmocka_unit_test(test_stop_by_many_threads_at_once),
        cmocka_unit_test(test_stop_by_a_signal_handler),
        cmocka_unit_test(test_stop_by_a_node_itself),
        cmocka_unit_test(test_stop_by_the_log_sink),
        cmocka_unit_test(test_stop_after_the_end_changes_nothing),
        cmocka_unit_test(test_stop_in_a_forked_child_affects_nothing),
        cmocka_unit_test(test_stop_in_a_forked_child_ends_no_process),
        cmocka_unit_test(test_stop_is_for_whoever_has_started),
    };
    int code;

    if (harness_begin(argc, argv, &code))
        return code;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
