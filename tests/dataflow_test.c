/* dataflow_test.c - dataflows from start to end: C functions as nodes, misuse,
 * many of them, and what they leave. argv[1]: the directory of the helper
 * programs. */
#include "harness.h"

#include <dirent.h>
#include <stdatomic.h>

static int
return_three(struct dora_node *node, void *arg)
{
    (void)node;
    (void)arg;
    return 3;
}

/* --- callbacks ------------------------------------------------------------ */

static void
test_dataflow_callbacks_run_to_a_natural_end(void **state)
{
    uint32_t count = 1000;
    struct seen seen = {0};
    struct dora_edge_stats edge;
    struct dora_node_stats node;
    struct run run;

    (void)state;
    load(&run, PAIR);
    callback(&run, "a", source, &count);
    callback(&run, "b", sink, &seen);
    start(&run);
    expect_success(&run);
    assert_int_equal(seen.inputs, 1000);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.stops, 1);
    assert_true(seen.ordered && seen.ended);
    assert_int_equal(dora_dataflow_edge_stats(run.flow, 0, &edge), 0);
    assert_string_equal(edge.from_node, "a");
    assert_string_equal(edge.output, "out");
    assert_string_equal(edge.to_node, "b");
    assert_string_equal(edge.input, "in");
    assert_string_equal(edge.source, "a/out");
    assert_int_equal(edge.sent, 1000);
    assert_int_equal(edge.delivered, 1000);
    assert_int_equal(edge.dropped + edge.queued + edge.refused, 0);
    assert_false(edge.never_read);
    assert_int_equal(dora_dataflow_edge_stats(run.flow, 1, &edge), -ENOENT);
    assert_int_equal(dora_dataflow_node_stats(run.flow, 0, &node), 0);
    assert_string_equal(node.id, "a");
    assert_string_equal(node.kind, "callback");
    assert_int_equal(node.exit, DORA_EXIT_SUCCESS);
    assert_int_equal(dora_dataflow_node_stats(run.flow, 2, &node), -ENOENT);
    unload(&run);
}

static void
test_dataflow_stop_ends_waiting_callbacks(void **state)
{
    struct run run;

    (void)state;
    load(&run, PAIR);
    callback(&run, "a", until_end, NULL);
    callback(&run, "b", until_end, NULL);
    start(&run);
    assert_int_equal(dora_dataflow_wait(run.flow, SECOND / 50, &run.err),
                     -ETIMEDOUT);
    dora_dataflow_stop(run.flow);
    dora_dataflow_stop(run.flow);
    expect_success(&run);
    unload(&run);
}

static void
test_dataflow_failing_callback_is_named(void **state)
{
    struct seen seen = {0};
    struct run run;

    (void)state;
    load(&run, PAIR);
    callback(&run, "a", return_three, NULL);
    callback(&run, "b", sink, &seen);
    start(&run);
    expect_failure(&run, "node `a` returned 3");
    expect_exit(&run, 0, DORA_EXIT_CODE, 3);
    expect_exit(&run, 1, DORA_EXIT_SUCCESS, 0);
    assert_int_equal(seen.failures, 1);
    assert_string_equal(seen.failure, "a: returned 3");
    assert_int_equal(seen.closed, 1);
    assert_true(seen.ordered);
    unload(&run);
}

/* Takes one message and keeps it beyond its end. */
static int
keep_one(struct dora_node *node, void *arg)
{
    struct dora_event event;

    while (next(node, &event) == 1)
        if (event.sample != NULL) {
            *(struct dora_event *)arg = event;
            return 0;
        }
    return 1;
}

static int
send_until_stop(struct dora_node *node, void *arg)
{
    int output = dora_node_output(node, "out");
    struct dora_event event;
    char bytes[4096];
    int code = 0;

    (void)arg;
    for (int i = 0; code == 0; i++) {
        memset(bytes, i, sizeof bytes);
        if (dora_node_send(node, output, bytes, sizeof bytes, NULL, 0, NULL) <
            0)
            break;
        code = dora_node_next(node, 0, &event);
        if (i == 1000)
            dora_node_log(node, DORA_LEVEL_INFO, NULL, "many sent");
    }
    return 0;
}

static void
test_dataflow_samples_outlive_their_callback(void **state)
{
    struct dora_event kept = {0};
    const unsigned char *bytes;
    struct run run;

    (void)state;
    load(&run, PAIR);
    callback(&run, "a", send_until_stop, NULL);
    callback(&run, "b", keep_one, &kept);
    start(&run);
    await_log(&run.log, "many sent");
    dora_dataflow_stop(run.flow);
    expect_success(&run);
    unload(&run);
    bytes = kept.data;
    assert_int_equal(kept.data_size, 4096);
    for (size_t i = 0; i < kept.data_size; i++)
        assert_int_equal(bytes[i], bytes[0]);
    dora_sample_unref(kept.sample);
}

static int
log_lines(struct dora_node *node, void *arg)
{
    (void)arg;
    dora_node_log(node, DORA_LEVEL_WARN, "here", "careful \"now\"");
    return 0;
}

static void
test_dataflow_callbacks_log_to_the_sink(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: callback}]\n");
    callback(&run, "a", log_lines, NULL);
    start(&run);
    expect_success(&run);
    expect_log(&run, "a 1 2 careful \"now\"\n");
    unload(&run);
}

static _Atomic bool let_go;

static int
never_return(struct dora_node *node, void *arg)
{
    (void)arg;
    dora_node_log(node, DORA_LEVEL_INFO, NULL, "up");
    while (!atomic_load_explicit(&let_go, memory_order_acquire))
        (void)usleep(1000);
    return 0;
}

static void
test_dataflow_callback_that_stays_is_abandoned(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: callback}]\n");
    callback(&run, "a", never_return, NULL);
    start(&run);
    await_log(&run.log, "a 1 3 up");
    dora_dataflow_kill(run.flow);
    expect_failure(&run, "node `a` did not return after the stop; its thread "
                         "is abandoned");
    expect_exit(&run, 0, DORA_EXIT_GRACE, 0);
    unload(&run);
    atomic_store_explicit(&let_go, true, memory_order_release);
}

/* --- misuse --------------------------------------------------------------- */

static void
test_dataflow_misuse_is_refused(void **state)
{
    struct dora_error err;
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: callback}, {id: b, path: sh}]\n");
    assert_int_equal(dora_dataflow_wait(run.flow, 0, &err), -EINVAL);
    assert_int_equal(
        dora_dataflow_set_callback(run.flow, "x", until_end, NULL, &err),
        -ENOENT);
    assert_non_null(strstr(err.text, "`x`"));
    assert_int_equal(
        dora_dataflow_set_callback(run.flow, "b", until_end, NULL, &err),
        -EINVAL);
    assert_non_null(strstr(err.text, "`path: sh`"));
    assert_int_equal(dora_dataflow_start(run.flow, &err), -EINVAL);
    assert_non_null(strstr(err.text, "no function was set"));
    assert_int_equal(dora_dataflow_start(run.flow, &err), -EALREADY);
    unload(&run);
    dora_dataflow_free(NULL);
}

static void
test_dataflow_stopped_before_start_does_not_start(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: callback}]\n");
    callback(&run, "a", until_end, NULL);
    dora_dataflow_stop(run.flow);
    assert_int_equal(dora_dataflow_start(run.flow, &run.err), -ECANCELED);
    unload(&run);
}

static void
test_dataflow_missing_guardian_is_named(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: [{id: a, path: sh, args: -c true}]\n");
    dora_dataflow_free(run.flow);
    run.options.libexec = "/nowhere";
    assert_int_equal(dora_dataflow_load_string("nodes: [{id: a, path: sh}]", 26,
                                               NULL, &run.options, &run.flow,
                                               &run.err),
                     0);
    assert_int_equal(dora_dataflow_start(run.flow, &run.err), -ENOENT);
    assert_non_null(strstr(run.err.text, "/nowhere/dora-guardian"));
    unload(&run);
}

static void
test_dataflow_empty_one_finishes(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes: []\n");
    start(&run);
    expect_success(&run);
    unload(&run);
}

/* --- many ------------------------------------------------------------------
 */

static void
test_dataflow_two_in_one_process(void **state)
{
    struct run one, two;
    struct seen seen = {0};
    uint32_t count = 10;

    (void)state;
    load(&one, PAIR);
    load(&two, PAIR);
    assert_string_not_equal(dora_dataflow_id(one.flow),
                            dora_dataflow_id(two.flow));
    callback(&one, "a", until_end, NULL);
    callback(&one, "b", until_end, NULL);
    callback(&two, "a", source, &count);
    callback(&two, "b", sink, &seen);
    start(&one);
    start(&two);
    expect_success(&two);
    assert_int_equal(seen.inputs, 10);
    assert_int_equal(dora_dataflow_wait(one.flow, 0, &one.err), -ETIMEDOUT);
    unload(&two);
    dora_dataflow_stop(one.flow);
    expect_success(&one);
    unload(&one);
}

static void
run_once(bool freed_while_running)
{
    uint32_t count = 10;
    struct seen seen = {0};
    struct run run;

    load(&run, "nodes:\n"
               "  - {id: a, path: callback, outputs: [out]}\n"
               "  - {id: b, path: callback, inputs: {in: a/out}}\n"
               "  - {id: c, path: shell, args: sleep 0.0}\n");
    callback(&run, "a", source, &count);
    callback(&run, "b", sink, &seen);
    start(&run);
    if (!freed_while_running)
        expect_success(&run);
    unload(&run);
}

static void
test_dataflow_cycles_leave_nothing_behind(void **state)
{
    unsigned fds, threads;

    (void)state;
    run_once(false); /* what the C library keeps for good */
    fds = entries("/proc/self/fd");
    threads = entries("/proc/self/task");
    for (int i = 0; i < 100; i++)
        run_once(i % 3 == 0);
    assert_int_equal(entries("/proc/self/fd"), fds);
    assert_int_equal(entries("/proc/self/task"), threads);
}

/* Voluntary context switches of all threads but this one. */
static unsigned long
switches(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned long sum = 0, count;
    char path[300], line[256];

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        FILE *file;

        if (entry->d_name[0] == '.' ||
            strtol(entry->d_name, NULL, 10) == getpid())
            continue;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/status",
                       entry->d_name);
        file = fopen(path, "r");
        while (file != NULL && fgets(line, sizeof line, file) != NULL)
            if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1)
                sum += count;
        if (file != NULL)
            (void)fclose(file);
    }
    (void)closedir(directory);
    return sum;
}

static void
test_dataflow_idle_one_wakes_nobody(void **state)
{
    struct dora_node_stats stats = {0};
    unsigned long before, woken = 1;
    struct run run;

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its own thread wakes ten times a second */
#endif
    load(&run, "nodes:\n"
               "  - {id: a, path: callback, outputs: [out]}\n"
               "  - {id: b, path: callback, inputs: {in: a/out}}\n"
               "  - {id: c, path: shell, args: echo up; exec sleep 100}\n");
    callback(&run, "a", until_end, NULL);
    callback(&run, "b", until_end, NULL);
    start(&run);
    await_log(&run.log, "c 1 6 up");
    while (stats.phase != DORA_NODE_RUNNING) {
        (void)usleep(1000);
        assert_int_equal(dora_dataflow_node_stats(run.flow, 1, &stats), 0);
    }
    /* Past the notice that names who has not joined, and what else settles; on
     * a busy machine that takes its time. */
    (void)usleep(2000000);
    for (unsigned i = 0; i < 10 && woken > 0; i++) {
        before = switches();
        (void)usleep(500000);
        woken = switches() - before;
    }
    assert_int_equal(woken, 0);
    dora_dataflow_stop(run.flow);
    expect_success(&run);
    unload(&run);
}

static void
test_dataflow_logs_are_written_beside_the_file(void **state)
{
    char base[] = "/tmp/dora-dataflow-XXXXXX";
    DORA_AUTOFREE char *path = NULL;
    DORA_AUTOFREE char *command = NULL;
    struct dora_options options = {
        .size = sizeof options, .libexec = libexec, .allow_shell = true};
    struct dora_dataflow *flow;
    struct dora_error err;
    FILE *file;

    (void)state;
    assert_non_null(mkdtemp(base));
    path = dora__format("%s/flow.yml", base);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs("nodes: [{id: a, path: shell, args: echo hello}]\n", file);
    (void)fclose(file);
    assert_int_equal(dora_dataflow_load_file(path, &options, &flow, &err), 0);
    assert_null(dora_dataflow_log_directory(flow));
    assert_int_equal(dora_dataflow_start(flow, &err), 0);
    assert_int_equal(dora_dataflow_wait(flow, -1, &err), 0);
    command = dora__format("grep -q '\"level\":\"stdout\",\"node\":\"a\","
                           "\"stream\":\"stdout\",\"msg\":\"hello\"' "
                           "%s/out/%s/log_a.jsonl && "
                           "test %s = %s/out/%s && rm -r %s",
                           base, dora_dataflow_id(flow),
                           dora_dataflow_log_directory(flow), base,
                           dora_dataflow_id(flow), base);
    assert_int_equal(system(command), 0);
    dora_dataflow_free(flow);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dataflow_callbacks_run_to_a_natural_end),
        cmocka_unit_test(test_dataflow_stop_ends_waiting_callbacks),
        cmocka_unit_test(test_dataflow_failing_callback_is_named),
        cmocka_unit_test(test_dataflow_samples_outlive_their_callback),
        cmocka_unit_test(test_dataflow_callbacks_log_to_the_sink),
        cmocka_unit_test(test_dataflow_callback_that_stays_is_abandoned),
        cmocka_unit_test(test_dataflow_misuse_is_refused),
        cmocka_unit_test(test_dataflow_stopped_before_start_does_not_start),
        cmocka_unit_test(test_dataflow_missing_guardian_is_named),
        cmocka_unit_test(test_dataflow_empty_one_finishes),
        cmocka_unit_test(test_dataflow_two_in_one_process),
        cmocka_unit_test(test_dataflow_cycles_leave_nothing_behind),
        cmocka_unit_test(test_dataflow_idle_one_wakes_nobody),
        cmocka_unit_test(test_dataflow_logs_are_written_beside_the_file),
    };
    int code;

    if (harness_begin(argc, argv, &code))
        return code;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
