/* terminal.h - one node at a time has the terminal, for its debugger; meanwhile
 * the dataflow's time stands still. Two words of the control file: `debugger`,
 * which nodes take by a compare and swap, and the host's answer, `terminal`.
 *
 * Whatever is late only because somebody thinks goes by the dataflow's time:
 * timers, input_timeout, health checks, restart windows, the grace of nodes
 * whose inputs have closed. It is CLOCK_MONOTONIC less all that it has stood
 * still. `clock` holds how long that was; while it stands, ~ of the time that
 * it is: one word, so that a death half-way harms nothing. */
#ifndef DORA_TERMINAL_H
#define DORA_TERMINAL_H

#include "layout.h"

#include <stdbool.h>

/* The dataflow's time at `time`, which is now or past. What was before it stood
 * still for the last time was, as far as anybody waits for it, then. */
static inline int64_t
dora__flow_time(struct dora__control *control, int64_t time)
{
    /* Pairs with the release of dora__terminal_return. */
    int64_t clock = atomic_load_explicit(&control->clock, memory_order_acquire);
    int64_t resumed =
        atomic_load_explicit(&control->resumed_at, memory_order_relaxed);

    if (clock < 0)
        return ~clock;
    return (time < resumed ? resumed : time) - clock;
}

static inline bool
dora__flow_stands(struct dora__control *control)
{
    return atomic_load_explicit(&control->clock, memory_order_acquire) < 0;
}

/* When it was or will be that time, if it does not stand still any more. */
static inline int64_t
dora__flow_moment(struct dora__control *control, int64_t time)
{
    int64_t paused =
        atomic_load_explicit(&control->paused_ns, memory_order_relaxed);

    return time < INT64_MAX - paused ? time + paused : INT64_MAX;
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
