/* node_wait_test.c - waiting: what ends it, what it costs, who may wait. */
#include "flow.h"
#include "plane/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/time.h>

enum { MILLISECOND = 1000000 };

static void
test_node_wait_times_out(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;
    int64_t begin;

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    begin = dora__now();
    assert_int_equal(dora_node_next(nodes[1], 3 * MILLISECOND, &event), 0);
    assert_true(dora__now() - begin >= 3 * MILLISECOND);
    assert_int_equal(dora_node_wait(nodes[1], 0), -ETIMEDOUT);
    assert_int_equal(dora_node_wait(nodes[1], MILLISECOND), -ETIMEDOUT);
    flow_send_number(nodes[0], 0, 5);
    assert_int_equal(dora_node_wait(nodes[1], -1), 0);
    assert_int_equal(dora_node_queued(nodes[1]), 1);
    assert_int_equal(flow_next_number(nodes[1]), 5);
    assert_int_equal(dora_node_queued(nodes[1]), 0);
    /* The longest wait there is must not overflow into the past. */
    flow_send_number(nodes[0], 0, 6);
    assert_int_equal(dora_node_wait(nodes[1], INT64_MAX), 0);
    flow_close(&flow, nodes);
}

static void
on_signal(int number)
{
    (void)number;
}

static void
test_node_wait_reports_signals(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;
    const struct sigaction handler = {.sa_handler = on_signal};
    const struct sigaction none = {.sa_handler = SIG_DFL};
    struct itimerval soon = {.it_value.tv_usec = 2000,
                             .it_interval.tv_usec = 2000};
    const struct itimerval never = {.it_value.tv_usec = 0};

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    assert_int_equal(sigaction(SIGALRM, &handler, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), -EINTR);
    assert_int_equal(dora_node_wait(nodes[1], -1), -EINTR);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &none, NULL), 0);
    alarm(300);
    flow_close(&flow, nodes);
}

/* Waits that end by nothing but their deadline, and the switches they cost. */
static void
test_node_wait_idles_without_waking(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;
    struct rusage before, after;

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(dora_node_next(nodes[1], 50 * MILLISECOND, &event), 0);
    assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 8);
    flow_close(&flow, nodes);
}

static void
test_node_wait_sleeps_till_the_tick(void **state)
{
    struct flow flow;
    struct dora_node *node;
    struct dora_event event;
    struct rusage before, after;
    int64_t first;

    (void)state;
    flow_begin(&flow, 1, 1 << 20);
    flow_timer(&flow, 0, "tick", 10 * MILLISECOND, 1);
    flow_make(&flow);
    flow_open(&flow, &node);
    assert_int_equal(dora_node_next(node, -1, &event), 1);
    first = event.sent_ns;
    assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
    for (unsigned i = 0; i < 5; i++) {
        int64_t since;

        assert_int_equal(dora_node_next(node, -1, &event), 1);
        /* On the grid and not early; the two clocks are compared to within a
         * millisecond. */
        since = event.sent_ns - first + MILLISECOND;
        assert_true(since % (10 * MILLISECOND) <= 2 * MILLISECOND);
        assert_true(dora__clock(CLOCK_REALTIME) >= event.sent_ns - MILLISECOND);
    }
    assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
    assert_true(after.ru_nvcsw - before.ru_nvcsw <= 10);
    flow_close(&flow, &node);
}

/* --- several threads of one node -------------------------------------------
 */

enum { MESSAGES = 20000, READERS = 3 };

struct readers {
    struct dora_node *node;
    _Atomic uint64_t count, sum;
    _Atomic unsigned stops;
};

static void *
read_all(void *arg)
{
    struct readers *readers = arg;
    struct dora_event event;
    int result;

    while ((result = dora_node_next(readers->node, -1, &event)) == 1) {
        uint64_t number;

        if (event.type == DORA_EVENT_STOP)
            atomic_fetch_add(&readers->stops, 1);
        if (event.type != DORA_EVENT_INPUT)
            continue;
        memcpy(&number, event.data, sizeof number);
        atomic_fetch_add(&readers->count, 1);
        atomic_fetch_add(&readers->sum, number);
        dora_sample_unref(event.sample);
    }
    return result == -EPIPE ? NULL : readers;
}

static void
test_node_wait_serves_several_threads(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct readers readers = {.node = NULL};
    pthread_t threads[READERS];

    (void)state;
    flow_open_pair(&flow, nodes, 7, FLOW_BACKPRESSURE);
    readers.node = nodes[1];
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers),
                         0);
    for (uint64_t i = 1; i <= MESSAGES; i++)
        flow_send_number(nodes[0], 0, i);
    dora__node_close(nodes[0]);
    for (unsigned i = 0; i < READERS; i++) {
        void *wrong;

        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(readers.count, MESSAGES);
    assert_int_equal(readers.sum, (uint64_t)MESSAGES * (MESSAGES + 1) / 2);
    assert_int_equal(readers.stops, 1);
    flow_close(&flow, nodes);
}

/* --- spinning ------------------------------------------------------------ */

static void
show_producer(struct flow *flow, uint32_t core)
{
    atomic_store(&dora__node_of(flow->plane.control, 0)->core, core);
}

/* A message that was there when the wait began, from another core. */
static void
wait_shortly(struct flow *flow, struct dora_node **nodes)
{
    struct dora__wait wait = {.deadline = -1};

    flow_send_number(nodes[0], 0, 1);
    show_producer(flow, UINT32_MAX);
    assert_int_equal(dora__node_doze(nodes[1], &wait), 0);
    assert_int_equal(flow_next_number(nodes[1]), 1);
}

static bool
spins(struct dora_node *node)
{
    struct dora__wait wait = {.deadline = -1};

    assert_false(dora__node_spin(node, &wait));
    return wait.judged;
}

static void
test_node_wait_spins_while_it_pays(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    unsigned vain = 0;

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    assert_false(spins(nodes[1]));
    for (unsigned i = 0; i < 20; i++)
        wait_shortly(&flow, nodes);
    while (spins(nodes[1]))
        assert_true(++vain < 20);
    assert_true(vain >= 1 && vain <= 8);
    /* A few short waits bring it back. */
    wait_shortly(&flow, nodes);
    wait_shortly(&flow, nodes);
    assert_true(spins(nodes[1]));
    flow_close(&flow, nodes);
}

static void
test_node_wait_leaves_the_core_to_the_producer(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    cpu_set_t all, one;
    int core = sched_getcpu();

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    for (unsigned i = 0; i < 20; i++)
        wait_shortly(&flow, nodes);
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    show_producer(&flow, (uint32_t)core);
    assert_false(spins(nodes[1]));
    show_producer(&flow, (uint32_t)core + 1);
    assert_true(spins(nodes[1]));
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    flow_close(&flow, nodes);
}

struct writer {
    struct dora_node *node;
    uint64_t first;
};

static void *
write_some(void *arg)
{
    const struct writer *writer = arg;

    for (uint64_t i = 0; i < MESSAGES / 4; i++) {
        uint64_t number = writer->first + i;

        if (dora_node_send(writer->node, 0, &number, sizeof number, NULL, 0,
                           NULL) < 0)
            abort();
    }
    return NULL;
}

/* Four threads send on one output that blocks: all arrives, each thread's in
 * order. */
static void
test_node_wait_queues_blocked_senders(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct writer writers[4];
    pthread_t threads[4];
    uint64_t next[4] = {0};

    (void)state;
    flow_open_pair(&flow, nodes, 3, FLOW_BACKPRESSURE);
    for (unsigned i = 0; i < 4; i++) {
        writers[i] =
            (struct writer){.node = nodes[0], .first = (uint64_t)i * MESSAGES};
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
    }
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct dora_event event;
        uint64_t number;

        assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
        memcpy(&number, event.data, sizeof number);
        assert_int_equal(number % MESSAGES, next[number / MESSAGES]++);
        dora_sample_unref(event.sample);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    flow_close(&flow, nodes);
}

/* --- the end
 * ------------------------------------------------------------------ */

static void
open_timed(struct flow *flow, struct dora_node **nodes, bool exit_when_finished)
{
    flow_begin(flow, 2, 1 << 20);
    flow_output(flow, 0, "out", 64);
    flow_input(flow, 1, "in", 0, 4, FLOW_TWO_RINGS);
    flow_timer(flow, 1, "tick", 1, 1);
    flow->plan.exit_when_nodes_finish = exit_when_finished;
    flow_make(flow);
    flow_open(flow, nodes);
}

static void
test_node_wait_timer_keeps_a_node_alive(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;
    unsigned ticks = 0, closed = 0;

    (void)state;
    open_timed(&flow, nodes, false);
    dora__node_close(nodes[0]);
    while (ticks < 100) {
        assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
        assert_int_not_equal(event.type, DORA_EVENT_STOP);
        ticks += event.type == DORA_EVENT_INPUT;
        closed += event.type == DORA_EVENT_INPUT_CLOSED;
    }
    assert_int_equal(closed, 1);
    flow_close(&flow, nodes);
}

static void
test_node_wait_finishes_with_its_data(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;

    (void)state;
    open_timed(&flow, nodes, true);
    dora__node_close(nodes[0]);
    do
        assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    while (event.type != DORA_EVENT_STOP);
    assert_string_equal(event.id, "ALL_INPUTS_CLOSED");
    flow_assert_ended(nodes[1]);
    flow_close(&flow, nodes);
}

static void *
stop_soon(void *arg)
{
    dora__plane_stop(arg);
    return NULL;
}

static void
test_node_wait_ends_by_stop(void **state)
{
    struct flow flow;
    struct dora_node *node;
    struct dora_event event;
    pthread_t thread;

    (void)state;
    flow_begin(&flow, 1, 1 << 20);
    flow_make(&flow);
    flow_open(&flow, &node);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &flow.plane), 0);
    assert_int_equal(dora_node_next(node, -1, &event), 1);
    assert_string_equal(event.id, "MANUAL");
    flow_assert_ended(node);
    assert_true(dora__node_stopping(node));
    pthread_join(thread, NULL);
    flow_close(&flow, &node);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_wait_times_out),
        cmocka_unit_test(test_node_wait_reports_signals),
        cmocka_unit_test(test_node_wait_idles_without_waking),
        cmocka_unit_test(test_node_wait_sleeps_till_the_tick),
        cmocka_unit_test(test_node_wait_spins_while_it_pays),
        cmocka_unit_test(test_node_wait_leaves_the_core_to_the_producer),
        cmocka_unit_test(test_node_wait_serves_several_threads),
        cmocka_unit_test(test_node_wait_queues_blocked_senders),
        cmocka_unit_test(test_node_wait_timer_keeps_a_node_alive),
        cmocka_unit_test(test_node_wait_finishes_with_its_data),
        cmocka_unit_test(test_node_wait_ends_by_stop),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
