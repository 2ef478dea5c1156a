/* stays_test.c - a node inside this process that nothing can end: the library
 * says so, and goes on working.
 *
 *     stays_test LIBEXEC PYTHON */
#include "dora.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The stop comes when its line is heard: it is then in one call of C code,
 * which asks nobody whether to go on and keeps the GIL. */
static const char endless[] = "from itertools import repeat\n"
                              "from dora import Node\n"
                              "node = Node()\n"
                              "print('begins')\n"
                              "sum(repeat(0))\n";
static const char source[] = "from dora import Node\n"
                             "Node().send_output('x', b'hello')\n";
static const char sink[] = "from dora import Node\n"
                           "for event in Node():\n"
                           "    if event['type'] == 'INPUT':\n"
                           "        print(event['id'], len(event['value']))\n";

struct world {
    struct dora_options options;
    char directory[32], libexec[PATH_MAX];
    int heard[2];  /* a pipe: a byte for each line that a node printed */
    char line[32]; /* the last one */
};

static void
hear(void *arg, const struct dora_log_record *record)
{
    struct world *world = arg;

    if (record->node == NULL || record->stream != DORA_STREAM_STDOUT)
        return;
    (void)snprintf(world->line, sizeof world->line, "%.*s",
                   (int)record->text_size, record->text);
    assert_int_equal(write(world->heard[1], "", 1), 1);
}

static void
make_file(const struct world *world, const char *name, const char *text)
{
    char path[64];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", world->directory, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct dora_dataflow *
start(const struct world *world, const char *text)
{
    struct dora_dataflow *flow;
    struct dora_error err = {""};

    if (dora_dataflow_load_string(text, strlen(text), "flow", &world->options,
                                  &flow, &err) < 0 ||
        dora_dataflow_start(flow, &err) < 0)
        fail_msg("%s", err.text);
    return flow;
}

static void
test_stays_is_said_of_a_node_given_up(void **state)
{
    struct world *world = *state;
    struct dora_node_stats stats;
    struct dora_error err = {""};
    struct dora_dataflow *flow;
    char byte;

    make_file(world, "endless.py", endless);
    flow = start(world, "nodes: [{id: endless, path: endless.py,\n"
                        "         isolation: interpreter}]\n");
    assert_int_equal(read(world->heard[0], &byte, 1), 1);
    assert_int_equal(dora_dataflow_node_stats(flow, 0, &stats), 0);
    assert_false(stats.stays);
    dora_dataflow_stop(flow);
    assert_int_equal(dora_dataflow_wait(flow, -1, &err), -ECANCELED);
    assert_non_null(strstr(err.text, "endless"));
    assert_int_equal(dora_dataflow_node_stats(flow, 0, &stats), 0);
    assert_true(stats.stays);
    assert_int_equal(stats.phase, DORA_NODE_ENDED);
    assert_int_equal(stats.exit, DORA_EXIT_GRACE);
    dora_dataflow_free(flow);
}

/* Beside the one that was given up, and computes still. */
static void
test_stays_harms_no_other_dataflow(void **state)
{
    struct world *world = *state;
    struct dora_node_stats stats;
    struct dora_error err = {""};
    struct dora_dataflow *flow;
    char byte;

    make_file(world, "source.py", source);
    make_file(world, "sink.py", sink);
    flow = start(world, "nodes:\n"
                        "  - {id: source, path: source.py, outputs: [x],\n"
                        "     isolation: interpreter}\n"
                        "  - {id: sink, path: sink.py, inputs: {x: source/x},\n"
                        "     isolation: interpreter}\n");
    if (dora_dataflow_wait(flow, -1, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(read(world->heard[0], &byte, 1), 1);
    assert_string_equal(world->line, "x 5");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(dora_dataflow_node_stats(flow, i, &stats), 0);
        assert_false(stats.stays);
        assert_int_equal(stats.exit, DORA_EXIT_SUCCESS);
    }
    dora_dataflow_free(flow);
}

static void
remove_files(const struct world *world)
{
    static const char *const names[] = {"endless.py", "source.py", "sink.py"};
    char path[64];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", world->directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(world->directory);
}

int
main(int argc, char **argv)
{
    static const struct dora_kind *const kinds[] = {&dora_python, NULL};
    static struct world world = {.directory = "/tmp/dora-stays-XXXXXX"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_stays_is_said_of_a_node_given_up,
                                  &world),
        cmocka_unit_test_prestate(test_stays_harms_no_other_dataflow, &world),
    };
    int failed;

    (void)alarm(300);
    if (argc < 3 || realpath(argv[1], world.libexec) == NULL ||
        mkdtemp(world.directory) == NULL || pipe(world.heard) < 0)
        return 2;
    world.options = (struct dora_options){
        .size = sizeof world.options,
        .kinds = kinds,
        .libexec = world.libexec,
        .directory = world.directory,
        .python = argv[2],
        .log = hear,
        .log_arg = &world,
        .no_files = true,
        .stop_grace_ns = 100000000,
        .term_grace_ns = 500000000,
    };
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_files(&world);
    (void)fflush(NULL);
    _exit(failed); /* a thread stays */
}
