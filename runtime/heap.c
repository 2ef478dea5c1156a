/* heap.c - a private allocator over a range that others only read.
 *
 * 1. The extents cover [0, limit) without gap or overlap. Each is TAKEN, QUICK
 *    (free, kept whole for the next request of its size), WARM (free, backed)
 *    or COLD (free, not backed). No two WARM nor two COLD ones are neighbours.
 * 2. A unit is backed as a whole or not at all: COLD extents begin and end on
 *    unit boundaries (or at the limit).
 * 3. A block's extent is owned by the block, so giving it back needs no memory:
 *    merging only ever sets extents free. Whatever needs new ones reserves them
 *    before it changes anything.
 *
 * Extents hang together by address (`before`, `after`), so neighbours merge in
 * O(1); free ones also hang in bins by size, one set for WARM and one for COLD:
 * rows are powers of two, columns sixteenths of them, with bit maps to find the
 * first bin that surely fits. Bins are LIFO: what was written last is given out
 * first, while its pages are in the caches and the page tables. TAKEN extents
 * hang in a hash table by address.
 *
 * A request is served by: a QUICK block of its size; a WARM extent; COLD space,
 * only as much as the WARM extent before it lacks; a run of free extents of any
 * warmth; the same after unbacking idle space, when it was the backer's budget
 * that ended. Boundary tags inside the blocks, as usual elsewhere, are out of
 * the question: pages that nobody writes would be touched, and a node's stray
 * write could break its allocator. */
#include "heap.h"

#include <assert.h>
#include <string.h>

enum {
    ROWS = 56,
    COLUMNS = 16,
    QUICK_SIZES = 64, /* blocks up to 4 KiB */
    QUICK_DEPTH = 32, /* blocks kept of each size */
    SLAB = 62,        /* extents allocated together */
    FEW = 8,          /* extents looked at in a bin that may not fit */
};

enum warmth {
    TAKEN,
    QUICK,
    WARM,
    COLD,
};

struct extent {
    uint64_t at, size;
    struct extent *before, *after; /* by address */
    struct extent *next, *prev;    /* in its bin; TAKEN: hash chain; spare */
    enum warmth warmth;
};

struct slab {
    struct slab *next;
    struct extent extents[SLAB];
};

struct bins {
    uint64_t rows;          /* bit r: some column of row r */
    uint16_t columns[ROWS]; /* bit c: list[r][c] is not empty */
    struct extent *list[ROWS][COLUMNS];
};

struct dora__heap {
    uint64_t limit;
    struct dora__heap_backer backer;
    struct extent *first, *last;
    struct extent *cursor; /* where the last claim was */
    struct bins warm, cold;
    struct {
        struct extent *list;
        uint32_t depth;
    } quick[QUICK_SIZES];
    struct extent **buckets;
    size_t bucket_count; /* power of two */
    size_t taken_count;
    struct extent *spare;
    size_t spare_count;
    struct slab *slabs;
    struct dora__heap_usage usage;
    uint64_t idle; /* least of backed - used since the last trim */
};

static uint64_t
round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) & ~(multiple - 1);
}

static uint64_t
minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
end_of(const struct extent *x)
{
    return x->at + x->size;
}

/* --- extents ------------------------------------------------------------ */

static bool
reserve(struct dora__heap *h, size_t count)
{
    struct slab *slab;

    if (h->spare_count >= count)
        return true;
    slab = malloc(sizeof *slab);
    if (!slab)
        return false;
    slab->next = h->slabs;
    h->slabs = slab;
    for (size_t i = 0; i < SLAB; i++) {
        slab->extents[i].next = h->spare;
        h->spare = &slab->extents[i];
    }
    h->spare_count += SLAB;
    return true;
}

static struct extent *
extent_new(struct dora__heap *h)
{
    struct extent *x = h->spare;

    assert(x); /* reserved */
    h->spare = x->next;
    h->spare_count--;
    return x;
}

static void
extent_free(struct dora__heap *h, struct extent *x)
{
    x->next = h->spare;
    h->spare = x;
    h->spare_count++;
}

/* --- bins --------------------------------------------------------------- */

struct place {
    unsigned row, column;
};

static struct place
place_of(uint64_t size)
{
    uint64_t count = size / DORA__HEAP_ALIGN;
    unsigned exponent;

    if (count < COLUMNS)
        return (struct place){0, (unsigned)count};
    exponent = 63 - (unsigned)__builtin_clzll(count);
    return (struct place){exponent - 3,
                          (unsigned)(count >> (exponent - 4)) % COLUMNS};
}

/* The first place all of whose extents fit. */
static struct place
place_above(uint64_t size)
{
    uint64_t count = size / DORA__HEAP_ALIGN;

    if (count >= COLUMNS) {
        unsigned exponent = 63 - (unsigned)__builtin_clzll(count);

        size += ((UINT64_C(1) << (exponent - 4)) - 1) * DORA__HEAP_ALIGN;
    }
    return place_of(size);
}

static struct bins *
bins_of(struct dora__heap *h, const struct extent *x)
{
    return x->warmth == WARM ? &h->warm : &h->cold;
}

static void
list(struct dora__heap *h, struct extent *x)
{
    struct bins *bins = bins_of(h, x);
    struct place p = place_of(x->size);
    struct extent **head = &bins->list[p.row][p.column];

    x->prev = NULL;
    x->next = *head;
    if (*head)
        (*head)->prev = x;
    *head = x;
    bins->columns[p.row] |= (uint16_t)(1u << p.column);
    bins->rows |= UINT64_C(1) << p.row;
}

static void
unlist(struct dora__heap *h, struct extent *x)
{
    struct bins *bins = bins_of(h, x);
    struct place p = place_of(x->size);

    if (x->next)
        x->next->prev = x->prev;
    if (x->prev) {
        x->prev->next = x->next;
        return;
    }
    bins->list[p.row][p.column] = x->next;
    if (x->next)
        return;
    bins->columns[p.row] &= (uint16_t) ~(1u << p.column);
    if (!bins->columns[p.row])
        bins->rows &= ~(UINT64_C(1) << p.row);
}

/* An extent of at least `size`. Only with `thorough` a miss proves that there
 * is none. */
static struct extent *
find(const struct bins *bins, uint64_t size, bool thorough)
{
    struct place own = place_of(size), p = place_above(size);
    unsigned columns = bins->columns[p.row] & (~0u << p.column);
    uint64_t rows = bins->rows & (~UINT64_C(1) << p.row);
    struct extent *x = bins->list[own.row][own.column];

    for (unsigned i = 0; x && (i < FEW || thorough); i++, x = x->next)
        if (x->size >= size)
            return x;
    if (columns)
        return bins->list[p.row][__builtin_ctz(columns)];
    if (!rows)
        return NULL;
    p.row = (unsigned)__builtin_ctzll(rows);
    return bins->list[p.row][__builtin_ctz(bins->columns[p.row])];
}

/* --- by address --------------------------------------------------------- */

/* Cuts the end off `x`, which hangs in no bin; the rest does neither. */
static struct extent *
cut(struct dora__heap *h, struct extent *x, uint64_t size)
{
    struct extent *rest = extent_new(h);

    *rest = (struct extent){.at = x->at + size,
                            .size = x->size - size,
                            .before = x,
                            .after = x->after,
                            .warmth = x->warmth};
    if (x->after)
        x->after->before = rest;
    else
        h->last = rest;
    x->after = rest;
    x->size = size;
    return rest;
}

/* Takes [at, end) out of the listed extent `x`; what is over on either side
 * stays listed. Needs two spare extents. The part is in no bin. */
static struct extent *
isolate(struct dora__heap *h, struct extent *x, uint64_t at, uint64_t end)
{
    unlist(h, x);
    if (at > x->at) {
        struct extent *part = cut(h, x, at - x->at);

        list(h, x);
        x = part;
    }
    if (end < end_of(x))
        list(h, cut(h, x, end - x->at));
    return x;
}

static void
absorb_after(struct dora__heap *h, struct extent *x)
{
    struct extent *gone = x->after;

    x->size += gone->size;
    x->after = gone->after;
    if (gone->after)
        gone->after->before = x;
    else
        h->last = x;
    if (h->cursor == gone)
        h->cursor = x;
    extent_free(h, gone);
}

/* Gives the part, in no bin, its new warmth, joins it with neighbours of the
 * same and lists the result. */
static struct extent *
settle(struct dora__heap *h, struct extent *x, enum warmth warmth)
{
    x->warmth = warmth;
    if (x->after && x->after->warmth == warmth) {
        unlist(h, x->after);
        absorb_after(h, x);
    }
    if (x->before && x->before->warmth == warmth) {
        x = x->before;
        unlist(h, x);
        absorb_after(h, x);
    }
    list(h, x);
    return x;
}

/* --- taken blocks ------------------------------------------------------- */

static struct extent **
bucket_of(const struct dora__heap *h, uint64_t at)
{
    uint64_t mixed = at / DORA__HEAP_ALIGN * UINT64_C(0x9e3779b97f4a7c15);

    return &h->buckets[(mixed >> 20) & (h->bucket_count - 1)];
}

static void
hang(struct dora__heap *h, struct extent *x)
{
    struct extent **bucket = bucket_of(h, x->at);

    x->next = *bucket;
    *bucket = x;
}

/* Without memory the chains just get longer. */
static void
widen(struct dora__heap *h)
{
    struct extent **old = h->buckets;
    size_t old_count = h->bucket_count;
    struct extent **wider = calloc(old_count * 4, sizeof *wider);

    if (!wider)
        return;
    h->buckets = wider;
    h->bucket_count = old_count * 4;
    for (size_t i = 0; i < old_count; i++)
        while (old[i]) {
            struct extent *x = old[i];

            old[i] = x->next;
            hang(h, x);
        }
    free(old);
}

static void
mark_taken(struct dora__heap *h, struct extent *x)
{
    struct dora__heap_usage *usage = &h->usage;

    x->warmth = TAKEN;
    if (h->taken_count == h->bucket_count)
        widen(h);
    hang(h, x);
    h->taken_count++;
    usage->used += x->size;
    if (usage->used > usage->peak)
        usage->peak = usage->used;
    h->idle = minimum(h->idle, usage->backed - usage->used);
}

static struct extent *
unmark_taken(struct dora__heap *h, uint64_t at)
{
    struct extent **link = bucket_of(h, at), *x;

    while (*link && (*link)->at != at)
        link = &(*link)->next;
    x = *link;
    if (!x)
        return NULL;
    *link = x->next;
    h->taken_count--;
    h->usage.used -= x->size;
    return x;
}

/* --- quick blocks ------------------------------------------------------- */

static size_t
quick_number(uint64_t size)
{
    return size / DORA__HEAP_ALIGN - 1;
}

static struct extent *
quick_take(struct dora__heap *h, uint64_t size)
{
    size_t number = quick_number(size);
    struct extent *x;

    if (number >= QUICK_SIZES)
        return NULL;
    x = h->quick[number].list;
    if (x) {
        h->quick[number].list = x->next;
        h->quick[number].depth--;
    }
    return x;
}

static bool
quick_give(struct dora__heap *h, struct extent *x)
{
    size_t number = quick_number(x->size);

    if (number >= QUICK_SIZES || h->quick[number].depth >= QUICK_DEPTH)
        return false;
    x->warmth = QUICK;
    x->next = h->quick[number].list;
    h->quick[number].list = x;
    h->quick[number].depth++;
    return true;
}

static void
quick_flush(struct dora__heap *h)
{
    for (size_t i = 0; i < QUICK_SIZES; i++) {
        struct extent *x;

        while ((x = quick_take(h, (i + 1) * DORA__HEAP_ALIGN)))
            (void)settle(h, x, WARM);
    }
}

/* --- warming and cooling ------------------------------------------------ */

/* Backs the beginning of the COLD extent, at least `size` bytes where it has
 * as many. *ret_warm holds them and what was warm around. */
static int
warm_up(struct dora__heap *h, struct extent *cold, uint64_t size,
        struct extent **ret_warm)
{
    uint64_t backed = minimum(round_up(size, DORA__HEAP_UNIT), cold->size);
    int r;

    if (!reserve(h, 2))
        return -ENOMEM;
    r = h->backer.back(h->backer.arg, cold->at, backed);
    if (r < 0)
        return r;
    h->usage.backed += backed;
    cold = isolate(h, cold, cold->at, cold->at + backed);
    *ret_warm = settle(h, cold, WARM);
    return 0;
}

/* Unbacks at most `amount` of the WARM space, from the end of the range. */
static uint64_t
cool_down(struct dora__heap *h, uint64_t amount)
{
    uint64_t cooled = 0;

    for (struct extent *x = h->last; x && cooled < amount; x = x->before) {
        uint64_t at = round_up(x->at, DORA__HEAP_UNIT), end = end_of(x);

        if (x->warmth != WARM)
            continue;
        if (end != h->limit)
            end -= end % DORA__HEAP_UNIT;
        if (end > at && end - at > amount - cooled)
            at = round_up(end - (amount - cooled), DORA__HEAP_UNIT);
        if (end <= at || !reserve(h, 2))
            continue;
        x = isolate(h, x, at, end);
        h->backer.unback(h->backer.arg, at, end - at);
        h->usage.backed -= end - at;
        cooled += end - at;
        x = settle(h, x, COLD);
    }
    return cooled;
}

/* A WARM extent made of the first run of free ones that is long enough; NULL if
 * no run is. */
static int
join_run(struct dora__heap *h, uint64_t size, struct extent **ret_warm)
{
    struct extent *start = h->first, *x = h->first;
    uint64_t run = 0;

    for (; x && run < size; x = x->after) {
        run += x->size;
        if (x->warmth == TAKEN) {
            run = 0;
            start = x->after;
        }
    }
    *ret_warm = NULL;
    if (run < size)
        return 0;
    x = start;
    while (x->warmth != WARM || x->size < size) {
        struct extent *cold = x->warmth == COLD ? x : x->after;
        uint64_t have = cold == x ? 0 : x->size;
        int r = warm_up(h, cold, size - have, &x);

        if (r < 0)
            return r;
    }
    *ret_warm = x;
    return 0;
}

/* What takes longer than a look into the bins of WARM ones. 0 with NULL: there
 * is no gap; an error is the backer's, or -ENOMEM. */
static int
find_colder(struct dora__heap *h, uint64_t size, struct extent **ret_warm)
{
    struct extent *x;
    uint64_t have;

    quick_flush(h);
    x = find(&h->warm, size, true);
    if (x) {
        *ret_warm = x;
        return 0;
    }
    x = find(&h->cold, size, true);
    if (!x)
        return join_run(h, size, ret_warm);
    have = x->before && x->before->warmth == WARM ? x->before->size : 0;
    return warm_up(h, x, size - have, ret_warm);
}

/* --- public ------------------------------------------------------------- */

int
dora__heap_new(uint64_t limit, const struct dora__heap_backer *backer,
               struct dora__heap **ret_heap)
{
    enum { BUCKETS = 64 };
    struct dora__heap *h;

    if (!limit || limit % DORA__HEAP_ALIGN || limit > INT64_MAX / 2)
        return -EINVAL;
    h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->limit = limit;
    h->backer = *backer;
    h->bucket_count = BUCKETS;
    h->buckets = calloc(BUCKETS, sizeof(struct extent *));
    if (!h->buckets || !reserve(h, 1)) {
        dora__heap_free(h);
        return -ENOMEM;
    }
    h->first = h->last = h->cursor = extent_new(h);
    *h->first = (struct extent){.size = limit, .warmth = COLD};
    list(h, h->first);
    *ret_heap = h;
    return 0;
}

struct dora__heap *
dora__heap_free(struct dora__heap *h)
{
    if (!h)
        return NULL;
    while (h->slabs) {
        struct slab *slab = h->slabs;

        h->slabs = slab->next;
        free(slab);
    }
    free(h->buckets);
    free(h);
    return NULL;
}

int
dora__heap_take(struct dora__heap *h, uint64_t size, uint64_t *ret_at)
{
    struct extent *x;

    if (size > h->limit)
        return -ENOSPC;
    size = size ? round_up(size, DORA__HEAP_ALIGN) : DORA__HEAP_ALIGN;
    x = quick_take(h, size);
    if (!x) {
        x = find(&h->warm, size, false);
        if (!x) {
            int r = find_colder(h, size, &x);

            /* The budget may be spent on idle space elsewhere. */
            if (r < 0 && r != -ENOMEM && cool_down(h, UINT64_MAX))
                r = find_colder(h, size, &x);
            if (r < 0)
                return r;
            if (!x)
                return -ENOSPC;
        }
        if (!reserve(h, 2))
            return -ENOMEM;
        x = isolate(h, x, x->at, x->at + size);
    }
    mark_taken(h, x);
    *ret_at = x->at;
    return 0;
}

void
dora__heap_give(struct dora__heap *h, uint64_t at)
{
    struct extent *x = unmark_taken(h, at);

    assert(x);
    if (x && !quick_give(h, x))
        (void)settle(h, x, WARM);
}

/* The extent that holds the byte `at`. */
static struct extent *
extent_at(struct dora__heap *h, uint64_t at)
{
    struct extent *x = h->cursor;

    while (at < x->at)
        x = x->before;
    while (at >= end_of(x))
        x = x->after;
    return h->cursor = x;
}

int
dora__heap_claim(struct dora__heap *h, uint64_t at, uint64_t size)
{
    uint64_t end, low, high;
    struct extent *x;

    if (at % DORA__HEAP_ALIGN || at >= h->limit || size > h->limit - at)
        return -EINVAL;
    end = at + (size ? round_up(size, DORA__HEAP_ALIGN) : DORA__HEAP_ALIGN);
    for (x = extent_at(h, at); x && x->at < end; x = x->after)
        if (x->warmth == TAKEN)
            return -EINVAL;
    low = at - at % DORA__HEAP_UNIT;
    high = minimum(round_up(end, DORA__HEAP_UNIT), h->limit);
    for (x = extent_at(h, low); x && x->at < high; x = x->after) {
        uint64_t from = x->at > low ? x->at : low;
        uint64_t to = minimum(end_of(x), high);

        if (x->warmth != COLD)
            continue;
        if (!reserve(h, 2))
            return -ENOMEM;
        h->usage.backed += to - from;
        x = settle(h, isolate(h, x, from, to), WARM);
    }
    if (!reserve(h, 2))
        return -ENOMEM;
    mark_taken(h, isolate(h, extent_at(h, at), at, end));
    return 0;
}

void
dora__heap_visit_cold(const struct dora__heap *h,
                      void (*visit)(void *arg, uint64_t at, uint64_t size),
                      void *arg)
{
    for (const struct extent *x = h->first; x; x = x->after)
        if (x->warmth == COLD)
            visit(arg, x->at, x->size);
}

uint64_t
dora__heap_trim(struct dora__heap *h, uint64_t keep)
{
    uint64_t backed = h->usage.backed;
    uint64_t amount = minimum(h->idle, backed > keep ? backed - keep : 0);

    if (amount >= DORA__HEAP_UNIT) {
        quick_flush(h);
        amount = cool_down(h, amount);
    } else {
        amount = 0;
    }
    h->idle = h->usage.backed - h->usage.used;
    return amount;
}

struct dora__heap_usage
dora__heap_usage(const struct dora__heap *h)
{
    return h->usage;
}

static bool
check_extent(const struct dora__heap *h, const struct extent *x)
{
    uint64_t end = end_of(x);
    enum warmth other = x->after ? x->after->warmth : TAKEN;

    if (!x->size || x->size % DORA__HEAP_ALIGN)
        return false;
    if (x->after ? x->after->before != x || x->after->at != end
                 : h->last != x || end != h->limit)
        return false;
    if (x->warmth == COLD &&
        (x->at % DORA__HEAP_UNIT || (end % DORA__HEAP_UNIT && end != h->limit)))
        return false;
    return other != x->warmth || (other != WARM && other != COLD);
}

bool
dora__heap_check(const struct dora__heap *h)
{
    uint64_t used = 0, cold = 0;
    size_t listed = 0, free_count = 0, taken = 0;

    for (const struct extent *x = h->first; x; x = x->after) {
        if (!check_extent(h, x))
            return false;
        used += x->warmth == TAKEN ? x->size : 0;
        cold += x->warmth == COLD ? x->size : 0;
        taken += x->warmth == TAKEN;
        free_count += x->warmth == WARM || x->warmth == COLD;
    }
    for (unsigned i = 0; i < ROWS * COLUMNS; i++) {
        unsigned row = i / COLUMNS, column = i % COLUMNS;
        const struct extent *warm = h->warm.list[row][column];
        const struct extent *x = h->cold.list[row][column];

        if (!(h->warm.columns[row] >> column & 1) != !warm ||
            !(h->cold.columns[row] >> column & 1) != !x)
            return false;
        for (; warm; warm = warm->next)
            listed += warm->warmth == WARM;
        for (; x; x = x->next)
            listed += x->warmth == COLD;
    }
    return used == h->usage.used && h->limit - cold == h->usage.backed &&
           listed == free_count && taken == h->taken_count;
}
