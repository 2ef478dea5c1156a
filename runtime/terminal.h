/* terminal.h - one node at a time has the terminal, for its debugger; meanwhile
 * the dataflow's timers stand still. Two words of the control file: `debugger`,
 * which nodes take by a compare and swap, and the host's answer, `terminal`. */
#ifndef DORA_TERMINAL_H
#define DORA_TERMINAL_H

#include "layout.h"

#include <stdbool.h>

/* What a timer takes for the time: stands still where all of them do. */
static inline int64_t
dora__timer_now(struct dora__control *control, int64_t now)
{
    /* Pairs with the release of dora__terminal_return. */
    int64_t paused =
        atomic_load_explicit(&control->paused_at, memory_order_acquire);

    return paused != 0 && paused < now ? paused : now;
}

/* Waits until no other node has it and the host lets `node` have it. 0;
 * -ENOTTY: there is none; -ETIMEDOUT, -EINTR: call again. `doorbell_fd` wakes
 * the host. */
int dora__terminal_take(struct dora__control *control, uint32_t node,
                        int doorbell_fd, int64_t deadline);
/* By the node, or by the host for one that is dead. Nothing unless it has it or
 * waits for the host's word. Whether the host has to look. */
bool dora__terminal_return(struct dora__control *control, uint32_t node);

#endif
