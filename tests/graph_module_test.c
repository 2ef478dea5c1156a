/* graph_module_test.c - nodes that stand for a file of nodes. */
#include "graph_load.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct dora__graph_node *
find_node(const struct dora__graph *graph, const char *id)
{
    int number = dora__graph_find(graph, id);

    if (number < 0)
        fail_msg("there is no node %s", id);
    return &graph->nodes[number];
}

/* "node/output" that feeds the input. */
static void
assert_source(const struct dora__graph *graph, const char *id,
              const char *input, const char *source)
{
    const struct dora__graph_node *node = find_node(graph, id);

    for (size_t i = 0; i < node->input_count; i++)
        if (strcmp(node->inputs[i].id, input) == 0) {
            assert_string_equal(node->inputs[i].source, source);
            return;
        }
    fail_msg("%s has no input %s", id, input);
}

static const char *
variable(const struct dora__graph_node *node, const char *key)
{
    for (size_t i = 0; i < node->env_count; i++)
        if (strcmp(node->env[i].key, key) == 0)
            return node->env[i].value;
    return NULL;
}

static struct dora__graph
load(const char *text, const struct beside *files)
{
    struct dora__graph graph;
    struct told told;

    if (load_beside(text, files, &told, &graph) < 0)
        fail_msg("%s", told.lines.text);
    free(told.lines.text);
    return graph;
}

/* --- what becomes of a module ------------------------------------------ */

static const struct beside doubled[] = {
    {"mods/double.yml",
     "module: {name: double, inputs: [in], inputs_optional: [more],"
     " outputs: [out]}\n"
     "build: pip install a\n"
     "nodes:\n"
     "- id: first\n"
     "  path: first.py\n"
     "  args: ${_param.Gain}/$PARAM_GAIN/$PARAM_NONE/${_param.gain}$\n"
     "  env: {B: own}\n"
     "  build: pip install b\n"
     "  inputs:\n"
     "    in: {source: _mod/in, queue_size: 7}\n"
     "    more: _mod/more\n"
     "    tick: dora/timer/millis/10\n"
     "  outputs: [between]\n"
     "- {id: second, path: tool, inputs: {in: first/between}, outputs: [out]}\n"
     "- {id: third, path: sub/tool, inputs: {in: second/out}}\n"},
    {"mods/first.py", ""},
    {NULL, NULL},
};

static const char twice[] =
    "nodes:\n"
    "- {id: sink, path: sink.py, inputs: {a: left/out, b: right/out}}\n"
    "- id: left\n"
    "  module: mods/double.yml\n"
    "  inputs: {in: {source: source/x, queue_size: 2, input_timeout: 5}}\n"
    "  params: {Gain: '2'}\n"
    "  env: {A: given, B: given}\n"
    "- {id: right, module: ./mods/x/../double.yml,"
    " inputs: {in: left/out, more: source/x}}\n"
    "- {id: source, path: source.py, outputs: [x]}\n";

static void
test_graph_module_gives_way_to_its_nodes(void **state)
{
    struct dora__graph graph = load(twice, doubled);

    (void)state;
    assert_int_equal(graph.node_count, 8);
    assert_string_equal(graph.nodes[1].id, "left.first");
    assert_source(&graph, "left.first", "in", "source/x");
    assert_source(&graph, "left.first", "tick", "dora/timer/millis/10");
    assert_source(&graph, "left.second", "in", "left.first/between");
    assert_source(&graph, "right.first", "in", "left.second/out");
    assert_source(&graph, "right.first", "more", "source/x");
    assert_source(&graph, "sink", "a", "left.second/out");
    assert_source(&graph, "sink", "b", "right.second/out");
    assert_int_equal(find_node(&graph, "left.first")->input_count, 2);
    assert_non_null(strstr(graph.descriptor, "\"left.first\""));
    assert_null(strstr(graph.descriptor, "\"module\""));
    dora__graph_fini(&graph);
}

static void
test_graph_module_options_inside_win(void **state)
{
    struct dora__graph graph = load(twice, doubled);
    const struct dora__graph_input *in =
        &find_node(&graph, "left.first")->inputs[0];

    (void)state;
    assert_string_equal(in->id, "in");
    assert_int_equal(in->queue_size, 7);
    assert_int_equal(in->timeout_ns, 5000000000);
    dora__graph_fini(&graph);
}

static void
test_graph_module_env_params_build(void **state)
{
    struct dora__graph graph = load(twice, doubled);
    const struct dora__graph_node *first = find_node(&graph, "left.first");

    (void)state;
    assert_string_equal(variable(first, "A"), "given");
    assert_string_equal(variable(first, "B"), "own");
    assert_string_equal(variable(first, "PARAM_GAIN"), "2");
    assert_null(variable(find_node(&graph, "right.first"), "PARAM_GAIN"));
    assert_string_equal(first->args_text, "2/2/$PARAM_NONE/${_param.gain}$");
    assert_string_equal(first->build, "pip install a\npip install b");
    assert_string_equal(find_node(&graph, "left.third")->build,
                        "pip install a");
    dora__graph_fini(&graph);
}

static void
test_graph_module_files_lie_beside_it(void **state)
{
    struct dora__graph graph = load(twice, doubled);

    (void)state;
    assert_string_equal(find_node(&graph, "left.first")->path, "mods/first.py");
    assert_string_equal(find_node(&graph, "left.second")->path, "tool");
    assert_string_equal(find_node(&graph, "left.third")->path, "mods/sub/tool");
    assert_string_equal(find_node(&graph, "sink")->path, "sink.py");
    dora__graph_fini(&graph);
}

static void
test_graph_module_in_a_module(void **state)
{
    static const struct beside files[] = {
        {"a/outer.yml", "module: {name: o, inputs: [i], outputs: [o]}\n"
                        "nodes:\n"
                        "- {id: in, module: ../b/inner.yml, inputs:"
                        " {i: _mod/i}, env: {E: outer}, params: {p: x}}\n"
                        "- {id: log, path: ./log, inputs: {i: in/o}}\n"},
        {"b/inner.yml", "module: {name: i, inputs: [i], outputs: [o]}\n"
                        "nodes:\n"
                        "- {id: n, path: ./n, inputs: {i: _mod/i},"
                        " outputs: [o]}\n"},
        {NULL, NULL},
    };
    struct dora__graph graph =
        load("nodes:\n"
             "- {id: s, path: s, outputs: [x], inputs: {back: m/o}}\n"
             "- {id: m, module: a/outer.yml, inputs: {i: s/x}, env: {E: top,"
             " F: top}, params: {q: y}}\n",
             files);
    const struct dora__graph_node *n = find_node(&graph, "m.in.n");

    (void)state;
    assert_source(&graph, "m.in.n", "i", "s/x");
    assert_source(&graph, "m.log", "i", "m.in.n/o");
    assert_source(&graph, "s", "back", "m.in.n/o");
    assert_string_equal(n->path, "b/./n");
    assert_string_equal(variable(n, "E"), "outer");
    assert_string_equal(variable(n, "F"), "top");
    assert_string_equal(variable(n, "PARAM_P"), "x");
    assert_string_equal(variable(n, "PARAM_Q"), "y");
    dora__graph_fini(&graph);
}

static void
test_graph_module_may_have_operators(void **state)
{
    static const struct beside files[] = {
        {"m/m.yml", "module: {name: o, inputs: [i], outputs: [y, z]}\n"
                    "build: make\n"
                    "nodes:\n"
                    "- {id: a, operator: {python: a.py, outputs: [y],"
                    " inputs: {i: _mod/i}}}\n"
                    "- {id: b, operators: [{id: op, python: {source: b.py},"
                    " build: own, outputs: [z], inputs: {i: a/y}}]}\n"},
        {"m/a.py", ""},
        {"m/b.py", ""},
        {NULL, NULL},
    };
    struct dora__graph graph =
        load("nodes:\n"
             "- {id: s, path: s, outputs: [x], inputs: {y: m/y, z: m/z}}\n"
             "- {id: m, module: m/m.yml, inputs: {i: s/x}, env: {E: e}}\n",
             files);

    (void)state;
    assert_source(&graph, "m.a", "i", "s/x");
    assert_source(&graph, "m.b", "i", "m.a/y");
    assert_source(&graph, "s", "y", "m.a/y");
    assert_source(&graph, "s", "z", "m.b/op/z");
    assert_string_equal(find_node(&graph, "m.a")->path, "m/a.py");
    assert_string_equal(find_node(&graph, "m.a")->build, "make");
    assert_string_equal(find_node(&graph, "m.b")->path, "m/b.py");
    assert_string_equal(find_node(&graph, "m.b")->build, "make\nown");
    assert_string_equal(variable(find_node(&graph, "m.b"), "E"), "e");
    dora__graph_fini(&graph);
}

/* --- what is wrong ----------------------------------------------------- */

#define HEAD "module: {name: m, inputs: [i], outputs: [o]}\n"
#define BODY "nodes:\n- {id: n, path: n, inputs: {i: _mod/i}, outputs: [o]}\n"
#define NODE(keys) \
    "nodes:\n- {id: s, path: s, outputs: [x]}\n- {id: k, " keys "}\n"
#define USE NODE("module: m.yml, inputs: {i: s/x}")

static void
test_graph_module_mistakes_are_told_in_their_place(void **state)
{
    static const struct {
        const char *flow, *module, *told;
    } cases[] = {
        {NODE("module: none.yml"), "",
         "3:19: node `k`: none.yml: is not there\n"},
        {NODE("module: /m.yml"), "",
         "3:19: node `k`: the module `/m.yml` must be a file in the directory "
         "of the dataflow, or below it\n"},
        {NODE("module: a/../../m.yml"), "",
         "3:19: node `k`: the module `a/../../m.yml` must be a file in the "
         "directory of the dataflow, or below it\n"},
        {NODE("module: 3"), "",
         "3:19: node `k`: `module` must be a string (quote it to make it one), "
         "not "
         "`3`\n"},
        {NODE("module: m.yml"), HEAD BODY,
         "3:3: node `k`: the module `m` needs an input `i`\n"},
        {NODE("module: m.yml, inputs: {i: s/x, ii: s/x}"), HEAD BODY,
         "3:43: node `k`: the module `m` has no input `ii`\n"},
        {NODE("module: m.yml, outputs: [o]"), HEAD BODY,
         "3:26: node `k`: `outputs` is not allowed on module nodes\n"},
        {NODE("module: m.yml, path: x"), HEAD BODY,
         "3:11: node `k`: `path` and `module` exclude each other: a node has "
         "only one of `path`, `operator`, `operators`, `ros2`, `module` and "
         "`hub`\n"},
        {NODE("module: m.yml, params: {a-b: x}"), HEAD BODY,
         "3:35: node `k`: a parameter's name has letters, digits and `_`, not "
         "`a-b`\n"},
        {NODE("module: m.yml, params: {a: x, A: y}"), HEAD BODY,
         "3:41: node `k`: the parameter `A` is there twice: their case does "
         "not matter\n"},
        {USE "- {id: t, path: t, inputs: {i: k/p}}\n", HEAD BODY,
         "4:32: there is no `k/p`: no module hands it out; did you mean "
         "`k/o`?\n"},
        {USE, "",
         "m.yml:1:1: a module is a map with `module` and `nodes`, not "
         "nothing\n"},
        {USE, "nodes: [\n",
         "m.yml:2:1: not valid YAML: did not find expected node content, while "
         "parsing a flow node from line 2\n"},
        {USE, BODY,
         "m.yml:1:1: the file of a module has a map `module` with its `name`, "
         "`inputs` and `outputs`\n"},
        {USE, "module: {inputs: [i], output: [o]}\n" BODY,
         "m.yml:1:23: `module`: unknown key `output`; did you mean `outputs`?\n"
         "m.yml:1:9: `module`: `name` is missing\n"},
        {USE, HEAD, "m.yml:1:1: `nodes` is missing: the list of what to run\n"},
        {USE, HEAD "env: {}\n" BODY,
         "m.yml:2:1: a module: unknown key `env`\n"},
        {USE, HEAD "nodes: []\n",
         "m.yml:1:42: the module `m` hands out `o`: none of its nodes has that "
         "output, and just one should\n"},
        {USE, HEAD BODY "- {id: p, path: p, outputs: [o]}\n",
         "m.yml:1:42: the module `m` hands out `o`: more than one of its nodes "
         "has that output, and just one should\n"},
        {USE, HEAD BODY "- {id: p, path: p, inputs: {i: _mod/j}}\n",
         "m.yml:4:32: the module `m` has no input `j`\n"},
        {USE, HEAD BODY "- {id: p, path: p, inputs: {i: q/j}}\n",
         "m.yml:4:32: node `k.p`, input `i`: there is no node `k.q`; did you "
         "mean `k.n`?\n"},
        {USE, HEAD BODY "- {id: p, module: m.yml}\n",
         "m.yml:4:19: node `k.p`: the module `m.yml` contains itself\n"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        const struct beside files[] = {{"m.yml", cases[i].module},
                                       {NULL, NULL}};
        struct dora__graph graph;
        struct told told;

        assert_int_equal(load_beside(cases[i].flow, files, &told, &graph),
                         -EINVAL);
        assert_string_equal(told.lines.text, cases[i].told);
        free(told.lines.text);
    }
}

/* Each of nine files has ten nodes that stand for the next: a thousand million
 * nodes, were it not for the limits. */
static void
test_graph_module_cannot_grow_without_bounds(void **state)
{
    struct beside files[] = {{"1", NULL}, {"2", NULL}, {"3", NULL},
                             {"4", NULL}, {"5", NULL}, {"6", NULL},
                             {"7", NULL}, {"8", NULL}, {NULL, NULL}};
    struct dora__text texts[8] = {{0}};
    struct dora__graph graph;
    struct told told;

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(texts); i++) {
        dora__text_puts(&texts[i], "module: {name: m}\nnodes:\n");
        for (int k = 0; k < 10; k++)
            dora__text_printf(&texts[i], "- {id: n%d, %s: '%zu'}\n", k,
                              i < 7 ? "module" : "path", i + 2);
        files[i].text = texts[i].text;
    }
    assert_int_equal(
        load_beside("nodes: [{id: n, module: '1'}]", files, &told, &graph),
        -EINVAL);
    assert_int_equal(told.errors, 1);
    assert_non_null(strstr(told.lines.text, "more than 4096"));
    for (size_t i = 0; i < DORA_COUNT(texts); i++)
        free(texts[i].text);
    free(told.lines.text);
}

static void
test_graph_module_nests_eight_deep(void **state)
{
    struct beside files[] = {{"1", NULL}, {"2", NULL}, {"3", NULL}, {"4", NULL},
                             {"5", NULL}, {"6", NULL}, {"7", NULL}, {"8", NULL},
                             {"9", NULL}, {NULL, NULL}};
    struct dora__graph graph;
    struct told told;
    char texts[9][80];

    (void)state;
    for (int i = 0; i < 9; i++) {
        (void)snprintf(texts[i], sizeof texts[i],
                       "module: {name: m}\nnodes: [{id: n, %s: '%d'}]\n",
                       i < 8 ? "module" : "path", i + 2);
        files[i].text = texts[i];
    }
    graph = load("nodes: [{id: n, module: '2'}]", files);
    assert_string_equal(graph.nodes[0].id, "n.n.n.n.n.n.n.n.n");
    dora__graph_fini(&graph);
    assert_int_equal(
        load_beside("nodes: [{id: n, module: '1'}]", files, &told, &graph),
        -EINVAL);
    assert_string_equal(told.lines.text,
                        "8:2:25: node `n.n.n.n.n.n.n.n.n`: modules are nested "
                        "more than 8 deep\n");
    free(told.lines.text);
}

static void
test_graph_module_needs_files(void **state)
{
    struct dora__graph graph;
    struct told told;

    (void)state;
    assert_int_equal(load_told(USE, NULL, &told, &graph), -EINVAL);
    assert_string_equal(told.lines.text,
                        "3:11: node `k`: module nodes (`module`) are not "
                        "supported by this version\n");
    free(told.lines.text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_module_gives_way_to_its_nodes),
        cmocka_unit_test(test_graph_module_options_inside_win),
        cmocka_unit_test(test_graph_module_env_params_build),
        cmocka_unit_test(test_graph_module_files_lie_beside_it),
        cmocka_unit_test(test_graph_module_in_a_module),
        cmocka_unit_test(test_graph_module_may_have_operators),
        cmocka_unit_test(test_graph_module_mistakes_are_told_in_their_place),
        cmocka_unit_test(test_graph_module_cannot_grow_without_bounds),
        cmocka_unit_test(test_graph_module_nests_eight_deep),
        cmocka_unit_test(test_graph_module_needs_files),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
