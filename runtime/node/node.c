/* node.c - a node's life: join, close; and what it is.
 *
 *     ABSENT -> ATTACHED   memory mapped         [dora__node_attach]
 *     ATTACHED -> READY    waits at the barrier  [dora__node_join]
 *     any -> CLOSED        no more sends         [dora__node_close]
 *     any -> ABSENT        died, will restart    [dora__plane_node_died]
 *     any -> CLOSED        died                  [dora__plane_node_died]
 */
#include "node_private.h"

#include "plane/segment.h"
#include "plane/terminal.h"

#include <string.h>

/* --- join ---------------------------------------------------------------- */

void
dora__node_ring_host(const struct dora_node *node)
{
    const uint64_t one = 1;
    ssize_t written = write(node->doorbell_fd, &one, sizeof one);

    (void)written; /* a full counter is a ring as well */
}

/* 1: the barrier is open; 0: wait. */
static int
barrier(const struct dora_node *node, struct dora_error *err)
{
    struct dora__control *control = node->control;

    /* Pair with the releases of dora__plane_open and dora__plane_admit. */
    if (atomic_load_explicit(&control->opened, memory_order_acquire) &&
        !atomic_load_explicit(&node->shared->apart, memory_order_acquire))
        return 1;
    switch (atomic_load_explicit(&control->state, memory_order_acquire)) {
    case DORA__FLOW_FAILED:
        return dora__fail(err, ECANCELED,
                          "subscribe failed: node `%s` ended before it joined "
                          "the dataflow by calling Node(); see its lines in "
                          "the log",
                          control->culprit);
    case DORA__FLOW_STOPPING:
        return dora__fail(err, ECANCELED,
                          "the dataflow was stopped before it started");
    case DORA__FLOW_OVER:
        return dora__fail(err, ECANCELED, "the dataflow has ended");
    default:
        return 0;
    }
}

/* Whether a producer feeds the input, and none before it. */
static bool
feeds_first(const struct dora_node *node, uint32_t input)
{
    uint32_t producer = node->ins[input].edge->producer;

    for (uint32_t i = 0; i < input; i++)
        if (node->ins[i].edge->producer == producer)
            return false;
    return producer != (uint32_t)DORA__NONE;
}

/* What producers keep warm is read without a page fault from the first message
 * on. They have backed it before they came to the barrier. */
static void
warm_up(struct dora_node *node)
{
    if (atomic_exchange_explicit(&node->warm, true, memory_order_relaxed))
        return;
    for (uint32_t i = 0; i < node->in_count; i++) {
        if (!feeds_first(node, i))
            continue;

        const struct dora__shared_node *source =
            dora__node_of(node->control, node->ins[i].edge->producer);
        uint64_t backed =
            atomic_load_explicit(&source->backed, memory_order_relaxed);

        uint64_t size = source->prefault < backed ? source->prefault : backed;

        if (size == 0)
            continue;
        dora__window_open(&node->all_heaps, source->heap_at, size);
        dora__segment_populate_read(node->heaps + source->heap_at, size);
    }
}

int
dora__node_join(struct dora_node *node, int64_t timeout_ns,
                struct dora_error *err)
{
    int64_t deadline = dora__deadline(timeout_ns);
    uint32_t found = DORA__NODE_ATTACHED;

    if (!dora__node_alive(node))
        return dora__fail(err, ECHILD,
                          "a forked child cannot use its parent's node");
    if (atomic_load_explicit(&node->closed, memory_order_relaxed))
        return dora__fail(err, EPIPE, "the node is closed");
    /* Outlives READY, which CLOSED follows. Pairs with the acquire of
     * dora__plane_node_joined. */
    atomic_store_explicit(&node->shared->joined, 1, memory_order_release);
    if (atomic_compare_exchange_strong_explicit(
            &node->shared->state, &found, DORA__NODE_READY,
            memory_order_release, memory_order_relaxed))
        dora__node_ring_host(node);
    for (;;) {
        uint32_t word = dora__bell_arm(&node->shared->bell);
        int open = barrier(node, err);

        if (open < 0)
            return open;
        if (open > 0)
            break;
        open = dora__bell_sleep(&node->shared->bell, word, deadline);
        if (open < 0)
            return dora__fail(err, -open, "the dataflow has not started yet");
    }
    warm_up(node);
    return 0;
}

/* --- close --------------------------------------------------------------- */

static void
close_edges(struct dora_node *node, const struct dora__output *output)
{
    int64_t now = dora__now();

    for (unsigned bit = 1; bit < DORA_COUNT(output->edge); bit++) {
        struct dora__edge *edge;

        if (output->edge[bit] == (uint32_t)DORA__NONE)
            continue;
        edge = dora__edge_of(node->control, output->edge[bit]);
        if ((edge->flags & DORA__EDGE_LASTING) ||
            atomic_load_explicit(&edge->state, memory_order_relaxed) !=
                DORA__EDGE_OPEN)
            continue;
        atomic_store_explicit(&edge->closed_time, now, memory_order_relaxed);
        /* After the last tail; pairs with the consumer's load before its
         * look. */
        atomic_store_explicit(&edge->state, DORA__EDGE_CLOSED,
                              memory_order_release);
    }
}

static void
ring_consumers(struct dora_node *node, const struct dora__output *output)
{
    for (unsigned bit = 1; bit < DORA_COUNT(output->edge); bit++)
        if (output->edge[bit] != (uint32_t)DORA__NONE)
            dora__bell_ring(
                &dora__node_of(
                     node->control,
                     dora__edge_of(node->control, output->edge[bit])->consumer)
                     ->bell);
}

/* Those who wait for room here need not wait any more. */
static void
ring_producers(struct dora_node *node)
{
    for (uint32_t i = 0; i < node->in_count; i++)
        if (node->ins[i].edge->producer != (uint32_t)DORA__NONE)
            dora__bell_ring(
                &dora__node_of(node->control, node->ins[i].edge->producer)
                     ->bell);
}

void
dora__node_close(struct dora_node *node)
{
    if (!dora__node_alive(node))
        return;
    (void)pthread_mutex_lock(&node->send);
    if (atomic_exchange_explicit(&node->closed, true, memory_order_relaxed)) {
        (void)pthread_mutex_unlock(&node->send);
        return;
    }
    dora__gate_enter(node->shared);
    for (uint32_t i = 0; i < node->out_count; i++)
        close_edges(node, node->outs[i].shared);
    dora__gate_leave(node->shared);
    (void)pthread_mutex_unlock(&node->send);
    atomic_store_explicit(&node->shared->state, DORA__NODE_CLOSED,
                          memory_order_release);
    atomic_fetch_sub_explicit(&node->control->active, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < node->out_count; i++)
        ring_consumers(node, node->outs[i].shared);
    ring_producers(node);
    dora__bell_ring(&node->shared->bell);
    dora__node_ring_host(node);
}

/* --- questions ----------------------------------------------------------- */

const char *
dora_node_id(const struct dora_node *node)
{
    return dora__text_at(node->control, node->shared->id);
}

const char *
dora__node_config(const struct dora_node *node)
{
    return dora__text_at(node->control, node->shared->config);
}

const char *
dora__node_descriptor(const struct dora_node *node)
{
    return dora__text_at(node->control, node->control->descriptor);
}

const char *
dora__node_dataflow_id(const struct dora_node *node)
{
    return dora__text_at(node->control, node->control->id);
}

unsigned
dora__node_restart_count(const struct dora_node *node)
{
    return node->incarnation - 1;
}

size_t
dora__node_input_count(const struct dora_node *node)
{
    return node->shared->input_count;
}

size_t
dora__node_output_count(const struct dora_node *node)
{
    return node->out_count;
}

const char *
dora__node_output_id(const struct dora_node *node, size_t output)
{
    return dora__text_at(node->control, node->outs[output].shared->id);
}

int
dora_node_output(struct dora_node *node, const char *id)
{
    for (uint32_t i = 0; i < node->out_count; i++)
        if (strcmp(dora__node_output_id(node, i), id) == 0)
            return (int)i;
    return -ENOENT;
}

bool
dora__node_heard(struct dora_node *node, int output)
{
    if (output < 0 || (uint32_t)output >= node->out_count)
        return false;
    if (atomic_load_explicit(&node->outs[output].shared->mask,
                             memory_order_relaxed) != 0)
        return true;
    atomic_fetch_add_explicit(&node->shared->unheard, 1, memory_order_relaxed);
    return false;
}

int
dora__node_take_terminal(struct dora_node *node, int64_t timeout_ns)
{
    if (dora__node_stopping(node))
        return -ECANCELED;
    return dora__terminal_take(node->control, node->number, node->doorbell_fd,
                               dora__deadline(timeout_ns));
}

void
dora__node_return_terminal(struct dora_node *node)
{
    if (dora__terminal_return(node->control, node->number))
        dora__node_ring_host(node);
}

bool
dora__node_stopping(const struct dora_node *node)
{
    uint32_t state =
        atomic_load_explicit(&node->control->state, memory_order_acquire);

    return state == DORA__FLOW_STOPPING || state == DORA__FLOW_FAILED ||
           state == DORA__FLOW_OVER;
}

/* The host, woken, wakes everybody. */
void
dora__node_stop_all(struct dora_node *node)
{
    uint32_t found = DORA__FLOW_RUNNING;

    if (dora__node_alive(node) &&
        atomic_compare_exchange_strong_explicit(
            &node->control->state, &found, DORA__FLOW_STOPPING,
            memory_order_seq_cst, memory_order_relaxed))
        dora__node_ring_host(node);
}
