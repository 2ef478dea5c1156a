/* graph_env_test.c - the variables of nodes. */
#include "graph_load.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static const char *
variable(const struct dora__graph_node *node, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < node->env_count; i++)
        if (strcmp(node->env[i].key, key) == 0) {
            assert_null(value);
            value = node->env[i].value;
        }
    return value;
}

static void
test_graph_env_values_have_their_form(void **state)
{
    static const struct {
        const char *yaml, *value;
    } cases[] = {
        {"true", "true"},
        {"False", "false"},
        {"yes", "yes"},
        {"1", "1"},
        {"0x10", "16"},
        {"01234", "1234"},
        {"1.0", "1"},
        {"1.10", "1.1"},
        {"1e3", "1000"},
        {".inf", "inf"},
        {"18446744073709551616", "18446744073709551616"},
        {"\"1.10\"", "1.10"},
        {"\"01234\"", "01234"},
        {"'true'", "true"},
        {"metadata.yaml", "metadata.yaml"},
        {"$HOME/x", "/home/me/x"},
        {"'${HOME}'", "/home/me"},
        {"${NOT_DEFINED:-x y}", "x y"},
        {"'5$'", "5$"},
        {"''", ""},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__text text = {0};
        struct dora__graph graph;

        dora__text_printf(&text,
                          "nodes:\n- id: a\n  path: a\n  env:\n    K: %s\n",
                          cases[i].yaml);
        graph = load_good(text.text, 0);
        assert_string_equal(variable(&graph.nodes[0], "K"), cases[i].value);
        dora__graph_fini(&graph);
        free(text.text);
    }
}

static void
test_graph_env_later_wins(void **state)
{
    static const char *const given[] = {"B=given", "C=given", "D=a=b", NULL};
    struct dora__graph graph;
    struct told told;

    (void)state;
    assert_int_equal(load_told("env: {A: file, B: file, C: file}\n"
                               "nodes:\n"
                               "- {id: a, path: a, env: {C: own, E: own}}\n"
                               "- {id: b, path: b}\n",
                               given, &told, &graph),
                     0);
    free(told.lines.text);
    assert_int_equal(graph.nodes[0].env_count, 5);
    assert_string_equal(variable(&graph.nodes[0], "A"), "file");
    assert_string_equal(variable(&graph.nodes[0], "B"), "given");
    assert_string_equal(variable(&graph.nodes[0], "C"), "own");
    assert_string_equal(variable(&graph.nodes[0], "D"), "a=b");
    assert_string_equal(variable(&graph.nodes[0], "E"), "own");
    assert_int_equal(graph.nodes[1].env_count, 4);
    assert_string_equal(variable(&graph.nodes[1], "C"), "given");
    dora__graph_fini(&graph);
}

static void
test_graph_env_denied_names_are_dropped_with_a_warning(void **state)
{
    static const char *const given[] = {"LD_AUDIT=x", NULL};
    struct dora__graph graph;
    struct told told;

    (void)state;
    assert_int_equal(
        load_told("env: {LD_PRELOAD: x.so, A: 1}\n"
                  "nodes:\n- id: a\n  path: a\n  env:\n"
                  "    LD_LIBRARY_PATH: x\n    DORA_NODE_CONFIG: x\n"
                  "    DORA_RUN_ATTACH: 1\n    ZENOH_CONFIG: x\n"
                  "    'A B': x\n    'A=B': x\n    '': x\n    B: 2\n",
                  given, &told, &graph),
        0);
    assert_int_equal(told.warnings, 9);
    assert_non_null(strstr(told.lines.text, "1:7: `LD_PRELOAD` cannot be set"));
    assert_non_null(strstr(told.lines.text, "0:0: `LD_AUDIT` cannot be set"));
    assert_non_null(
        strstr(told.lines.text, "10:5: node `a`: `A B` is not the name of a"));
    free(told.lines.text);
    assert_int_equal(graph.nodes[0].env_count, 2);
    dora__graph_fini(&graph);
}

static void
test_graph_env_may_carry_the_isolation(void **state)
{
    struct dora__graph graph =
        load_good("env: {DORA_ISOLATION: interpreter}\n"
                  "nodes:\n"
                  "- {id: a, path: a}\n"
                  "- {id: b, path: b, env: {DORA_ISOLATION: process, A: 1}}\n"
                  "- {id: c, path: c, env: {DORA_ISOLATION: process},"
                  " isolation: auto}\n",
                  0);

    (void)state;
    assert_int_equal(graph.nodes[0].isolation, DORA__ISOLATION_INTERPRETER);
    assert_int_equal(graph.nodes[1].isolation, DORA__ISOLATION_PROCESS);
    assert_int_equal(graph.nodes[2].isolation, DORA__ISOLATION_AUTO);
    assert_int_equal(graph.nodes[0].env_count, 0);
    assert_int_equal(graph.nodes[1].env_count, 1);
    dora__graph_fini(&graph);
}

static void
test_graph_env_of_the_caller_has_no_place_in_the_file(void **state)
{
    static const char *const given[] = {"DORA_ISOLATION=thread", NULL};
    const struct dora__graph_context context = {.file = "flow.yml",
                                                .env = given};
    struct dora__graph graph;
    struct dora_error err;

    (void)state;
    assert_int_equal(dora__graph_load("nodes: []", 9, &context, &graph, &err),
                     -EINVAL);
    assert_string_equal(err.text, "flow.yml: `DORA_ISOLATION` must be `auto`, "
                                  "`interpreter` or `process`, not `thread`");
}

static void
test_graph_env_sizes_have_limits(void **state)
{
    struct dora__text text = {0};
    struct dora__graph graph;
    struct told told;

    (void)state;
    dora__text_puts(&text, "nodes: [{id: a, path: a}]\nenv:\n");
    for (int i = 0; i < 1025; i++)
        dora__text_printf(&text, "  K%d: 1\n", i);
    assert_int_equal(load_told(text.text, NULL, &told, &graph), -EINVAL);
    assert_string_equal(told.lines.text,
                        "3:3: `env` has 1025 variables; at most 1024 fit\n");
    free(told.lines.text);
    free(text.text);

    text = (struct dora__text){0};
    dora__text_puts(&text, "nodes: [{id: a, path: a, env: {K: ");
    for (int i = 0; i < 1 << 17; i++)
        dora__text_puts(&text, "x");
    dora__text_puts(&text, "}}]\n");
    assert_int_equal(load_told(text.text, NULL, &told, &graph), -EINVAL);
    assert_string_equal(told.lines.text,
                        "1:35: node `a`: `K` is longer than 131072 bytes\n");
    free(told.lines.text);
    free(text.text);
}

/* A thousand nodes that inherit 100 kB each: more than all may have. */
static void
test_graph_env_of_all_nodes_has_a_limit(void **state)
{
    struct dora__text text = {0};
    struct dora__graph graph;
    struct told told;

    (void)state;
    dora__text_puts(&text, "env: {K: ");
    for (int i = 0; i < 100000; i++)
        dora__text_puts(&text, "x");
    dora__text_puts(&text, "}\nnodes:\n");
    for (int i = 0; i < 1000; i++)
        dora__text_printf(&text, "- {id: n%d, path: a}\n", i);
    assert_int_equal(load_told(text.text, NULL, &told, &graph), -EINVAL);
    assert_int_equal(told.errors, 1);
    assert_non_null(
        strstr(told.lines.text, "the variables of all nodes up to"));
    free(told.lines.text);
    free(text.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_env_values_have_their_form),
        cmocka_unit_test(test_graph_env_later_wins),
        cmocka_unit_test(
            test_graph_env_denied_names_are_dropped_with_a_warning),
        cmocka_unit_test(test_graph_env_may_carry_the_isolation),
        cmocka_unit_test(test_graph_env_of_the_caller_has_no_place_in_the_file),
        cmocka_unit_test(test_graph_env_sizes_have_limits),
        cmocka_unit_test(test_graph_env_of_all_nodes_has_a_limit),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
