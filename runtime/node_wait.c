/* node_wait.c - sleeping until something happens.
 *
 * 1. Idle costs nothing: a sleeper wakes for a ring, its next timer tick, the
 *    caller's deadline or a signal, and for nothing else.
 * 2. Where messages come fast a short spin saves the sleep and the wake. It is
 *    done only after waits that turned out short, and only while no more nodes
 *    are awake than there are cores: a spinner must not take the core that the
 *    producer needs. Other programs may need it too: a spin in vain is paid for
 *    by many short waits before the next one.
 * 3. A signal handler that ran is reported, so that the caller's can run.
 *
 * Locks are never held here: other threads of the node go on. */
#include "node_private.h"

#include <sys/prctl.h>

enum {
    SPIN_NS = 40 * 1000,        /* at most, per wait */
    SHORT_WAIT_NS = 100 * 1000, /* that promises more of its kind */
    FIRST_DEBT = 4,             /* short waits, after a spin in vain */
    DEBT_LIMIT = 512,           /* and after many */
    GLANCES = 16,               /* between two looks at the clock */
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
    return result;
}

enum spun { NOT_SPUN, SPUN_WELL, SPUN_IN_VAIN };

static bool
may_spin(const struct dora_node *node)
{
    uint32_t active, sleepers;

    if (atomic_load_explicit(&node->spin_credit, memory_order_relaxed) <= 0)
        return false;
    active = atomic_load_explicit(&node->control->active, memory_order_relaxed);
    sleepers =
        atomic_load_explicit(&node->control->sleepers, memory_order_relaxed);
    return (int32_t)(active - sleepers) <= (int32_t)node->cores;
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

static enum spun
spin(const struct dora_node *node, int64_t deadline)
{
    int64_t end;

    if (glance_often(node))
        return SPUN_WELL;
    end = dora__now() + SPIN_NS;
    if (deadline >= 0 && deadline < end)
        end = deadline;
    do {
        if (glance_often(node))
            return SPUN_WELL;
    } while (dora__now() < end);
    return SPUN_IN_VAIN;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return a < b ? a : b;
}

static int
sleep_until(struct dora_node *node, int64_t deadline)
{
    for (;;) {
        uint32_t word = dora__bell_arm(&node->shared->bell);
        int64_t due;
        int result;

        if (dora__inputs_look(node, &due))
            return 0;
        result = dora__node_sleep(node, word, earlier(deadline, due));
        if (result == -EINTR)
            return result;
        if (deadline >= 0 && dora__now() >= deadline)
            return dora__inputs_look(node, &due) ? 0 : -ETIMEDOUT;
    }
}

/* A spin in vain forbids the next ones, each time twice as many; one that found
 * something forgives half. */
static void
remember_spin(struct dora_node *node, enum spun spun)
{
    int debt = atomic_load_explicit(&node->spin_debt, memory_order_relaxed);

    if (spun == SPUN_WELL && debt == 0)
        return;
    if (spun == SPUN_WELL) {
        debt /= 2;
    } else {
        debt = debt == 0 ? FIRST_DEBT : debt < DEBT_LIMIT ? 2 * debt : debt;
        atomic_store_explicit(&node->spin_credit, -debt, memory_order_relaxed);
    }
    atomic_store_explicit(&node->spin_debt, debt, memory_order_relaxed);
}

/* Short waits pay the debt off, and then allow a spin; a long one forbids it
 * until there was a short one. */
static void
remember_wait(struct dora_node *node, int64_t waited)
{
    int credit = atomic_load_explicit(&node->spin_credit, memory_order_relaxed);

    if (waited < SHORT_WAIT_NS && credit < 1)
        credit++;
    else if (waited >= SHORT_WAIT_NS && credit > 0)
        credit = 0;
    atomic_store_explicit(&node->spin_credit, credit, memory_order_relaxed);
}

int
dora__node_wait_until(struct dora_node *node, int64_t deadline)
{
    int64_t begin, due = -1;
    int result;

    if (may_spin(node)) {
        enum spun spun;

        if (node->needs_clock && dora__inputs_look(node, &due))
            return 0;
        spun = spin(node, earlier(deadline, due));
        remember_spin(node, spun);
        if (spun == SPUN_WELL)
            return 0;
    }
    begin = dora__now();
    result = sleep_until(node, deadline);
    remember_wait(node, dora__now() - begin);
    return result;
}

int
dora_node_wait(struct dora_node *node, int64_t timeout_ns)
{
    int64_t due;

    if (!dora__node_alive(node) || dora__inputs_look(node, &due))
        return 0;
    if (timeout_ns == 0)
        return -ETIMEDOUT;
    return dora__node_wait_until(node, dora__deadline(timeout_ns));
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
        result = dora__node_wait_until(node, deadline);
        if (result == -ETIMEDOUT)
            return 0;
        if (result < 0)
            return result;
        result = dora__inputs_take(node, ret_event);
    } while (result == 0);
    return result;
}
