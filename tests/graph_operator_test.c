/* graph_operator_test.c - nodes that are operators, as they are read.
 * graph_malformed_test.c has what is wrong with them. */
#include "graph/graph.h"

#include "graph_load.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void
test_graph_operator_is_a_script(void **state)
{
    struct dora__graph graph =
        load_good("nodes:\n"
                  "- id: a\n"
                  "  description: mine\n"
                  "  cpu_affinity: [1]\n"
                  "  isolation: process\n"
                  "  python: venv/bin/python\n"
                  "  operator:\n"
                  "    id: unseen\n"
                  "    description: the block's\n"
                  "    python: x.py\n"
                  "    inputs: {tick: dora/timer/secs/1}\n"
                  "    outputs: [y, log]\n"
                  "    output_types: {y: t}\n"
                  "    send_stdout_as: log\n"
                  "    min_log_level: warn\n"
                  "    build: make\n"
                  "- id: b\n"
                  "  operators:\n"
                  "  - id: op/2\n"
                  "    name: B\n"
                  "    python: {source: dir/y.py, conda_env: }\n"
                  "    inputs: {x: a/y, own: b/op/2/z}\n"
                  "    outputs: [z]\n"
                  "- id: sink\n  path: s.py\n  inputs: {in: b/op/2/z}\n",
                  0);
    const struct dora__graph_node *a = &graph.nodes[0], *b = &graph.nodes[1];
    const struct dora__graph_input *in = &graph.nodes[2].inputs[0];

    (void)state;
    assert_true(a->is_operator && b->is_operator);
    assert_false(graph.nodes[2].is_operator);
    assert_string_equal(a->path, "x.py");
    assert_int_equal(a->path_mark.line, 10);
    assert_null(a->operator_id);
    assert_string_equal(a->description, "mine");
    assert_string_equal(a->python, "venv/bin/python");
    assert_int_equal(a->isolation, DORA__ISOLATION_PROCESS);
    assert_int_equal(a->cpu_count, 1);
    assert_string_equal(a->build, "make");
    assert_string_equal(a->send_stdout_as, "log");
    assert_int_equal(a->min_log_level, DORA_LEVEL_WARN);
    assert_string_equal(a->config,
                        "{\"inputs\":{\"tick\":\"dora/timer/secs/1\"},"
                        "\"outputs\":[\"log\",\"y\"],\"input_types\":{},"
                        "\"output_types\":{\"y\":\"t\"},"
                        "\"output_framing\":{}}");
    assert_string_equal(b->path, "dir/y.py");
    assert_string_equal(b->operator_id, "op/2");
    assert_string_equal(b->name, "B");
    assert_string_equal(b->outputs[0].id, "z");
    assert_int_equal(b->inputs[1].node, 0);
    assert_int_equal(b->inputs[1].output, 1);
    assert_int_equal(b->inputs[0].node, 1);
    assert_int_equal(in->node, 1);
    assert_int_equal(in->output, 0);
    assert_string_equal(in->source, "b/op/2/z");
    dora__graph_fini(&graph);
}

static void
test_graph_operator_keys_without_effect_are_warned_of(void **state)
{
    struct dora__graph graph;
    struct told told;

    (void)state;
    assert_int_equal(load_told("nodes:\n"
                               "- id: a\n"
                               "  operator:\n"
                               "    python: {source: x.py, sorce: y.py}\n"
                               "    inptus: {}\n"
                               "    isolation: process\n"
                               "    restart_policy: always\n",
                               NULL, &told, &graph),
                     0);
    assert_int_equal(told.warnings, 4);
    assert_non_null(strstr(told.lines.text, "4:28: node `a`: the unknown key "
                                            "`sorce` is ignored"));
    assert_non_null(strstr(told.lines.text, "5:5: node `a`: the unknown key "
                                            "`inptus` is ignored; did you mean "
                                            "`inputs`?"));
    assert_non_null(strstr(told.lines.text,
                           "6:5: node `a`: `isolation` has no effect in the "
                           "operator's block: it is the node's"));
    assert_non_null(strstr(told.lines.text,
                           "7:5: node `a`: `restart_policy` has no effect in "
                           "the operator's block\n"));
    assert_int_equal(graph.nodes[0].restart_policy, DORA__RESTART_NEVER);
    free(told.lines.text);
    dora__graph_fini(&graph);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_operator_is_a_script),
        cmocka_unit_test(test_graph_operator_keys_without_effect_are_warned_of),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
