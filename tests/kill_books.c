/* kill_books.c - who holds what, as the memory that all share says. */
#include "kill_survivor.h"

#include "plane/ring.h"

static bool
is_queued(struct dora__control *control, const struct dora__edge *edge,
          uint32_t record)
{
    for (unsigned ring = 0; ring < dora__edge_rings(edge); ring++) {
        uint64_t tail =
            atomic_load_explicit(&edge->tail[ring], memory_order_acquire);

        for (uint64_t at = dora__position(
                 atomic_load_explicit(&edge->head[ring], memory_order_acquire));
             at < tail; at++)
            if (atomic_load_explicit(
                    &dora__slots_of(control, edge, ring)[at & edge->slot_mask],
                    memory_order_relaxed) == record)
                return true;
    }
    return false;
}

/* Of the output's records, those with the bit; on an edge: not those in its
 * queue. A message on its way into the queue counts for a moment. */
static uint64_t
bytes_held(struct dora__control *control, const struct dora__output *output,
           uint64_t bit, const struct dora__edge *edge)
{
    uint32_t records =
        atomic_load_explicit(&output->record_count, memory_order_acquire);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < records; i++) {
        uint32_t number = output->first_record + i;
        const struct dora__record *record = dora__record_of(control, number);

        if ((atomic_load_explicit(&record->holders, memory_order_acquire) &
             bit) &&
            (edge == NULL || !is_queued(control, edge, number)))
            bytes += atomic_load_explicit(&record->size, memory_order_relaxed);
    }
    return bytes;
}

uint64_t
bytes_of_the_dead(struct dora__control *control, uint32_t number)
{
    const struct dora__shared_node *dead = dora__node_of(control, number);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < dead->output_count; i++)
        bytes += bytes_held(control,
                            dora__output_of(control, dead->first_output + i),
                            DORA__OWN_BIT, NULL);
    for (uint32_t i = 0; i < dead->input_count; i++) {
        const struct dora__edge *edge =
            dora__edge_of(control, dead->first_input + i);

        bytes += bytes_held(control, dora__output_of(control, edge->output),
                            dora__record_bit(edge->bit), edge);
    }
    return bytes;
}

/* Whether some record at this place is still held by the edge's consumer. */
static bool
edge_holds(struct dora__control *control, const struct dora__edge *edge,
           uint64_t at)
{
    const struct dora__output *output = dora__output_of(control, edge->output);
    uint32_t records =
        atomic_load_explicit(&output->record_count, memory_order_acquire);

    for (uint32_t i = 0; i < records; i++) {
        const struct dora__record *record =
            dora__record_of(control, output->first_record + i);

        if (atomic_load_explicit(&record->at, memory_order_relaxed) == at &&
            (atomic_load_explicit(&record->holders, memory_order_acquire) &
             dora__record_bit(edge->bit)))
            return true;
    }
    return false;
}

bool
node_holds(struct dora__control *control, uint32_t number, uint64_t at)
{
    const struct dora__shared_node *node = dora__node_of(control, number);

    for (uint32_t i = 0; i < node->input_count; i++)
        if (edge_holds(control, dora__edge_of(control, node->first_input + i),
                       at))
            return true;
    return false;
}
