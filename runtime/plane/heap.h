/* heap.h - hands out blocks of one node's range of the heaps file.
 *
 * A heap deals in offsets from the beginning of its range; it never touches
 * the bytes themselves, and all it knows lies in private memory of the owner.
 * Space is made usable by a backer, in multiples of DORA__HEAP_UNIT, and used
 * again as long as possible before more is asked for:
 *
 *     struct dora__heap_backer backer = { .back = grow, .unback = punch,
 *                                         .arg = node };
 *     struct dora__heap *heap;
 *     uint64_t at;
 *     if (dora__heap_new(limit, &backer, &heap) < 0 ||
 *         dora__heap_take(heap, size, &at) < 0)
 *         ...
 *     dora__heap_give(heap, at);
 *
 * Not for several threads at once. */
#ifndef DORA_HEAP_H
#define DORA_HEAP_H

#include "base.h"

enum {
    DORA__HEAP_ALIGN = 64,      /* of every block */
    DORA__HEAP_UNIT = 64 << 10, /* backed and unbacked as a whole */
};

/* Makes [at, at + size) usable, or returns it to the system. `at` is a
 * multiple of the unit, `size` too except at the end of the range. After a
 * negative errno of `back` the heap takes the bytes for unbacked; -EAGAIN says
 * that it will back them another time, and that nothing is to be unbacked to
 * make up for it. */
struct dora__heap_backer {
    int (*back)(void *arg, uint64_t at, uint64_t size);
    void (*unback)(void *arg, uint64_t at, uint64_t size);
    void *arg;
};

struct dora__heap;

/* A heap over [0, limit), nothing of it backed. `backer` is copied. -ENOMEM,
 * -EINVAL: limit is 0, too large or no multiple of the alignment. */
DORA_MUST_CHECK
int dora__heap_new(uint64_t limit, const struct dora__heap_backer *backer,
                   struct dora__heap **ret_heap);
/* Forgets everything; unbacks nothing. Takes NULL, returns NULL. */
struct dora__heap *dora__heap_free(struct dora__heap *heap);

/* A block of at least `size` bytes (0: as 1). -ENOSPC: there is no such gap,
 * or what the backer said; -ENOMEM: no private memory. */
DORA_MUST_CHECK
int dora__heap_take(struct dora__heap *heap, uint64_t size, uint64_t *ret_at);
/* Returns a block. Cannot fail. */
void dora__heap_give(struct dora__heap *heap, uint64_t at);

/* Rebuilding after the death of a former owner, before the first take: the
 * block is in use and its units are backed. Quickest in ascending order.
 * -EINVAL: outside the range or already in use. */
DORA_MUST_CHECK
int dora__heap_claim(struct dora__heap *heap, uint64_t at, uint64_t size);
/* Visits all that is not backed, ascending: after the claims, where pages of
 * the former owner may have been left. */
void dora__heap_visit_cold(const struct dora__heap *heap,
                           void (*visit)(void *arg, uint64_t at, uint64_t size),
                           void *arg);

/* Unbacks the free space that was at no time needed since the last trim, as
 * long as `keep` bytes stay backed. Called about once a second it follows the
 * load. The number of bytes unbacked. */
uint64_t dora__heap_trim(struct dora__heap *heap, uint64_t keep);

/* Bytes, blocks rounded up to the alignment. */
struct dora__heap_usage {
    uint64_t used, peak, backed;
};
struct dora__heap_usage dora__heap_usage(const struct dora__heap *heap);

/* Whether the heap's private structures agree with each other; for tests. */
bool dora__heap_check(const struct dora__heap *heap);

#endif
