/* plane_holders.c - who holds a node's memory: a reading of the table of
 * records. Nobody is stopped, so the answer is about right, not exact. */
#include "plane_holders.h"

#include "layout.h"
#include "plane.h"
#include "ring.h"

#include <string.h>

/* What one holder holds. */
struct share {
    uint32_t output, bit;
    uint64_t messages, bytes;
    int64_t oldest; /* CLOCK_MONOTONIC; INT64_MAX: none was sent yet */
};

struct shares {
    struct share *share;
    size_t count, capacity;
};

static struct share *
share_of(struct shares *shares, uint32_t output, uint32_t bit)
{
    for (size_t i = 0; i < shares->count; i++)
        if (shares->share[i].output == output && shares->share[i].bit == bit)
            return &shares->share[i];
    if (shares->count == shares->capacity) {
        size_t capacity = shares->capacity == 0 ? 16 : 2 * shares->capacity;
        struct share *grown =
            realloc(shares->share, capacity * sizeof *shares->share);

        if (grown == NULL)
            return NULL;
        shares->share = grown;
        shares->capacity = capacity;
    }
    shares->share[shares->count] =
        (struct share){.output = output, .bit = bit, .oldest = INT64_MAX};
    return &shares->share[shares->count++];
}

/* Adds a record to the shares of all its holders. */
static void
add_record(struct shares *shares, uint32_t output,
           const struct dora__record *record, uint64_t holders)
{
    int64_t time =
        (int64_t)atomic_load_explicit(&record->time, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&record->size, memory_order_relaxed);

    for (; holders != 0; holders &= holders - 1) {
        struct share *share =
            share_of(shares, output, (uint32_t)__builtin_ctzll(holders));

        if (share == NULL)
            return;
        share->messages++;
        share->bytes += size;
        if (time != 0 && time < share->oldest)
            share->oldest = time;
    }
}

static bool
owns(struct dora__control *control, const struct dora__shared_node *node,
     uint32_t record)
{
    for (uint32_t i = 0; i < node->output_count; i++) {
        const struct dora__output *output =
            dora__output_of(control, node->first_output + i);

        if (record - output->first_record < output->record_limit)
            return true;
    }
    return false;
}

/* Records of one output that pin memory of `node`: its own, and those of others
 * that name one of its as root. */
static void
add_output(struct dora__control *control, struct shares *shares,
           const struct dora__shared_node *node, uint32_t number)
{
    const struct dora__output *output = dora__output_of(control, number);
    bool own = dora__node_of(control, output->node) == node;
    uint32_t count =
        atomic_load_explicit(&output->record_count, memory_order_acquire);

    for (uint32_t k = 0; k < count; k++) {
        const struct dora__record *record =
            dora__record_of(control, output->first_record + k);
        uint64_t holders =
            atomic_load_explicit(&record->holders, memory_order_acquire);
        uint32_t root =
            atomic_load_explicit(&record->root, memory_order_relaxed);

        if (holders != 0 && (root == 0 ? own : owns(control, node, root - 1)))
            add_record(shares, number, record, holders);
    }
}

static int
older_first(const void *a, const void *b)
{
    const struct share *left = a, *right = b;

    return (left->oldest > right->oldest) - (left->oldest < right->oldest);
}

static struct shares
find_shares(struct dora__control *control, uint32_t number)
{
    struct shares shares = {0};

    for (uint32_t i = 0; i < control->output_count; i++)
        add_output(control, &shares, dora__node_of(control, number), i);
    if (shares.count > 1)
        qsort(shares.share, shares.count, sizeof *shares.share, older_first);
    return shares;
}

static void
describe(struct dora__control *control, const struct share *share,
         struct dora__text *out)
{
    const struct dora__output *output = dora__output_of(control, share->output);

    if (share->bit == 0) {
        dora__text_printf(
            out, "%s itself",
            dora__text_at(control, dora__node_of(control, output->node)->id));
    } else {
        const struct dora__edge *edge =
            dora__edge_of(control, output->edge[share->bit]);

        dora__text_printf(
            out, "%s/%s",
            dora__text_at(control, dora__node_of(control, edge->consumer)->id),
            dora__text_at(control, edge->id));
    }
    dora__text_printf(
        out, " %llu message%s (%.1f MB", (unsigned long long)share->messages,
        share->messages == 1 ? "" : "s", (double)share->bytes / 1e6);
    if (share->oldest != INT64_MAX)
        dora__text_printf(out, ", oldest %.1f s",
                          (double)(dora__now() - share->oldest) / 1e9);
    dora__text_puts(out, ")");
}

static void
describe_all(struct dora__control *control, uint32_t node,
             const char *separator, struct dora__text *out)
{
    struct shares shares = find_shares(control, node);

    for (size_t i = 0; i < shares.count; i++) {
        if (i > 0)
            dora__text_puts(out, separator);
        describe(control, &shares.share[i], out);
    }
    free(shares.share);
}

void
dora__holders_line(struct dora__control *control, uint32_t node,
                   struct dora__text *out)
{
    describe_all(control, node, ", ", out);
}

void
dora__plane_holders(const struct dora__plane *plane, uint32_t node,
                    struct dora__text *out)
{
    size_t before = out->size;

    describe_all(plane->control, node, "\n", out);
    if (out->size > before)
        dora__text_puts(out, "\n");
}
