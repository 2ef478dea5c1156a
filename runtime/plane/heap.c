/* heap.c - a private allocator over a range that others only read.
 *
 * 1. Space is TAKEN, QUICK (free, kept whole for the next request of its size),
 *    WARM (free, backed) or COLD (free, not backed); space.c keeps it.
 * 2. A unit is backed as a whole or not at all: COLD extents begin and end on
 *    unit boundaries (or at the limit).
 * 3. A block's extent is owned by the block, so giving it back needs no memory.
 *    Whatever needs new extents reserves them before it changes anything.
 *
 * A request is served by: a QUICK block of its size; a WARM extent; COLD space,
 * only as much as the WARM extent before it lacks; a run of free extents of any
 * warmth; the same after unbacking idle space, when it was the backer's budget
 * that ended. (Not when the backer only wants to be asked again: cooling all
 * would scatter the blocks over the range, until no large gap is left.) TAKEN
 * extents hang in a hash table by address. */
#include "heap.h"

#include <assert.h>

#include "space.h"

enum {
    QUICK_SIZES = 64, /* blocks up to 4 KiB */
    QUICK_DEPTH = 32, /* blocks kept of each size */
    BUCKETS = 64,     /* to begin with */
};

struct dora__heap {
    struct dora__space space;
    struct dora__heap_backer backer;
    struct {
        struct dora__extent *list;
        uint32_t depth;
    } quick[QUICK_SIZES];
    struct dora__extent **buckets;
    size_t bucket_count; /* power of two */
    size_t taken_count;
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

/* --- taken blocks ------------------------------------------------------- */

static struct dora__extent **
bucket_of(const struct dora__heap *h, uint64_t at)
{
    uint64_t mixed = at / DORA__HEAP_ALIGN * UINT64_C(0x9e3779b97f4a7c15);

    return &h->buckets[(mixed >> 20) & (h->bucket_count - 1)];
}

static void
hang(struct dora__heap *h, struct dora__extent *x)
{
    struct dora__extent **bucket = bucket_of(h, x->at);

    x->next = *bucket;
    *bucket = x;
}

/* Without memory the chains just get longer. */
static void
widen(struct dora__heap *h)
{
    struct dora__extent **old = h->buckets;
    size_t old_count = h->bucket_count;
    struct dora__extent **wider = calloc(old_count * 4, sizeof *wider);

    if (!wider)
        return;
    h->buckets = wider;
    h->bucket_count = old_count * 4;
    for (size_t i = 0; i < old_count; i++)
        while (old[i]) {
            struct dora__extent *x = old[i];

            old[i] = x->next;
            hang(h, x);
        }
    free(old);
}

static void
mark_taken(struct dora__heap *h, struct dora__extent *x)
{
    struct dora__heap_usage *usage = &h->usage;

    x->warmth = DORA__TAKEN;
    if (h->taken_count == h->bucket_count)
        widen(h);
    hang(h, x);
    h->taken_count++;
    usage->used += x->size;
    if (usage->used > usage->peak)
        usage->peak = usage->used;
    h->idle = minimum(h->idle, usage->backed - usage->used);
}

static struct dora__extent *
unmark_taken(struct dora__heap *h, uint64_t at)
{
    struct dora__extent **link = bucket_of(h, at), *x;

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

static struct dora__extent *
quick_take(struct dora__heap *h, uint64_t size)
{
    size_t number = quick_number(size);
    struct dora__extent *x;

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
quick_give(struct dora__heap *h, struct dora__extent *x)
{
    size_t number = quick_number(x->size);

    if (number >= QUICK_SIZES || h->quick[number].depth >= QUICK_DEPTH)
        return false;
    x->warmth = DORA__QUICK;
    x->next = h->quick[number].list;
    h->quick[number].list = x;
    h->quick[number].depth++;
    return true;
}

static void
quick_flush(struct dora__heap *h)
{
    for (size_t i = 0; i < QUICK_SIZES; i++) {
        struct dora__extent *x;

        while ((x = quick_take(h, (i + 1) * DORA__HEAP_ALIGN)))
            (void)dora__space_settle(&h->space, x, DORA__WARM);
    }
}

/* --- warming and cooling ------------------------------------------------ */

/* Backs the beginning of the COLD extent, at least `size` bytes where it has
 * as many. *ret_warm holds them and what was warm around. */
static int
warm_up(struct dora__heap *h, struct dora__extent *cold, uint64_t size,
        struct dora__extent **ret_warm)
{
    uint64_t backed = minimum(round_up(size, DORA__HEAP_UNIT), cold->size);
    int r;

    if (!dora__space_reserve(&h->space))
        return -ENOMEM;
    r = h->backer.back(h->backer.arg, cold->at, backed);
    if (r < 0)
        return r;
    h->usage.backed += backed;
    cold = dora__space_isolate(&h->space, cold, cold->at, cold->at + backed);
    *ret_warm = dora__space_settle(&h->space, cold, DORA__WARM);
    return 0;
}

/* Unbacks at most `amount` of the WARM space, from the end of the range. */
static uint64_t
cool_down(struct dora__heap *h, uint64_t amount)
{
    uint64_t cooled = 0;

    for (struct dora__extent *x = h->space.last; x && cooled < amount;
         x = x->before) {
        uint64_t at = round_up(x->at, DORA__HEAP_UNIT),
                 end = dora__extent_end(x);

        if (x->warmth != DORA__WARM)
            continue;
        if (end != h->space.limit)
            end -= end % DORA__HEAP_UNIT;
        if (end > at && end - at > amount - cooled)
            at = round_up(end - (amount - cooled), DORA__HEAP_UNIT);
        if (end <= at || !dora__space_reserve(&h->space))
            continue;
        x = dora__space_isolate(&h->space, x, at, end);
        h->backer.unback(h->backer.arg, at, end - at);
        h->usage.backed -= end - at;
        cooled += end - at;
        x = dora__space_settle(&h->space, x, DORA__COLD);
    }
    return cooled;
}

/* A WARM extent made of the first run of free ones that is long enough; NULL if
 * no run is. */
static int
join_run(struct dora__heap *h, uint64_t size, struct dora__extent **ret_warm)
{
    struct dora__extent *start = h->space.first, *x = h->space.first;
    uint64_t run = 0;

    for (; x && run < size; x = x->after) {
        run += x->size;
        if (x->warmth == DORA__TAKEN) {
            run = 0;
            start = x->after;
        }
    }
    *ret_warm = NULL;
    if (run < size)
        return 0;
    x = start;
    while (x->warmth != DORA__WARM || x->size < size) {
        struct dora__extent *cold = x->warmth == DORA__COLD ? x : x->after;
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
find_colder(struct dora__heap *h, uint64_t size, struct dora__extent **ret_warm)
{
    struct dora__extent *x;
    uint64_t have;

    quick_flush(h);
    x = dora__space_find(&h->space, DORA__WARM, size, true);
    if (x) {
        *ret_warm = x;
        return 0;
    }
    x = dora__space_find(&h->space, DORA__COLD, size, true);
    if (!x)
        return join_run(h, size, ret_warm);
    have = x->before && x->before->warmth == DORA__WARM ? x->before->size : 0;
    return warm_up(h, x, size - have, ret_warm);
}

/* --- public ------------------------------------------------------------- */

int
dora__heap_new(uint64_t limit, const struct dora__heap_backer *backer,
               struct dora__heap **ret_heap)
{
    struct dora__heap *h;

    if (!limit || limit % DORA__HEAP_ALIGN || limit > INT64_MAX / 2)
        return -EINVAL;
    h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->backer = *backer;
    h->bucket_count = BUCKETS;
    h->buckets = calloc(BUCKETS, sizeof(struct dora__extent *));
    if (!h->buckets || dora__space_init(&h->space, limit) < 0) {
        dora__heap_free(h);
        return -ENOMEM;
    }
    *ret_heap = h;
    return 0;
}

struct dora__heap *
dora__heap_free(struct dora__heap *h)
{
    if (!h)
        return NULL;
    dora__space_fini(&h->space);
    free(h->buckets);
    free(h);
    return NULL;
}

int
dora__heap_take(struct dora__heap *h, uint64_t size, uint64_t *ret_at)
{
    struct dora__extent *x;

    if (size > h->space.limit)
        return -ENOSPC;
    size = size ? round_up(size, DORA__HEAP_ALIGN) : DORA__HEAP_ALIGN;
    x = quick_take(h, size);
    if (!x) {
        x = dora__space_find(&h->space, DORA__WARM, size, false);
        if (!x) {
            int r = find_colder(h, size, &x);

            /* The budget may be spent on idle space elsewhere. */
            if (r < 0 && r != -ENOMEM && r != -EAGAIN &&
                cool_down(h, UINT64_MAX))
                r = find_colder(h, size, &x);
            if (r < 0)
                return r;
            if (!x)
                return -ENOSPC;
        }
        if (!dora__space_reserve(&h->space))
            return -ENOMEM;
        x = dora__space_isolate(&h->space, x, x->at, x->at + size);
    }
    mark_taken(h, x);
    *ret_at = x->at;
    return 0;
}

void
dora__heap_give(struct dora__heap *h, uint64_t at)
{
    struct dora__extent *x = unmark_taken(h, at);

    assert(x);
    if (x && !quick_give(h, x))
        (void)dora__space_settle(&h->space, x, DORA__WARM);
}

int
dora__heap_claim(struct dora__heap *h, uint64_t at, uint64_t size)
{
    uint64_t end, low, high;
    struct dora__extent *x;

    if (at % DORA__HEAP_ALIGN || at >= h->space.limit ||
        size > h->space.limit - at)
        return -EINVAL;
    end = at + (size ? round_up(size, DORA__HEAP_ALIGN) : DORA__HEAP_ALIGN);
    for (x = dora__space_at(&h->space, at); x && x->at < end; x = x->after)
        if (x->warmth == DORA__TAKEN)
            return -EINVAL;
    low = at - at % DORA__HEAP_UNIT;
    high = minimum(round_up(end, DORA__HEAP_UNIT), h->space.limit);
    for (x = dora__space_at(&h->space, low); x && x->at < high; x = x->after) {
        uint64_t from = x->at > low ? x->at : low;
        uint64_t to = minimum(dora__extent_end(x), high);

        if (x->warmth != DORA__COLD)
            continue;
        if (!dora__space_reserve(&h->space))
            return -ENOMEM;
        h->usage.backed += to - from;
        x = dora__space_settle(
            &h->space, dora__space_isolate(&h->space, x, from, to), DORA__WARM);
    }
    if (!dora__space_reserve(&h->space))
        return -ENOMEM;
    mark_taken(h, dora__space_isolate(&h->space, dora__space_at(&h->space, at),
                                      at, end));
    return 0;
}

void
dora__heap_visit_cold(const struct dora__heap *h,
                      void (*visit)(void *arg, uint64_t at, uint64_t size),
                      void *arg)
{
    for (const struct dora__extent *x = h->space.first; x; x = x->after)
        if (x->warmth == DORA__COLD)
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
on_units(const struct dora__heap *h, const struct dora__extent *x)
{
    uint64_t end = dora__extent_end(x);

    return x->at % DORA__HEAP_UNIT == 0 &&
           (end % DORA__HEAP_UNIT == 0 || end == h->space.limit);
}

bool
dora__heap_check(const struct dora__heap *h)
{
    uint64_t used = 0, cold = 0;
    size_t taken = 0;

    for (const struct dora__extent *x = h->space.first; x; x = x->after) {
        used += x->warmth == DORA__TAKEN ? x->size : 0;
        cold += x->warmth == DORA__COLD ? x->size : 0;
        taken += x->warmth == DORA__TAKEN;
        if (x->warmth == DORA__COLD && !on_units(h, x))
            return false;
    }
    return dora__space_check(&h->space) && used == h->usage.used &&
           h->space.limit - cold == h->usage.backed && taken == h->taken_count;
}
