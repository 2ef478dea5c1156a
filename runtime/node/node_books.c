/* node_books.c - the producer's books: which record a message gets, and when it
 * can be used again.
 *
 * 1. A record is free when its `holders` is 0 and no living record names it as
 *    its root; 0 is stable, since only the producer leaves it. There is no
 *    message "I am done with it": the producer looks, when it next needs one.
 * 2. Looking is cheap: records come back in about the order they went, so a
 *    loan looks at the oldest few in flight. What is in flight for longer than
 *    the queues are is held by somebody; of those a loan looks at one. Only
 *    when memory runs out are all looked at.
 * 3. Private books, shared truth: after a death the books are written anew from
 *    the table of records, nothing else of the old life is believed.
 *
 * Rejected: counting references of roots up and down (a crash between count and
 * use has to be repaired); a shared free list (a crash loses what it holds).
 * All of this runs under the send lock. */
#include "node_private.h"

#include "plane/segment.h"

#include <string.h>

enum {
    LOOK_AT = 4,       /* oldest in flight, per loan */
    SCAN_RECORDS = 64, /* records of the dataflow one loan may pay for */
};

static const uint32_t nothing = (uint32_t)DORA__NONE;

/* --- chains -------------------------------------------------------------- */

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

/* --- reclaiming ---------------------------------------------------------- */

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
make_free(struct dora_node *node, struct dora__out *out, uint32_t k)
{
    struct dora__record *record = record_of(node, out, k);

    if (atomic_load_explicit(&record->block_size, memory_order_relaxed) != 0) {
        dora__block_give(node, atomic_load_explicit(&record->block_at,
                                                    memory_order_relaxed));
        atomic_store_explicit(&record->block_size, 0, memory_order_relaxed);
    }
    chain_move(out, k, DORA__FREE);
}

/* Takes back a record that was let go; one that was ever named as a root waits
 * for a scan. */
void
dora__books_reclaim(struct dora_node *node, struct dora__out *out, uint32_t k)
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
    dora__fence_full();
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
            dora__books_reclaim(node, out, k);
    }
}

void
dora__books_reclaim_all(struct dora_node *node)
{
    for (uint32_t i = 0; i < node->out_count; i++) {
        look_through(node, &node->outs[i], DORA__FLIGHT);
        look_through(node, &node->outs[i], DORA__HELD);
    }
    if (node->rooted_count > 0)
        scan_roots(node);
}

/* A loan's share of the work. */
void
dora__books_reclaim_some(struct dora_node *node, struct dora__out *out)
{
    for (unsigned i = 0; i < LOOK_AT; i++) {
        uint32_t k = out->lists[DORA__FLIGHT].first;

        if (k == nothing)
            break;
        if (let_go(record_of(node, out, k)))
            dora__books_reclaim(node, out, k);
        else if (out->lists[DORA__FLIGHT].count > out->flight_limit)
            chain_move(out, k, DORA__HELD);
        else
            break;
    }
    if (out->lists[DORA__HELD].count > 0) {
        uint32_t k = out->lists[DORA__HELD].first;

        if (let_go(record_of(node, out, k)))
            dora__books_reclaim(node, out, k);
        else
            chain_move(out, k, DORA__HELD);
    }
    if (node->rooted_count > 0 &&
        (uint64_t)++node->loans_since_scan * SCAN_RECORDS >= node->scan_cost)
        scan_roots(node);
}

/* --- more records -------------------------------------------------------- */

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
    if (failed < 0)
        return -ENOSPC;
    failed = extend(out, count);
    if (failed == 0)
        /* Pairs with the acquire loads of whoever scans the table. */
        atomic_store_explicit(&out->shared->record_count, count,
                              memory_order_release);
    return failed;
}

int
dora__books_provide(struct dora_node *node, struct dora__out *out)
{
    if (out->lists[DORA__FREE].count == 0) {
        look_through(node, out, DORA__FLIGHT);
        look_through(node, out, DORA__HELD);
        if (node->rooted_count > 0 && out->lists[DORA__FREE].count == 0)
            scan_roots(node);
    }
    return out->lists[DORA__FREE].count == 0 ? grow_records(node, out) : 0;
}

uint32_t
dora__books_enter(struct dora_node *node, struct dora__out *out)
{
    /* The last: most recently used, most likely in cache. */
    uint32_t k = out->lists[DORA__FREE].last;

    out->entries[k].forwards = atomic_load_explicit(
        &record_of(node, out, k)->forwards, memory_order_relaxed);
    chain_move(out, k, DORA__FLIGHT);
    return out->shared->first_record + k;
}

/* --- beginning ----------------------------------------------------------- */

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
    /* In this order: whoever let go had counted its forwards before. */
    bool gone = let_go(record);
    bool named =
        atomic_load_explicit(&record->forwards, memory_order_relaxed) != 0;

    if (gone && !named) {
        atomic_store_explicit(&record->block_size, 0, memory_order_relaxed);
        return 0;
    }
    chain_move(out, k, gone ? DORA__ROOTED : DORA__FLIGHT);
    node->rooted_count += out->entries[k].list == DORA__ROOTED;
    if (size == 0)
        return 0;
    return dora__block_claim(
        node, atomic_load_explicit(&record->block_at, memory_order_relaxed),
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

int
dora__books_init(struct dora_node *node)
{
    uint32_t count = node->shared->output_count;
    int failed = 0;

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

void
dora__books_fini(struct dora_node *node)
{
    for (uint32_t i = 0; node->outs != NULL && i < node->out_count; i++)
        free(node->outs[i].entries);
    free(node->outs);
}
