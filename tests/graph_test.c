/* graph_test.c - what is read from files that can run, what is warned of, and
 * that all errors are told. graph_malformed_test.c has the errors one by one.
 */
#include "graph/graph.h"

#include "graph_load.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
test_graph_empty_dataflow(void **state)
{
    struct dora__graph graph = load_good("nodes: []\n", 0);

    (void)state;
    assert_int_equal(graph.node_count, 0);
    assert_false(graph.exit_when_nodes_finish);
    assert_true(graph.health_check_interval_ns == 5000000000);
    assert_string_equal(graph.file, "flow.yml");
    assert_string_equal(graph.descriptor, "{\"nodes\":[]}");
    assert_int_equal(dora__graph_find(&graph, "a"), -ENOENT);
    dora__graph_fini(&graph);
}

static void
test_graph_top_level_keys(void **state)
{
    struct dora__graph graph =
        load_good("nodes: []\nexit_when_nodes_finish: true\n"
                  "health_check_interval: 0.5\nstrict_types: false\n"
                  "type_rules: [{from: a, to: b}]\nenv:\n"
                  "debug: {enable_debug_inspection: true}\ndeploy:\n",
                  0);

    (void)state;
    assert_true(graph.exit_when_nodes_finish);
    assert_true(graph.health_check_interval_ns == 500000000);
    dora__graph_fini(&graph);
    graph = load_good("nodes: []\nstrict_types: true\n", 1);
    dora__graph_fini(&graph);
}

static void
test_graph_node_defaults(void **state)
{
    struct dora__graph graph = load_good(
        "nodes: [{id: a, path: a.py, inputs: , outputs: , args: }]", 0);
    const struct dora__graph_node *node = &graph.nodes[0];

    (void)state;
    assert_string_equal(node->id, "a");
    assert_string_equal(node->path, "a.py");
    assert_string_equal(node->args_text, "");
    assert_int_equal(node->arg_count, 0);
    assert_null(node->args[0]);
    assert_int_equal(node->input_count, 0);
    assert_int_equal(node->output_count, 0);
    assert_int_equal(node->isolation, DORA__ISOLATION_AUTO);
    assert_int_equal(node->restart_policy, DORA__RESTART_NEVER);
    assert_int_equal(node->heap_full, DORA__HEAP_ERROR);
    assert_int_equal(node->max_rotated_files, 5);
    assert_int_equal(node->startup_timeout_ns, -1);
    assert_int_equal(node->health_check_timeout_ns, -1);
    assert_int_equal(node->finish_grace_ns, -1);
    assert_int_equal(node->heap_limit, 0);
    assert_int_equal(node->min_log_level, 0);
    assert_null(node->python);
    assert_int_equal(node->mark.line, 1);
    assert_int_equal(node->mark.column, 14);
    assert_int_equal(node->path_mark.column, 23);
    dora__graph_fini(&graph);
}

static void
test_graph_every_key_of_a_node(void **state)
{
    struct dora__graph graph =
        load_good("nodes:\n"
                  "  - id: a\n"
                  "    name: A node\n"
                  "    description: what it does\n"
                  "    path: a.py\n"
                  "    path_sha256: 0123456789abcdefABCDEF0123456789"
                  "0123456789abcdefABCDEF0123456789\n"
                  "    args: --fps 30 \"a b\"\n"
                  "    inputs: {in: a/raw}\n"
                  "    outputs: [raw, log, all, raw]\n"
                  "    input_types: {in: std/core/v1/UInt8}\n"
                  "    output_types: {raw: std/core/v1/UInt8}\n"
                  "    output_framing: {raw: raw, log: arrow-ipc}\n"
                  "    output_metadata: {raw: [width, height]}\n"
                  "    pattern: service-server\n"
                  "    build: |\n      pip install x\n      pip install y\n"
                  "    send_stdout_as: all\n"
                  "    send_logs_as: log\n"
                  "    min_log_level: info\n"
                  "    max_log_size: 50MB\n"
                  "    max_rotated_files: 7\n"
                  "    restart_policy: on-failure\n"
                  "    max_restarts: 3\n"
                  "    restart_delay: 0.5\n"
                  "    max_restart_delay: 10\n"
                  "    restart_window: 1e18\n"
                  "    startup_timeout: 30\n"
                  "    health_check_timeout: 2.5\n"
                  "    finish_grace_secs: 0\n"
                  "    shared_memory_pool_size: 128MB\n"
                  "    cpu_affinity: [0, 3]\n"
                  "    isolation: process\n"
                  "    python: .venv/bin/python\n"
                  "    heap_limit: 1.5 GB\n"
                  "    heap_full: wait\n",
                  0);
    const struct dora__graph_node *node = &graph.nodes[0];

    (void)state;
    assert_string_equal(node->name, "A node");
    assert_string_equal(node->description, "what it does");
    assert_string_equal(node->args_text, "--fps 30 \"a b\"");
    assert_int_equal(node->arg_count, 3);
    assert_string_equal(node->args[2], "a b");
    assert_null(node->args[3]);
    assert_int_equal(node->output_count, 3);
    assert_string_equal(node->outputs[0].id, "all");
    assert_string_equal(node->outputs[1].id, "log");
    assert_string_equal(node->outputs[2].id, "raw");
    assert_string_equal(node->build, "pip install x\npip install y\n");
    assert_string_equal(node->send_stdout_as, "all");
    assert_string_equal(node->send_logs_as, "log");
    assert_int_equal(node->min_log_level, DORA_LEVEL_INFO);
    assert_int_equal(node->max_log_size, 50 << 20);
    assert_int_equal(node->max_rotated_files, 7);
    assert_int_equal(node->restart_policy, DORA__RESTART_ON_FAILURE);
    assert_int_equal(node->max_restarts, 3);
    assert_true(node->restart_delay_ns == 500000000);
    assert_true(node->max_restart_delay_ns == 10000000000);
    assert_true(node->restart_window_ns > INT64_C(3000000000000000000));
    assert_true(node->startup_timeout_ns == 30000000000);
    assert_true(node->health_check_timeout_ns == 2500000000);
    assert_int_equal(node->finish_grace_ns, 0);
    assert_int_equal(node->pool_size, 128 << 20);
    assert_int_equal(node->cpu_count, 2);
    assert_int_equal(node->cpu_affinity[1], 3);
    assert_int_equal(node->isolation, DORA__ISOLATION_PROCESS);
    assert_string_equal(node->python, ".venv/bin/python");
    assert_true(node->heap_limit == UINT64_C(3) << 29);
    assert_int_equal(node->heap_full, DORA__HEAP_WAIT);
    assert_int_equal(node->inputs[0].node, 0);
    assert_int_equal(node->inputs[0].output, 2);
    dora__graph_fini(&graph);
}

/* Both may be NULL. */
static void
expect_text(const char *text, const char *wanted)
{
    if (wanted == NULL)
        assert_null(text);
    else
        assert_string_equal(text, wanted);
}

static void
test_graph_git(void **state)
{
    static const struct {
        const char *keys, *url, *name;
        enum dora__git_kind kind;
    } cases[] = {
        {"", NULL, NULL, DORA__GIT_DEFAULT},
        {"git:", NULL, NULL, DORA__GIT_DEFAULT},
        {"git: https://x.org/y.git", "https://x.org/y.git", NULL,
         DORA__GIT_DEFAULT},
        {"git: me@x.org:y, branch: feature/x.1", "me@x.org:y", "feature/x.1",
         DORA__GIT_BRANCH},
        {"git: ../a b, tag: v1.0-rc", "../a b", "v1.0-rc", DORA__GIT_TAG},
        {"git: 'file:///y', rev: 'ABCD01', branch:", "file:///y", "abcd01",
         DORA__GIT_COMMIT},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        DORA_AUTOFREE char *text =
            dora__format("nodes: [{id: a, path: a.py, %s }]\n", cases[i].keys);
        struct dora__graph graph = load_good(text, 0);
        const struct dora__git *git = &graph.nodes[0].git;

        assert_int_equal(git->kind, cases[i].kind);
        expect_text(git->url, cases[i].url);
        expect_text(git->name, cases[i].name);
        dora__graph_fini(&graph);
    }
}

static void
test_graph_sources(void **state)
{
    static const struct {
        const char *source, *printed;
        enum dora__input_kind kind;
        int64_t period_ns;
        enum dora_level level;
        const char *node;
    } cases[] = {
        {"a/x", "a/x", DORA__INPUT_DATA, 0, 0, NULL},
        {"a/op/y", "a/op/y", DORA__INPUT_DATA, 0, 0, NULL},
        {"dora/timer/secs/2", "dora/timer/secs/2", DORA__INPUT_TIMER,
         2000000000, 0, NULL},
        {"dora/timer/millis/1000", "dora/timer/secs/1", DORA__INPUT_TIMER,
         1000000000, 0, NULL},
        {"dora/timer/millis/100", "dora/timer/millis/100", DORA__INPUT_TIMER,
         100000000, 0, NULL},
        {"dora/timer/micros/100", "dora/timer/micros/100", DORA__INPUT_TIMER,
         100000, 0, NULL},
        {"dora/timer/nanos/10000", "dora/timer/micros/10", DORA__INPUT_TIMER,
         10000, 0, NULL},
        {"dora/timer/nanos/33333333", "dora/timer/nanos/33333333",
         DORA__INPUT_TIMER, 33333333, 0, NULL},
        {"dora/timer/hz/30", "dora/timer/nanos/33333333", DORA__INPUT_TIMER,
         33333333, 0, NULL},
        {"dora/timer/hz/0.5", "dora/timer/secs/2", DORA__INPUT_TIMER,
         2000000000, 0, NULL},
        {"dora/timer/hz/0.001", "dora/timer/secs/1000", DORA__INPUT_TIMER,
         1000000000000, 0, NULL},
        {"dora/timer/hz/1e5", "dora/timer/micros/10", DORA__INPUT_TIMER, 10000,
         0, NULL},
        {"dora/timer/hz/1e-300", "dora/timer/secs/3153600000",
         DORA__INPUT_TIMER, INT64_C(3153600000) * 1000000000, 0, NULL},
        {"dora/timer/secs/9223372036854775807", "dora/timer/secs/3153600000",
         DORA__INPUT_TIMER, INT64_C(3153600000) * 1000000000, 0, NULL},
        {"dora/logs", "dora/logs", DORA__INPUT_LOGS, 0, 0, NULL},
        {"dora/logs/warn", "dora/logs/warn", DORA__INPUT_LOGS, 0,
         DORA_LEVEL_WARN, NULL},
        {"dora/logs/stdout/a", "dora/logs/stdout/a", DORA__INPUT_LOGS, 0,
         DORA_LEVEL_STDOUT, "a"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__text text = {0}, config = {0};
        struct dora__graph graph;
        const struct dora__graph_input *input;

        dora__text_printf(&text,
                          "nodes:\n"
                          "- {id: a, path: a, outputs: [op/y, x]}\n"
                          "- {id: b, path: b, inputs: {in: %s}}\n",
                          cases[i].source);
        graph = load_good(text.text, 0);
        input = &graph.nodes[1].inputs[0];
        assert_string_equal(input->source, cases[i].source);
        assert_int_equal(input->kind, cases[i].kind);
        assert_true(input->period_ns == cases[i].period_ns);
        assert_int_equal(input->log_level, cases[i].level);
        if (cases[i].node != NULL)
            assert_string_equal(input->log_node, cases[i].node);
        else
            assert_null(input->log_node);
        dora__text_printf(&config, "\"inputs\":{\"in\":\"%s\"}",
                          cases[i].printed);
        assert_non_null(strstr(graph.nodes[1].config, config.text));
        dora__graph_fini(&graph);
        free(config.text);
        free(text.text);
    }
}

static void
test_graph_inputs_in_long_form(void **state)
{
    struct dora__graph graph = load_good(
        "nodes:\n"
        "- {id: a, path: a, outputs: [x]}\n"
        "- id: b\n  path: b\n  inputs:\n"
        "    plain: a/x\n"
        "    same: {source: a/x, queue_size: 10,"
        " queue_policy: drop-oldest}\n"
        "    all: {source: a/x, queue_size: 1048576, input_timeout: 0.25,"
        " queue_policy: backpressure}\n"
        "    null: {source: a/x, queue_size: , input_timeout: }\n",
        0);
    const struct dora__graph_input *inputs = graph.nodes[1].inputs;

    (void)state;
    assert_string_equal(inputs[0].id, "all");
    assert_int_equal(inputs[0].queue_size, 1 << 20);
    assert_int_equal(inputs[0].policy, DORA__BACKPRESSURE);
    assert_int_equal(inputs[0].timeout_ns, 250000000);
    assert_string_equal(inputs[1].id, "null");
    assert_int_equal(inputs[1].queue_size, 10);
    assert_int_equal(inputs[3].policy, DORA__DROP_OLDEST);
    assert_int_equal(inputs[2].timeout_ns, 0);
    assert_string_equal(
        graph.nodes[1].config,
        "{\"inputs\":{\"all\":{\"source\":\"a/x\",\"queue_size\":1048576,"
        "\"queue_policy\":\"backpressure\",\"input_timeout\":0.25},"
        "\"null\":\"a/x\",\"plain\":\"a/x\",\"same\":\"a/x\"},\"outputs\":[],"
        "\"input_types\":{},\"output_types\":{},\"output_framing\":{}}");
    dora__graph_fini(&graph);
}

static void
test_graph_shell_keeps_its_line(void **state)
{
    struct dora__graph graph =
        load_good("nodes: [{id: a, path: shell, args: \"echo it's | wc\"}]", 0);

    (void)state;
    assert_string_equal(graph.nodes[0].args_text, "echo it's | wc");
    assert_int_equal(graph.nodes[0].arg_count, 0);
    dora__graph_fini(&graph);
}

static void
test_graph_odd_things_are_warned_of(void **state)
{
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {"inputs: {i: {source: a/o, queue_sise: 3}}",
         "3:29: node `a`, input `i`: the unknown key `queue_sise` is ignored; "
         "did you mean `queue_size`?"},
        {"inputs: {i: {source: a/o, zzz: 3}}",
         "3:29: node `a`, input `i`: the unknown key `zzz` is ignored\n"},
        {"inputs: {i: {source: a/o, queue_size: 0}}",
         "3:41: node `a`, input `i`: `queue_size` 0 is taken for 1\n"},
        {"input_types: {image: x}",
         "3:17: node `a`: `input_types` describes `image`, which the node does "
         "not declare\n"},
        {"output_types: {oo: x}",
         "3:18: node `a`: `output_types` describes `oo`, which the node does "
         "not declare\n"},
        {"pattern: service_server",
         "3:12: node `a`: the `pattern` `service_server` is not known; did you "
         "mean `service-server`?"},
        {"inputs: {i: dora/logs/info/aa}",
         "3:15: node `a`, input `i`: there is no node `aa`, whose logs it asks "
         "for\n"},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__text text = {0};
        struct dora__graph graph;
        struct told told;

        dora__text_printf(&text,
                          "nodes:\n- {id: a, path: a, outputs: [o],\n  %s}",
                          cases[i].text);
        if (load_told(text.text, NULL, &told, &graph) < 0 ||
            told.warnings != 1 ||
            strstr(told.lines.text, cases[i].warning) == NULL)
            fail_msg("%s: %s", text.text, told.lines.text);
        free(told.lines.text);
        free(text.text);
        dora__graph_fini(&graph);
    }
}

static void
test_graph_tells_all_errors_at_once(void **state)
{
    struct dora__graph graph;
    struct told told;

    (void)state;
    assert_int_equal(
        load_told("strict_types: maybe\n"
                  "nodez: []\n"
                  "nodes:\n"
                  "- id: camera\n"
                  "  path: camera.py\n"
                  "  output: [image]\n"
                  "- id: a b\n"
                  "  path: x\n"
                  "- id: plot\n"
                  "  path: plot.py\n"
                  "  max_restarts: many\n"
                  "  args: \"it's\"\n"
                  "  env: {A: $NONE, B: [1]}\n"
                  "  inputs:\n"
                  "    x: camera\n"
                  "    y: camra/image\n"
                  "    z: {source: dora/timer/secs/0, queue_size: -1}\n"
                  "- id: plot\n"
                  "  operators: []\n",
                  NULL, &told, &graph),
        -EINVAL);
    assert_int_equal(told.errors, 14);
    for (const char *const *place =
             (const char *const[]){
                 "1:15:", "2:1:", "6:3:", "7:7:", "11:17:", "12:9:", "13:12:",
                 "13:22:", "15:8:", "16:8:", "17:17:", "17:48:", "18:7:",
                 "19:14:", NULL};
         *place != NULL; place++) {
        struct dora__text line = {0};

        dora__text_printf(&line, "%s ", *place);
        if (strstr(told.lines.text, line.text) == NULL)
            fail_msg("no %s in\n%s", *place, told.lines.text);
        free(line.text);
    }
    free(told.lines.text);
}

static void
test_graph_many_errors_are_still_fast(void **state)
{
    struct dora__text text = {0};
    struct dora__graph graph;
    struct told told;

    (void)state;
    dora__text_puts(&text, "nodes:\n");
    for (int i = 0; i < 4000; i++)
        dora__text_printf(&text,
                          "- {id: node%d, path: x, inputs: {a: nod/%d, b: n/o},"
                          " oututs: []}\n",
                          i, i);
    assert_int_equal(load_told(text.text, NULL, &told, &graph), -EINVAL);
    assert_int_equal(told.errors, 12000);
    free(told.lines.text);
    free(text.text);
}

static void
test_graph_long_way_of_backpressure_is_followed(void **state)
{
    struct dora__text text = {0};
    struct dora__graph graph;
    struct told told;

    (void)state;
    dora__text_puts(&text, "nodes:\n");
    for (int i = 0; i < 4000; i++)
        dora__text_printf(&text,
                          "- {id: n%d, path: x, outputs: [o], inputs: {i: "
                          "{source: n%d/o, queue_policy: backpressure}}}\n",
                          i, (i + 1) % 4000);
    assert_int_equal(load_told(text.text, NULL, &told, &graph), -EINVAL);
    assert_int_equal(told.errors, 1);
    assert_non_null(strstr(told.lines.text, "a cycle of `backpressure`"));
    free(told.lines.text);
    free(text.text);
}

static void
test_graph_cycles_may_drop(void **state)
{
    struct dora__graph graph =
        load_good("nodes:\n"
                  "- {id: a, path: a, outputs: [o], inputs: {i: b/o, j: a/o}}\n"
                  "- {id: b, path: b, outputs: [o], inputs:"
                  " {i: {source: a/o, queue_policy: backpressure}}}\n",
                  0);

    (void)state;
    assert_int_equal(graph.nodes[0].inputs[0].node, 1);
    assert_int_equal(graph.nodes[0].inputs[1].node, 0);
    dora__graph_fini(&graph);
}

static void
test_graph_mermaid(void **state)
{
    struct dora__graph graph =
        load_good("nodes:\n"
                  "- {id: end, path: a, name: 'say \"hi\"', outputs: [o, p]}\n"
                  "- id: b\n  path: b\n  inputs:\n    x: end/o\n    p:"
                  " {source: end/p, queue_policy: backpressure}\n"
                  "    t: dora/timer/secs/1\n    u: dora/timer/secs/1\n",
                  0);
    struct dora__text out = {0};

    (void)state;
    dora__graph_mermaid(&graph, &out);
    assert_string_equal(out.text, "flowchart TB\n"
                                  "    n0[\\\"say #quot;hi#quot;\"/]\n"
                                  "    n1[/\"b\"\\]\n"
                                  "    n0 -- \"p\" ==> n1\n"
                                  "    n0 -- \"o as x\" --> n1\n"
                                  "    t1([\"dora/timer/secs/1\"])\n"
                                  "    t1 -- \"t\" --> n1\n"
                                  "    t1 -- \"u\" --> n1\n");
    free(out.text);
    dora__graph_fini(&graph);
}

/* As people write them: comments, anchors, block and flow, folded strings. */
static void
test_graph_files_of_the_ecosystem(void **state)
{
    static const char *const files[] = {
        "# yaml-language-server: $schema=dora-schema.json\n---\n"
        "nodes:\n"
        "  - id: camera\n"
        "    build: pip install -e ../../node-hub/opencv-video-capture\n"
        "    path: opencv-video-capture\n"
        "    inputs:\n"
        "      tick: dora/timer/millis/20\n"
        "    outputs:\n"
        "      - image\n"
        "    env:\n"
        "      CAPTURE_PATH: 0\n"
        "      IMAGE_WIDTH: 640\n"
        "      IMAGE_HEIGHT: 480\n"
        "      ENCODING: \"rgb8\"\n\n"
        "  - id: object-detection\n"
        "    build: pip install -e ../../node-hub/dora-yolo\n"
        "    path: dora-yolo\n"
        "    inputs:\n"
        "      image:\n"
        "        source: camera/image\n"
        "        queue_size: 1\n"
        "    outputs:\n"
        "      - bbox\n\n"
        "  - id: plot\n"
        "    path: dora-rerun\n"
        "    inputs:\n"
        "      image: camera/image\n"
        "      boxes2d: object-detection/bbox\n...\n",
        "env:\n  PYTHONUNBUFFERED: 1\n"
        "nodes:\n"
        "- id: a\n  path: python\n  args: -m package.module --flag 'x y'\n"
        "  env: &common {MODEL: $HOME/m.onnx, RATIO: 0.50, DEBUG: off}\n"
        "  outputs: [op/text, 'op/raw']\n"
        "- id: b\n  path: shell\n  args: >-\n    cat\n    -\n"
        "  env: *common\n"
        "- {id: rviz, path: dynamic, inputs: {text: a/op/text}}\n"
        "- {id: host, path: callback, inputs: {text: {source: a/op/text,"
        " queue_policy: backpressure}}}\n",
        "nodes:\r\n  - id: a\r\n    path: a.py\r\n    outputs:\r\n"
        "      - x\r\n",
        "{\"nodes\": [{\"id\": \"a\", \"path\": \"a.py\", \"inputs\":"
        " {\"t\": {\"source\": \"dora/timer/hz/30\", \"queue_size\": 1}}}]}",
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(files); i++) {
        struct dora__graph graph = load_good(files[i], 0);

        assert_true(graph.node_count > 0);
        dora__graph_fini(&graph);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_empty_dataflow),
        cmocka_unit_test(test_graph_top_level_keys),
        cmocka_unit_test(test_graph_node_defaults),
        cmocka_unit_test(test_graph_every_key_of_a_node),
        cmocka_unit_test(test_graph_git),
        cmocka_unit_test(test_graph_sources),
        cmocka_unit_test(test_graph_inputs_in_long_form),
        cmocka_unit_test(test_graph_shell_keeps_its_line),
        cmocka_unit_test(test_graph_odd_things_are_warned_of),
        cmocka_unit_test(test_graph_tells_all_errors_at_once),
        cmocka_unit_test(test_graph_many_errors_are_still_fast),
        cmocka_unit_test(test_graph_long_way_of_backpressure_is_followed),
        cmocka_unit_test(test_graph_cycles_may_drop),
        cmocka_unit_test(test_graph_mermaid),
        cmocka_unit_test(test_graph_files_of_the_ecosystem),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
