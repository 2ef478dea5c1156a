/* graph_fault_test.c - every allocation of loading, planning and drawing fails
 * once, libyaml's too: it is said, and nothing leaks. */
#include "fault.h"
#include "graph/plan.h"
#include "graph_load.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static const char good[] =
    "env: {A: $HOME, B: 1.5}\n"
    "type_rules: [{from: a, to: b}]\n"
    "nodes:\n"
    "- id: a\n  name: n\n  description: d\n  path: a.py\n  args: \"x 'y z'\"\n"
    "  env: {B: &b own, C: '${HOME}/c', DORA_ISOLATION: process}\n"
    "  outputs: [x, y, x]\n"
    "  input_types: {i: t}\n  output_types: {x: t, z: t}\n"
    "  output_metadata: {x: [k]}\n  pattern: service-servr\n"
    "  build: pip\n  send_stdout_as: x\n  send_logs_as: y\n"
    "  cpu_affinity: [1]\n  python: p\n  git: u\n  rev: abcdef\n"
    "  inputs:\n"
    "    i: {source: b/o, queue_size: 2, queu_policy: x, input_timeout: 1}\n"
    "    t: dora/timer/millis/10\n    l: dora/logs/info/b\n"
    "- {id: b, path: *b, outputs: [o], inputs: {i: {source: a/x,"
    " queue_policy: backpressure}}}\n"
    "- {id: z, name: c, operators: [{id: op, name: n, python: {source: c.py,"
    " sorce: x}, envv: {}, args: x, outputs: [o], inputs: {i: z/op/o}}]}\n"
    "- {id: m, module: m.yml, inputs: {i: a/x}, params: {p: v}, env: {E: e},"
    " build: pip}\n"
    "- {id: c, path: c.py, inputs: {i: m/o}}\n";

static const struct beside modules[] = {
    {"m.yml", "module: {name: m, inputs: [i], outputs: [o]}\nbuild: pip\n"
              "nodes:\n"
              "- {id: n, path: n.py, args: $PARAM_P, outputs: [o],"
              " inputs: {i: {source: _mod/i, queue_size: 3}}}\n"
              "- {id: op, operators: [{id: p, python: {source: n.py},"
              " inputs: {i: n/o}}]}\n"},
    {"n.py", ""},
    {NULL, NULL},
};

static const char bad[] =
    "nodez: 1\n"
    "nodes:\n"
    "- {id: a, path: a.py, output: [x], isolation: proces, env: {A: $NONE}}\n"
    "- {id: a, path: b.py, outputs: [o], args: \"'\", inputs: {i: b/x, j: x,"
    " k: {source: a/o, queue_policy: backpressure}}}\n"
    "- {id: m, module: m.yml, inputs: {j: a/x}}\n"
    "- {id: n, module: none.yml}\n"
    "- {id: c, operator: {id: /, python: c.p}, args: x}\n"
    "- {id: d, operators: [{id: op, wasm: x, inputs: {i: c/op/o}}]}\n";

static const char *const environment[] = {"HOME=/home/me", NULL};
static const char *const given[] = {"B=given", "D=4", "LD_AUDIT=x", NULL};

static int
load_plan_draw(const char *text, struct dora_error *err)
{
    const struct dora__graph_files files = files_of(modules);
    const struct dora__graph_context context = {.file = "flow.yml",
                                                .files = &files,
                                                .environment = environment,
                                                .env = given};
    static const struct dora__machine machine = {.page_size = 4096,
                                                 .memory = 1 << 30};
    struct dora__graph graph;
    struct dora__plan plan;
    struct dora__text drawing = {0};
    int rc = dora__graph_load(text, strlen(text), &context, &graph, err);

    if (rc < 0)
        return rc;
    rc = dora__plan_make(&graph, &machine, &context, &plan, err);
    if (rc == 0) {
        dora__graph_mermaid(&graph, &drawing);
        if (drawing.failed)
            rc = -ENOMEM;
        free(drawing.text);
        dora__plan_fini(&plan);
    }
    dora__graph_fini(&graph);
    return rc;
}

static void
test_graph_fault_of_every_allocation_is_survived(void **state)
{
    unsigned n;

    (void)state;
    for (n = 1;; n++) {
        struct dora_error err = {""};

        fault_arm(FAULT_MEMORY, n);
        int rc = load_plan_draw(good, &err);
        if (!fault_disarm()) {
            if (rc < 0)
                fail_msg("%s", err.text);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
    }
    assert_true(n > 100);
}

static void
test_graph_fault_while_telling_errors_is_survived(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        struct dora_error err = {""};

        fault_arm(FAULT_MEMORY, n);
        int rc = load_plan_draw(bad, &err);
        if (!fault_disarm()) {
            assert_int_equal(rc, -EINVAL);
            break;
        }
        assert_true(rc == -ENOMEM || rc == -EINVAL);
        assert_true(err.text[0] != '\0');
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph_fault_of_every_allocation_is_survived),
        cmocka_unit_test(test_graph_fault_while_telling_errors_is_survived),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
