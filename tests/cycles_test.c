/* cycles_test.c - a thousand dataflows of eight nodes, one after the other:
 * every edge delivers in every one, and the last leaves what the tenth left
 * (T61). For Python nodes there is python_cycles.c.
 *
 *     cycles_test [LIBEXEC [CYCLES]]
 *
 * Every tenth has two of its nodes in processes. */
#include "harness.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GROWTH_KB (1L << 20) /* they keep what is freed for a while */
#else
#define GROWTH_KB 1024L
#endif

enum { SETTLED = 10, MESSAGES = 10, NODES = 8 };

static unsigned cycles = 150;

/* `send` sends three messages, `consume` takes what comes. */
#define GRAPH(sender, taker)                                             \
    "nodes:\n"                                                           \
    "  - {id: a, path: callback, outputs: [out]}\n"                      \
    "  - {id: b, path: callback, outputs: [out], inputs: {in: a/out}}\n" \
    "  - {id: c, path: callback, outputs: [out], inputs: {in: a/out}}\n" \
    "  - {id: d, path: callback, outputs: [out], inputs: {in: b/out,"    \
    " too: {source: c/out, queue_policy: backpressure}}}\n"              \
    "  - {id: e, path: callback, outputs: [out], inputs: {in:"           \
    " {source: d/out, queue_size: 100}}}\n"                              \
    "  - {id: f, path: callback, inputs: {in:"                           \
    " {source: e/out, queue_size: 100}}}\n"                              \
    "  - {id: g, path: " sender ", outputs: [out]}\n"                    \
    "  - {id: h, path: " taker ", inputs: {in: g/out}}\n"

static int
relay(struct dora_node *node, void *arg)
{
    struct dora_event event;
    int code = 0;

    (void)arg;
    while (code == 0 && next(node, &event) == 1) {
        if (event.type == DORA_EVENT_INPUT)
            code = dora_node_send(node, 0, event.data, event.data_size, NULL, 0,
                                  NULL);
        dora_sample_unref(event.sample);
    }
    return code;
}

/* --- what is left ----------------------------------------------------------
 */

struct left {
    unsigned fds, threads, children;
    long resident_kb, locked_kb;
};

static struct left
look(void)
{
    struct left left = {.fds = entries("/proc/self/fd"),
                        .threads = entries("/proc/self/task"),
                        .children = child_processes()};
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmRSS: %ld", &left.resident_kb);
        (void)sscanf(line, "VmLck: %ld", &left.locked_kb);
    }
    (void)fclose(file);
    return left;
}

/* --- a cycle ---------------------------------------------------------------
 */

static void
check_edges(struct run *run)
{
    struct dora_edge_stats edge;
    size_t count = 0;

    for (; dora_dataflow_edge_stats(run->flow, count, &edge) == 0; count++) {
        if (edge.delivered == 0)
            fail_msg("%s -> %s/%s: nothing of %llu", edge.source, edge.to_node,
                     edge.input, (unsigned long long)edge.sent);
        assert_int_equal(edge.sent,
                         edge.delivered + edge.dropped + edge.queued);
        assert_int_equal(edge.dropped + edge.refused, 0);
    }
    assert_int_equal(count, NODES - 1);
}

static void
run_once(bool processes)
{
    uint32_t count = MESSAGES;
    struct seen seen = {0}, other = {0};
    struct run run;

    load(&run, processes ? GRAPH("self, args: send", "self, args: consume")
                         : GRAPH("callback", "callback"));
    callback(&run, "a", source, &count);
    for (const char *id = "bcde"; *id != 0; id++)
        callback(&run, (const char[]){*id, 0}, relay, NULL);
    callback(&run, "f", sink, &seen);
    if (!processes) {
        callback(&run, "g", source, &count);
        callback(&run, "h", sink, &other);
    }
    start(&run);
    expect_success(&run);
    check_edges(&run);
    assert_int_equal(seen.inputs, 2 * MESSAGES);
    unload(&run);
}

static void
test_cycles_leave_what_the_tenth_left(void **state)
{
    struct left tenth = {0}, last;

    (void)state;
    for (unsigned i = 1; i <= cycles; i++) {
        run_once(i % 10 == 0);
        if (i == SETTLED)
            tenth = look();
    }
    last = look();
    (void)fprintf(stderr,
                  "cycle 10: %u descriptors, %u threads, %u children, %ld kB; "
                  "cycle %u: %u, %u, %u, %ld kB\n",
                  tenth.fds, tenth.threads, tenth.children, tenth.resident_kb,
                  cycles, last.fds, last.threads, last.children,
                  last.resident_kb);
    assert_int_equal(last.fds, tenth.fds);
    assert_int_equal(last.threads, tenth.threads);
    assert_int_equal(last.children, tenth.children);
    assert_int_equal(last.locked_kb, tenth.locked_kb);
    /* The C library keeps arenas, one more or less by chance. */
    assert_true(last.resident_kb <= tenth.resident_kb + GROWTH_KB);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cycles_leave_what_the_tenth_left),
    };
    int code;

    if (harness_begin(argc, argv, &code))
        return code;
    if (argc > 2) {
        cycles = (unsigned)strtoul(argv[2], NULL, 10);
        (void)alarm(0);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
