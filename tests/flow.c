/* flow.c - see flow.h. */
#include "flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void
flow_begin(struct flow *flow, uint32_t nodes, uint64_t heap_limit)
{
    memset(flow, 0, sizeof *flow);
    flow->graph.nodes = flow->graph_nodes;
    flow->graph.node_count = nodes;
    flow->graph.descriptor = (char *)(uintptr_t) "{\"nodes\":[]}";
    flow->plan.graph = &flow->graph;
    flow->plan.nodes = flow->nodes;
    flow->plan.outputs = flow->outputs;
    flow->plan.inputs = flow->inputs;
    flow->plan.node_count = nodes;
    flow->plan.heaps_size = nodes * heap_limit;
    flow->plan.budget = nodes * heap_limit;
    for (uint32_t i = 0; i < nodes; i++) {
        (void)snprintf(flow->node_ids[i], sizeof flow->node_ids[i], "n%u", i);
        flow->graph_nodes[i].id = flow->node_ids[i];
        flow->graph_nodes[i].config = (char *)(uintptr_t) "{}";
        flow->graph_nodes[i].outputs = flow->graph_outputs;
        flow->graph_nodes[i].inputs = flow->graph_inputs;
        flow->nodes[i].heap_at = i * heap_limit;
        flow->nodes[i].heap_limit = heap_limit;
    }
}

uint32_t
flow_output(struct flow *flow, uint32_t node, const char *id,
            uint32_t record_limit)
{
    uint32_t number = flow->plan.output_count++;
    struct dora__plan_node *planned = &flow->nodes[node];

    if (planned->output_count++ == 0) {
        planned->first_output = number;
        flow->graph_nodes[node].outputs = &flow->graph_outputs[number];
    }
    assert_int_equal(planned->first_output + planned->output_count, number + 1);
    flow->graph_outputs[number].id = (char *)(uintptr_t)id;
    flow->outputs[number] = (struct dora__plan_output){
        .node = node,
        .first_record = flow->plan.record_count,
        .record_limit = record_limit,
    };
    flow->plan.record_count += record_limit;
    return number;
}

static struct dora__plan_input *
add_input(struct flow *flow, uint32_t node, const char *id, uint32_t bound)
{
    uint32_t number = flow->plan.input_count++;
    struct dora__plan_node *planned = &flow->nodes[node];

    if (planned->input_count++ == 0) {
        planned->first_input = number;
        flow->graph_nodes[node].inputs = &flow->graph_inputs[number];
    }
    assert_int_equal(planned->first_input + planned->input_count, number + 1);
    flow->graph_inputs[number].id = (char *)(uintptr_t)id;
    flow->graph_inputs[number].source = (char *)(uintptr_t) "test";
    flow->inputs[number] = (struct dora__plan_input){
        .node = node,
        .number = planned->input_count - 1,
        .bound = bound,
    };
    return &flow->inputs[number];
}

uint32_t
flow_input(struct flow *flow, uint32_t node, const char *id, uint32_t output,
           uint32_t bound, unsigned flags)
{
    struct dora__plan_input *input = add_input(flow, node, id, bound);

    input->kind = DORA__INPUT_DATA;
    input->output = output;
    input->bit = ++flow->outputs[output].subscriber_count;
    input->ring_slots = 1;
    while (input->ring_slots < bound)
        input->ring_slots *= 2;
    input->two_rings = (flags & FLOW_TWO_RINGS) != 0;
    input->backpressure = (flags & FLOW_BACKPRESSURE) != 0;
    return flow->plan.input_count - 1;
}

uint32_t
flow_timer(struct flow *flow, uint32_t node, const char *id, int64_t period_ns,
           uint32_t bound)
{
    struct dora__plan_input *input = add_input(flow, node, id, bound);

    input->kind = DORA__INPUT_TIMER;
    input->period_ns = period_ns;
    return flow->plan.input_count - 1;
}

void
flow_make(struct flow *flow)
{
    struct dora_error err;

    if (dora__plane_create(&flow->plan, "test-flow", &flow->plane, &err) < 0)
        fail_msg("%s", err.text);
}

struct dora_node *
flow_attach(struct flow *flow, uint32_t node)
{
    struct dora__attachment attachment =
        dora__plane_attachment(&flow->plane, node);
    struct dora_node *attached;
    struct dora_error err;

    if (dora__node_attach(&attachment, &attached, &err) < 0)
        fail_msg("%s", err.text);
    return attached;
}

void
flow_open(struct flow *flow, struct dora_node **ret_nodes)
{
    for (uint32_t i = 0; i < flow->plan.node_count; i++) {
        ret_nodes[i] = flow_attach(flow, i);
        assert_int_equal(dora__node_join(ret_nodes[i], 0, NULL), -ETIMEDOUT);
    }
    dora__plane_open(&flow->plane);
    for (uint32_t i = 0; i < flow->plan.node_count; i++)
        assert_int_equal(dora__node_join(ret_nodes[i], 0, NULL), 0);
}

void
flow_end(struct flow *flow)
{
    dora__plane_fini(&flow->plane);
}

struct dora__edge_counts
flow_counts(const struct flow *flow, uint32_t input)
{
    struct dora__edge_counts counts;

    dora__plane_edge_counts(&flow->plane, input, &counts);
    return counts;
}
