/* space.c - extents by address and by size.
 *
 * 1. The extents cover [0, limit) without gap or overlap; `before` and `after`
 *    lead along them, so neighbours merge in O(1).
 * 2. WARM and COLD ones hang in bins by size, a set of bins for each. No two of
 *    the same are neighbours: settle joins them at once.
 * 3. Only isolate makes new extents, out of reserved ones; whatever frees space
 *    needs no memory.
 *
 * A row of bins is a power of two, its columns are sixteenths; bit maps find
 * the first bin that surely fits. Bins are LIFO: what was written last goes out
 * first, while its pages are in the caches and the page tables. Boundary tags
 * inside the blocks, as usual elsewhere, are out of the question: pages that
 * nobody writes would be touched, and a node's stray write could break its
 * allocator. */
#include "space.h"

#include <assert.h>

enum {
    ROWS = DORA__SPACE_ROWS,
    COLUMNS = DORA__SPACE_COLUMNS,
    SLAB = 62, /* extents allocated together */
    FEW = 8,   /* extents looked at in a bin that may not fit */
};

struct dora__slab {
    struct dora__slab *next;
    struct dora__extent extents[SLAB];
};

/* --- extents ------------------------------------------------------------ */

bool
dora__space_reserve(struct dora__space *s)
{
    struct dora__slab *slab;

    if (s->spare_count >= 2)
        return true;
    slab = malloc(sizeof *slab);
    if (!slab)
        return false;
    slab->next = s->slabs;
    s->slabs = slab;
    for (size_t i = 0; i < SLAB; i++) {
        slab->extents[i].next = s->spare;
        s->spare = &slab->extents[i];
    }
    s->spare_count += SLAB;
    return true;
}

static struct dora__extent *
extent_new(struct dora__space *s)
{
    struct dora__extent *x = s->spare;

    assert(x); /* reserved */
    s->spare = x->next;
    s->spare_count--;
    return x;
}

static void
extent_free(struct dora__space *s, struct dora__extent *x)
{
    x->next = s->spare;
    s->spare = x;
    s->spare_count++;
}

/* --- bins --------------------------------------------------------------- */

struct place {
    unsigned row, column;
};

static struct place
place_of(uint64_t size)
{
    uint64_t count = size / DORA__SPACE_ALIGN;
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
    uint64_t count = size / DORA__SPACE_ALIGN;

    if (count >= COLUMNS) {
        unsigned exponent = 63 - (unsigned)__builtin_clzll(count);

        size += ((UINT64_C(1) << (exponent - 4)) - 1) * DORA__SPACE_ALIGN;
    }
    return place_of(size);
}

static struct dora__space_bins *
bins_of(struct dora__space *s, const struct dora__extent *x)
{
    return x->warmth == DORA__WARM ? &s->warm : &s->cold;
}

static void
list(struct dora__space *s, struct dora__extent *x)
{
    struct dora__space_bins *bins = bins_of(s, x);
    struct place p = place_of(x->size);
    struct dora__extent **head = &bins->list[p.row][p.column];

    x->prev = NULL;
    x->next = *head;
    if (*head)
        (*head)->prev = x;
    *head = x;
    bins->columns[p.row] |= (uint16_t)(1u << p.column);
    bins->rows |= UINT64_C(1) << p.row;
}

static void
unlist(struct dora__space *s, struct dora__extent *x)
{
    struct dora__space_bins *bins = bins_of(s, x);
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

struct dora__extent *
dora__space_find(const struct dora__space *s, enum dora__warmth warmth,
                 uint64_t size, bool thorough)
{
    const struct dora__space_bins *bins =
        warmth == DORA__WARM ? &s->warm : &s->cold;
    struct place own = place_of(size), p = place_above(size);
    unsigned columns = bins->columns[p.row] & (~0u << p.column);
    uint64_t rows = bins->rows & (~UINT64_C(1) << p.row);
    struct dora__extent *x = bins->list[own.row][own.column];

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
static struct dora__extent *
cut(struct dora__space *s, struct dora__extent *x, uint64_t size)
{
    struct dora__extent *rest = extent_new(s);

    *rest = (struct dora__extent){.at = x->at + size,
                                  .size = x->size - size,
                                  .before = x,
                                  .after = x->after,
                                  .warmth = x->warmth};
    if (x->after)
        x->after->before = rest;
    else
        s->last = rest;
    x->after = rest;
    x->size = size;
    return rest;
}

struct dora__extent *
dora__space_isolate(struct dora__space *s, struct dora__extent *x, uint64_t at,
                    uint64_t end)
{
    unlist(s, x);
    if (at > x->at) {
        struct dora__extent *part = cut(s, x, at - x->at);

        list(s, x);
        x = part;
    }
    if (end < dora__extent_end(x))
        list(s, cut(s, x, end - x->at));
    return x;
}

static void
absorb_after(struct dora__space *s, struct dora__extent *x)
{
    struct dora__extent *gone = x->after;

    x->size += gone->size;
    x->after = gone->after;
    if (gone->after)
        gone->after->before = x;
    else
        s->last = x;
    if (s->cursor == gone)
        s->cursor = x;
    extent_free(s, gone);
}

struct dora__extent *
dora__space_settle(struct dora__space *s, struct dora__extent *x,
                   enum dora__warmth warmth)
{
    x->warmth = warmth;
    if (x->after && x->after->warmth == warmth) {
        unlist(s, x->after);
        absorb_after(s, x);
    }
    if (x->before && x->before->warmth == warmth) {
        x = x->before;
        unlist(s, x);
        absorb_after(s, x);
    }
    list(s, x);
    return x;
}

struct dora__extent *
dora__space_at(struct dora__space *s, uint64_t at)
{
    struct dora__extent *x = s->cursor;

    while (at < x->at)
        x = x->before;
    while (at >= dora__extent_end(x))
        x = x->after;
    return s->cursor = x;
}

/* --- life ---------------------------------------------------------------- */

int
dora__space_init(struct dora__space *s, uint64_t limit)
{
    struct dora__extent *x;

    *s = (struct dora__space){.limit = limit};
    if (!dora__space_reserve(s))
        return -ENOMEM;
    x = extent_new(s);
    *x = (struct dora__extent){.size = limit, .warmth = DORA__COLD};
    s->first = s->last = s->cursor = x;
    list(s, x);
    return 0;
}

void
dora__space_fini(struct dora__space *s)
{
    while (s->slabs) {
        struct dora__slab *slab = s->slabs;

        s->slabs = slab->next;
        free(slab);
    }
}

static size_t
check_bins(const struct dora__space_bins *bins, enum dora__warmth warmth)
{
    size_t listed = 0;

    for (unsigned row = 0; row < ROWS; row++) {
        if (!(bins->rows >> row & 1) != !bins->columns[row])
            return SIZE_MAX;
        for (unsigned column = 0; column < COLUMNS; column++) {
            const struct dora__extent *x = bins->list[row][column];

            if (!(bins->columns[row] >> column & 1) != !x)
                return SIZE_MAX;
            for (; x && x->warmth == warmth; x = x->next)
                listed++;
        }
    }
    return listed;
}

static bool
check_extent(const struct dora__space *s, const struct dora__extent *x)
{
    uint64_t end = dora__extent_end(x);

    if (!x->size || x->size % DORA__SPACE_ALIGN)
        return false;
    if (!x->after)
        return s->last == x && end == s->limit;
    return x->after->before == x && x->after->at == end &&
           (x->after->warmth != x->warmth || x->warmth == DORA__TAKEN ||
            x->warmth == DORA__QUICK);
}

bool
dora__space_check(const struct dora__space *s)
{
    size_t warm = 0, cold = 0;

    for (const struct dora__extent *x = s->first; x; x = x->after) {
        if (!check_extent(s, x))
            return false;
        warm += x->warmth == DORA__WARM;
        cold += x->warmth == DORA__COLD;
    }
    return warm == check_bins(&s->warm, DORA__WARM) &&
           cold == check_bins(&s->cold, DORA__COLD);
}
