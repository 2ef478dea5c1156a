/* window.h - a mapping of a sparse file, opened piece by piece as it is used.
 *
 * What is not open has no rights. So a program that locks or reads all of its
 * memory (mlockall) makes what is in use resident, not the whole of a range
 * that exceeds the machine. */
#ifndef DORA_WINDOW_H
#define DORA_WINDOW_H

#include "base.h"

#include <stdatomic.h>

struct dora__window {
    unsigned char *memory;
    size_t size;
    unsigned shift; /* of a piece's size */
    bool writable;
    _Atomic uint64_t *opened; /* a bit for each piece */
};

/* Maps [at, at + size) of a file, nothing of it open. Release with
 * dora__window_unmap, which takes zeros. */
DORA_MUST_CHECK
int dora__window_map(int fd, uint64_t at, size_t size, bool writable,
                     struct dora__window *ret_window, struct dora_error *err);
void dora__window_unmap(struct dora__window *window);

void dora__window_open_pieces(struct dora__window *window, uint64_t first,
                              uint64_t last);

static inline bool
dora__window_is_open(const struct dora__window *window, uint64_t piece)
{
    /* Pairs with dora__window_open_pieces. */
    return atomic_load_explicit(&window->opened[piece / 64],
                                memory_order_acquire) >>
               (piece % 64) &
           1;
}

/* Makes [at, at + size) of the window accessible; size > 0. What lies outside
 * is nobody's to open. Threads may do so at the same time. */
static inline void
dora__window_open(struct dora__window *window, uint64_t at, uint64_t size)
{
    uint64_t first = at >> window->shift;
    uint64_t last = (at + size - 1) >> window->shift;

    if (size > window->size || at > window->size - size)
        return;
    if (first != last || !dora__window_is_open(window, first))
        dora__window_open_pieces(window, first, last);
}

#endif
