/* node_sample.c - received values: how long their bytes stay.
 *
 * 1. While a sample has references its edge's bit is set in the record, and the
 *    bytes stay as they are. The last unref clears the bit: one
 *    read-modify-write, after which neither record nor bytes may be touched.
 * 2. References are counted in private memory: any thread may drop the last
 *    one, with no interpreter around.
 * 3. Who keeps every small value would use up the producer's records. Above a
 *    share of them small values are copied out of the shared memory. */
#include "node_private.h"

#include <string.h>

enum { COPY_LIMIT = 1024 };

static const uint32_t nothing = (uint32_t)DORA__NONE;

struct dora_sample *
dora__sample_new(struct dora_node *node)
{
    struct dora_sample *sample = node->free_samples;

    if (sample != NULL) {
        node->free_samples = sample->older;
        return sample;
    }
    return calloc(1, sizeof *sample);
}

void
dora__sample_return(struct dora_node *node, struct dora_sample *sample)
{
    sample->older = node->free_samples;
    node->free_samples = sample;
}

void
dora__samples_fini(struct dora_node *node)
{
    while (node->free_samples != NULL) {
        struct dora_sample *sample = node->free_samples;

        node->free_samples = sample->older;
        free(sample->copy);
        free(sample);
    }
}

/* --- held ones ----------------------------------------------------------- */

static void
hold(struct dora_node *node, struct dora_sample *sample)
{
    node->ins[sample->input].held++;
    sample->newer = NULL;
    sample->older = node->newest;
    if (node->newest != NULL)
        node->newest->newer = sample;
    node->newest = sample;
}

static void
unhold(struct dora_node *node, struct dora_sample *sample)
{
    node->ins[sample->input].held--;
    if (sample->newer != NULL)
        sample->newer->older = sample->older;
    else
        node->newest = sample->older;
    if (sample->older != NULL)
        sample->older->newer = sample->newer;
}

/* Lets a record go, and tells a producer that waits for memory. */
static void
release(struct dora_node *node, const struct dora__edge *edge, uint32_t record)
{
    struct dora__shared_node *producer =
        dora__node_of(node->control, edge->producer);

    dora__record_release(dora__record_of(node->control, record),
                         dora__edge_bit(edge));
    if (!producer->heap_wait)
        return;
    /* Pairs with the fence of the producer's dora__bell_arm. */
    dora__fence_full();
    if (atomic_load_explicit(&producer->starved, memory_order_relaxed))
        dora__bell_ring_fenced(&producer->bell);
}

/* --- filling ------------------------------------------------------------- */

/* What the record says; it is ours through the edge's bit. */
static void
refer(struct dora_node *node, struct dora_sample *sample,
      const struct dora__record *record)
{
    uint64_t metadata_at =
        atomic_load_explicit(&record->metadata_size, memory_order_relaxed) == 0
            ? 0
            : atomic_load_explicit(&record->metadata_at, memory_order_relaxed);

    sample->at = atomic_load_explicit(&record->at, memory_order_relaxed);
    sample->size =
        (size_t)atomic_load_explicit(&record->size, memory_order_relaxed);
    sample->metadata_size =
        atomic_load_explicit(&record->metadata_size, memory_order_relaxed);
    sample->value = (enum dora_value)atomic_load_explicit(&record->value,
                                                          memory_order_relaxed);
    sample->data = node->heaps + sample->at;
    sample->metadata = node->heaps + metadata_at;
    if (sample->size > 0)
        dora__window_open(&node->all_heaps, sample->at, sample->size);
    if (sample->metadata_size > 0)
        dora__window_open(&node->all_heaps, metadata_at, sample->metadata_size);
}

/* False: no memory; the sample goes on referring to the record. */
static bool
copy_out(struct dora_node *node, struct dora_sample *sample)
{
    size_t padded = (sample->size + 63) & ~(size_t)63;

    if (sample->copy == NULL)
        sample->copy = aligned_alloc(64, 2 * COPY_LIMIT);
    if (sample->copy == NULL)
        return false;
    memcpy(sample->copy, sample->data, sample->size);
    memcpy(sample->copy + padded, sample->metadata, sample->metadata_size);
    sample->data = sample->copy;
    sample->metadata = sample->copy + padded;
    atomic_fetch_add_explicit(&node->shared->copied_out, sample->size,
                              memory_order_relaxed);
    return true;
}

void
dora__sample_fill(struct dora_node *node, struct dora_sample *sample,
                  uint32_t number, uint32_t record)
{
    struct dora__in *in = &node->ins[number];

    atomic_store_explicit(&sample->references, 1, memory_order_relaxed);
    sample->node = node;
    sample->input = number;
    sample->record = record;
    refer(node, sample, dora__record_of(node->control, record));
    dora__node_use(node);
    if (in->held >= in->held_limit && sample->size <= COPY_LIMIT &&
        sample->metadata_size <= COPY_LIMIT && copy_out(node, sample)) {
        sample->record = nothing;
        release(node, in->edge, record);
        return;
    }
    hold(node, sample);
}

/* --- references ---------------------------------------------------------- */

struct dora_sample *
dora_sample_ref(struct dora_sample *sample)
{
    atomic_fetch_add_explicit(&sample->references, 1, memory_order_relaxed);
    return sample;
}

/* Whether a record may still be released: not by a forked child, and not after
 * the host gave the node to another process. */
static bool
may_release(const struct dora_node *node)
{
    return atomic_load_explicit(&node->shared->incarnation,
                                memory_order_relaxed) == node->incarnation;
}

static void
sample_end(struct dora_sample *sample)
{
    struct dora_node *node = sample->node;
    uint32_t record = sample->record;
    const struct dora__edge *edge = node->ins[sample->input].edge;

    (void)pthread_mutex_lock(&node->receive);
    if (record != nothing)
        unhold(node, sample);
    dora__sample_return(node, sample);
    (void)pthread_mutex_unlock(&node->receive);
    if (record != nothing && may_release(node))
        release(node, edge, record);
    dora__node_unuse(node);
}

/* In a forked child: the record is its parent's, and so may the lock be. */
static void
sample_forget(struct dora_sample *sample)
{
    struct dora_node *node = sample->node;

    free(sample->copy);
    free(sample);
    dora__node_unuse(node);
}

void
dora_sample_unref(struct dora_sample *sample)
{
    /* Release our use, acquire everybody's. */
    if (sample == NULL || atomic_fetch_sub_explicit(&sample->references, 1,
                                                    memory_order_acq_rel) != 1)
        return;
    if (dora__node_alive(sample->node))
        sample_end(sample);
    else
        sample_forget(sample);
}

/* False: the last reference is being dropped. */
static bool
ref_if_alive(struct dora_sample *sample)
{
    uint32_t references =
        atomic_load_explicit(&sample->references, memory_order_relaxed);

    while (references != 0)
        if (atomic_compare_exchange_weak_explicit(
                &sample->references, &references, references + 1,
                memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

struct dora_sample *
dora__node_find_sample(struct dora_node *node, const void *data, size_t size)
{
    uintptr_t at = (uintptr_t)data - (uintptr_t)node->heaps;
    struct dora_sample *sample = NULL;

    if (!dora__node_alive(node) || at >= node->control->heaps_size)
        return NULL;
    (void)pthread_mutex_lock(&node->receive);
    for (sample = node->newest; sample != NULL; sample = sample->older)
        if (at >= sample->at && at - sample->at <= sample->size &&
            size <= sample->size - (at - sample->at) && ref_if_alive(sample))
            break;
    (void)pthread_mutex_unlock(&node->receive);
    return sample;
}

const void *
dora__sample_data(const struct dora_sample *sample)
{
    return sample->data;
}

uint64_t
dora__sample_offset(const struct dora_sample *sample)
{
    return sample->at;
}
