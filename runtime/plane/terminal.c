/* terminal.c - see terminal.h.
 *
 *   1. A turn is a number and the node's; `debugger` holds the one that is on,
 *      and who finds his own in `terminal` has the terminal. No two turns of
 *      one node are the same word: the host may still be busy with the last.
 *   2. The clock is stopped by who has the terminal, and by nobody else started
 *      again but by the host in a dead one's name. */
#include "terminal.h"

#include "bell.h"
#include "graph/plan.h"
#include "plane.h"

enum { NODE_BITS = 13, REFUSED = 1 << 30 };
_Static_assert(DORA__MAX_NODES < 1 << NODE_BITS, "node + 1 of a turn");

static bool
is_of(uint32_t turn, uint32_t node)
{
    return (turn & ((1U << NODE_BITS) - 1)) == node + 1;
}

static uint32_t
new_turn(struct dora__control *control, uint32_t node)
{
    uint32_t count =
        atomic_fetch_add_explicit(&control->turns, 1, memory_order_relaxed);

    return ((count << NODE_BITS) & (REFUSED - 1)) | (node + 1);
}

static void
stop_clock(struct dora__control *control)
{
    int64_t clock = atomic_load_explicit(&control->clock, memory_order_relaxed);

    if (clock >= 0)
        (void)atomic_compare_exchange_strong_explicit(
            &control->clock, &clock, ~(dora__now() - clock),
            memory_order_relaxed, memory_order_relaxed);
}

static void
start_clock(struct dora__control *control)
{
    int64_t clock = atomic_load_explicit(&control->clock, memory_order_relaxed);
    int64_t now = dora__now();

    if (clock >= 0)
        return;
    atomic_store_explicit(&control->resumed_at, now, memory_order_relaxed);
    atomic_store_explicit(&control->paused_ns, now - ~clock,
                          memory_order_relaxed);
    /* Pairs with dora__flow_time. */
    atomic_store_explicit(&control->clock, now - ~clock, memory_order_release);
    for (uint32_t node = 0; node < control->node_count; node++)
        dora__bell_ring_always(&dora__node_of(control, node)->bell);
}

/* 0 once nobody else has it. */
static int
take_turn(struct dora__control *control, uint32_t node, int64_t deadline,
          uint32_t *ret_turn)
{
    uint32_t own = new_turn(control, node), holder = 0;

    while (!atomic_compare_exchange_strong_explicit(&control->debugger, &holder,
                                                    own, memory_order_acq_rel,
                                                    memory_order_acquire)) {
        int result;

        if (is_of(holder, node)) { /* it was taken, and not yet lent */
            own = holder;
            break;
        }
        result = dora__futex_wait(&control->debugger, holder, deadline);
        if (result < 0)
            return result;
        holder = 0;
    }
    *ret_turn = own;
    return 0;
}

int
dora__terminal_take(struct dora__control *control, uint32_t node,
                    int doorbell_fd, int64_t deadline)
{
    const uint64_t one = 1;
    uint32_t own = 0, answer;
    int result = take_turn(control, node, deadline, &own);

    if (result == 0)
        (void)!write(doorbell_fd, &one, sizeof one);
    while (result == 0) {
        /* Pairs with the host's answer. */
        answer = atomic_load_explicit(&control->terminal, memory_order_acquire);
        if (answer == own)
            break;
        if (answer == (own | REFUSED)) {
            (void)dora__terminal_return(control, node);
            (void)!write(doorbell_fd, &one, sizeof one);
            return -ENOTTY;
        }
        result = dora__futex_wait(&control->terminal, answer, deadline);
    }
    if (result == 0)
        stop_clock(control);
    return result;
}

bool
dora__terminal_return(struct dora__control *control, uint32_t node)
{
    uint32_t turn =
        atomic_load_explicit(&control->debugger, memory_order_acquire);

    if (!is_of(turn, node))
        return false;
    start_clock(control);
    atomic_store_explicit(&control->debugger, 0, memory_order_release);
    dora__futex_wake(&control->debugger);
    return true;
}

/* --- the host ------------------------------------------------------------- */

uint32_t
dora__plane_debugger(const struct dora__plane *plane)
{
    return atomic_load_explicit(&plane->control->debugger,
                                memory_order_acquire);
}

void
dora__plane_lend_terminal(struct dora__plane *plane, uint32_t turn, bool have)
{
    struct dora__control *control = plane->control;
    uint32_t word = have || turn == 0 ? turn : turn | REFUSED;

    if (atomic_load_explicit(&control->terminal, memory_order_relaxed) == word)
        return;
    /* Pairs with dora__terminal_take. */
    atomic_store_explicit(&control->terminal, word, memory_order_release);
    dora__futex_wake(&control->terminal);
}

bool
dora__plane_take_back_terminal(struct dora__plane *plane, uint32_t node)
{
    return dora__terminal_return(plane->control, node);
}

int64_t
dora__plane_time(const struct dora__plane *plane)
{
    return dora__flow_time(plane->control, dora__now());
}

int64_t
dora__plane_moment(const struct dora__plane *plane, int64_t time)
{
    return dora__flow_stands(plane->control)
               ? INT64_MAX
               : dora__flow_moment(plane->control, time);
}
