/* window.c - see window.h.
 *
 * 1. A piece's bit is set after its rights are; nothing is closed again.
 * 2. Neighbours with the same rights are one mapping to the system. Where it
 *    has no room for more mappings, all is opened: that needs none. */
#include "window.h"

#include "segment.h"

#include <sys/mman.h>

enum { LEAST_SHIFT = 21, PIECES = 1 << 16 };

static uint64_t
count_pieces(const struct dora__window *window)
{
    return (((uint64_t)window->size - 1) >> window->shift) + 1;
}

int
dora__window_map(int fd, uint64_t at, size_t size, bool writable,
                 struct dora__window *ret_window, struct dora_error *err)
{
    struct dora__window w = {
        .size = size, .shift = LEAST_SHIFT, .writable = writable};
    void *memory;
    int failed;

    while (count_pieces(&w) > PIECES)
        w.shift++;
    w.opened = calloc((size_t)(count_pieces(&w) + 63) / 64, sizeof *w.opened);
    if (w.opened == NULL)
        return dora__fail(err, ENOMEM, "no memory for a node");
    failed = dora__segment_map(fd, at, size, DORA__RIGHTS_NONE, &memory, err);
    if (failed < 0) {
        free(w.opened);
        return failed;
    }
    w.memory = memory;
    *ret_window = w;
    return 0;
}

void
dora__window_unmap(struct dora__window *window)
{
    dora__segment_unmap(window->memory, window->size);
    free(window->opened);
    *window = (struct dora__window){.memory = NULL};
}

static bool
give_rights(struct dora__window *window, uint64_t first, uint64_t last)
{
    uint64_t at = first << window->shift;
    uint64_t end = (last + 1) << window->shift;

    if (end > window->size)
        end = window->size;
    return mprotect(window->memory + at, (size_t)(end - at),
                    PROT_READ | (window->writable ? PROT_WRITE : 0)) == 0;
}

void
dora__window_open_pieces(struct dora__window *window, uint64_t first,
                         uint64_t last)
{
    while (first < last && dora__window_is_open(window, first))
        first++;
    if (first == last && dora__window_is_open(window, last))
        return;
    if (!give_rights(window, first, last)) {
        first = 0;
        last = count_pieces(window) - 1;
        (void)give_rights(window, first, last);
    }
    for (uint64_t piece = first; piece <= last; piece++)
        /* Release: who sees the bit has the rights. */
        atomic_fetch_or_explicit(&window->opened[piece / 64],
                                 UINT64_C(1) << (piece % 64),
                                 memory_order_release);
}
