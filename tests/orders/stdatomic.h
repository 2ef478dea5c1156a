/* stdatomic.h - C11's atomics as Relacy's, so that ring.h and bell.h, read as
 * C++, run under its scheduler as they are. orders.py has made of each
 * `_Atomic T` a `shared<T>`. Stands before the system's on the include path. */
#ifndef ORDERS_STDATOMIC_H
#define ORDERS_STDATOMIC_H

/* All that the headers under test include: Relacy's macros come after. */
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <relacy/relacy.hpp>

using namespace rl;

/* The number of the one weakening that is in force, 0: none. orders.py writes
 * them into the headers. */
static int orders_weakening;
#define WEAKER(number, order) \
    orders_weakening == (number) ? rl::mo_relaxed : rl::mo_##order, $

/* Fresh shared memory is zero. */
template <typename T> struct shared : rl::atomic<T> {
    shared()
    {
        this->store(0, mo_relaxed, $);
    }
};

#define atomic_init(word, value) (word)->store(value, memory_order_relaxed)
#define atomic_load_explicit(word, order) (word)->load(order)
#define atomic_store_explicit(word, value, order) (word)->store(value, order)
#define atomic_exchange_explicit(word, value, order) \
    (word)->exchange(value, order)
#define atomic_fetch_add_explicit(word, value, order) \
    (word)->fetch_add(value, order)
#define atomic_fetch_sub_explicit(word, value, order) \
    (word)->fetch_sub(value, order)
#define atomic_fetch_and_explicit(word, value, order) \
    (word)->fetch_and(value, order)
#define atomic_fetch_or_explicit(word, value, order) \
    (word)->fetch_or(value, order)
#define atomic_compare_exchange_strong_explicit(word, expected, value, order, \
                                                failed)                       \
    (word)->compare_exchange_strong(*(expected), value, order, failed)
#define atomic_compare_exchange_weak_explicit(word, expected, value, order, \
                                              failed)                       \
    (word)->compare_exchange_weak(*(expected), value, order, failed)

/* Sizes are those of Relacy's objects here. */
#define _Static_assert(...)

/* The kernel looks at the word and sleeps in one step; it is a full fence for
 * both sides. No spurious wakes: they would hide a lost one. */
static inline int
orders_futex(shared<uint32_t> *word, int op, uint32_t value)
{
    rl::context &c = rl::ctx();
    uint32_t found;

    c.sched();
    c.atomic_thread_fence_seq_cst();
    if (op == FUTEX_WAKE)
        return (int)word->wake(c, INT_MAX, $);
    {
        rl::preemption_disabler together(c);
        found = word->load(rl::mo_acquire, $);
    }
    if (found == value)
        (void)word->wait(c, false, false, $);
    return 0;
}

#define syscall(number, word, op, value, ...) orders_futex(word, op, value)

/* A spin: let somebody else run. */
#define __builtin_ia32_pause() rl::yield(1, $)

#endif
