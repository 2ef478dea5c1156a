/* plan_test.c - numbers of a plan, and what cannot be planned. */
#include "graph/plan.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GB (UINT64_C(1) << 30)

static const struct dora__machine roomy = {
    .page_size = 4096,
    .memory = 16 * GB,
    .address_space = UINT64_C(1) << 47,
};

struct planned {
    struct dora__graph graph;
    struct dora__plan plan;
    struct dora_error err;
    int rc;
};

static struct planned
plan(const char *text, struct dora__machine machine)
{
    static const struct dora__graph_context context = {.file = "flow.yml"};
    struct planned p = {.err = {""}};

    if (dora__graph_load(text, strlen(text), &context, &p.graph, &p.err) < 0)
        fail_msg("%s", p.err.text);
    p.rc = dora__plan_make(&p.graph, &machine, &context, &p.plan, &p.err);
    return p;
}

static void
fini(struct planned *p)
{
    if (p->rc == 0)
        dora__plan_fini(&p->plan);
    dora__graph_fini(&p->graph);
}

static void
refuses(const char *text, struct dora__machine machine, const char *phrase)
{
    struct planned p = plan(text, machine);

    assert_int_equal(p.rc, -EINVAL);
    if (strstr(p.err.text, phrase) == NULL)
        fail_msg("\"%s\" is not in: %s", phrase, p.err.text);
    fini(&p);
}

/* What must hold of every plan. */
static void
check(const struct dora__plan *plan, const struct dora__machine *machine)
{
    uint64_t at = 0, record = 0;

    for (uint32_t i = 0; i < plan->node_count; i++) {
        assert_true(plan->nodes[i].heap_at == at);
        assert_true(plan->nodes[i].heap_limit > 0);
        assert_true(plan->nodes[i].heap_limit % machine->page_size == 0);
        assert_true(plan->nodes[i].prefault <= plan->nodes[i].heap_limit);
        assert_true(plan->nodes[i].heap_range >= plan->nodes[i].heap_limit);
        at += plan->nodes[i].heap_range;
    }
    assert_true(plan->heaps_size == at);
    for (uint32_t i = 0; i < plan->output_count; i++) {
        const struct dora__plan_output *output = &plan->outputs[i];

        assert_true(output->first_record == record);
        assert_true(output->record_limit > 0);
        assert_int_equal(output->record_limit & (output->record_limit - 1), 0);
        assert_true(output->subscriber_count <= DORA__MAX_SUBSCRIBERS);
        record += output->record_limit;
    }
    assert_true(plan->record_count == record && record <= DORA__ALL_RECORDS);
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        const struct dora__plan_input *input = &plan->inputs[i];

        assert_true(input->bound >= 1);
        assert_true(input->bound <= DORA__MAX_QUEUE);
        assert_true(input->ring_slots >= input->bound);
        assert_true(input->ring_slots < 2 * input->bound ||
                    input->ring_slots == 1);
        assert_int_equal(input->ring_slots & (input->ring_slots - 1), 0);
    }
}

static void
test_plan_of_nothing(void **state)
{
    struct planned p = plan("nodes: []", roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.plan.node_count, 0);
    assert_int_equal(p.plan.heaps_size, 0);
    assert_int_equal(p.plan.record_count, 0);
    fini(&p);
}

/* Nodes inside the host map the heaps side by side. */
static void
test_plan_shares_addresses_among_nodes_in_the_host(void **state)
{
    enum { NODES = 200 };
    struct dora__text text = {0};
    struct planned p;

    (void)state;
    dora__text_puts(&text, "nodes:\n");
    for (int i = 0; i < NODES; i++)
        dora__text_printf(&text,
                          "- {id: n%d, path: a.py, outputs: [o],"
                          " isolation: interpreter}\n",
                          i);
    assert_false(text.failed);
    p = plan(text.text, roomy);
    free(text.text);
    assert_int_equal(p.rc, 0);
    assert_true(p.plan.heaps_size <= roomy.address_space / 2 / (NODES + 1));
    assert_true(p.plan.nodes[0].heap_limit >= 1 << 20);
    fini(&p);
}

static void
test_plan_numbers_nodes_outputs_and_inputs(void **state)
{
    struct planned p =
        plan("exit_when_nodes_finish: true\nnodes:\n"
             "- {id: a, path: a, outputs: [x, y]}\n"
             "- {id: b, path: b, outputs: [z], inputs: {p: a/y, q: a/x,"
             " t: dora/timer/millis/5}}\n"
             "- {id: c, path: c, heap_full: wait, inputs: {"
             "p: {source: a/y, queue_size: 100, queue_policy: backpressure,"
             " input_timeout: 2}, q: b/z, r: a/y, l: dora/logs}}\n",
             roomy);
    const struct dora__plan_input *inputs = p.plan.inputs;

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_true(p.plan.exit_when_nodes_finish);
    assert_int_equal(p.plan.node_count, 3 + 1); /* the host's, for dora/logs */
    assert_int_equal(p.plan.output_count, 3 + 1);
    assert_int_equal(p.plan.input_count, 7);
    assert_int_equal(p.plan.nodes[1].first_output, 2);
    assert_int_equal(p.plan.nodes[2].first_input, 3);
    assert_int_equal(p.plan.nodes[2].input_count, 4);
    assert_true(p.plan.nodes[2].heap_wait);
    assert_false(p.plan.nodes[1].heap_wait);
    assert_int_equal(p.plan.outputs[2].node, 1);
    /* b: p q t; c: l p q r */
    assert_int_equal(inputs[0].output, 1);
    assert_int_equal(inputs[0].bit, 1);
    assert_int_equal(inputs[1].output, 0);
    assert_int_equal(inputs[1].bit, 1);
    assert_int_equal(inputs[2].kind, DORA__INPUT_TIMER);
    assert_int_equal(inputs[2].period_ns, 5000000);
    assert_false(inputs[2].two_rings);
    assert_int_equal(inputs[3].kind, DORA__INPUT_LOGS);
    assert_int_equal(inputs[3].output, 3);
    assert_int_equal(inputs[3].bit, 1);
    assert_int_equal(inputs[4].output, 1);
    assert_int_equal(inputs[4].bit, 2);
    assert_int_equal(inputs[4].node, 2);
    assert_int_equal(inputs[4].number, 1);
    assert_int_equal(inputs[4].bound, 100);
    assert_int_equal(inputs[4].ring_slots, 128);
    assert_true(inputs[4].backpressure);
    assert_false(inputs[4].two_rings);
    assert_true(inputs[4].timeout_ns == 2000000000);
    assert_int_equal(inputs[5].output, 2);
    assert_int_equal(inputs[6].bit, 3);
    assert_true(inputs[6].two_rings);
    assert_false(inputs[6].backpressure);
    assert_int_equal(inputs[6].bound, 10);
    assert_int_equal(inputs[6].ring_slots, 16);
    assert_int_equal(p.plan.outputs[1].subscriber_count, 3);
    assert_int_equal(p.plan.outputs[1].record_limit, 65536);
    fini(&p);
}

/* The host feeds them, from a node of its own. */
static void
test_plan_echoes_of_lines_and_records(void **state)
{
    struct planned p =
        plan("nodes:\n"
             "- {id: a, path: a, outputs: [l, r, x], send_stdout_as: l,"
             " send_logs_as: r}\n"
             "- {id: b, path: b, outputs: [y], send_stdout_as: y,"
             " send_logs_as: y, inputs: {l: a/l, r: a/r, x: a/x,"
             " m: dora/logs/warn/a, n: dora/logs}}\n"
             "- {id: c, path: c, inputs: {l: a/l}}\n",
             roomy);
    const struct dora__plan_input *in = p.plan.inputs; /* b: l m n r x; c: l */
    const struct dora__plan_echo *echoes = p.plan.echoes;

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_int_equal(p.plan.node_count, 4);
    assert_int_equal(p.plan.echo_count, 5);
    assert_int_equal(p.plan.nodes[3].first_output, 4);
    assert_int_equal(p.plan.nodes[3].output_count, 5);
    assert_string_equal(dora__plan_node_of(&p.plan, 3)->id, "dora");
    assert_true(echoes[0].lines && !echoes[0].records && echoes[0].about == 0);
    assert_true(!echoes[1].lines && echoes[1].records && echoes[1].about == 0);
    assert_true(echoes[2].lines && echoes[2].records && echoes[2].about == 1);
    assert_int_equal(echoes[3].level, DORA_LEVEL_WARN);
    assert_true(echoes[3].about == 0 && echoes[3].consumer == 1);
    assert_true(echoes[4].about == DORA__EVERYBODY && echoes[4].level == 0);
    assert_true(in[0].output == 0 && in[0].twin == 6 && !in[0].echo);
    assert_true(in[1].output == 7 && in[2].output == 8 && !in[1].echo);
    assert_true(in[3].output == 1 && in[3].twin == 7);
    assert_true(in[4].output == 2 && in[4].twin == 0);
    assert_true(in[5].output == 0 && in[5].twin == 8 && in[5].bit == 2);
    assert_int_equal(p.plan.edge_count, 9);
    assert_true(in[6].echo && in[6].output == 4 && in[6].about == 0);
    assert_true(in[7].echo && in[7].output == 5 &&
                in[7].number == in[3].number);
    assert_true(in[8].echo && in[8].output == 4 && in[8].bit == 2);
    assert_true(in[8].node == 2 && in[8].twin == 0);
    fini(&p);
}

static void
test_plan_queue_of_one_and_of_a_million(void **state)
{
    struct planned p =
        plan("nodes:\n- {id: a, path: a, outputs: [x, y]}\n"
             "- {id: b, path: b, inputs: {one: {source: a/x, queue_size: 1},"
             " all: {source: a/y, queue_size: 1048576}}}\n",
             roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_int_equal(p.plan.inputs[0].ring_slots, 1 << 20);
    assert_int_equal(p.plan.inputs[1].ring_slots, 1);
    assert_true(p.plan.outputs[1].record_limit > 1 << 20);
    fini(&p);
}

static char *
text_of(const char *head, int count, const char *format)
{
    struct dora__text text = {0};

    dora__text_puts(&text, head);
    for (int i = 0; i < count; i++)
        for (const char *p = format; *p != '\0'; p++)
            if (*p == '#')
                dora__text_printf(&text, "%d", i);
            else
                dora__text_add(&text, p, 1);
    return text.text;
}

static void
test_plan_subscribers_have_a_limit(void **state)
{
    char *text = text_of("nodes:\n- {id: a, path: a, outputs: [x]}\n", 63,
                         "- {id: n#, path: b, inputs: {x: a/x}}\n");
    struct planned p = plan(text, roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_int_equal(p.plan.inputs[62].bit, 63);
    fini(&p);
    free(text);
    text = text_of("nodes:\n- {id: a, path: a, outputs: [x]}\n", 65,
                   "- {id: n#, path: b, inputs: {x: a/x}}\n");
    refuses(text, roomy,
            "flow.yml:66:34: this is subscriber number 64 of `a/x`; an output "
            "can have at most 63");
    free(text);
}

/* Together they are what a program takes that locks all of its memory. */
static void
test_plan_many_outputs_share_the_records(void **state)
{
    static const struct {
        unsigned outputs, records; /* of each */
    } cases[] = {{10, 65536}, {100, 8192}, {1000, 1024}, {4000, 1024}};

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        char *text = text_of("nodes:\n- {id: a, path: a, outputs: [",
                             cases[i].outputs, "o#,");
        char *whole = text_of(text, 1, "]}\n");
        struct planned p = plan(whole, roomy);

        assert_int_equal(p.rc, 0);
        check(&p.plan, &roomy);
        assert_int_equal(p.plan.outputs[0].record_limit, cases[i].records);
        fini(&p);
        free(whole);
        free(text);
    }
}

static void
test_plan_long_queues_of_many_outputs_are_too_many_records(void **state)
{
    char *text = text_of("nodes:\n", 20,
                         "- {id: a#, path: a, outputs: [x]}\n"
                         "- {id: b#, path: b, inputs: {x: {source: a#/x,"
                         " queue_size: 1000000}}}\n");

    (void)state;
    refuses(text, roomy, "make its subscribers' `queue_size` less");
    free(text);
}

static void
test_plan_counts_have_limits(void **state)
{
    char *text = text_of("nodes:\n- {id: a, path: a, outputs: [", 16385, "o#,");
    char *whole = text_of(text, 1, "]}\n");

    (void)state;
    refuses(whole, roomy, "at most 65536 and 16384 fit");
    free(whole);
    free(text);
}

static void
test_plan_heaps_are_half_of_memory_each(void **state)
{
    struct planned p = plan("nodes:\n- {id: a, path: a, outputs: [x]}\n"
                            "- {id: b, path: b, outputs: [x]}\n"
                            "- {id: c, path: c}\n",
                            roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_true(p.plan.nodes[0].heap_limit == 8 * GB);
    assert_true(p.plan.nodes[1].heap_limit == 8 * GB);
    assert_int_equal(p.plan.nodes[2].heap_limit, 65536);
    assert_true(p.plan.budget == 8 * GB);
    fini(&p);
}

static void
test_plan_heap_limits_are_kept(void **state)
{
    struct planned p =
        plan("nodes:\n- {id: a, path: a, outputs: [x], heap_limit: 1000}\n"
             "- {id: b, path: b, outputs: [x], heap_limit: 12GB,"
             " shared_memory_pool_size: 10000}\n",
             roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_int_equal(p.plan.nodes[0].heap_limit, 4096);
    assert_true(p.plan.nodes[1].heap_limit == 12 * GB);
    assert_int_equal(p.plan.nodes[1].prefault, 12288);
    assert_true(p.plan.budget == 12 * GB + 4096);
    fini(&p);
}

static void
test_plan_budget_is_never_all_memory(void **state)
{
    struct planned p = plan(
        "nodes:\n- {id: a, path: a, outputs: [x], heap_limit: 100GB}\n", roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    assert_true(p.plan.budget == 14 * GB);
    fini(&p);
}

static void
test_plan_prefaulting_has_limits(void **state)
{
    (void)state;
    refuses("nodes:\n- {id: a, path: a, outputs: [x],"
            " shared_memory_pool_size: 9GB}\n",
            roomy, "is more than its heap may have");
    refuses("nodes:\n- {id: a, path: a, outputs: [x], heap_limit: 1MB,"
            " shared_memory_pool_size: 2MB}\n",
            roomy,
            "flow.yml:2:8: node `a`: `shared_memory_pool_size` (2097152");
    refuses("nodes:\n"
            "- {id: a, path: a, outputs: [x], shared_memory_pool_size: 8GB}\n"
            "- {id: b, path: b, outputs: [x], shared_memory_pool_size: 8GB}\n",
            roomy, "add up to 17179869184 bytes");
}

static void
test_plan_fits_address_space_and_file_size(void **state)
{
    static const char text[] = "nodes:\n- {id: a, path: a, outputs: [x]}\n"
                               "- {id: b, path: b, outputs: [x]}\n"
                               "- {id: c, path: c}\n";
    struct dora__machine machine = roomy;
    struct planned p;

    (void)state;
    machine.address_space = 8 * GB;
    p = plan(text, machine);
    assert_int_equal(p.rc, 0);
    check(&p.plan, &machine);
    assert_true(p.plan.heaps_size <= 2 * GB);
    assert_true(p.plan.nodes[0].heap_limit > GB - (1 << 20));
    fini(&p);

    machine.file_size = 100 << 20;
    p = plan(text, machine);
    assert_int_equal(p.rc, 0);
    check(&p.plan, &machine);
    assert_true(p.plan.heaps_size <= 100 << 20);
    fini(&p);

    machine.file_size = 1 << 20;
    refuses(text, machine, "are left for its heap");
    machine.file_size = 1;
    refuses(text, machine, "take more than the 0 bytes");
    refuses("nodes:\n- {id: a, path: a, outputs: [x], heap_limit: 3GB}\n",
            (struct dora__machine){.page_size = 4096, .address_space = 8 * GB},
            "flow.yml:2:8: node `a`: with it the heaps take more than the "
            "2147483648 bytes");
    refuses("nodes:\n- {id: a, path: a, outputs: [x], heap_limit: "
            "2000000000GB}\n",
            roomy, "with it the heaps take more than");
}

static void
test_plan_works_where_the_machine_tells_nothing(void **state)
{
    const struct dora__machine machine = {.page_size = 65536};
    struct planned p = plan("nodes:\n- {id: a, path: a, outputs: [x]}\n"
                            "- {id: b, path: b, inputs: {x: a/x}}\n",
                            machine);

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &machine);
    assert_true(p.plan.nodes[0].heap_limit == GB);
    assert_true(p.plan.budget == GB);
    fini(&p);
}

static void
test_plan_of_the_largest_dataflow(void **state)
{
    char *text = text_of("nodes:\n", 4096,
                         "- {id: n#, path: a, outputs: [a, b, c, d], inputs: "
                         "{t: dora/timer/secs/1, s: n#/a, l: dora/logs}}\n");
    struct planned p = plan(text, roomy);

    (void)state;
    assert_int_equal(p.rc, 0);
    check(&p.plan, &roomy);
    assert_true(p.plan.heaps_size <= roomy.address_space / 4);
    assert_int_equal(p.plan.output_count, 16384 + 4096); /* dora/logs */
    fini(&p);
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_of_nothing),
        cmocka_unit_test(test_plan_shares_addresses_among_nodes_in_the_host),
        cmocka_unit_test(test_plan_numbers_nodes_outputs_and_inputs),
        cmocka_unit_test(test_plan_echoes_of_lines_and_records),
        cmocka_unit_test(test_plan_queue_of_one_and_of_a_million),
        cmocka_unit_test(test_plan_subscribers_have_a_limit),
        cmocka_unit_test(test_plan_many_outputs_share_the_records),
        cmocka_unit_test(
            test_plan_long_queues_of_many_outputs_are_too_many_records),
        cmocka_unit_test(test_plan_counts_have_limits),
        cmocka_unit_test(test_plan_heaps_are_half_of_memory_each),
        cmocka_unit_test(test_plan_heap_limits_are_kept),
        cmocka_unit_test(test_plan_budget_is_never_all_memory),
        cmocka_unit_test(test_plan_prefaulting_has_limits),
        cmocka_unit_test(test_plan_fits_address_space_and_file_size),
        cmocka_unit_test(test_plan_works_where_the_machine_tells_nothing),
        cmocka_unit_test(test_plan_of_the_largest_dataflow),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
