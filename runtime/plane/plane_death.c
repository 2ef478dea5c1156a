/* plane_death.c - what the host does when a node is proven dead.
 *
 * 1. Nothing of a dead producer is half done: the one step its intent names is
 *    finished or undone, its drops are counted, its own references are gone,
 *    its gate is free.
 * 2. Nothing of a dead consumer stays pinned: what it had taken is released,
 *    what is still queued waits for its next incarnation or is dropped.
 * 3. Neighbours are woken whatever the flags say: the dead may have taken a
 *    waiter bit and not lived to wake.
 * 4. The host waits for nobody. Where a living producer is in its gate the work
 *    is left, and -EAGAIN says so; everything here may be done twice.
 *
 * The host sweeps a consumer under the gate of the producer: otherwise the
 * producer could drop, reclaim and push a record again between the look at its
 * bit and the clearing of it. */
#include "plane.h"

#include "plane_edges.h"
#include "plane_remains.h"
#include "ring.h"
#include "terminal.h"

#include <string.h>

/* --- the dead producer --------------------------------------------------- */

static struct dora__output *
output_of_record(struct dora__control *control,
                 const struct dora__shared_node *node, uint32_t record)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        struct dora__output *output =
            dora__output_of(control, node->first_output + i);

        if (record - output->first_record < output->record_limit)
            return output;
    }
    return NULL;
}

/* Whether the record the intent names carries the edge's bit without being the
 * edge's: a push that did not reach the tail, or a drop that won. */
static bool
intent_holds_bit(const struct dora__edge *edge,
                 const struct dora__intent *intent)
{
    if (intent->kind == DORA__INTENT_PUSH)
        return (atomic_load_explicit(&edge->tail[intent->ring],
                                     memory_order_relaxed) &
                DORA__INTENT_POSITION) == intent->position;
    return ((atomic_load_explicit(&edge->head[intent->ring],
                                  memory_order_relaxed) ^
             intent->position) &
            1) != 0;
}

static void
undo_intent(struct dora__control *control, struct dora__shared_node *node)
{
    uint64_t word = atomic_load_explicit(&node->intent, memory_order_relaxed);
    struct dora__intent intent = dora__intent_unpack(word);

    if (intent.kind != 0) {
        struct dora__output *output =
            output_of_record(control, node, intent.record);
        struct dora__edge *edge =
            output == NULL ? NULL
                           : dora__edge_of(control, output->edge[intent.bit]);

        if (edge != NULL && intent_holds_bit(edge, &intent))
            dora__record_release(dora__record_of(control, intent.record),
                                 dora__edge_bit(edge));
    }
    atomic_store_explicit(&node->intent, 0, memory_order_relaxed);
}

static void
count_drops(struct dora__edge *edge)
{
    for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++) {
        uint64_t dropped =
            atomic_load_explicit(&edge->dropped[ring], memory_order_relaxed);
        uint64_t head =
            atomic_load_explicit(&edge->head[ring], memory_order_relaxed);

        atomic_store_explicit(&edge->dropped[ring],
                              dropped + ((dropped ^ head) & 1),
                              memory_order_relaxed);
    }
}

/* Of every edge that ever left the node. */
static void
count_all_drops(struct dora__control *control,
                const struct dora__shared_node *node)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        struct dora__output *output =
            dora__output_of(control, node->first_output + i);

        for (unsigned bit = 1; bit < DORA_COUNT(output->edge); bit++)
            if (output->edge[bit] != (uint32_t)DORA__NONE)
                count_drops(dora__edge_of(control, output->edge[bit]));
    }
}

static void
let_own_go(struct dora__control *control, const struct dora__shared_node *node)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        struct dora__output *output =
            dora__output_of(control, node->first_output + i);
        uint32_t count =
            atomic_load_explicit(&output->record_count, memory_order_acquire);

        for (uint32_t k = 0; k < count; k++) {
            struct dora__record *record =
                dora__record_of(control, output->first_record + k);

            if (atomic_load_explicit(&record->holders, memory_order_relaxed) &
                DORA__OWN_BIT)
                dora__record_release(record, DORA__OWN_BIT);
        }
    }
}

static void
bury_producer(struct dora__control *control, struct dora__shared_node *node)
{
    undo_intent(control, node);
    count_all_drops(control, node);
    let_own_go(control, node);
    /* Pairs with the acquire of dora__gate_try_host, ours. */
    atomic_store_explicit(&node->gate, DORA__GATE_FREE, memory_order_release);
}

/* --- the dead consumer --------------------------------------------------- */

static uint64_t
edge_delivered(const struct dora__edge *edge)
{
    uint64_t delivered = 0;

    for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++)
        delivered +=
            dora__position(
                atomic_load_explicit(&edge->head[ring], memory_order_relaxed)) -
            atomic_load_explicit(&edge->dropped[ring], memory_order_relaxed);
    return delivered;
}

/* Marks what is queued, one byte per record of the output. */
static void
mark_queued(struct dora__control *control, const struct dora__edge *edge,
            const struct dora__output *output, unsigned char *queued)
{
    for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++) {
        uint64_t at = dora__position(
            atomic_load_explicit(&edge->head[ring], memory_order_acquire));
        uint64_t tail =
            atomic_load_explicit(&edge->tail[ring], memory_order_relaxed);

        for (; at != tail; at++) {
            uint32_t record = atomic_load_explicit(
                &dora__slots_of(control, edge, ring)[at & edge->slot_mask],
                memory_order_relaxed);

            queued[record - output->first_record] = 1;
        }
    }
}

/* Releases what the consumer had taken. Under the producer's gate. */
static int
sweep(struct dora__control *control, struct dora__edge *edge,
      const struct dora__output *output)
{
    uint32_t count =
        atomic_load_explicit(&output->record_count, memory_order_acquire);
    DORA_AUTOFREE unsigned char *queued = calloc(count, 1);

    if (queued == NULL)
        return -EAGAIN;
    mark_queued(control, edge, output, queued);
    for (uint32_t k = 0; k < count; k++) {
        struct dora__record *record =
            dora__record_of(control, output->first_record + k);

        if (!queued[k] &&
            (atomic_load_explicit(&record->holders, memory_order_acquire) &
             dora__edge_bit(edge)))
            dora__record_release(record, dora__edge_bit(edge));
    }
    atomic_store_explicit(
        &edge->lost,
        edge_delivered(edge) -
            atomic_load_explicit(&edge->shown, memory_order_relaxed),
        memory_order_relaxed);
    return 0;
}

/* Drops all that is queued. Under the producer's gate. */
static void
drain(struct dora__control *control, struct dora__edge *edge, unsigned ring)
{
    for (;;) {
        uint64_t head =
            atomic_load_explicit(&edge->head[ring], memory_order_acquire);
        uint64_t at = dora__position(head);

        if (at == atomic_load_explicit(&edge->tail[ring], memory_order_relaxed))
            return;

        uint32_t record = atomic_load_explicit(
            &dora__slots_of(control, edge, ring)[at & edge->slot_mask],
            memory_order_relaxed);

        if (!atomic_compare_exchange_strong_explicit(
                &edge->head[ring], &head, (head + 2) ^ 1, memory_order_acq_rel,
                memory_order_relaxed))
            continue;
        dora__record_release(dora__record_of(control, record),
                             dora__edge_bit(edge));
        atomic_fetch_add_explicit(&edge->dropped[ring], 1,
                                  memory_order_relaxed);
    }
}

/* Nothing more is sent over it, and nothing is queued. Under the producer's
 * gate. */
static void
empty_edge(struct dora__control *control, struct dora__edge *edge,
           struct dora__output *output)
{
    atomic_store_explicit(
        &output->mask,
        atomic_load_explicit(&output->mask, memory_order_relaxed) &
            ~dora__edge_bit(edge),
        memory_order_release);
    for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++)
        drain(control, edge, ring);
}

static void
stop_timer(struct dora__control *control, struct dora__edge *edge)
{
    if (atomic_load_explicit(&edge->state, memory_order_relaxed) ==
        DORA__EDGE_REMOVED)
        return;
    atomic_store_explicit(&edge->closed_time,
                          dora__flow_time(control, dora__now()),
                          memory_order_relaxed);
    atomic_store_explicit(&edge->state, DORA__EDGE_REMOVED,
                          memory_order_release);
}

static int
bury_consumer(struct dora__control *control, struct dora__edge *edge,
              enum dora__death death)
{
    if (edge->output == (uint32_t)DORA__NONE) {
        if (death == DORA__DEATH_FINAL)
            stop_timer(control, edge);
        return 0;
    }
    if (atomic_load_explicit(&edge->state, memory_order_relaxed) ==
        DORA__EDGE_REMOVED)
        return 0;

    struct dora__output *output = dora__output_of(control, edge->output);
    struct dora__shared_node *producer = dora__node_of(control, edge->producer);

    if (!dora__gate_try_host(producer))
        return -EAGAIN;

    int left = sweep(control, edge, output);

    if (left == 0 && death != DORA__DEATH_RESTART)
        empty_edge(control, edge, output);
    if (left == 0 && death == DORA__DEATH_FINAL)
        atomic_store_explicit(&edge->state, DORA__EDGE_REMOVED,
                              memory_order_release);
    dora__gate_leave_host(producer);
    dora__bell_ring_always(&producer->bell);
    return left;
}

/* Those who feed it look up, whether or not they wait for it. */
static int
bury_consumers(struct dora__control *control,
               const struct dora__shared_node *node, enum dora__death death)
{
    int left = 0;

    for (uint32_t i = 0; i < node->input_count; i++) {
        struct dora__edge *edge = dora__edge_of(control, node->first_input + i);

        for (; edge != NULL; edge = dora__edge_twin(control, edge))
            if (bury_consumer(control, edge, death) < 0)
                left = -EAGAIN;
    }
    return left;
}

int
dora__plane_node_died(struct dora__plane *plane, uint32_t number,
                      enum dora__death death, const char *failure)
{
    struct dora__control *control = plane->control;
    struct dora__shared_node *node = dora__node_of(control, number);
    bool final = death == DORA__DEATH_FINAL;
    uint32_t before;
    int left;

    bury_producer(control, node);
    left = bury_consumers(control, node, death);
    if (final)
        dora__plane_tell_end(control, number, failure);
    else
        dora__plane_tell_restart(control, number);
    if (left < 0)
        return left;
    if (atomic_exchange_explicit(&node->asleep, 0, memory_order_relaxed) != 0)
        atomic_fetch_sub_explicit(&control->sleepers, 1, memory_order_relaxed);
    atomic_store_explicit(&node->starved, 0, memory_order_relaxed);
    if (final)
        dora__plane_return_heap(plane, number);
    else
        atomic_store_explicit(&node->joined, 0, memory_order_relaxed);
    if (death == DORA__DEATH_LEAVE)
        atomic_store_explicit(&node->apart, 1, memory_order_relaxed);
    /* Release: pairs with the next attach. */
    before = atomic_exchange_explicit(
        &node->state, final ? DORA__NODE_CLOSED : DORA__NODE_ABSENT,
        memory_order_acq_rel);
    if (before == DORA__NODE_ATTACHED || before == DORA__NODE_READY)
        atomic_fetch_sub_explicit(&control->active, 1, memory_order_relaxed);
    return 0;
}
