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
 * 4. Heaps. Each producing node may grow to half of the memory, if it does not
 *    say `heap_limit`; the ranges are sparse, so together they exceed it. What
 *    may be backed by memory at any time is the budget. Every node maps all
 *    ranges and its own once more: all of them take at most a quarter of the
 *    address space.
 * 5. What the host sends (plan_echo.c) has a node of its own, the last one,
 *    with a heap that is small: lines are. A queue has one producer, so an
 *    input that gets what a node sends and what it prints has two of them. */
#include "plan.h"

#include "graph_read.h"
#include "plan_echo.h"

#include <assert.h>
#include <string.h>

enum {
    SLACK = 64,            /* records beyond the queues' */
    QUIET_HEAP = 64 << 10, /* of a node without outputs */
    HOST_HEAP = 64 << 20,  /* of what the host sends, at most */
    LEAST_HEAP = 1 << 20,
    RANGES_PER_LIMIT = 4, /* bytes of a heap's range to one that it may use */
};

#define MEMORY_IF_UNKNOWN (UINT64_C(2) << 30)
#define ADDRESSES_IF_UNKNOWN (UINT64_C(1) << 38)

struct planner {
    struct dora__reader r; /* for its complaints */
    const struct dora__graph *graph;
    const struct dora__machine *machine;
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

/* Up to a multiple of the page size; sizes are below 2^62. */
static uint64_t
whole_pages(const struct planner *p, uint64_t size)
{
    uint64_t page = p->machine->page_size;

    return (size + page - 1) / page * page;
}

/* Nodes that map the heaps side by side: those inside the host, or one. */
static uint32_t
count_mappers(const struct planner *p)
{
    uint32_t inside = p->plan.echo_count > 0;

    for (uint32_t n = 0; n < p->graph->node_count; n++)
        inside += p->graph->nodes[n].isolation == DORA__ISOLATION_INTERPRETER;
    return inside > 0 ? inside : 1;
}

/* Bytes that the ranges of all heaps may take together: half of the addresses
 * hold them once for each mapper, and once for the ranges they own. */
static uint64_t
room(const struct planner *p)
{
    uint64_t addresses = p->machine->address_space, all;

    all = (addresses != 0 ? addresses : ADDRESSES_IF_UNKNOWN) / 2 /
          (count_mappers(p) + 1);
    if (p->machine->file_size != 0 && all > p->machine->file_size)
        all = p->machine->file_size;
    return all / p->machine->page_size * p->machine->page_size;
}

/* Of what the host sends, if it sends anything. */
static uint64_t
limit_host(struct planner *p, uint64_t all)
{
    uint64_t limit = all / 8 < HOST_HEAP ? all / 8 : HOST_HEAP;

    if (p->plan.echo_count == 0)
        return 0;
    limit = whole_pages(p, limit > 0 ? limit : 1);
    p->plan.nodes[p->graph->node_count].heap_limit = limit;
    return limit;
}

/* Limits that are said, and those of nodes that send nothing. What they take
 * goes to *ret_taken, how many are left to *ret_sharing. */
static bool
limit_given_heaps(struct planner *p, uint64_t all, uint64_t *ret_taken,
                  uint32_t *ret_sharing)
{
    uint64_t taken = limit_host(p, all);
    uint32_t sharing = 0;

    for (uint32_t n = 0; n < p->graph->node_count; n++) {
        const struct dora__graph_node *from = &p->graph->nodes[n];
        struct dora__plan_node *node = &p->plan.nodes[n];

        if (from->heap_limit > all)
            node->heap_limit = all + p->machine->page_size;
        else if (from->heap_limit > 0)
            node->heap_limit = whole_pages(p, from->heap_limit);
        else if (node->output_count == 0)
            node->heap_limit = whole_pages(p, QUIET_HEAP);
        else
            sharing++;
        taken += node->heap_limit;
        if (taken <= all)
            continue;
        dora__complain(&p->r, from->mark,
                       "node `%s`: with it the heaps take more than the %llu "
                       "bytes of addresses or file size that they may: set or "
                       "lower `heap_limit`",
                       from->id, (unsigned long long)all);
        return false;
    }
    *ret_taken = taken;
    *ret_sharing = sharing;
    return true;
}

static void
check_heap(struct planner *p, uint32_t n)
{
    const struct dora__graph_node *from = &p->graph->nodes[n];
    const struct dora__plan_node *node = &p->plan.nodes[n];

    if (node->heap_limit < whole_pages(p, from->pool_size))
        dora__complain(&p->r, from->mark,
                       "node `%s`: `shared_memory_pool_size` (%llu bytes) is "
                       "more than its heap may have (%llu)",
                       from->id, (unsigned long long)from->pool_size,
                       (unsigned long long)node->heap_limit);
    else if (from->heap_limit == 0 && node->heap_limit < LEAST_HEAP)
        dora__complain(&p->r, from->mark,
                       "node `%s`: only %llu bytes of memory, addresses or "
                       "file size are left for its heap",
                       from->id, (unsigned long long)node->heap_limit);
}

/* Every heap's limit. False after complaints. */
static bool
limit_heaps(struct planner *p, uint64_t memory)
{
    uint64_t all = room(p), share = whole_pages(p, memory / 2), taken, most;
    size_t errors = p->r.errors;
    uint32_t sharing;

    if (!limit_given_heaps(p, all, &taken, &sharing))
        return false;
    if (sharing > 0) {
        most = (all - taken) / sharing;
        most -= most % p->machine->page_size;
        share = share < most ? share : most;
    }
    for (uint32_t n = 0; n < p->graph->node_count; n++) {
        struct dora__plan_node *node = &p->plan.nodes[n];

        if (node->heap_limit == 0)
            node->heap_limit = share;
        if (node->output_count > 0)
            check_heap(p, n);
    }
    return p->r.errors == errors;
}

/* Half of the memory, more where it is asked for by name, never nearly all. */
static uint64_t
budget(const struct planner *p, uint64_t memory)
{
    uint64_t asked = 0, most = memory - memory / 8;

    for (uint32_t n = 0; n < p->graph->node_count; n++) {
        const struct dora__graph_node *from = &p->graph->nodes[n];

        if (from->heap_limit > 0 && asked < memory)
            asked += p->plan.nodes[n].heap_limit;
        else if (asked < memory)
            asked += p->plan.nodes[n].prefault;
    }
    if (asked < memory / 2)
        return memory / 2;
    return asked < most ? asked : most;
}

/* Addresses are cheap: where all nodes can have them, a heap's range is a few
 * times what it may use, so that no size is refused for want of a gap between
 * blocks that are held for long. */
static uint64_t
ranges_per_limit(const struct planner *p)
{
    uint64_t all = room(p), limits = 0;

    for (uint32_t n = 0; n < p->plan.node_count; n++)
        limits += p->plan.nodes[n].heap_limit;
    return limits <= all / RANGES_PER_LIMIT ? RANGES_PER_LIMIT : 1;
}

static void
plan_heaps(struct planner *p)
{
    uint64_t memory = p->machine->memory, prefault = 0, ranges;

    if (memory == 0)
        memory = MEMORY_IF_UNKNOWN;
    if (!limit_heaps(p, memory))
        return;
    ranges = ranges_per_limit(p);
    for (uint32_t n = 0; n < p->plan.node_count; n++) {
        const struct dora__graph_node *from = dora__plan_node_of(&p->plan, n);
        struct dora__plan_node *node = &p->plan.nodes[n];

        node->heap_at = p->plan.heaps_size;
        node->heap_range = ranges * node->heap_limit;
        p->plan.heaps_size += node->heap_range;
        if (node->output_count > 0)
            node->prefault = whole_pages(p, from->pool_size);
        prefault += node->prefault;
        if (prefault > memory - memory / 8) {
            dora__complain(&p->r, from->mark,
                           "node `%s`: with it the nodes' "
                           "`shared_memory_pool_size` add up to %llu bytes; "
                           "%llu are free",
                           from->id, (unsigned long long)prefault,
                           (unsigned long long)memory);
            return;
        }
    }
    p->plan.budget = budget(p, memory);
}

int
dora__plan_make(const struct dora__graph *graph,
                const struct dora__machine *machine,
                const struct dora__graph_context *context,
                struct dora__plan *ret_plan, struct dora_error *err)
{
    struct planner p = {
        .r = {.context = context, .err = err},
        .graph = graph,
        .machine = machine,
        .plan = {.graph = graph,
                 .exit_when_nodes_finish = graph->exit_when_nodes_finish},
    };

    assert(machine->page_size > 0);
    if (count_all(&p) && make_arrays(&p)) {
        number_all(&p);
        plan_inputs(&p);
        if (p.r.errors == 0)
            plan_records(&p);
        plan_heaps(&p);
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
