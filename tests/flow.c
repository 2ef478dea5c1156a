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
        flow->graph_nodes[i].path = (char *)(uintptr_t) "test";
        flow->graph_nodes[i].config = (char *)(uintptr_t) "{}";
        flow->graph_nodes[i].outputs = flow->graph_outputs;
        flow->graph_nodes[i].inputs = flow->graph_inputs;
        flow->nodes[i].heap_at = i * heap_limit;
        flow->nodes[i].heap_range = heap_limit;
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
    flow->plan.edge_count = flow->plan.input_count;
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
flow_close(struct flow *flow, struct dora_node **nodes)
{
    for (uint32_t i = 0; i < flow->plan.node_count; i++)
        dora__node_detach(nodes[i]);
    flow_end(flow);
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

void
flow_assert_counts(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->plan.input_count; i++) {
        struct dora__edge_counts c = flow_counts(flow, i);

        assert_int_equal(c.sent, c.delivered + c.dropped + c.queued);
        assert_true(c.shown + c.lost <= c.delivered);
        assert_true(c.queued <= flow->inputs[i].bound);
    }
}

/* --- events -------------------------------------------------------------- */

void
flow_send_number(struct dora_node *node, int output, uint64_t number)
{
    struct dora_error err;

    if (dora_node_send(node, output, &number, sizeof number, NULL, 0, &err) < 0)
        fail_msg("%s", err.text);
}

void *
flow_send_many(void *arg)
{
    struct flow_sender *sender = arg;

    for (uint64_t i = 0; i < sender->count; i++) {
        sender->result =
            dora_node_send(sender->node, 0, &i, sizeof i, NULL, 0, NULL);
        if (sender->result < 0)
            break;
    }
    return NULL;
}

uint64_t
flow_next_number(struct dora_node *node)
{
    struct dora_event event;
    uint64_t number;

    assert_int_equal(dora_node_next(node, 0, &event), 1);
    assert_int_equal(event.type, DORA_EVENT_INPUT);
    assert_int_equal(event.data_size, sizeof number);
    memcpy(&number, event.data, sizeof number);
    dora_sample_unref(event.sample);
    return number;
}

void
flow_assert_event(struct dora_node *node, enum dora_event_type type,
                  const char *id)
{
    struct dora_event event;

    assert_int_equal(dora_node_next(node, 0, &event), 1);
    assert_int_equal(event.type, type);
    assert_string_equal(event.id, id);
}

void
flow_assert_nothing(struct dora_node *node)
{
    struct dora_event event;

    assert_int_equal(dora_node_next(node, 0, &event), 0);
}

void
flow_assert_ended(struct dora_node *node)
{
    struct dora_event event;

    assert_int_equal(dora_node_next(node, 0, &event), -EPIPE);
    assert_int_equal(dora_node_next(node, -1, &event), -EPIPE);
}

void
flow_plan_row(struct flow *flow, uint32_t nodes, uint64_t heap_limit,
              uint32_t bound, unsigned flags)
{
    flow_begin(flow, nodes, heap_limit);
    for (uint32_t i = 0; i + 1 < nodes; i++)
        flow_output(flow, i, "out", 256);
    for (uint32_t i = 1; i < nodes; i++)
        flow_input(flow, i, "in", i - 1, bound, flags);
}

void
flow_open_pair(struct flow *flow, struct dora_node **nodes, uint32_t bound,
               unsigned flags)
{
    flow_plan_row(flow, 2, 1 << 20, bound, flags);
    flow_make(flow);
    flow_open(flow, nodes);
}
