/* plane_remains.c - the memory of a node that will not come back.
 *
 * Nobody allocates from its heap any more, so all of it but the blocks that
 * somebody may still read goes back to the system and to the budget of the
 * others. A block stays when its record has holders or was ever named as a
 * root; once both are over neither can begin again, since only a holder can
 * hand a record on. */
#include "plane_remains.h"

#include "layout.h"
#include "segment.h"

struct range {
    uint64_t begin, end; /* in the heaps file */
};

struct ranges {
    struct range *range;
    size_t count;
};

/* Acquire: whoever let go last had counted its forwards before. */
static bool
may_be_read(const struct dora__record *record)
{
    return atomic_load_explicit(&record->block_size, memory_order_relaxed) !=
               0 &&
           (atomic_load_explicit(&record->holders, memory_order_acquire) != 0 ||
            atomic_load_explicit(&record->forwards, memory_order_relaxed) != 0);
}

static void
add_kept(struct dora__control *control, const struct dora__output *output,
         struct ranges *kept)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint32_t count =
        atomic_load_explicit(&output->record_count, memory_order_acquire);

    for (uint32_t k = 0; k < count; k++) {
        const struct dora__record *record =
            dora__record_of(control, output->first_record + k);
        uint64_t at, size;

        if (!may_be_read(record))
            continue;
        at = atomic_load_explicit(&record->block_at, memory_order_relaxed);
        size = atomic_load_explicit(&record->block_size, memory_order_relaxed);
        kept->range[kept->count++] = (struct range){
            .begin = at / page * page,
            .end = (at + size + page - 1) / page * page,
        };
    }
}

static int
by_place(const void *a, const void *b)
{
    const struct range *left = a, *right = b;

    return (left->begin > right->begin) - (left->begin < right->begin);
}

/* Gives back what lies between the kept ranges, and returns what stays. */
static uint64_t
punch_gaps(int heaps_fd, const struct dora__shared_node *node,
           const struct ranges *kept)
{
    uint64_t at = node->heap_at, stays = 0;

    for (size_t i = 0; i < kept->count; i++) {
        const struct range *range = &kept->range[i];

        if (range->begin > at)
            dora__segment_punch(heaps_fd, at, range->begin - at);
        if (range->end > at) {
            stays += range->end - (range->begin > at ? range->begin : at);
            at = range->end;
        }
    }
    if (at < node->heap_at + node->heap_range)
        dora__segment_punch(heaps_fd, at,
                            node->heap_at + node->heap_range - at);
    return stays;
}

static size_t
count_records(struct dora__control *control,
              const struct dora__shared_node *node)
{
    size_t count = 0;

    for (uint32_t i = 0; i < node->output_count; i++)
        count += atomic_load_explicit(
            &dora__output_of(control, node->first_output + i)->record_count,
            memory_order_acquire);
    return count;
}

void
dora__plane_return_heap(const struct dora__plane *plane, uint32_t number)
{
    struct dora__control *control = plane->control;
    struct dora__shared_node *node = dora__node_of(control, number);
    struct ranges kept = {
        .range = calloc(count_records(control, node) + 1, sizeof *kept.range),
    };

    if (kept.range == NULL || node->heap_range == 0) {
        free(kept.range);
        return;
    }
    for (uint32_t i = 0; i < node->output_count; i++)
        add_kept(control, dora__output_of(control, node->first_output + i),
                 &kept);
    qsort(kept.range, kept.count, sizeof *kept.range, by_place);
    atomic_store_explicit(&node->backed,
                          punch_gaps(plane->heaps_fd, node, &kept),
                          memory_order_relaxed);
    free(kept.range);
}
