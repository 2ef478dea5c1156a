/* dataflow_test.c - dataflows from start to end, as an embedder runs them.
 * argv[1]: the directory of the helper programs.
 *
 * Nodes are C functions, shell scripts, and this program itself, started again
 * as a process node: its behaviour is the node's argument. */
#include "kind.h"
#include "node.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static const char *libexec;
static char self[4096];

/* --- this program as a node ----------------------------------------------- */

static int
next(struct dora_node *node, struct dora_event *event)
{
    int got;

    do
        got = dora_node_next(node, -1, event);
    while (got == -EINTR);
    return got;
}

/* Takes events until the stream ends, counting inputs. */
static unsigned
consume(struct dora_node *node)
{
    struct dora_event event;
    unsigned count = 0;

    while (next(node, &event) == 1) {
        count += event.type == DORA_EVENT_INPUT;
        dora_sample_unref(event.sample);
    }
    return count;
}

static int
send_numbers(struct dora_node *node, uint32_t count)
{
    int output = dora_node_output(node, "out");

    for (uint32_t i = 0; i < count; i++)
        if (dora_node_send(node, output, &i, sizeof i, NULL, 0, NULL) < 0)
            return 1;
    return 0;
}

static void
crash(void)
{
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer would handle it */
    (void)raise(SIGSEGV);
}

static int
node_main(const char *attach, const char *what)
{
    struct dora__attachment a = {-1, -1, -1, -1, 0};
    struct dora_node *node;
    struct dora_error err;
    int result = 0;

    alarm(60);
    if (sscanf(attach, "%d,%d,%d,%d,%u", &a.control_fd, &a.heaps_fd,
               &a.heaps_ro_fd, &a.doorbell_fd, &a.node) != 5)
        return 100;
    if (strcmp(what, "ignore-all") == 0)
        (void)signal(SIGTERM, SIG_IGN);
    if (strcmp(what, "early-exit") == 0)
        return 0;
    if (strcmp(what, "early-crash") == 0)
        return 9;
    if (dora__node_attach(&a, &node, &err) < 0 ||
        dora__node_join(node, -1, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    if (strcmp(what, "send") == 0)
        result = send_numbers(node, 10);
    else if (strcmp(what, "consume") == 0)
        printf("got %u\n", consume(node));
    else if (strcmp(what, "crash") == 0)
        crash();
    else if (strcmp(what, "crash-once") == 0)
        result = dora__node_restart_count(node) == 0 ? 7 : 0;
    else
        for (dora_node_log(node, DORA_LEVEL_INFO, NULL, "up");;)
            (void)pause();
    dora__node_detach(node);
    return result;
}

static bool
claims(const struct dora__graph_node *node, const struct dora__site *site)
{
    (void)site;
    return strcmp(node->path, "self") == 0;
}

static int
resolve(const struct dora__graph_node *node, const struct dora__site *site,
        struct dora__launch *launch, struct dora_error *err)
{
    (void)site;
    (void)err;
    launch->kind = "self";
    launch->tier = "process";
    launch->attaches = true;
    launch->program = strdup(self);
    launch->interpreter = strdup("this test");
    launch->reason = strdup("path: self");
    if (dora__launch_push(&launch->argv, self) < 0 ||
        dora__launch_arguments(launch, node) < 0)
        return -ENOMEM;
    return 0;
}

static const struct dora_kind self_kind = {
    .name = "self",
    .claims = claims,
    .resolve = resolve,
};

/* --- running dataflows ---------------------------------------------------- */

/* What the log sink was told; read after the run, or under the lock. */
struct log {
    pthread_mutex_t lock;
    pthread_cond_t grown;
    struct dora__text text; /* "node stream level text\n"... */
    size_t longest;
    size_t count;
};

static void
take_log(void *arg, const struct dora_log_record *record)
{
    struct log *log = arg;

    (void)pthread_mutex_lock(&log->lock);
    dora__text_printf(&log->text, "%s %d %d ",
                      record->node != NULL ? record->node : "-",
                      (int)record->stream, (int)record->level);
    dora__text_add(&log->text, record->text, record->text_size);
    dora__text_puts(&log->text, "\n");
    if (record->text_size > log->longest)
        log->longest = record->text_size;
    log->count++;
    (void)pthread_cond_broadcast(&log->grown);
    (void)pthread_mutex_unlock(&log->lock);
}

/* Waits until the log holds that text. */
static void
await_log(struct log *log, const char *text)
{
    (void)pthread_mutex_lock(&log->lock);
    while (log->text.text == NULL || strstr(log->text.text, text) == NULL)
        (void)pthread_cond_wait(&log->grown, &log->lock);
    (void)pthread_mutex_unlock(&log->lock);
}

struct run {
    struct dora_options options;
    struct dora_dataflow *flow;
    struct dora_error err;
    struct log log;
};

static const struct dora_kind *const kinds[] = {&self_kind, NULL};

static void
load(struct run *run, const char *text)
{
    memset(run, 0, sizeof *run);
    (void)pthread_mutex_init(&run->log.lock, NULL);
    (void)pthread_cond_init(&run->log.grown, NULL);
    run->options = (struct dora_options){
        .size = sizeof run->options,
        .kinds = kinds,
        .libexec = libexec,
        .directory = "/tmp",
        .log = take_log,
        .log_arg = &run->log,
        .allow_shell = true,
        .no_files = true,
    };
    if (dora_dataflow_load_string(text, strlen(text), "test.yml", &run->options,
                                  &run->flow, &run->err) < 0)
        fail_msg("%s", run->err.text);
}

static void
callback(struct run *run, const char *id, dora_node_body body, void *arg)
{
    if (dora_dataflow_set_callback(run->flow, id, body, arg, &run->err) < 0)
        fail_msg("%s", run->err.text);
}

static void
start(struct run *run)
{
    if (dora_dataflow_start(run->flow, &run->err) < 0)
        fail_msg("%s", run->err.text);
}

static void
expect_success(struct run *run)
{
    if (dora_dataflow_wait(run->flow, -1, &run->err) < 0)
        fail_msg("%s\n%s", run->err.text,
                 run->log.text.text != NULL ? run->log.text.text : "");
}

static void
expect_failure(struct run *run, const char *text)
{
    assert_int_equal(dora_dataflow_wait(run->flow, -1, &run->err), -ECANCELED);
    assert_string_equal(run->err.text, text);
}

static void
expect_log(struct run *run, const char *text)
{
    if (run->log.text.text == NULL || strstr(run->log.text.text, text) == NULL)
        fail_msg("not logged: %s\n%s", text,
                 run->log.text.text != NULL ? run->log.text.text : "");
}

static void
expect_exit(struct run *run, size_t node, enum dora_exit exit, int code)
{
    struct dora_node_stats stats;

    assert_int_equal(dora_dataflow_node_stats(run->flow, node, &stats), 0);
    assert_int_equal(stats.phase, DORA_NODE_ENDED);
    assert_int_equal(stats.exit, exit);
    assert_int_equal(stats.exit_code, code);
}

static void
unload(struct run *run)
{
    dora_dataflow_free(run->flow);
    free(run->log.text.text);
    (void)pthread_cond_destroy(&run->log.grown);
    (void)pthread_mutex_destroy(&run->log.lock);
}

/* --- callbacks ------------------------------------------------------------ */

static int
source(struct dora_node *node, void *arg)
{
    return send_numbers(node, *(const uint32_t *)arg);
}

struct seen {
    unsigned inputs, closed, stops;
    bool ordered, ended;
};

static int
sink(struct dora_node *node, void *arg)
{
    struct seen *seen = arg;
    struct dora_event event;
    uint32_t number;

    seen->ordered = true;
    while (next(node, &event) == 1) {
        if (event.type == DORA_EVENT_INPUT) {
            memcpy(&number, event.data, sizeof number);
            seen->ordered &= number == seen->inputs && seen->closed == 0;
            seen->inputs++;
        }
        seen->closed += event.type == DORA_EVENT_INPUT_CLOSED;
        if (event.type == DORA_EVENT_STOP) {
            seen->stops++;
            seen->ordered &= strcmp(event.id, "ALL_INPUTS_CLOSED") == 0;
        }
        dora_sample_unref(event.sample);
    }
    seen->ended = true;
    return 0;
}

static int
until_end(struct dora_node *node, void *arg)
{
    (void)arg;
    (void)consume(node);
    return 0;
}

static int
return_three(struct dora_node *node, void *arg)
{
    (void)node;
    (void)arg;
    return 3;
}

#define PAIR                                              \
    "nodes:\n"                                            \
    "  - id: a\n    path: callback\n    outputs: [out]\n" \
    "  - id: b\n    path: callback\n"                     \
    "    inputs: {in: {source: a/out, queue_size: 1000}}\n"

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
    assert_int_equal(seen.closed, 1);
    unload(&run);
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

/* --- programs --------------------------------------------------------------
 */

static void
test_dataflow_programs_see_their_place(void **state)
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
test_dataflow_ends_of_programs_are_told_apart(void **state)
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
test_dataflow_stop_terminates_programs(void **state)
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
test_dataflow_kill_waits_for_nobody(void **state)
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
test_dataflow_last_words_are_complete(void **state)
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
test_dataflow_floods_are_complete(void **state)
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
test_dataflow_program_that_is_gone_is_named(void **state)
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
test_dataflow_restart_policy_is_followed(void **state)
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
test_dataflow_process_nodes_exchange_messages(void **state)
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
test_dataflow_process_and_callback_exchange_messages(void **state)
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
test_dataflow_crash_reaches_the_consumer(void **state)
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
test_dataflow_death_before_the_barrier_ends_the_run(void **state)
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
    assert_false(seen.ended);
    expect_log(&run, "- 0 1 the dataflow cannot run: node `a` exited with "
                     "code 9\n");
    unload(&run);
}

static void
test_dataflow_end_without_joining_fails_those_who_wait(void **state)
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
test_dataflow_restarted_node_passes_the_barrier(void **state)
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
test_dataflow_nodes_that_outstay_their_inputs_are_ended(void **state)
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
test_dataflow_kill_ends_what_ignores_everything(void **state)
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

static void
test_dataflow_lost_guardian_fails_the_run(void **state)
{
    struct run run;

    (void)state;
    load(&run, "nodes:\n"
               "  - {id: a, path: shell, args: echo up; kill -KILL $PPID; "
               "sleep 100}\n"
               "  - {id: b, path: callback}\n");
    callback(&run, "b", until_end, NULL);
    start(&run);
    assert_int_equal(dora_dataflow_wait(run.flow, -1, &run.err), -ECANCELED);
    expect_log(&run, "dora-guardian has ended unexpectedly");
    expect_exit(&run, 1, DORA_EXIT_SUCCESS, 0);
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

static unsigned
entries(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
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
    unsigned long before;
    struct run run;

    (void)state;
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
    /* Past the notice that names who has not joined, and what else settles. */
    (void)usleep(2500000);
    before = switches();
    (void)usleep(500000);
    assert_int_equal(switches(), before);
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
        cmocka_unit_test(test_dataflow_callbacks_log_to_the_sink),
        cmocka_unit_test(test_dataflow_misuse_is_refused),
        cmocka_unit_test(test_dataflow_stopped_before_start_does_not_start),
        cmocka_unit_test(test_dataflow_missing_guardian_is_named),
        cmocka_unit_test(test_dataflow_empty_one_finishes),
        cmocka_unit_test(test_dataflow_programs_see_their_place),
        cmocka_unit_test(test_dataflow_ends_of_programs_are_told_apart),
        cmocka_unit_test(test_dataflow_stop_terminates_programs),
        cmocka_unit_test(test_dataflow_kill_waits_for_nobody),
        cmocka_unit_test(test_dataflow_last_words_are_complete),
        cmocka_unit_test(test_dataflow_floods_are_complete),
        cmocka_unit_test(test_dataflow_program_that_is_gone_is_named),
        cmocka_unit_test(test_dataflow_restart_policy_is_followed),
        cmocka_unit_test(test_dataflow_process_nodes_exchange_messages),
        cmocka_unit_test(test_dataflow_process_and_callback_exchange_messages),
        cmocka_unit_test(test_dataflow_crash_reaches_the_consumer),
        cmocka_unit_test(test_dataflow_death_before_the_barrier_ends_the_run),
        cmocka_unit_test(
            test_dataflow_end_without_joining_fails_those_who_wait),
        cmocka_unit_test(test_dataflow_restarted_node_passes_the_barrier),
        cmocka_unit_test(
            test_dataflow_nodes_that_outstay_their_inputs_are_ended),
        cmocka_unit_test(test_dataflow_kill_ends_what_ignores_everything),
        cmocka_unit_test(test_dataflow_lost_guardian_fails_the_run),
        cmocka_unit_test(test_dataflow_two_in_one_process),
        cmocka_unit_test(test_dataflow_cycles_leave_nothing_behind),
        cmocka_unit_test(test_dataflow_idle_one_wakes_nobody),
        cmocka_unit_test(test_dataflow_logs_are_written_beside_the_file),
        cmocka_unit_test(test_dataflow_callback_that_stays_is_abandoned),
    };
    const char *attach = getenv(DORA__ATTACH_VARIABLE);

    if (attach != NULL)
        return node_main(attach, argc > 1 ? argv[1] : "");
    libexec = argc > 1 ? argv[1] : "build";
    if (realpath("/proc/self/exe", self) == NULL)
        return 1;
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
