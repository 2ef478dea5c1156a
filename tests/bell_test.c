/* bell_test.c - no ring is lost, and none costs a system call without need. */
#include "base.h"
#include "plane/bell.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void
test_bell_without_sleeper_stays_still(void **state)
{
    _Atomic uint32_t bell = 6;

    (void)state;
    dora__bell_ring(&bell);
    assert_int_equal(atomic_load(&bell), 6);
}

static void
test_bell_ring_takes_the_waiter_bit(void **state)
{
    _Atomic uint32_t bell = 6;
    uint32_t word = dora__bell_arm(&bell);

    (void)state;
    assert_int_equal(word, 7);
    assert_int_equal(atomic_load(&bell), 7);
    dora__bell_ring(&bell);
    assert_int_equal(atomic_load(&bell), 8);
    /* It was rung between the look and the sleep. */
    assert_int_equal(dora__bell_sleep(&bell, word, -1), 0);
}

static void
test_bell_host_rings_always(void **state)
{
    _Atomic uint32_t bell = 6;

    (void)state;
    dora__bell_ring_always(&bell);
    assert_int_equal(atomic_load(&bell), 8);
}

static void
test_bell_sequence_wraps(void **state)
{
    _Atomic uint32_t bell = UINT32_MAX - 1;
    uint32_t word = dora__bell_arm(&bell);

    (void)state;
    assert_int_equal(word, UINT32_MAX);
    dora__bell_ring(&bell);
    assert_int_equal(atomic_load(&bell), 0);
}

static void
test_bell_sleep_ends_at_the_deadline(void **state)
{
    _Atomic uint32_t bell = 0;
    uint32_t word = dora__bell_arm(&bell);
    int64_t deadline = dora__now() + 2000000;

    (void)state;
    assert_int_equal(dora__bell_sleep(&bell, word, deadline), -ETIMEDOUT);
    assert_true(dora__now() >= deadline);
}

/* --- hand-over ----------------------------------------------------------- */

enum { ROUNDS = 20000, SLEEPERS = 3 };

struct hand {
    _Atomic uint32_t bells[2];
    _Atomic uint32_t turn; /* even: left's */
};

static void
take_turns(struct hand *hand, uint32_t side)
{
    for (uint32_t round = side; round < ROUNDS; round += 2) {
        for (;;) {
            if (atomic_load_explicit(&hand->turn, memory_order_acquire) ==
                round)
                break;

            uint32_t word = dora__bell_arm(&hand->bells[side]);

            if (atomic_load_explicit(&hand->turn, memory_order_acquire) ==
                round)
                break;
            (void)dora__bell_sleep(&hand->bells[side], word, -1);
        }
        atomic_store_explicit(&hand->turn, round + 1, memory_order_release);
        dora__bell_ring(&hand->bells[1 - side]);
    }
}

/* Two processes over two mappings: the futex is keyed by the file. */
static void
test_bell_hands_over_between_processes(void **state)
{
    int fd = memfd_create("bell", MFD_CLOEXEC);
    struct hand *here, *there;
    int status;
    pid_t child;

    (void)state;
    assert_int_equal(ftruncate(fd, 4096), 0);
    here = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(here != MAP_FAILED && there != MAP_FAILED);
    child = fork();
    if (child == 0) {
        alarm(300);
        take_turns(there, 1);
        _exit(0);
    }
    take_turns(here, 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)munmap(here, 4096);
    (void)munmap(there, 4096);
    (void)close(fd);
}

/* Several sleepers on one bell: a ring wakes all, none erases another's bit. */
struct crowd {
    _Atomic uint32_t bell, round, seen;
};

static void *
follow(void *arg)
{
    struct crowd *crowd = arg;

    for (uint32_t round = 1; round <= ROUNDS / 10; round++) {
        for (;;) {
            uint32_t word = dora__bell_arm(&crowd->bell);

            if (atomic_load_explicit(&crowd->round, memory_order_acquire) >=
                round)
                break;
            (void)dora__bell_sleep(&crowd->bell, word, -1);
        }
        atomic_fetch_add_explicit(&crowd->seen, 1, memory_order_release);
    }
    return NULL;
}

static void
test_bell_wakes_all_sleepers(void **state)
{
    struct crowd crowd = {0};
    pthread_t threads[SLEEPERS];

    (void)state;
    for (unsigned i = 0; i < SLEEPERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, follow, &crowd), 0);
    for (uint32_t round = 1; round <= ROUNDS / 10; round++) {
        atomic_store_explicit(&crowd.round, round, memory_order_release);
        dora__bell_ring(&crowd.bell);
        while (atomic_load_explicit(&crowd.seen, memory_order_acquire) <
               round * SLEEPERS)
            sched_yield();
    }
    for (unsigned i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bell_without_sleeper_stays_still),
        cmocka_unit_test(test_bell_ring_takes_the_waiter_bit),
        cmocka_unit_test(test_bell_host_rings_always),
        cmocka_unit_test(test_bell_sequence_wraps),
        cmocka_unit_test(test_bell_sleep_ends_at_the_deadline),
        cmocka_unit_test(test_bell_hands_over_between_processes),
        cmocka_unit_test(test_bell_wakes_all_sleepers),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
