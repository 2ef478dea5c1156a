/* node_send.c - sending: a message is queued on every subscribed edge.
 *
 *  1. Everything an edge can take at once is pushed in one section of the
 *     node's gate, so that the host never sees half a push of a living node.
 *  2. Edges that must not lose a message and are full are waited for after the
 *     gate was left and all others were rung: what they wait for may depend on
 *     those. No bit, gate or lock is held while waiting.
 *  3. Sends of one output go in the order they began, the blocked ones too: a
 *     blocked send keeps the output, and whoever comes then waits as well.
 *  4. Bit 0 stays set until the loan is dropped: whatever the consumers do, the
 *     record cannot become free under the sender.
 *
 * Whoever makes room rings the producer's bell: a consumer's pop on such an
 * edge, its close, its death, the host's stop. */
#include "node_private.h"

#include <string.h>

static const int64_t second = 1000000000;

/* --- one attempt, with the send lock ------------------------------------- */

/* Now, and the clocks' distance measured anew about once a second. */
static uint64_t
stamp(struct dora_node *node)
{
    int64_t now = dora__now();

    if (node->to_utc_at == 0 || now - node->to_utc_at >= second) {
        node->to_utc = dora__utc_offset();
        node->to_utc_at = now;
    }
    return (uint64_t)now;
}

static void
begin_send(struct dora_node *node, struct dora__out *out,
           struct dora_loan *loan)
{
    struct dora__record *record = dora__record_of(node->control, loan->record);
    uint64_t seq =
        atomic_load_explicit(&out->shared->seq, memory_order_relaxed);

    atomic_store_explicit(&record->time, stamp(node), memory_order_relaxed);
    atomic_store_explicit(&record->to_utc, node->to_utc, memory_order_relaxed);
    atomic_store_explicit(&record->seq, seq, memory_order_relaxed);
    atomic_store_explicit(&out->shared->seq, seq + 1, memory_order_relaxed);
    loan->state = LOAN_PARTLY;
    loan->pending = ~UINT64_C(0);
}

/* The consumer reads no more, though its death was not dealt with yet. */
static bool
deserted(struct dora_node *node, const struct dora__edge *edge)
{
    return atomic_load_explicit(
               &dora__node_of(node->control, edge->consumer)->state,
               memory_order_acquire) == DORA__NODE_CLOSED;
}

/* Pushes to what has room. Returns the bits pushed; those that wait stay in
 * loan->pending. */
static uint64_t
push_all(struct dora_node *node, struct dora__out *out, struct dora_loan *loan)
{
    uint64_t pushed = 0, full = 0;
    uint64_t left;

    dora__gate_enter(node->shared);
    /* Pairs with the host's release of a new edge. */
    left = loan->pending &
           atomic_load_explicit(&out->shared->mask, memory_order_acquire);
    for (; left != 0; left &= left - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(left);
        struct dora__edge *edge =
            dora__edge_of(node->control, out->shared->edge[bit]);

        if (loan->flush && !(edge->flags & DORA__EDGE_BACKPRESSURE))
            dora__edge_flush(node->control, node->shared, edge);
        switch (dora__edge_push(node->control, node->shared, edge,
                                &out->seen[bit], loan->record,
                                loan->is_protected)) {
        case DORA__PUSHED:
            pushed |= dora__record_bit(bit);
            break;
        case DORA__PUSH_FULL:
            if (deserted(node, edge))
                dora__edge_refuse(edge);
            else
                full |= dora__record_bit(bit);
            break;
        case DORA__PUSH_REFUSED:
            break;
        }
    }
    dora__gate_leave(node->shared);
    loan->pending = full;
    return pushed;
}

static void
ring_consumers(struct dora_node *node, const struct dora__out *out,
               uint64_t bits)
{
    if (bits == 0)
        return;
    /* Pairs with the fence of dora__bell_arm. */
    dora__fence_full();
    for (; bits != 0; bits &= bits - 1) {
        const struct dora__edge *edge = dora__edge_of(
            node->control, out->shared->edge[__builtin_ctzll(bits)]);

        dora__bell_ring_fenced(
            &dora__node_of(node->control, edge->consumer)->bell);
    }
}

static void
end_send(struct dora_node *node, struct dora__out *out, struct dora_loan *loan)
{
    loan->state = LOAN_SENT;
    out->busy = NULL;
    if (loan->ends)
        dora__loan_end(loan);
    if (node->to_utc_at - node->trimmed_at >= second) {
        node->trimmed_at = node->to_utc_at;
        dora__blocks_trim(node);
    }
}

/* 0: sent. -EAGAIN: must wait. */
static int
attempt(struct dora_node *node, struct dora__out *out, struct dora_loan *loan)
{
    uint64_t pushed = 0;
    bool behind = false;
    int result = -EAGAIN;

    (void)pthread_mutex_lock(&node->send);
    if (atomic_load_explicit(&node->closed, memory_order_relaxed)) {
        result = -EPIPE;
    } else if (loan->state == LOAN_SENT) {
        result = -EALREADY;
    } else if (loan->record == (uint32_t)DORA__NONE) {
        loan->state = LOAN_SENT; /* adrift: to nobody */
        result = 0;
    } else if (out->busy == NULL || out->busy == loan) {
        if (loan->state == LOAN_OPEN)
            begin_send(node, out, loan);
        pushed = push_all(node, out, loan);
        out->busy = loan;
        if (loan->pending == 0) {
            end_send(node, out, loan);
            behind = out->queueing + node->starving > 0;
            result = 0;
        }
    }
    (void)pthread_mutex_unlock(&node->send);
    dora__node_show_core(node);
    ring_consumers(node, out, pushed);
    if (behind)
        dora__bell_ring(&node->shared->bell);
    return result;
}

/* --- blocking ------------------------------------------------------------ */

/* Makes the output free for others: the loan gives up, or comes back later. */
static void
step_back(struct dora_node *node, struct dora__out *out, struct dora_loan *loan,
          bool give_up)
{
    bool behind;

    (void)pthread_mutex_lock(&node->send);
    if (give_up && loan->state != LOAN_SENT) {
        for (uint64_t bits = loan->state == LOAN_PARTLY ? loan->pending : 0;
             bits != 0; bits &= bits - 1)
            dora__edge_refuse(dora__edge_of(
                node->control, out->shared->edge[__builtin_ctzll(bits)]));
        loan->state = LOAN_SENT;
    }
    if (out->busy == loan)
        out->busy = NULL;
    behind = out->queueing > 0;
    (void)pthread_mutex_unlock(&node->send);
    if (behind)
        dora__bell_ring(&node->shared->bell);
}

static void
count_queueing(struct dora_node *node, struct dora__out *out, uint32_t step)
{
    (void)pthread_mutex_lock(&node->send);
    out->queueing += step;
    (void)pthread_mutex_unlock(&node->send);
}

/* Names an edge that has no room. */
static const char *
waits_for(struct dora_node *node, struct dora__out *out,
          const struct dora_loan *loan, const char **ret_input)
{
    uint64_t bits = loan->state == LOAN_PARTLY ? loan->pending : 0;
    const struct dora__edge *edge;

    *ret_input = "another send";
    if (bits == 0)
        return dora_node_id(node);
    edge =
        dora__edge_of(node->control, out->shared->edge[__builtin_ctzll(bits)]);
    *ret_input = dora__text_at(node->control, edge->id);
    return dora__text_at(node->control,
                         dora__node_of(node->control, edge->consumer)->id);
}

static int
attempt_until(struct dora_node *node, struct dora__out *out,
              struct dora_loan *loan, int64_t deadline)
{
    for (;;) {
        uint32_t word = dora__bell_arm(&node->shared->bell);
        int result = attempt(node, out, loan);

        if (result != -EAGAIN)
            return result;
        if (dora__node_stopping(node))
            return -ECANCELED;
        result = dora__node_sleep(node, word, deadline);
        if (result < 0)
            return result;
    }
}

static int
send_blocking(struct dora_node *node, struct dora__out *out,
              struct dora_loan *loan, int64_t timeout_ns,
              struct dora_error *err)
{
    int result = -ETIMEDOUT;

    if (timeout_ns != 0) {
        count_queueing(node, out, 1);
        result = attempt_until(node, out, loan, dora__deadline(timeout_ns));
        count_queueing(node, out, UINT32_MAX);
    }
    if (result == -ETIMEDOUT || result == -EINTR || result == -ECANCELED) {
        const char *input, *consumer = waits_for(node, out, loan, &input);

        dora__error_set(err,
                        "output '%s' waits for room in %s/%s "
                        "(queue_policy: backpressure)%s",
                        dora__node_output_id(node, loan->output), consumer,
                        input,
                        result == -ECANCELED ? ", and stop was requested" : "");
        step_back(node, out, loan, result == -ECANCELED);
    }
    return result;
}

static int
send_loan(struct dora_loan *loan, int64_t timeout_ns, struct dora_error *err)
{
    struct dora_node *node = loan->node;
    struct dora__out *out = &node->outs[loan->output];
    int result = attempt(node, out, loan);

    if (result == -EAGAIN)
        result = send_blocking(node, out, loan, timeout_ns, err);
    if (result == -EPIPE)
        dora__error_set(err, "the node is closed");
    if (result == -EALREADY)
        dora__error_set(err, "the message was sent already");
    return result;
}

/* --- public -------------------------------------------------------------- */

int
dora_loan_send(struct dora_loan *loan, int64_t timeout_ns,
               struct dora_error *err)
{
    if (!dora__node_alive(loan->node))
        return dora__fail(err, ECHILD,
                          "a forked child cannot use its parent's node");
    return send_loan(loan, timeout_ns, err);
}

static void
end_loan(struct dora_loan *loan)
{
    struct dora_node *node = loan->node;
    bool awaited;

    (void)pthread_mutex_lock(&node->send);
    dora__loan_end(loan);
    awaited = node->starving > 0;
    (void)pthread_mutex_unlock(&node->send);
    if (awaited)
        dora__bell_ring(&node->shared->bell);
}

/* Signals are waited out: there is nothing the caller could call again with. */
static int
send_through(struct dora_loan *loan, struct dora_error *err)
{
    int result;

    do
        result = send_loan(loan, -1, err);
    while (result == -EINTR);
    return result;
}

void
dora__loan_filled(struct dora_loan *loan, size_t size)
{
    atomic_fetch_add_explicit(&loan->node->shared->copied_in, size,
                              memory_order_relaxed);
}

void
dora__loan_fill(struct dora_loan *loan, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(loan->data, data, size);
    dora__loan_filled(loan, size);
}

int
dora_node_send(struct dora_node *node, int output, const void *data,
               size_t size, const void *metadata, size_t metadata_size,
               struct dora_error *err)
{
    const struct dora__wish wish = {
        .output = output,
        .size = size,
        .metadata = metadata,
        .metadata_size = metadata_size,
        .timeout_ns = -1,
    };
    struct dora_loan loan;
    int result;

    if (output >= 0 && (uint32_t)output < node->out_count &&
        !dora__node_heard(node, output) && dora__node_alive(node) &&
        !atomic_load_explicit(&node->closed, memory_order_relaxed))
        return 0;
    do
        result = dora__loan_begin(node, &wish, &loan, err);
    while (result == -EINTR);
    if (result < 0)
        return result;
    dora__loan_fill(&loan, data, size);
    loan.ends = true;
    result = send_through(&loan, err);
    if (result < 0)
        end_loan(&loan);
    return result;
}

/* A part of a value is bytes. */
static enum dora_value
value_of(const struct dora_sample *sample, size_t offset, size_t size)
{
    return offset == 0 && size == sample->size ? sample->value
                                               : DORA_VALUE_BYTES;
}

int
dora_node_forward(struct dora_node *node, int output,
                  struct dora_sample *sample, size_t offset, size_t size,
                  const void *metadata, size_t metadata_size,
                  struct dora_error *err)
{
    struct dora_loan *loan;
    int result;

    do
        result = dora__node_loan_slice(node, output, sample, offset, size,
                                       metadata, metadata_size, -1, &loan, err);
    while (result == -EINTR);
    if (result == -ENOTSUP) {
        do
            result = dora_node_loan(node, output, size, metadata, metadata_size,
                                    &loan, err);
        while (result == -EINTR);
        if (result == 0)
            dora__loan_fill(loan, sample->data + offset, size);
    }
    if (result < 0)
        return result;
    dora__loan_set_value(loan, value_of(sample, offset, size));
    result = send_through(loan, err);
    dora_loan_drop(loan);
    return result;
}
