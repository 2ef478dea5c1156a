/* node_wait.c - sleeping until something happens.
 *
 * 1. Idle costs nothing: a sleeper wakes for a ring, its next timer tick, the
 *    caller's deadline or a signal, and for nothing else.
 * 2. Where messages come fast a short spin saves the sleep and the wake. It is
 *    done while most of the last waits were short enough for it. A spinner must
 *    not take the core that the producer needs: it does not spin while more
 *    nodes are awake than there are cores, nor on a core on which a producer
 *    was last seen. On a busy machine producers are late, waits are long, and
 *    the spinning ends by itself.
 * 3. A wait is judged by when the message was sent, not by when the sleeper
 *    was up again: two nodes that wake each other would else find every wait
 *    too long for a spin because of the wakes that spinning saves.
 * 4. A signal handler that ran is reported, so that the caller's can run.
 *
 * Locks are never held here: other threads of the node go on. */
#include "node_private.h"

#include <sys/prctl.h>

enum {
    SPIN_NS = 50 * 1000, /* at most, per wait: about what a sleep costs */
    GLANCES = 16,        /* between two looks at the clock */
    CERTAIN = 256,       /* promise of a short wait */
    MEMORY = 8,          /* waits that the promise remembers */
};

int64_t
dora__deadline(int64_t timeout_ns)
{
    int64_t deadline;

    if (timeout_ns < 0)
        return -1;
    if (__builtin_add_overflow(dora__now(), timeout_ns, &deadline))
        return INT64_MAX;
    return deadline;
}

/* Timers are as exact as the clock, not rounded to 50 us. Once per thread. */
static void
sharpen_timers(void)
{
    static _Thread_local bool done;

    if (!done)
        (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    done = true;
}

static void
fall_asleep(struct dora_node *node)
{
    if (atomic_fetch_add_explicit(&node->shared->asleep, 1,
                                  memory_order_relaxed) == 0)
        atomic_fetch_add_explicit(&node->control->sleepers, 1,
                                  memory_order_relaxed);
}

void
dora__node_rest(struct dora_node *node)
{
    fall_asleep(node);
}

static void
wake_up(struct dora_node *node)
{
    if (atomic_fetch_sub_explicit(&node->shared->asleep, 1,
                                  memory_order_relaxed) == 1)
        atomic_fetch_sub_explicit(&node->control->sleepers, 1,
                                  memory_order_relaxed);
}

int
dora__node_sleep(struct dora_node *node, uint32_t word, int64_t deadline)
{
    int result;

    sharpen_timers();
    fall_asleep(node);
    result = dora__bell_sleep(&node->shared->bell, word, deadline);
    wake_up(node);
    dora__node_show_core(node);
    return result;
}

/* --- spinning ------------------------------------------------------------ */

static void
remember_wait(struct dora_node *node, bool is_short)
{
    int promise =
        atomic_load_explicit(&node->short_promise, memory_order_relaxed);

    promise += ((is_short ? CERTAIN : 0) - promise) / MEMORY;
    atomic_store_explicit(&node->short_promise, promise, memory_order_relaxed);
}

static bool
may_spin(const struct dora_node *node)
{
    uint32_t active, sleepers;

    if (atomic_load_explicit(&node->short_promise, memory_order_relaxed) <
        CERTAIN / 2)
        return false;
    active = atomic_load_explicit(&node->control->active, memory_order_relaxed);
    sleepers =
        atomic_load_explicit(&node->control->sleepers, memory_order_relaxed);
    return (int32_t)(active - sleepers) <= (int32_t)node->cores;
}

/* Whether a producer was last seen on the core this thread runs on. */
static bool
shares_core(const struct dora_node *node)
{
    uint32_t core = dora__core();

    for (uint32_t i = 0; i < node->source_count; i++)
        if (atomic_load_explicit(
                &dora__node_of(node->control, node->sources[i].node)->core,
                memory_order_relaxed) == core)
            return true;
    return false;
}

/* A number of glances without looking at the clock. */
static bool
glance_often(const struct dora_node *node)
{
    for (unsigned i = 0; i < GLANCES; i++) {
        if (dora__inputs_glance(node))
            return true;
        dora__pause();
    }
    return false;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static bool
spin_until(const struct dora_node *node, int64_t deadline)
{
    int64_t end;

    if (glance_often(node))
        return true;
    end = earlier(dora__now() + SPIN_NS, deadline);
    while (!shares_core(node) && dora__now() < end)
        if (glance_often(node))
            return true;
    return false;
}

bool
dora__node_spin(struct dora_node *node, struct dora__wait *wait)
{
    int64_t due = -1;
    bool found;

    if (!may_spin(node) || shares_core(node))
        return false;
    if (node->needs_clock &&
        dora__inputs_look(node, &due).what != DORA__NOTHING)
        return true;
    found = spin_until(node, earlier(wait->deadline, due));
    remember_wait(node, found);
    wait->judged = true;
    return found;
}

/* --- sleeping ------------------------------------------------------------ */

static int
sleep_until(struct dora_node *node, int64_t deadline,
            struct dora__offer *ret_offer)
{
    for (;;) {
        uint32_t word = dora__bell_arm(&node->shared->bell);
        int64_t due;
        int result;

        *ret_offer = dora__inputs_look(node, &due);
        if (ret_offer->what != DORA__NOTHING)
            return 0;
        result = dora__node_sleep(node, word, earlier(deadline, due));
        if (result == -EINTR)
            return result;
        if (deadline < 0 || dora__now() < deadline)
            continue;
        *ret_offer = dora__inputs_look(node, &due);
        return ret_offer->what != DORA__NOTHING ? 0 : -ETIMEDOUT;
    }
}

/* Whether a spin instead of the sleep would have met the message. */
static bool
was_short(const struct dora_node *node, const struct dora__offer *offer,
          int64_t begin)
{
    return offer->what == DORA__MESSAGE && offer->time - begin < SPIN_NS &&
           !shares_core(node);
}

int
dora__node_doze(struct dora_node *node, struct dora__wait *wait)
{
    int64_t begin = dora__now();
    struct dora__offer offer = {.what = DORA__NOTHING};
    int result = sleep_until(node, wait->deadline, &offer);

    if (!wait->judged)
        remember_wait(node, was_short(node, &offer, begin));
    wait->judged = true;
    return result;
}

static int
wait_until(struct dora_node *node, int64_t deadline)
{
    struct dora__wait wait = {.deadline = deadline};

    return dora__node_spin(node, &wait) ? 0 : dora__node_doze(node, &wait);
}

int
dora_node_wait(struct dora_node *node, int64_t timeout_ns)
{
    int64_t due;

    if (!dora__node_alive(node) ||
        dora__inputs_look(node, &due).what != DORA__NOTHING)
        return 0;
    if (timeout_ns == 0)
        return -ETIMEDOUT;
    return wait_until(node, dora__deadline(timeout_ns));
}

int
dora_node_next(struct dora_node *node, int64_t timeout_ns,
               struct dora_event *ret_event)
{
    int result = dora__inputs_take(node, ret_event);
    int64_t deadline;

    if (result != 0 || timeout_ns == 0)
        return result;
    deadline = dora__deadline(timeout_ns);
    do {
        result = wait_until(node, deadline);
        if (result == -ETIMEDOUT)
            return 0;
        if (result < 0)
            return result;
        result = dora__inputs_take(node, ret_event);
    } while (result == 0);
    return result;
}
