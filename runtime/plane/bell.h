/* bell.h - how one participant wakes another: a futex word per node.
 *
 *     word = sequence << 1 | waiter
 *
 * 1. No ring is lost: a sleeper announces itself before its last look at what
 *    it waits for; a ringer publishes before it looks for sleepers. Between the
 *    two accesses of either side stands a full fence, the only places where
 *    acquire and release are not enough.
 * 2. No ring costs a system call when nobody sleeps.
 * 3. Several threads may sleep on one bell: only ringers clear the waiter bit,
 *    together with a new sequence, and they wake all.
 *
 *     for (;;) {
 *         if (look())
 *             break;
 *         uint32_t word = dora__bell_arm(bell);
 *         if (look())
 *             break;
 *         (void)dora__bell_sleep(bell, word, deadline);
 *     }
 *
 * A waiter bit left behind costs one superfluous wake. The futexes are keyed by
 * the file, not by the process: never FUTEX_PRIVATE_FLAG. */
#ifndef DORA_BELL_H
#define DORA_BELL_H

#include "layout.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DORA__BELL_WAITER = 1, DORA__BELL_STEP = 2 };

/* Between two looks at a word somebody is about to change. */
static inline void
dora__pause(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static inline void
dora__futex_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Sleeps while the word is `value`, until CLOCK_MONOTONIC `deadline` (negative:
 * for ever). 0: woken, or the word is another; -ETIMEDOUT; -EINTR. */
static inline int
dora__futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000),
                             .tv_nsec = (long)(deadline % 1000000000)};

    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value,
                deadline < 0 ? NULL : &until, NULL,
                FUTEX_BITSET_MATCH_ANY) == 0 ||
        errno == EAGAIN)
        return 0;
    return -errno;
}

/* Announces a sleeper; look again before sleeping with the returned word. */
static inline uint32_t
dora__bell_arm(_Atomic uint32_t *bell)
{
    uint32_t word =
        atomic_fetch_or_explicit(bell, DORA__BELL_WAITER, memory_order_seq_cst);

    /* Pairs with the fence of dora__bell_ring. */
    dora__fence_full();
    return word | DORA__BELL_WAITER;
}

static inline int
dora__bell_sleep(_Atomic uint32_t *bell, uint32_t word, int64_t deadline)
{
    return dora__futex_wait(bell, word, deadline);
}

/* The part of a ring after the fence: one fence serves several bells. */
static inline void
dora__bell_ring_fenced(_Atomic uint32_t *bell)
{
    uint32_t word = atomic_load_explicit(bell, memory_order_relaxed);

    while (word & DORA__BELL_WAITER)
        if (atomic_compare_exchange_weak_explicit(
                bell, &word,
                (word & ~(uint32_t)DORA__BELL_WAITER) + DORA__BELL_STEP,
                memory_order_relaxed, memory_order_relaxed)) {
            dora__futex_wake(bell);
            return;
        }
}

/* What was published before is seen by the sleeper, or the sleeper is woken. */
static inline void
dora__bell_ring(_Atomic uint32_t *bell)
{
    /* Pairs with the fence of dora__bell_arm. */
    dora__fence_full();
    dora__bell_ring_fenced(bell);
}

/* The host's: wakes whatever the flag says, since a participant that died may
 * have taken it and not lived to wake. Async-signal-safe. */
static inline void
dora__bell_ring_always(_Atomic uint32_t *bell)
{
    dora__fence_full();

    uint32_t word = atomic_load_explicit(bell, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(
        bell, &word, (word & ~(uint32_t)DORA__BELL_WAITER) + DORA__BELL_STEP,
        memory_order_relaxed, memory_order_relaxed))
        ;
    dora__futex_wake(bell);
}

#endif
