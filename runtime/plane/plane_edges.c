/* plane_edges.c - what the host does with a node's edges: closes them, marks a
 * restart on them, lets a dynamic node's be used again.
 *
 * 1. What a consumer is told of an edge follows all that was sent over it: the
 *    words it looks at are stored after the last tail, and released.
 * 2. Consumers are woken whatever the flags say: see plane_death.c.
 * 3. Where a living producer is in its gate nothing is done, and -EAGAIN says
 *    so; everything here may be done twice. */
#include "plane_edges.h"

#include "ring.h"

#include <string.h>

/* --- the end ------------------------------------------------------------- */

struct closing {
    uint32_t state; /* CLOSED, perhaps FAILED */
    int64_t time;
};

static void
close_edge(struct dora__control *control, struct dora__edge *edge,
           const struct closing *closing)
{
    uint32_t state = atomic_load_explicit(&edge->state, memory_order_relaxed);

    if (state != DORA__EDGE_OPEN && state != DORA__EDGE_CLOSED)
        return;
    /* Closed by the node itself: that it failed comes late, not never. */
    if (state == DORA__EDGE_OPEN)
        atomic_store_explicit(&edge->closed_time, closing->time,
                              memory_order_relaxed);
    else if (closing->state == DORA__EDGE_CLOSED)
        return;
    /* After the last tail; pairs with the consumer's load before its look. */
    atomic_store_explicit(&edge->state, closing->state, memory_order_release);
    dora__bell_ring_always(&dora__node_of(control, edge->consumer)->bell);
}

static struct closing
closing_for(struct dora__control *control, uint32_t node, const char *failure)
{
    struct closing closing = {.state = DORA__EDGE_CLOSED, .time = dora__now()};
    char *line = dora__failure_of(control, node);
    struct dora_error text;

    if (failure == NULL)
        return closing;
    closing.state |= DORA__EDGE_FAILED;
    if (line[0] == '\0') { /* once: consumers hand out pointers to it */
        dora__error_set(&text, "%.*s", DORA__FAILURE_SIZE - 1, failure);
        memcpy(line, text.text, DORA__FAILURE_SIZE - 1);
    }
    return closing;
}

void
dora__plane_tell_end(struct dora__control *control, uint32_t number,
                     const char *failure)
{
    struct closing closing = closing_for(control, number, failure);

    for (uint32_t i = 0; i < control->edge_count; i++)
        if (dora__edge_of(control, i)->about == number)
            close_edge(control, dora__edge_of(control, i), &closing);
}

int
dora__plane_close_outputs(struct dora__plane *plane, uint32_t number,
                          const char *failure)
{
    struct dora__control *control = plane->control;
    struct dora__shared_node *node = dora__node_of(control, number);

    if (!dora__gate_try_host(node))
        return -EAGAIN;
    for (uint32_t i = 0; i < node->output_count; i++)
        atomic_store_explicit(
            &dora__output_of(control, node->first_output + i)->mask, 0,
            memory_order_release);
    dora__plane_tell_end(control, number, failure);
    dora__gate_leave_host(node);
    dora__bell_ring_always(&node->bell);
    return 0;
}

/* --- the restart --------------------------------------------------------- */

struct restarting {
    uint32_t restarts;
    int64_t time;
};

static void
mark_restart(struct dora__control *control, struct dora__edge *edge,
             const struct restarting *restarting)
{
    uint32_t closed = DORA__EDGE_CLOSED;

    /* Closed by the node itself on its way out: it comes back. */
    (void)atomic_compare_exchange_strong_explicit(
        &edge->state, &closed, DORA__EDGE_OPEN, memory_order_release,
        memory_order_relaxed);
    for (unsigned ring = 0; ring < DORA__RINGS; ring++)
        atomic_store_explicit(
            &edge->restart_at[ring],
            atomic_load_explicit(&edge->tail[ring], memory_order_relaxed),
            memory_order_relaxed);
    if (atomic_load_explicit(&edge->restarts, memory_order_relaxed) !=
        restarting->restarts)
        atomic_store_explicit(&edge->restart_time, restarting->time,
                              memory_order_relaxed);
    /* Pairs with the consumer's load before its look. */
    atomic_store_explicit(&edge->restarts, restarting->restarts,
                          memory_order_release);
    dora__bell_ring_always(&dora__node_of(control, edge->consumer)->bell);
}

void
dora__plane_tell_restart(struct dora__control *control, uint32_t number)
{
    const struct restarting restarting = {
        .restarts = atomic_load_explicit(
            &dora__node_of(control, number)->incarnation, memory_order_relaxed),
        .time = dora__now(),
    };

    for (uint32_t i = 0; i < control->edge_count; i++)
        if (dora__edge_of(control, i)->about == number)
            mark_restart(control, dora__edge_of(control, i), &restarting);
}

/* --- the one who comes ---------------------------------------------------- */

/* The queue is empty: nothing was sent over it while nobody was there. */
static int
admit_edge(struct dora__control *control, const struct dora__edge *edge)
{
    struct dora__output *output;
    struct dora__shared_node *producer;

    if (edge->output == (uint32_t)DORA__NONE)
        return 0;
    output = dora__output_of(control, edge->output);
    producer = dora__node_of(control, edge->producer);
    if (!dora__gate_try_host(producer))
        return -EAGAIN;
    if (atomic_load_explicit(&edge->state, memory_order_relaxed) ==
        DORA__EDGE_OPEN)
        atomic_fetch_or_explicit(&output->mask, dora__edge_bit(edge),
                                 memory_order_release);
    dora__gate_leave_host(producer);
    return 0;
}

int
dora__plane_admit(struct dora__plane *plane, uint32_t number)
{
    struct dora__control *control = plane->control;
    struct dora__shared_node *node = dora__node_of(control, number);
    int left = 0;

    for (uint32_t i = 0; i < node->input_count; i++) {
        struct dora__edge *edge = dora__edge_of(control, node->first_input + i);

        for (; edge != NULL; edge = dora__edge_twin(control, edge))
            if (admit_edge(control, edge) < 0)
                left = -EAGAIN;
    }
    if (left < 0)
        return left;
    /* Pairs with the acquire of dora__node_join. */
    atomic_store_explicit(&node->apart, 0, memory_order_release);
    dora__bell_ring_always(&node->bell);
    return 0;
}
