/* space.h - a range cut into extents: what is where, and which free one fits.
 *
 * The inner half of the heap: keeps the order by address and the bins by size,
 * and knows neither blocks nor backing memory beyond the word for it. */
#ifndef DORA_SPACE_H
#define DORA_SPACE_H

#include "base.h"

enum {
    DORA__SPACE_ALIGN = 64, /* of every extent */
    DORA__SPACE_ROWS = 56,
    DORA__SPACE_COLUMNS = 16,
};

enum dora__warmth {
    DORA__TAKEN,
    DORA__QUICK, /* free, but kept whole: in no bin, never merged */
    DORA__WARM,  /* free and backed by memory */
    DORA__COLD,  /* free, not backed */
};

struct dora__extent {
    uint64_t at, size;
    struct dora__extent *before, *after; /* by address */
    struct dora__extent *next, *prev;    /* in its bin; else of use to whoever
                                            has it */
    enum dora__warmth warmth;
};

struct dora__space_bins {
    uint64_t rows;                      /* bit r: some column of row r */
    uint16_t columns[DORA__SPACE_ROWS]; /* bit c: list[r][c] is not empty */
    struct dora__extent *list[DORA__SPACE_ROWS][DORA__SPACE_COLUMNS];
};

struct dora__space {
    uint64_t limit;
    struct dora__extent *first, *last;
    struct dora__extent *cursor; /* where one was last looked for */
    struct dora__space_bins warm, cold;
    struct dora__extent *spare;
    size_t spare_count;
    struct dora__slab *slabs;
};

/* One COLD extent from 0 to `limit`. -ENOMEM. */
DORA_MUST_CHECK
int dora__space_init(struct dora__space *s, uint64_t limit);
void dora__space_fini(struct dora__space *s);

/* Makes sure of two spare extents: enough for one isolate. */
DORA_MUST_CHECK
bool dora__space_reserve(struct dora__space *s);
/* A WARM or COLD extent of at least `size`, or NULL. Only with `thorough` a
 * miss proves that there is none. */
struct dora__extent *dora__space_find(const struct dora__space *s,
                                      enum dora__warmth warmth, uint64_t size,
                                      bool thorough);
/* The extent that holds the byte `at`, which is below the limit. */
struct dora__extent *dora__space_at(struct dora__space *s, uint64_t at);
/* Takes [at, end) out of the WARM or COLD extent `x`; what is over on either
 * side stays listed. Uses up to two spare extents. The result is in no bin. */
struct dora__extent *dora__space_isolate(struct dora__space *s,
                                         struct dora__extent *x, uint64_t at,
                                         uint64_t end);
/* Gives `x`, in no bin, to the WARM or COLD ones: joins it with neighbours of
 * the same and lists the result. Cannot fail. */
struct dora__extent *dora__space_settle(struct dora__space *s,
                                        struct dora__extent *x,
                                        enum dora__warmth warmth);

bool dora__space_check(const struct dora__space *s);

static inline uint64_t
dora__extent_end(const struct dora__extent *x)
{
    return x->at + x->size;
}

#endif
