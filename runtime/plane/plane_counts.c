/* plane_counts.c - looking at a dataflow's memory from outside, without
 * stopping anybody.
 *
 * 1. Per edge, at any instant: sent = delivered + dropped + queued. The numbers
 *    of one answer belong together: all are read between two equal heads.
 * 2. A drop moves the head before it is counted; the parity in the head says
 *    whether one is missing. */
#include "layout.h"
#include "plane.h"
#include "ring.h"
#include "terminal.h"

#include <string.h>

/* Both rings of an edge at one instant. */
static void
count_rings(const struct dora__edge *edge, struct dora__edge_counts *counts)
{
    unsigned rings = dora__edge_rings(edge);
    uint64_t head[DORA__RINGS];
    bool moved;

    do {
        counts->sent = counts->dropped = counts->queued = 0;
        for (unsigned ring = 0; ring < rings; ring++) {
            uint64_t tail, dropped;

            head[ring] =
                atomic_load_explicit(&edge->head[ring], memory_order_acquire);
            dropped = atomic_load_explicit(&edge->dropped[ring],
                                           memory_order_acquire);
            tail =
                atomic_load_explicit(&edge->tail[ring], memory_order_acquire);
            counts->sent += tail;
            counts->dropped += dropped + ((dropped ^ head[ring]) & 1);
            counts->queued += tail - dora__position(head[ring]);
        }
        moved = false;
        for (unsigned ring = 0; ring < rings; ring++)
            moved |= atomic_load_explicit(&edge->head[ring],
                                          memory_order_acquire) != head[ring];
    } while (moved);
    counts->delivered = counts->sent - counts->dropped - counts->queued;
}

/* Ticks: sent is what was due, queued what the node may still see of them. */
static void
count_ticks(struct dora__control *control, const struct dora__edge *edge,
            struct dora__edge_counts *counts)
{
    uint64_t next = dora__position(atomic_load_explicit(
        &edge->head[DORA__ORDINARY], memory_order_acquire));
    uint64_t dropped = atomic_load_explicit(&edge->dropped[DORA__ORDINARY],
                                            memory_order_relaxed);
    int64_t started =
        atomic_load_explicit(&control->started_at, memory_order_relaxed);
    int64_t now = dora__flow_time(control, dora__now());

    if (atomic_load_explicit(&edge->state, memory_order_acquire) ==
        DORA__EDGE_REMOVED)
        now = atomic_load_explicit(&edge->closed_time, memory_order_relaxed);
    if (!atomic_load_explicit(&control->opened, memory_order_acquire))
        return;
    counts->sent = now < started
                       ? next
                       : (uint64_t)((now - started) / edge->period_ns) + 1;
    if (counts->sent < next)
        counts->sent = next;
    counts->queued = counts->sent - next;
    if (counts->queued > edge->bound)
        counts->queued = edge->bound;
    counts->delivered = next - dropped;
    counts->dropped = counts->sent - counts->queued - counts->delivered;
}

void
dora__plane_edge_counts(const struct dora__plane *plane, uint32_t input,
                        struct dora__edge_counts *ret_counts)
{
    const struct dora__edge *edge = dora__edge_of(plane->control, input);

    memset(ret_counts, 0, sizeof *ret_counts);
    ret_counts->refused =
        atomic_load_explicit(&edge->refused, memory_order_relaxed);
    ret_counts->shown =
        atomic_load_explicit(&edge->shown, memory_order_relaxed);
    ret_counts->lost = atomic_load_explicit(&edge->lost, memory_order_relaxed);
    if (edge->kind == DORA__EDGE_TIMER)
        count_ticks(plane->control, edge, ret_counts);
    else
        count_rings(edge, ret_counts);
}

void
dora__plane_heap_counts(const struct dora__plane *plane, uint32_t number,
                        struct dora__heap_counts *ret_counts)
{
    const struct dora__shared_node *node =
        dora__node_of(plane->control, number);

    *ret_counts = (struct dora__heap_counts){
        .used = atomic_load_explicit(&node->used, memory_order_relaxed),
        .peak = atomic_load_explicit(&node->peak, memory_order_relaxed),
        .backed = atomic_load_explicit(&node->backed, memory_order_relaxed),
        .limit = node->heap_limit,
        .copied = atomic_load_explicit(&node->copied_in, memory_order_relaxed) +
                  atomic_load_explicit(&node->copied_out, memory_order_relaxed),
        .asked = atomic_load_explicit(&node->asked, memory_order_relaxed) != 0,
    };
}

void
dora__plane_pulse(const struct dora__plane *plane, uint32_t number,
                  struct dora__pulse *ret_pulse)
{
    struct dora__shared_node *node = dora__node_of(plane->control, number);
    uint64_t beats =
        (uint64_t)atomic_load_explicit(&node->asked, memory_order_relaxed) +
        atomic_load_explicit(&node->unheard, memory_order_relaxed);

    for (uint32_t i = 0; i < node->output_count; i++)
        beats += atomic_load_explicit(
            &dora__output_of(plane->control, node->first_output + i)->seq,
            memory_order_relaxed);
    ret_pulse->waits =
        atomic_load_explicit(&node->asleep, memory_order_relaxed) != 0;
    ret_pulse->beats = beats;
}
