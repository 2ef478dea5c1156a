/* flow.h - a small dataflow's memory for tests, planned by hand.
 *
 *     struct flow flow;
 *     flow_begin(&flow, 2, 1 << 20);
 *     flow_output(&flow, 0, "out", 64);
 *     flow_input(&flow, 1, "in", 0, 10, 0);
 *     flow_make(&flow);
 *     struct dora_node *a = flow_join(&flow, 0), ...
 *
 * Outputs and inputs are added in the order of their nodes; nodes are named
 * "n0", "n1"... */
#ifndef DORA_TESTS_FLOW_H
#define DORA_TESTS_FLOW_H

#include "graph/plan.h"
#include "node/node.h"

enum { FLOW_NODES = 16, FLOW_OUTPUTS = 16, FLOW_INPUTS = 32 };

enum { FLOW_TWO_RINGS = 1, FLOW_BACKPRESSURE = 2 };

struct flow {
    struct dora__graph graph;
    struct dora__graph_node graph_nodes[FLOW_NODES];
    struct dora__graph_output graph_outputs[FLOW_OUTPUTS];
    struct dora__graph_input graph_inputs[FLOW_INPUTS];
    char node_ids[FLOW_NODES][16];
    struct dora__plan plan;
    struct dora__plan_node nodes[FLOW_NODES];
    struct dora__plan_output outputs[FLOW_OUTPUTS];
    struct dora__plan_input inputs[FLOW_INPUTS];
    struct dora__plane plane;
};

void flow_begin(struct flow *flow, uint32_t nodes, uint64_t heap_limit);
/* Returns the number of the output in the plan. */
uint32_t flow_output(struct flow *flow, uint32_t node, const char *id,
                     uint32_t record_limit);
/* Return the number of the input in the plan. */
uint32_t flow_input(struct flow *flow, uint32_t node, const char *id,
                    uint32_t output, uint32_t bound, unsigned flags);
uint32_t flow_timer(struct flow *flow, uint32_t node, const char *id,
                    int64_t period_ns, uint32_t bound);
/* Creates the plane. */
void flow_make(struct flow *flow);
/* Attaches; does not wait at the barrier. */
struct dora_node *flow_attach(struct flow *flow, uint32_t node);
/* Attaches every node and opens the barrier. */
void flow_open(struct flow *flow, struct dora_node **ret_nodes);
/* Detaches every node (NULL: it is gone), and ends the flow. */
void flow_close(struct flow *flow, struct dora_node **nodes);
void flow_end(struct flow *flow);

struct dora__edge_counts flow_counts(const struct flow *flow, uint32_t input);
/* What holds of every edge at any instant. */
void flow_assert_counts(const struct flow *flow);

/* Sends and receives a number; what is next must be that, no event at all, or
 * the end of the stream. */
void flow_send_number(struct dora_node *node, int output, uint64_t number);
uint64_t flow_next_number(struct dora_node *node);
void flow_assert_event(struct dora_node *node, enum dora_event_type type,
                       const char *id);
void flow_assert_nothing(struct dora_node *node);
void flow_assert_ended(struct dora_node *node);

/* The body of a thread: sends 0, 1, ..., `count` of them, on the node's first
 * output; arg: struct flow_sender. */
struct flow_sender {
    struct dora_node *node;
    uint64_t count;
    int result; /* of the last one */
};
void *flow_send_many(void *arg);

/* Instead of flow_begin and what follows it: `nodes` in a row, each with an
 * output "out" of 256 records that goes to the input "in" of the next; the last
 * has none. */
void flow_plan_row(struct flow *flow, uint32_t nodes, uint64_t heap_limit,
                   uint32_t bound, unsigned flags);
/* Two in a row, all the rest done. */
void flow_open_pair(struct flow *flow, struct dora_node **nodes, uint32_t bound,
                    unsigned flags);

#endif
