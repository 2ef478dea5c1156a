/* plan.c - graph to numbers.
 *
 * 1. Nothing is opened and nothing asked of the machine: what it allows is in
 *    struct dora__machine.
 * 2. Every product and sum of numbers a file can choose is bounded before it is
 *    made: queues by DORA__MAX_QUEUE, sizes by the address space.
 * 3. Records. An output gets as many as all its queues can hold twice (the
 *    other half is for what receivers keep), or an equal share of what is
 *    spare if that is more. They cost nothing until used, or until a program
 *    locks all of its memory: then 8 MB an output, but hardly above 128 MB.
 * 4. Heaps: plan_heaps.c. What the host sends (plan_echo.c) has a node of its
 *    own, the last one. A queue has one producer, so an input that gets what a
 *    node sends and what it prints has two of them. */
#include "plan.h"

#include "graph_read.h"
#include "plan_echo.h"
#include "plan_heaps.h"

#include <assert.h>

enum { SLACK = 64 }; /* records beyond the queues' */

struct planner {
    struct dora__reader r; /* for its complaints */
    const struct dora__graph *graph;
    struct dora__plan plan;
};

/* By its source, and by the host, with what the source prints. */
static bool
is_fed_twice(const struct dora__graph *graph,
             const struct dora__graph_input *input)
{
    const struct dora__graph_node *source;

    if (input->kind != DORA__INPUT_DATA)
        return false;
    source = &graph->nodes[input->node];
    return dora__echo_has(source, source->outputs[input->output].id);
}

static bool
count_all(struct planner *p)
{
    const struct dora__graph *graph = p->graph;
    size_t inputs = 0, outputs = 0, twins = 0;

    if (graph->node_count > DORA__MAX_NODES) {
        dora__complain(&p->r, graph->nodes[DORA__MAX_NODES].mark,
                       "the dataflow has %zu nodes; at most %d can run",
                       graph->node_count, DORA__MAX_NODES);
        return false;
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const struct dora__graph_node *node = &graph->nodes[n];

        inputs += node->input_count;
        outputs += node->output_count;
        for (size_t i = 0; i < node->input_count; i++)
            twins += is_fed_twice(graph, &node->inputs[i]);
        if (inputs > DORA__MAX_INPUTS || outputs > DORA__MAX_OUTPUTS) {
            dora__complain(&p->r, node->mark,
                           "with this node the dataflow has %zu inputs and "
                           "%zu outputs; at most %d and %d fit",
                           inputs, outputs, DORA__MAX_INPUTS,
                           DORA__MAX_OUTPUTS);
            return false;
        }
    }
    p->plan.echo_count = (uint32_t)dora__echo_count(graph);
    p->plan.node_count = (uint32_t)graph->node_count + (p->plan.echo_count > 0);
    p->plan.input_count = (uint32_t)inputs;
    p->plan.edge_count = (uint32_t)(inputs + twins);
    p->plan.output_count = (uint32_t)outputs + p->plan.echo_count;
    return true;
}

static bool
make_arrays(struct planner *p)
{
    struct dora__plan *plan = &p->plan;

    plan->nodes = dora__new_array(&p->r, plan->node_count, sizeof *plan->nodes);
    plan->outputs =
        dora__new_array(&p->r, plan->output_count, sizeof *plan->outputs);
    plan->inputs =
        dora__new_array(&p->r, plan->edge_count, sizeof *plan->inputs);
    if (!p->r.no_memory)
        dora__echo_plan(&p->r, plan);
    return !p->r.no_memory;
}

static void
number_all(struct planner *p)
{
    uint32_t input = 0, output = 0;

    for (uint32_t n = 0; n < p->plan.node_count; n++) {
        const struct dora__graph_node *from = dora__plan_node_of(&p->plan, n);
        struct dora__plan_node *node = &p->plan.nodes[n];

        node->first_input = input;
        node->input_count = (uint32_t)from->input_count;
        node->first_output = output;
        node->output_count = (uint32_t)from->output_count;
        node->heap_wait = from->heap_full == DORA__HEAP_WAIT;
        for (uint32_t i = 0; i < node->output_count; i++, output++)
            p->plan.outputs[output].node = n;
        input += node->input_count;
    }
}

static uint32_t
power_of_two(uint64_t least)
{
    uint64_t power = 1;

    while (power < least)
        power *= 2;
    return (uint32_t)power;
}

static uint32_t
echo_output(const struct planner *p, const struct dora__graph_input *from,
            uint32_t consumer)
{
    return p->plan.nodes[p->graph->node_count].first_output +
           dora__echo_find(&p->plan, consumer, from);
}

static uint32_t
source_output(const struct planner *p, const struct dora__graph_input *from)
{
    const struct dora__plan_node *source = &p->plan.nodes[from->node];

    assert(from->node < p->graph->node_count);
    assert(from->output < source->output_count);
    return source->first_output + (uint32_t)from->output;
}

static void
subscribe(struct planner *p, const struct dora__graph_input *from,
          struct dora__plan_input *input)
{
    struct dora__plan_output *output = &p->plan.outputs[input->output];

    input->bit = ++output->subscriber_count;
    if (output->subscriber_count == DORA__MAX_SUBSCRIBERS + 1)
        dora__complain(&p->r, from->mark,
                       "this is subscriber number %d of `%s`; an output can "
                       "have at most %d: let a node pass it on",
                       DORA__MAX_SUBSCRIBERS + 1, from->source,
                       DORA__MAX_SUBSCRIBERS);
}

/* The second edge of an input, from the host, with a queue as the first. */
static void
plan_twin(struct planner *p, const struct dora__graph_input *from,
          struct dora__plan_input *input, uint32_t number)
{
    struct dora__plan_input *twin = &p->plan.inputs[number];

    input->twin = number;
    *twin = *input;
    twin->twin = 0;
    twin->echo = true;
    twin->about = (uint32_t)from->node;
    twin->output = echo_output(p, from, input->node);
    p->plan.outputs[twin->output].subscriber_count++; /* as its first has */
}

static void
plan_inputs(struct planner *p)
{
    uint32_t twin = p->plan.input_count;

    for (uint32_t n = 0; n < p->graph->node_count; n++) {
        const struct dora__graph_node *node = &p->graph->nodes[n];

        for (uint32_t i = 0; i < node->input_count; i++) {
            const struct dora__graph_input *from = &node->inputs[i];
            struct dora__plan_input *input =
                &p->plan.inputs[p->plan.nodes[n].first_input + i];

            *input = (struct dora__plan_input){
                .node = n,
                .number = i,
                .kind = from->kind,
                .bound = from->queue_size,
                .ring_slots = power_of_two(from->queue_size),
                .backpressure = from->policy == DORA__BACKPRESSURE,
                .two_rings = from->kind == DORA__INPUT_DATA &&
                             from->policy == DORA__DROP_OLDEST,
                .period_ns = from->period_ns,
                .timeout_ns = from->timeout_ns,
            };
            if (from->kind == DORA__INPUT_TIMER)
                continue;
            input->output = from->kind == DORA__INPUT_LOGS
                                ? echo_output(p, from, n)
                                : source_output(p, from);
            subscribe(p, from, input);
            if (is_fed_twice(p->graph, from))
                plan_twin(p, from, input, twin++);
        }
    }
}

/* Records that all queues of an output can hold twice, ... */
static void
need_records(struct planner *p)
{
    struct dora__plan *plan = &p->plan;

    for (uint32_t i = 0; i < plan->output_count; i++)
        plan->outputs[i].record_limit = SLACK;
    for (uint32_t i = 0; i < plan->edge_count; i++) {
        const struct dora__plan_input *input = &plan->inputs[i];
        struct dora__plan_output *output = &plan->outputs[input->output];

        if (input->kind == DORA__INPUT_TIMER)
            continue;
        if (output->record_limit < DORA__MAX_RECORDS)
            output->record_limit += 2 * input->bound;
    }
    for (uint32_t i = 0; i < plan->output_count; i++) {
        struct dora__plan_output *output = &plan->outputs[i];

        output->record_limit = output->record_limit < DORA__MAX_RECORDS
                                   ? power_of_two(output->record_limit)
                                   : DORA__MAX_RECORDS;
    }
}

/* What each of `count` outputs may have. */
static uint64_t
spare_records(uint32_t count, uint64_t left)
{
    uint64_t share = DORA__SPARE_RECORDS / count;

    if (share < DORA__RECORDS_LEAST)
        share = DORA__RECORDS_LEAST;
    if (share > DORA__RECORDS_DEFAULT)
        share = DORA__RECORDS_DEFAULT;
    return share < left / count ? share : left / count;
}

/* ... or an equal share of what is spare. */
static void
plan_records(struct planner *p)
{
    struct dora__plan *plan = &p->plan;
    uint64_t needed = 0, share = 0, first = 0;
    uint32_t most = 0;

    need_records(p);
    for (uint32_t i = 0; i < plan->output_count; i++) {
        needed += plan->outputs[i].record_limit;
        if (plan->outputs[i].record_limit > plan->outputs[most].record_limit)
            most = i;
    }
    if (needed > DORA__ALL_RECORDS) {
        const struct dora__plan_output *output = &plan->outputs[most];
        const struct dora__graph_node *node =
            dora__plan_node_of(&p->plan, output->node);

        dora__complain(
            &p->r, node->mark,
            "the queues of all inputs ask for %llu records of %d; most "
            "by output `%s/%s`: make its subscribers' `queue_size` less",
            (unsigned long long)needed, DORA__ALL_RECORDS, node->id,
            node->outputs[most - plan->nodes[output->node].first_output].id);
        return;
    }
    if (plan->output_count > 0)
        share = spare_records(plan->output_count, DORA__ALL_RECORDS - needed);
    while ((share & (share - 1)) != 0)
        share &= share - 1;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        struct dora__plan_output *output = &plan->outputs[i];

        if (output->record_limit < share)
            output->record_limit = (uint32_t)share;
        output->first_record = (uint32_t)first;
        first += output->record_limit;
    }
    plan->record_count = (uint32_t)first;
}

int
dora__plan_make(const struct dora__graph *graph,
                const struct dora__machine *machine,
                const struct dora__graph_context *context,
                struct dora__plan *ret_plan, struct dora_error *err)
{
    struct planner p = {
        /* the reader changes nothing of the graph here */
        .r = {.context = context,
              .err = err,
              .graph = (struct dora__graph *)graph},
        .graph = graph,
        .plan = {.graph = graph,
                 .exit_when_nodes_finish = graph->exit_when_nodes_finish},
    };

    assert(machine->page_size > 0);
    if (count_all(&p) && make_arrays(&p)) {
        number_all(&p);
        plan_inputs(&p);
        if (p.r.errors == 0)
            plan_records(&p);
        dora__plan_heaps(&p.r, machine, &p.plan);
    }
    if (p.r.no_memory || p.r.errors > 0) {
        dora__plan_fini(&p.plan);
        if (!p.r.no_memory)
            return -EINVAL;
        return dora__fail(err, ENOMEM, "%s: out of memory", context->file);
    }
    *ret_plan = p.plan;
    return 0;
}

void
dora__plan_fini(struct dora__plan *plan)
{
    dora__echo_fini(plan);
    free(plan->nodes);
    free(plan->outputs);
    free(plan->inputs);
    *plan = (struct dora__plan){0};
}
