/* stats.c - what a dataflow does, as numbers. Reads shared counters and, under
 * the lock, what the supervisor last noted; stops nobody. */
#include "dataflow.h"

static void
fill_member(struct dora_dataflow *flow, struct dora__member *member,
            struct dora_node_stats *stats)
{
    *stats = (struct dora_node_stats){
        .id = member->node->id,
        .kind = member->launch.kind,
        .interpreter = member->launch.interpreter,
        .git = member->source,
        .heap_limit = flow->plan.nodes[member->number].heap_limit,
    };
    (void)pthread_mutex_lock(&flow->lock);
    stats->tier = member->launch.tier;
    stats->reason = member->launch.reason;
    stats->phase = member->phase;
    stats->exit = member->exit;
    stats->exit_code = member->exit_code;
    stats->pid = member->pid;
    stats->stays = member->stays;
    stats->restarts = member->restart_count;
    stats->user_ns = member->user_ns;
    stats->system_ns = member->system_ns;
    stats->voluntary_switches = member->voluntary_switches;
    stats->involuntary_switches = member->involuntary_switches;
    (void)pthread_mutex_unlock(&flow->lock);
}

int
dora_dataflow_node_stats(struct dora_dataflow *flow, size_t index,
                         struct dora_node_stats *ret_stats)
{
    struct dora__heap_counts heap;

    if (flow == NULL || ret_stats == NULL)
        return -EINVAL;
    if (index >= flow->member_count)
        return -ENOENT;
    fill_member(flow, &flow->members[index], ret_stats);
    if (!flow->has_plane)
        return 0;
    dora__plane_heap_counts(&flow->plane, (uint32_t)index, &heap);
    ret_stats->heap_used = heap.used;
    ret_stats->heap_peak = heap.peak;
    ret_stats->heap_backed = heap.backed;
    ret_stats->heap_limit = heap.limit;
    ret_stats->copied_bytes = heap.copied;
    return 0;
}

static void
name_edge(const struct dora_dataflow *flow, const struct dora__plan_input *in,
          struct dora_edge_stats *stats)
{
    const struct dora__graph *graph = &flow->graph;
    const struct dora__graph_node *to = &graph->nodes[in->node];
    const struct dora__graph_input *input = &to->inputs[in->number];

    *stats = (struct dora_edge_stats){
        .to_node = to->id,
        .input = input->id,
        .source = input->source,
    };
    if (input->kind == DORA__INPUT_DATA) {
        stats->from_node = graph->nodes[input->node].id;
        stats->output = graph->nodes[input->node].outputs[input->output].id;
    }
}

static void
add_counts(const struct dora_dataflow *flow, uint32_t edge,
           struct dora_edge_stats *stats)
{
    struct dora__edge_counts counts;

    dora__plane_edge_counts(&flow->plane, edge, &counts);
    stats->sent += counts.sent;
    stats->delivered += counts.delivered;
    stats->dropped += counts.dropped;
    stats->queued += counts.queued;
    stats->refused += counts.refused;
}

int
dora_dataflow_edge_stats(struct dora_dataflow *flow, size_t index,
                         struct dora_edge_stats *ret_stats)
{
    const struct dora__plan_input *in;
    struct dora__heap_counts heap;

    if (flow == NULL || ret_stats == NULL)
        return -EINVAL;
    if (index >= flow->plan.input_count)
        return -ENOENT;
    in = &flow->plan.inputs[index];
    name_edge(flow, in, ret_stats);
    if (!flow->has_plane)
        return 0;
    add_counts(flow, (uint32_t)index, ret_stats);
    if (in->twin != 0)
        add_counts(flow, in->twin, ret_stats);
    dora__plane_heap_counts(&flow->plane, in->node, &heap);
    ret_stats->never_read = !heap.asked;
    return 0;
}

int64_t
dora_dataflow_started(struct dora_dataflow *flow)
{
    int64_t at;

    if (flow == NULL)
        return 0;
    (void)pthread_mutex_lock(&flow->lock);
    at = flow->started_at;
    (void)pthread_mutex_unlock(&flow->lock);
    return at;
}
