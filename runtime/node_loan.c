/* node_loan.c - the producer's books: which record and which block a message
 * gets, and when they can be used again.
 *
 * 1. A record is free when its `holders` is 0 and no living record names it as
 *    its root; 0 is stable, since only the producer leaves it. There is no
 *    message "I am done with it": the producer looks, when it next needs one.
 * 2. Looking is cheap: records come back in about the order they went, so a
 *    loan looks at the oldest few in flight. What is in flight for longer than
 *    the queues are is held by somebody; of those a loan looks at one. Only
 *    when memory runs out are all looked at.
 * 3. Memory that is backed is used again before more is backed: the heap may
 *    grow only after everything free was taken back.
 * 4. Private books, shared truth: after a death the books are written anew from
 *    the table of records, nothing else of the old life is believed.
 *
 * Rejected: counting references of roots up and down (a crash between count and
 * use has to be repaired); a shared free list (a crash loses what it holds). */
#include "node_private.h"

#include "plane_holders.h"
#include "segment.h"

#include <string.h>

enum {
    LOOK_AT = 4,       /* oldest in flight, per loan */
    SCAN_RECORDS = 64, /* records of the dataflow one loan may pay for */
};

static const uint32_t nothing = (uint32_t)DORA__NONE;

/* --- chains
 * ------------------------------------------------------------------- */

static void
chain_remove(struct dora__out *out, uint32_t k)
{
    struct dora__entry *entry = &out->entries[k];
    struct dora__chain *chain = &out->lists[entry->list];

    if (entry->previous == nothing)
        chain->first = entry->next;
    else
        out->entries[entry->previous].next = entry->next;
    if (entry->next == nothing)
        chain->last = entry->previous;
    else
        out->entries[entry->next].previous = entry->previous;
    chain->count--;
}

static void
chain_append(struct dora__out *out, uint32_t k, enum dora__list list)
{
    struct dora__entry *entry = &out->entries[k];
    struct dora__chain *chain = &out->lists[list];

    entry->list = (uint8_t)list;
    entry->next = nothing;
    entry->previous = chain->last;
    if (chain->last == nothing)
        chain->first = k;
    else
        out->entries[chain->last].next = k;
    chain->last = k;
    chain->count++;
}

static void
chain_move(struct dora__out *out, uint32_t k, enum dora__list list)
{
    chain_remove(out, k);
    chain_append(out, k, list);
}

/* --- reclaiming
 * ----------------------------------------------------------------- */

static struct dora__record *
record_of(const struct dora_node *node, const struct dora__out *out, uint32_t k)
{
    return dora__record_of(node->control, out->shared->first_record + k);
}

/* Acquire: synchronises with the releases of all who held it, since an RMW
 * continues the releases before it. */
static bool
let_go(const struct dora__record *record)
{
    return atomic_load_explicit(&record->holders, memory_order_acquire) == 0;
}

static void
publish_usage(struct dora_node *node)
{
    struct dora__heap_usage usage = dora__heap_usage(node->heap);

    atomic_store_explicit(&node->shared->used, usage.used,
                          memory_order_relaxed);
    atomic_store_explicit(&node->shared->peak, usage.peak,
                          memory_order_relaxed);
}

static void
make_free(struct dora_node *node, struct dora__out *out, uint32_t k)
{
    struct dora__record *record = record_of(node, out, k);

    if (atomic_load_explicit(&record->block_size, memory_order_relaxed) != 0) {
        dora__heap_give(node->heap, atomic_load_explicit(&record->block_at,
                                                         memory_order_relaxed) -
                                        node->own_at);
        atomic_store_explicit(&record->block_size, 0, memory_order_relaxed);
        publish_usage(node);
    }
    chain_move(out, k, DORA__FREE);
}

/* Takes back a record that was let go; one that was ever named as a root waits
 * for a scan. */
static void
reclaim(struct dora_node *node, struct dora__out *out, uint32_t k)
{
    struct dora__record *record = record_of(node, out, k);

    if (atomic_load_explicit(&record->forwards, memory_order_acquire) ==
        out->entries[k].forwards) {
        make_free(node, out, k);
        return;
    }
    chain_move(out, k, DORA__ROOTED);
    node->rooted_count++;
}

static void
name_root(struct dora_node *node, uint32_t root)
{
    for (uint32_t i = 0; i < node->out_count; i++) {
        struct dora__out *out = &node->outs[i];
        uint32_t k = root - out->shared->first_record;

        if (k < out->entry_count)
            out->entries[k].named = true;
    }
}

static void
name_roots(struct dora_node *node, const struct dora__output *output)
{
    uint32_t count =
        atomic_load_explicit(&output->record_count, memory_order_acquire);

    node->scan_cost += count;
    for (uint32_t k = 0; k < count; k++) {
        const struct dora__record *record =
            dora__record_of(node->control, output->first_record + k);

        if (let_go(record))
            continue;

        uint32_t root =
            atomic_load_explicit(&record->root, memory_order_relaxed);

        if (root != 0)
            name_root(node, root - 1);
    }
}

/* Frees the roots that nobody names. A forward counts itself after its record
 * lives and before it lets its source go: so either the scan finds the new
 * record, or the count has changed, or there is none. */
static void
scan_roots(struct dora_node *node)
{
    node->loans_since_scan = 0;
    node->scan_cost = 0;
    for (uint32_t i = 0; i < node->out_count; i++) {
        struct dora__out *out = &node->outs[i];

        for (uint32_t k = out->lists[DORA__ROOTED].first; k != nothing;
             k = out->entries[k].next) {
            out->entries[k].forwards = atomic_load_explicit(
                &record_of(node, out, k)->forwards, memory_order_acquire);
            out->entries[k].named = false;
        }
    }
    for (uint32_t i = 0; i < node->control->output_count; i++)
        name_roots(node, dora__output_of(node->control, i));
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < node->out_count; i++) {
        struct dora__out *out = &node->outs[i];
        uint32_t next;

        for (uint32_t k = out->lists[DORA__ROOTED].first; k != nothing;
             k = next) {
            next = out->entries[k].next;
            if (out->entries[k].named ||
                atomic_load_explicit(&record_of(node, out, k)->forwards,
                                     memory_order_acquire) !=
                    out->entries[k].forwards)
                continue;
            make_free(node, out, k);
            node->rooted_count--;
        }
    }
}

static void
look_through(struct dora_node *node, struct dora__out *out,
             enum dora__list list)
{
    uint32_t next;

    for (uint32_t k = out->lists[list].first; k != nothing; k = next) {
        next = out->entries[k].next;
        if (let_go(record_of(node, out, k)))
            reclaim(node, out, k);
    }
}

static void
reclaim_all(struct dora_node *node)
{
    for (uint32_t i = 0; i < node->out_count; i++) {
        look_through(node, &node->outs[i], DORA__FLIGHT);
        look_through(node, &node->outs[i], DORA__HELD);
    }
    if (node->rooted_count > 0)
        scan_roots(node);
}

/* A loan's share of the work. */
static void
reclaim_some(struct dora_node *node, struct dora__out *out)
{
    for (unsigned i = 0; i < LOOK_AT; i++) {
        uint32_t k = out->lists[DORA__FLIGHT].first;

        if (k == nothing)
            break;
        if (let_go(record_of(node, out, k)))
            reclaim(node, out, k);
        else if (out->lists[DORA__FLIGHT].count > out->flight_limit)
            chain_move(out, k, DORA__HELD);
        else
            break;
    }
    if (out->lists[DORA__HELD].count > 0) {
        uint32_t k = out->lists[DORA__HELD].first;

        if (let_go(record_of(node, out, k)))
            reclaim(node, out, k);
        else
            chain_move(out, k, DORA__HELD);
    }
    if (node->rooted_count > 0 &&
        (uint64_t)++node->loans_since_scan * SCAN_RECORDS >= node->scan_cost)
        scan_roots(node);
}

/* --- growing
 * ---------------------------------------------------------------------- */

/* Bytes of all heaps together stay within the budget. */
static int
charge(struct dora_node *node, uint64_t size)
{
    struct dora__control *control = node->control;
    uint64_t backed = atomic_fetch_add_explicit(&control->backed, size,
                                                memory_order_relaxed) +
                      size;

    if (control->budget != 0 && backed > control->budget) {
        atomic_fetch_sub_explicit(&control->backed, size, memory_order_relaxed);
        return -ENOSPC;
    }
    atomic_fetch_add_explicit(&node->shared->backed, size,
                              memory_order_relaxed);
    return 0;
}

static void
discharge(struct dora_node *node, uint64_t size)
{
    atomic_fetch_sub_explicit(&node->shared->backed, size,
                              memory_order_relaxed);
    atomic_fetch_sub_explicit(&node->control->backed, size,
                              memory_order_relaxed);
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
        return -EAGAIN;
    failed = charge(node, size);
    if (failed < 0)
        return failed;
    failed = dora__segment_back(node->heaps_fd, node->own_at + at, size);
    if (failed < 0) {
        unback(node, at, size);
        return failed;
    }
    dora__segment_populate(node->own + at, size);
    return 0;
}

/* Room in the books for `count` records, all of them free. */
static int
extend(struct dora__out *out, uint32_t count)
{
    struct dora__entry *entries =
        realloc(out->entries, count * sizeof *entries);

    if (entries == NULL)
        return -ENOMEM;
    out->entries = entries;
    memset(entries + out->entry_count, 0,
           (count - out->entry_count) * sizeof *entries);
    for (; out->entry_count < count; out->entry_count++)
        chain_append(out, out->entry_count, DORA__FREE);
    return 0;
}

/* Twice as many records, within the limit. */
static int
grow_records(struct dora_node *node, struct dora__out *out)
{
    uint32_t old = out->entry_count;
    uint32_t limit = out->shared->record_limit;
    uint32_t count = old > limit / 2 ? limit : old * 2;
    uint64_t bytes = (uint64_t)(count - old) * sizeof(struct dora__record);
    int failed;

    if (count == old)
        return -ENOSPC;
    failed =
        dora__segment_back(node->control_fd,
                           node->control->records_at +
                               ((uint64_t)out->shared->first_record + old) *
                                   sizeof(struct dora__record),
                           bytes);
    if (failed == 0)
        failed = extend(out, count);
    if (failed == 0)
        /* Pairs with the acquire loads of whoever scans the table. */
        atomic_store_explicit(&out->shared->record_count, count,
                              memory_order_release);
    return failed;
}

static int
take_record(struct dora_node *node, struct dora__out *out, uint32_t *ret_k)
{
    if (out->lists[DORA__FREE].count == 0) {
        look_through(node, out, DORA__FLIGHT);
        look_through(node, out, DORA__HELD);
        if (node->rooted_count > 0 && out->lists[DORA__FREE].count == 0)
            scan_roots(node);
    }
    if (out->lists[DORA__FREE].count == 0) {
        int failed = grow_records(node, out);

        if (failed < 0)
            return failed;
    }
    /* The last: most recently used, most likely in cache. */
    *ret_k = out->lists[DORA__FREE].last;
    return 0;
}

static int
take_block(struct dora_node *node, uint64_t size, uint64_t *ret_at)
{
    int failed;

    if (node->heap == NULL)
        return -ENOSPC;
    node->may_grow = false;
    failed = dora__heap_take(node->heap, size, ret_at);
    if (failed < 0 && failed != -ENOMEM) {
        reclaim_all(node);
        node->may_grow = true;
        failed = dora__heap_take(node->heap, size, ret_at);
    }
    if (failed == 0)
        publish_usage(node);
    return failed;
}

/* --- taking a loan
 * ------------------------------------------------------------------ */

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
    uint32_t k;
    int failed;

    reclaim_some(node, out);
    failed = take_record(node, out, &k);
    if (failed == 0 && size > 0)
        failed = take_block(node, size, &offset);
    if (failed < 0)
        return failed == -ENOMEM ? -ENOSPC : failed;
    k = out->lists[DORA__FREE].last; /* take_block may have freed others */
    record = record_of(node, out, k);
    fill_record(node, wish, record, node->own_at + offset, size);
    out->entries[k].forwards =
        atomic_load_explicit(&record->forwards, memory_order_relaxed);
    chain_move(out, k, DORA__FLIGHT);
    /* Release: whoever sees it live sees its fields. */
    atomic_store_explicit(&record->holders, DORA__OWN_BIT,
                          memory_order_release);
    loan->output = (uint32_t)wish->output;
    loan->record = out->shared->first_record + k;
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

/* --- waiting for memory
 * ------------------------------------------------------------- */

static void
starve(struct dora_node *node, bool begin)
{
    (void)pthread_mutex_lock(&node->send);
    node->starving += begin ? 1 : UINT32_MAX;
    /* Pairs with the fence of a consumer's release, by dora__bell_arm's. */
    atomic_store_explicit(&node->shared->starved, node->starving > 0,
                          memory_order_seq_cst);
    (void)pthread_mutex_unlock(&node->send);
}

static int
take_waiting(struct dora_node *node, const struct dora__wish *wish,
             struct dora_loan *loan, struct dora_error *err)
{
    int64_t deadline = dora__deadline(wish->timeout_ns);
    int failed;

    starve(node, true);
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
        failed = dora__node_sleep(node, word, deadline);
        if (failed < 0) {
            dora__error_set(err, "no memory became free in time");
            break;
        }
    }
    starve(node, false);
    return failed;
}

static int
out_of_memory(struct dora_node *node, const struct dora__wish *wish,
              struct dora_error *err)
{
    struct dora__text holders = {0};
    const struct dora__shared_node *shared = node->shared;
    int code;

    dora__holders_line(node->control, node->number, &holders);
    code = dora__fail(
        err, ENOSPC,
        "no memory for %zu bytes on output '%s': %.1f of %.1f MB in use (all "
        "nodes: %.1f of %.1f MB), %u of %u messages; held by %s",
        wish->size, dora__node_output_id(node, (size_t)wish->output),
        (double)atomic_load_explicit(&shared->used, memory_order_relaxed) / 1e6,
        (double)shared->heap_limit / 1e6,
        (double)atomic_load_explicit(&node->control->backed,
                                     memory_order_relaxed) /
            1e6,
        (double)node->control->budget / 1e6,
        node->outs[wish->output].entry_count -
            node->outs[wish->output].lists[DORA__FREE].count,
        node->outs[wish->output].shared->record_limit,
        holders.text != NULL ? holders.text : "nobody");
    free(holders.text);
    return code;
}

/* --- metadata
 * ----------------------------------------------------------------------- */

static bool
is_key(const struct dora_meta_pair *pair, const char *key)
{
    return pair->key_size == strlen(key) &&
           memcmp(pair->key, key, pair->key_size) == 0;
}

/* Checks the format, and finds the keys that change how it is queued. */
static int
read_metadata(const struct dora__wish *wish, struct dora_loan *loan,
              struct dora_error *err)
{
    struct dora_meta_pair pair;
    size_t at = 0;
    int more;

    loan->is_protected = loan->flush = false;
    if (wish->metadata_size == 0)
        return 0;
    while ((more = dora_metadata_next(wish->metadata, wish->metadata_size, &at,
                                      &pair)) == 1) {
        if (is_key(&pair, "request_id") || is_key(&pair, "goal_id") ||
            is_key(&pair, "goal_status"))
            loan->is_protected = true;
        else if (is_key(&pair, "flush") && pair.type == DORA_META_BOOL)
            loan->flush = pair.as.boolean;
    }
    if (more < 0)
        return dora__fail(err, EINVAL, "the metadata is not in the format");
    return 0;
}

/* --- loans
 * -------------------------------------------------------------------------- */

static int
check_wish(const struct dora_node *node, const struct dora__wish *wish,
           struct dora_error *err)
{
    if (!dora__node_alive(node))
        return dora__fail(err, ECHILD,
                          "a forked child cannot use its parent's node");
    if (wish->output < 0 || (uint32_t)wish->output >= node->out_count)
        return dora__fail(err, ENOENT, "node '%s' has no output number %d",
                          dora_node_id(node), wish->output);
    if (wish->metadata_size > UINT32_MAX ||
        (wish->root == 0 && wish->size > node->own_size) ||
        block_size(wish) > node->own_size)
        return dora__fail(err, EMSGSIZE,
                          "%zu bytes on output '%s' are more than the node's "
                          "limit of %zu bytes (heap_limit)",
                          wish->size,
                          dora__node_output_id(node, (size_t)wish->output),
                          node->own_size);
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
    failed = take_locked(node, wish, loan);
    if (failed == -ENOSPC && node->shared->heap_wait)
        failed = take_waiting(node, wish, loan, err);
    else if (failed == -ENOSPC)
        failed = out_of_memory(node, wish, err);
    if (failed == -EPIPE)
        return dora__fail(err, EPIPE, "the node is closed");
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
        reclaim(node, out, loan->record - out->shared->first_record);
}

static int
loan_new(struct dora_node *node, const struct dora__wish *wish,
         struct dora_loan **ret_loan, struct dora_error *err)
{
    struct dora_loan *loan;
    int failed;

    (void)pthread_mutex_lock(&node->send);
    loan = node->free_loans;
    if (loan != NULL)
        node->free_loans = loan->next;
    (void)pthread_mutex_unlock(&node->send);
    if (loan == NULL)
        loan = malloc(sizeof *loan);
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
    if (!dora__node_alive(node)) {
        free(loan);
        dora__node_unuse(node);
        return;
    }
    (void)pthread_mutex_lock(&node->send);
    dora__loan_end(loan);
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

void
dora__loans_trim(struct dora_node *node)
{
    if (node->heap != NULL)
        (void)dora__heap_trim(node->heap, node->shared->prefault);
}

/* --- beginning
 * ------------------------------------------------------------------------ */

static uint32_t
queue_bounds(const struct dora_node *node, const struct dora__output *output)
{
    uint32_t sum = 0;

    for (unsigned bit = 1; bit < DORA_COUNT(output->edge); bit++)
        if (output->edge[bit] != nothing)
            sum += dora__edge_of(node->control, output->edge[bit])->bound;
    return sum;
}

/* What an earlier incarnation sent and somebody may still read stays. */
static int
adopt(struct dora_node *node, struct dora__out *out, uint32_t k)
{
    struct dora__record *record = record_of(node, out, k);
    uint64_t size =
        atomic_load_explicit(&record->block_size, memory_order_relaxed);
    bool named =
        atomic_load_explicit(&record->forwards, memory_order_acquire) != 0;

    if (let_go(record) && !named) {
        atomic_store_explicit(&record->block_size, 0, memory_order_relaxed);
        return 0;
    }
    chain_move(out, k, let_go(record) ? DORA__ROOTED : DORA__FLIGHT);
    node->rooted_count += out->entries[k].list == DORA__ROOTED;
    if (size == 0)
        return 0;
    return dora__heap_claim(
        node->heap,
        atomic_load_explicit(&record->block_at, memory_order_relaxed) -
            node->own_at,
        size);
}

static int
init_out(struct dora_node *node, struct dora__out *out,
         struct dora__output *shared)
{
    int failed;

    out->shared = shared;
    for (unsigned list = 0; list < DORA__LISTS; list++)
        out->lists[list].first = out->lists[list].last = nothing;
    out->flight_limit = queue_bounds(node, shared) + 8;
    failed = extend(
        out, atomic_load_explicit(&shared->record_count, memory_order_relaxed));
    for (uint32_t k = 0; failed == 0 && k < out->entry_count; k++)
        failed = adopt(node, out, k);
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

static int
init_books(struct dora_node *node)
{
    const struct dora__heap_backer backer = {
        .back = back, .unback = unback, .arg = node};
    uint32_t count = node->shared->output_count;
    int failed = 0;

    if (node->own_size > 0)
        failed = dora__heap_new(node->own_size, &backer, &node->heap);
    if (failed < 0)
        return failed;
    node->outs = calloc(count + 1, sizeof *node->outs);
    if (node->outs == NULL)
        return -ENOMEM;
    for (; failed == 0 && node->out_count < count; node->out_count++)
        failed =
            init_out(node, &node->outs[node->out_count],
                     dora__output_of(node->control, node->shared->first_output +
                                                        node->out_count));
    return failed;
}

int
dora__loans_init(struct dora_node *node, struct dora_error *err)
{
    int failed = init_books(node);

    if (failed < 0)
        return dora__fail(err, -failed,
                          "cannot set up the memory of node '%s': %s",
                          dora_node_id(node), strerror(-failed));
    if (node->heap != NULL) {
        settle_heap(node);
        prefault(node);
        publish_usage(node);
    }
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
    for (uint32_t i = 0; node->outs != NULL && i < node->out_count; i++)
        free(node->outs[i].entries);
    free(node->outs);
    dora__heap_free(node->heap);
}
