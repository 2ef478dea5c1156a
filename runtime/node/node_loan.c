/* node_loan.c - loans: writable bytes that can become a message.
 *
 * 1. A loan is a record whose bit 0 is set, and a block: both the sender's own
 *    until it is sent. A death leaves nothing to repair but that bit.
 * 2. Payload and metadata share a block; a loan that refers to bytes of another
 *    message has at most a block for its metadata.
 * 3. When memory is out, the caller learns who holds it, or waits until
 *    somebody lets go (`heap_full: wait`): node_starve.c.
 * 4. A loan adrift has neither record nor block: who writes and sends it does
 *    no harm, and reaches nobody. It serves a node that stop found waiting. */
#include "node_private.h"

#include "metadata.h"

#include <string.h>

static const uint32_t nothing = (uint32_t)DORA__NONE;

/* --- taking a loan ------------------------------------------------------- */

/* What a loan needs of the node's heap. */
static uint64_t
block_size(const struct dora__wish *wish)
{
    uint64_t payload = wish->root != 0 ? 0 : wish->size;

    if (wish->metadata_size == 0)
        return payload;
    return ((payload + 7) & ~UINT64_C(7)) + wish->metadata_size;
}

static void
fill_record(struct dora_node *node, const struct dora__wish *wish,
            struct dora__record *record, uint64_t at, uint64_t size)
{
    uint64_t metadata_at = at + size - wish->metadata_size;

    atomic_store_explicit(&record->block_at, at, memory_order_relaxed);
    atomic_store_explicit(&record->block_size, size, memory_order_relaxed);
    atomic_store_explicit(&record->at, wish->root != 0 ? wish->at : at,
                          memory_order_relaxed);
    atomic_store_explicit(&record->size, wish->size, memory_order_relaxed);
    atomic_store_explicit(&record->metadata_at, metadata_at,
                          memory_order_relaxed);
    atomic_store_explicit(&record->metadata_size, (uint32_t)wish->metadata_size,
                          memory_order_relaxed);
    atomic_store_explicit(&record->root, wish->root, memory_order_relaxed);
    atomic_store_explicit(&record->value, DORA_VALUE_BYTES,
                          memory_order_relaxed);
    atomic_store_explicit(&record->incarnation, node->incarnation,
                          memory_order_relaxed);
    atomic_store_explicit(&record->time, 0, memory_order_relaxed);
    if (wish->metadata_size > 0)
        memcpy(node->own + (metadata_at - node->own_at), wish->metadata,
               wish->metadata_size);
}

/* With the send lock. -ENOSPC: somebody has to let go first. */
static int
take(struct dora_node *node, const struct dora__wish *wish,
     struct dora_loan *loan)
{
    struct dora__out *out = &node->outs[wish->output];
    uint64_t size = block_size(wish), offset = 0;
    struct dora__record *record;
    int failed;

    dora__books_reclaim_some(node, out);
    failed = dora__books_provide(node, out);
    if (failed == 0 && size > 0)
        failed = dora__block_take(node, size, wish->timeout_ns == 0, &offset);
    if (failed < 0)
        return failed;
    loan->record = dora__books_enter(node, out);
    record = dora__record_of(node->control, loan->record);
    fill_record(node, wish, record, node->own_at + offset, size);
    /* Release: whoever sees it live sees its fields. */
    atomic_store_explicit(&record->holders, DORA__OWN_BIT,
                          memory_order_release);
    loan->output = (uint32_t)wish->output;
    loan->data = wish->root != 0
                     ? (unsigned char *)(uintptr_t)node->heaps + wish->at
                     : node->own + offset;
    loan->size = wish->size;
    return 0;
}

static int
take_locked(struct dora_node *node, const struct dora__wish *wish,
            struct dora_loan *loan)
{
    int failed;

    (void)pthread_mutex_lock(&node->send);
    failed = atomic_load_explicit(&node->closed, memory_order_relaxed)
                 ? -EPIPE
                 : take(node, wish, loan);
    (void)pthread_mutex_unlock(&node->send);
    return failed;
}

void
dora__loan_set_value(struct dora_loan *loan, enum dora_value value)
{
    if (loan->record == nothing)
        return; /* adrift: it will not be sent */
    atomic_store_explicit(
        &dora__record_of(loan->node->control, loan->record)->value,
        (uint32_t)value, memory_order_relaxed);
}

/* --- waiting for memory -------------------------------------------------- */

static int
take_waiting(struct dora_node *node, const struct dora__wish *wish,
             struct dora_loan *loan, struct dora_error *err)
{
    int64_t begun = dora__now(), deadline = dora__deadline(wish->timeout_ns);
    int failed;

    dora__starve(node, true);
    for (;;) {
        uint32_t word = dora__bell_arm(&node->shared->bell);

        failed = take_locked(node, wish, loan);
        if (failed != -ENOSPC)
            break;
        if (dora__node_stopping(node)) {
            failed = dora__fail(err, ECANCELED,
                                "stop was requested while the node waited for "
                                "memory");
            break;
        }
        failed = dora__starve_sleep(node, wish, word, begun, deadline);
        if (failed < 0) {
            dora__error_set(err, "no memory became free in time");
            break;
        }
    }
    dora__starve(node, false);
    return failed;
}

/* --- metadata ------------------------------------------------------------ */

/* Checks the format, and finds the keys that change how it is queued. */
static int
read_metadata(const struct dora__wish *wish, struct dora_loan *loan,
              struct dora_error *err)
{
    int flags = dora__metadata_flags(wish->metadata, wish->metadata_size);

    if (flags < 0)
        return dora__fail(err, EINVAL, "the metadata is not in the format");
    loan->is_protected = flags & DORA__METADATA_PROTECTED;
    loan->flush = flags & DORA__METADATA_FLUSH;
    return 0;
}

/* --- loans --------------------------------------------------------------- */

static int
check_wish(const struct dora_node *node, const struct dora__wish *wish,
           struct dora_error *err)
{
    uint64_t limit = node->shared->heap_limit;

    if (!dora__node_alive(node))
        return dora__fail(err, ECHILD,
                          "a forked child cannot use its parent's node");
    if (wish->output < 0 || (uint32_t)wish->output >= node->out_count)
        return dora__fail(err, ENOENT, "node '%s' has no output number %d",
                          dora_node_id(node), wish->output);
    if (wish->metadata_size > UINT32_MAX ||
        (wish->root == 0 && wish->size > limit) || block_size(wish) > limit)
        return dora__fail(err, EMSGSIZE,
                          "%zu bytes on output '%s' are more than the node's "
                          "limit of %ju bytes (heap_limit)",
                          wish->size,
                          dora__node_output_id(node, (size_t)wish->output),
                          (uintmax_t)limit);
    return 0;
}

int
dora__loan_begin(struct dora_node *node, const struct dora__wish *wish,
                 struct dora_loan *loan, struct dora_error *err)
{
    int failed = check_wish(node, wish, err);

    if (failed == 0)
        failed = read_metadata(wish, loan, err);
    if (failed < 0)
        return failed;
    loan->node = node;
    loan->state = LOAN_OPEN;
    loan->ends = false;
    loan->adrift = NULL;
    failed = take_locked(node, wish, loan);
    if (failed == -ENOSPC && node->shared->heap_wait)
        failed = take_waiting(node, wish, loan, err);
    else if (failed == -ENOSPC)
        failed = dora__starve_fail(node, wish, err);
    if (failed == -EPIPE)
        dora__error_set(err, "the node is closed");
    if (failed == -ENOMEM)
        dora__error_set(err, "the process has no memory for a loan");
    return failed;
}

void
dora__loan_end(struct dora_loan *loan)
{
    struct dora_node *node = loan->node;
    struct dora__out *out = &node->outs[loan->output];
    struct dora__record *record = dora__record_of(node->control, loan->record);

    /* Release: our writes are over; acquire: nobody else's use is left. */
    uint64_t others =
        atomic_fetch_and_explicit(&record->holders, ~(uint64_t)DORA__OWN_BIT,
                                  memory_order_acq_rel) &
        ~(uint64_t)DORA__OWN_BIT;

    if (others == 0)
        dora__books_reclaim(node, out,
                            loan->record - out->shared->first_record);
}

static struct dora_loan *
blank(struct dora_node *node)
{
    struct dora_loan *loan;

    (void)pthread_mutex_lock(&node->send);
    loan = node->free_loans;
    if (loan != NULL)
        node->free_loans = loan->next;
    (void)pthread_mutex_unlock(&node->send);
    return loan != NULL ? loan : malloc(sizeof *loan);
}

static int
loan_new(struct dora_node *node, const struct dora__wish *wish,
         struct dora_loan **ret_loan, struct dora_error *err)
{
    struct dora_loan *loan = blank(node);
    int failed;

    if (loan == NULL)
        return dora__fail(err, ENOMEM, "no memory for a loan");
    failed = dora__loan_begin(node, wish, loan, err);
    if (failed < 0) {
        free(loan);
        return failed;
    }
    dora__node_use(node);
    *ret_loan = loan;
    return 0;
}

int
dora__node_loan(struct dora_node *node, int output, size_t size,
                const void *metadata, size_t metadata_size, int64_t timeout_ns,
                struct dora_loan **ret_loan, struct dora_error *err)
{
    const struct dora__wish wish = {
        .output = output,
        .size = size,
        .metadata = metadata,
        .metadata_size = metadata_size,
        .timeout_ns = timeout_ns,
    };

    return loan_new(node, &wish, ret_loan, err);
}

/* Who hoards them takes no more than the node may have. */
static bool
may_drift(struct dora_node *node, size_t size)
{
    uint64_t limit = node->shared->heap_limit;
    bool may;

    (void)pthread_mutex_lock(&node->send);
    may = size <= limit && node->adrift <= limit - size;
    if (may)
        node->adrift += size;
    (void)pthread_mutex_unlock(&node->send);
    return may;
}

int
dora__node_loan_adrift(struct dora_node *node, int output, size_t size,
                       struct dora_loan **ret_loan, struct dora_error *err)
{
    struct dora_loan *loan = blank(node);
    void *memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
    bool there = loan != NULL && memory != NULL;

    if (!there || !may_drift(node, size)) {
        free(loan);
        free(memory);
        return there ? dora__fail(err, ECANCELED, "stop was requested")
                     : dora__fail(err, ENOMEM, "no memory for %zu bytes", size);
    }
    *loan = (struct dora_loan){
        .node = node,
        .output = (uint32_t)output,
        .record = nothing,
        .data = memory,
        .size = size,
        .adrift = memory,
    };
    dora__node_use(node);
    *ret_loan = loan;
    return 0;
}

int
dora_node_loan(struct dora_node *node, int output, size_t size,
               const void *metadata, size_t metadata_size,
               struct dora_loan **ret_loan, struct dora_error *err)
{
    return dora__node_loan(node, output, size, metadata, metadata_size, -1,
                           ret_loan, err);
}

/* The bit of the sample keeps the root alive until the new record is counted:
 * the record lives first, then it is counted, then it may be sent. */
int
dora__node_loan_slice(struct dora_node *node, int output,
                      struct dora_sample *sample, size_t offset, size_t size,
                      const void *metadata, size_t metadata_size,
                      int64_t timeout_ns, struct dora_loan **ret_loan,
                      struct dora_error *err)
{
    struct dora__wish wish = {
        .output = output,
        .size = size,
        .metadata = metadata,
        .metadata_size = metadata_size,
        .timeout_ns = timeout_ns,
    };
    struct dora__record *source;
    uint32_t root;
    int failed;

    if (offset > sample->size || size > sample->size - offset)
        return dora__fail(err, EINVAL,
                          "bytes %zu to %zu are outside the value of %zu bytes",
                          offset, offset + size, sample->size);
    if (sample->record == nothing || sample->node != node)
        return dora__fail(err, ENOTSUP, "the value is a private copy");
    source = dora__record_of(node->control, sample->record);
    root = atomic_load_explicit(&source->root, memory_order_relaxed);
    wish.root = root != 0 ? root : sample->record + 1;
    wish.at = sample->at + offset;
    failed = loan_new(node, &wish, ret_loan, err);
    if (failed == 0)
        /* Release: after the record lives; pairs with the scan. */
        atomic_fetch_add_explicit(
            &dora__record_of(node->control, wish.root - 1)->forwards, 1,
            memory_order_release);
    return failed;
}

void
dora_loan_drop(struct dora_loan *loan)
{
    struct dora_node *node;
    bool awaited;

    if (loan == NULL)
        return;
    node = loan->node;
    free(loan->adrift);
    if (!dora__node_alive(node)) {
        free(loan);
        dora__node_unuse(node);
        return;
    }
    (void)pthread_mutex_lock(&node->send);
    if (loan->record != nothing)
        dora__loan_end(loan);
    else
        node->adrift -= loan->size;
    loan->next = node->free_loans;
    node->free_loans = loan;
    awaited = node->starving > 0;
    (void)pthread_mutex_unlock(&node->send);
    if (awaited)
        dora__bell_ring(&node->shared->bell);
    dora__node_unuse(node);
}

void *
dora_loan_data(struct dora_loan *loan)
{
    return loan->data;
}

size_t
dora_loan_size(const struct dora_loan *loan)
{
    return loan->size;
}

uint64_t
dora__loan_offset(const struct dora_loan *loan)
{
    return atomic_load_explicit(
        &dora__record_of(loan->node->control, loan->record)->at,
        memory_order_relaxed);
}

int
dora__loans_init(struct dora_node *node, struct dora_error *err)
{
    int failed = dora__blocks_init(node);

    if (failed == 0)
        failed = dora__books_init(node);
    if (failed < 0)
        return dora__fail(err, -failed,
                          "cannot set up the memory of node '%s': %s",
                          dora_node_id(node), strerror(-failed));
    dora__blocks_settle(node);
    return 0;
}

void
dora__loans_fini(struct dora_node *node)
{
    while (node->free_loans != NULL) {
        struct dora_loan *loan = node->free_loans;

        node->free_loans = loan->next;
        free(loan);
    }
    dora__books_fini(node);
    dora__blocks_fini(node);
}
