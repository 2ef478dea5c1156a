/* plan_heaps.c - how much memory each node may have, and where.
 *
 * 1. Each producing node may grow to half of the memory, if it does not say
 *    `heap_limit`; the ranges are sparse, so together they exceed it. What may
 *    be backed by memory at any time is the budget.
 * 2. Every node maps all ranges and its own once more: all of them take at most
 *    a quarter of the address space.
 * 3. What the host sends has a heap that is small: lines are. */
#include "plan_heaps.h"

enum {
    QUIET_HEAP = 64 << 10, /* of a node without outputs */
    HOST_HEAP = 64 << 20,  /* of what the host sends, at most */
    LEAST_HEAP = 1 << 20,
    RANGES_PER_LIMIT = 4, /* bytes of a heap's range to one that it may use */
};

#define MEMORY_IF_UNKNOWN (UINT64_C(2) << 30)
#define ADDRESSES_IF_UNKNOWN (UINT64_C(1) << 38)

struct heaps {
    struct dora__reader *r; /* for its complaints */
    const struct dora__machine *machine;
    struct dora__plan *plan;
};

/* Up to a multiple of the page size; sizes are below 2^62. */
static uint64_t
whole_pages(const struct heaps *p, uint64_t size)
{
    uint64_t page = p->machine->page_size;

    return (size + page - 1) / page * page;
}

/* Nodes that map the heaps side by side: those inside the host, or one. */
static uint32_t
count_mappers(const struct heaps *p)
{
    uint32_t inside = p->plan->echo_count > 0;

    for (uint32_t n = 0; n < p->plan->graph->node_count; n++)
        inside +=
            p->plan->graph->nodes[n].isolation == DORA__ISOLATION_INTERPRETER;
    return inside > 0 ? inside : 1;
}

/* Bytes that the ranges of all heaps may take together: half of the addresses
 * hold them once for each mapper, and once for the ranges they own. */
static uint64_t
room(const struct heaps *p)
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
limit_host(const struct heaps *p, uint64_t all)
{
    uint64_t limit = all / 8 < HOST_HEAP ? all / 8 : HOST_HEAP;

    if (p->plan->echo_count == 0)
        return 0;
    limit = whole_pages(p, limit > 0 ? limit : 1);
    p->plan->nodes[p->plan->graph->node_count].heap_limit = limit;
    return limit;
}

/* Limits that are said, and those of nodes that send nothing. What they take
 * goes to *ret_taken, how many are left to *ret_sharing. */
static bool
limit_given_heaps(const struct heaps *p, uint64_t all, uint64_t *ret_taken,
                  uint32_t *ret_sharing)
{
    uint64_t taken = limit_host(p, all);
    uint32_t sharing = 0;

    for (uint32_t n = 0; n < p->plan->graph->node_count; n++) {
        const struct dora__graph_node *from = &p->plan->graph->nodes[n];
        struct dora__plan_node *node = &p->plan->nodes[n];

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
        dora__complain(p->r, from->mark,
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
check_heap(const struct heaps *p, uint32_t n)
{
    const struct dora__graph_node *from = &p->plan->graph->nodes[n];
    const struct dora__plan_node *node = &p->plan->nodes[n];

    if (node->heap_limit < whole_pages(p, from->pool_size))
        dora__complain(p->r, from->mark,
                       "node `%s`: `shared_memory_pool_size` (%llu bytes) is "
                       "more than its heap may have (%llu)",
                       from->id, (unsigned long long)from->pool_size,
                       (unsigned long long)node->heap_limit);
    else if (from->heap_limit == 0 && node->heap_limit < LEAST_HEAP)
        dora__complain(p->r, from->mark,
                       "node `%s`: only %llu bytes of memory, addresses or "
                       "file size are left for its heap",
                       from->id, (unsigned long long)node->heap_limit);
}

/* Every heap's limit. False after complaints. */
static bool
limit_heaps(const struct heaps *p, uint64_t memory)
{
    uint64_t all = room(p), share = whole_pages(p, memory / 2), taken, most;
    size_t errors = p->r->errors;
    uint32_t sharing;

    if (!limit_given_heaps(p, all, &taken, &sharing))
        return false;
    if (sharing > 0) {
        most = (all - taken) / sharing;
        most -= most % p->machine->page_size;
        share = share < most ? share : most;
    }
    for (uint32_t n = 0; n < p->plan->graph->node_count; n++) {
        struct dora__plan_node *node = &p->plan->nodes[n];

        if (node->heap_limit == 0)
            node->heap_limit = share;
        if (node->output_count > 0)
            check_heap(p, n);
    }
    return p->r->errors == errors;
}

/* Half of the memory, more where it is asked for by name, never nearly all. */
static uint64_t
budget(const struct heaps *p, uint64_t memory)
{
    uint64_t asked = 0, most = memory - memory / 8;

    for (uint32_t n = 0; n < p->plan->graph->node_count; n++) {
        const struct dora__graph_node *from = &p->plan->graph->nodes[n];

        if (from->heap_limit > 0 && asked < memory)
            asked += p->plan->nodes[n].heap_limit;
        else if (asked < memory)
            asked += p->plan->nodes[n].prefault;
    }
    if (asked < memory / 2)
        return memory / 2;
    return asked < most ? asked : most;
}

/* Addresses are cheap: where all nodes can have them, a heap's range is a few
 * times what it may use, so that no size is refused for want of a gap between
 * blocks that are held for long. */
static uint64_t
ranges_per_limit(const struct heaps *p)
{
    uint64_t all = room(p), limits = 0;

    for (uint32_t n = 0; n < p->plan->node_count; n++)
        limits += p->plan->nodes[n].heap_limit;
    return limits <= all / RANGES_PER_LIMIT ? RANGES_PER_LIMIT : 1;
}

void
dora__plan_heaps(struct dora__reader *r, const struct dora__machine *machine,
                 struct dora__plan *plan)
{
    const struct heaps heaps = {r, machine, plan}, *p = &heaps;
    uint64_t memory = p->machine->memory, prefault = 0, ranges;

    if (memory == 0)
        memory = MEMORY_IF_UNKNOWN;
    if (!limit_heaps(p, memory))
        return;
    ranges = ranges_per_limit(p);
    for (uint32_t n = 0; n < p->plan->node_count; n++) {
        const struct dora__graph_node *from = dora__plan_node_of(p->plan, n);
        struct dora__plan_node *node = &p->plan->nodes[n];

        node->heap_at = p->plan->heaps_size;
        node->heap_range = ranges * node->heap_limit;
        p->plan->heaps_size += node->heap_range;
        if (node->output_count > 0)
            node->prefault = whole_pages(p, from->pool_size);
        prefault += node->prefault;
        if (prefault > memory - memory / 8) {
            dora__complain(p->r, from->mark,
                           "node `%s`: with it the nodes' "
                           "`shared_memory_pool_size` add up to %llu bytes; "
                           "%llu are free",
                           from->id, (unsigned long long)prefault,
                           (unsigned long long)memory);
            return;
        }
    }
    p->plan->budget = budget(p, memory);
}
