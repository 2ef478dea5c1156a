/* node_heap.c - the memory behind a node's loans: its range of the heaps file.
 *
 * 1. Memory that is backed is used again before more is backed: the heap may
 *    grow only after everything free was taken back.
 * 2. What all nodes together have backed stays within the dataflow's budget,
 *    which is checked before the system is asked: above a limit of its own the
 *    system does not refuse, it kills.
 * 3. The budget was made when nobody knew what the nodes themselves would take.
 *    So a node asks again what is left, each time it has grown by a part of
 *    what was left before, and leaves some.
 * 4. A range is longer than what may be in use of it, where addresses allow:
 *    then blocks of any size are found between those that are held for long.
 * 5. After a death only the blocks of living records are kept.
 *
 * All of this runs under the send lock. */
#include "node_private.h"

#include "plane/machine.h"
#include "plane/segment.h"

/* Fresh memory of this size takes the system about 0.2 ms. */
enum { SLOW_SIZE = 1 << 20 };

enum {
    FIRST_SPARE = 256 << 10, /* little messages pass wherever a node starts */
    RESERVE = 4 << 20,       /* for what is not messages */
};

static void
publish_usage(struct dora_node *node)
{
    struct dora__heap_usage usage = dora__heap_usage(node->heap);

    atomic_store_explicit(&node->shared->used, usage.used,
                          memory_order_relaxed);
    atomic_store_explicit(&node->shared->peak, usage.peak,
                          memory_order_relaxed);
}

/* --- growing ------------------------------------------------------------- */

static void
discharge(struct dora_node *node, uint64_t size)
{
    atomic_fetch_sub_explicit(&node->shared->backed, size,
                              memory_order_relaxed);
}

/* A node keeps to its limit, and all heaps together to the budget; two that
 * reach for the last bytes of that may both be refused. */
static int
charge(struct dora_node *node, uint64_t size)
{
    uint64_t own = atomic_fetch_add_explicit(&node->shared->backed, size,
                                             memory_order_seq_cst) +
                   size;

    if (own <= node->shared->heap_limit &&
        (node->control->budget == 0 ||
         dora__backed(node->control) <= node->control->budget))
        return 0;
    discharge(node, size);
    return -ENOSPC;
}

/* Whether the system has these bytes, and will have some others after. All
 * nodes may grow at once on what one of them was told: each counts on an equal
 * share of a quarter of it. */
static bool
machine_has(struct dora_node *node, uint64_t size)
{
    uint64_t left;

    if (size <= node->spare) {
        node->spare -= size;
        return true;
    }
    left = dora__machine_memory("");
    node->squeezed = left != 0 && size + left / 8 + RESERVE > left;
    if (node->squeezed)
        return false;
    if (left != 0) /* known */
        node->spare = (left - size) / 4 / node->control->node_count;
    return true;
}

static void
unback(void *arg, uint64_t at, uint64_t size)
{
    struct dora_node *node = arg;

    dora__segment_punch(node->heaps_fd, node->own_at + at, size);
    discharge(node, size);
}

static int
back(void *arg, uint64_t at, uint64_t size)
{
    struct dora_node *node = arg;
    int failed;

    if (!node->may_grow)
        return -EAGAIN; /* the heap comes again */
    failed = charge(node, size);
    if (failed < 0)
        return failed;
    if (!machine_has(node, size)) {
        discharge(node, size);
        return -ENOSPC;
    }
    failed = dora__segment_back(node->heaps_fd, node->own_at + at, size);
    if (failed < 0) {
        unback(node, at, size);
        return -ENOSPC;
    }
    dora__window_open(&node->own_heap, at, size);
    dora__segment_populate(node->own + at, size);
    return 0;
}

/* `at_once`: -ETIMEDOUT rather than much fresh memory. */
int
dora__block_take(struct dora_node *node, uint64_t size, bool at_once,
                 uint64_t *ret_at)
{
    int failed;

    if (node->heap == NULL)
        return -ENOSPC;
    node->may_grow = node->squeezed = false;
    failed = dora__heap_take(node->heap, size, ret_at);
    if (failed < 0 && failed != -ENOMEM) {
        dora__books_reclaim_all(node);
        node->may_grow = !at_once || size < SLOW_SIZE;
        failed = dora__heap_take(node->heap, size, ret_at);
        if (failed < 0 && failed != -ENOMEM && !node->may_grow)
            return -ETIMEDOUT;
    }
    if (failed == 0)
        publish_usage(node);
    return failed;
}
static void
punch_cold(void *arg, uint64_t at, uint64_t size)
{
    struct dora_node *node = arg;

    dora__segment_punch(node->heaps_fd, node->own_at + at, size);
}

/* After the claims: what else the former owner had goes back. */
static void
settle_heap(struct dora_node *node)
{
    uint64_t before =
        atomic_load_explicit(&node->shared->backed, memory_order_relaxed);
    uint64_t now = dora__heap_usage(node->heap).backed;

    dora__heap_visit_cold(node->heap, punch_cold, node);
    if (now < before)
        discharge(node, before - now);
}

static void
prefault(struct dora_node *node)
{
    uint64_t at, size = node->shared->prefault;

    if (size == 0)
        return;
    node->may_grow = true;
    if (dora__heap_take(node->heap, size, &at) == 0)
        dora__heap_give(node->heap, at);
}

void
dora__blocks_trim(struct dora_node *node)
{
    if (node->heap != NULL)
        (void)dora__heap_trim(node->heap, node->shared->prefault);
}

void
dora__block_give(struct dora_node *node, uint64_t at)
{
    dora__heap_give(node->heap, at - node->own_at);
    publish_usage(node);
}

int
dora__block_claim(struct dora_node *node, uint64_t at, uint64_t size)
{
    int failed = dora__heap_claim(node->heap, at - node->own_at, size);

    if (failed == 0)
        dora__window_open(&node->own_heap, at - node->own_at, size);
    return failed;
}

int
dora__blocks_init(struct dora_node *node)
{
    const struct dora__heap_backer backer = {
        .back = back, .unback = unback, .arg = node};

    if (node->own_size == 0)
        return 0;
    node->spare = FIRST_SPARE;
    return dora__heap_new(node->own_size, &backer, &node->heap);
}

void
dora__blocks_settle(struct dora_node *node)
{
    if (node->heap == NULL)
        return;
    settle_heap(node);
    prefault(node);
    publish_usage(node);
}

void
dora__blocks_fini(struct dora_node *node)
{
    node->heap = dora__heap_free(node->heap);
}
