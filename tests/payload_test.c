/* payload_test.c - what travels: any size, to any number of readers, in place,
 * and what happens when there is no room for it. */
#include "flow.h"
#include "plane/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/mman.h>

#define MB (UINT64_C(1) << 20)

/* --- sizes ---------------------------------------------------------------- */

/* Enough of the bytes to know them: both ends and one of each page. */
static void
fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i += i + 64 < size && i > 64 ? 4096 - 63 : 1)
        bytes[i] = (unsigned char)(seed + i);
    for (size_t i = size > 64 ? size - 64 : 0; i < size; i++)
        bytes[i] = (unsigned char)(seed + i);
}

static void
expect_filled(const unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i += i + 64 < size && i > 64 ? 4096 - 63 : 1)
        assert_int_equal(bytes[i], (unsigned char)(seed + i));
    for (size_t i = size > 64 ? size - 64 : 0; i < size; i++)
        assert_int_equal(bytes[i], (unsigned char)(seed + i));
}

/* Sends one value from 0 over 1 to 2 and expects the very bytes there. */
static void
pass_on(struct dora_node **nodes, size_t size, unsigned seed)
{
    struct dora_event event, last;
    struct dora_loan *loan;
    struct dora_error err;
    uint64_t at;

    if (dora_node_loan(nodes[0], 0, size, NULL, 0, &loan, &err) < 0)
        fail_msg("%zu bytes: %s", size, err.text);
    assert_int_equal(dora_loan_size(loan), size);
    assert_int_equal((uintptr_t)dora_loan_data(loan) % 64, 0);
    fill(dora_loan_data(loan), size, seed);
    at = dora__loan_offset(loan);
    assert_int_equal(dora_loan_send(loan, 0, NULL), 0);
    dora_loan_drop(loan);
    assert_int_equal(dora_node_next(nodes[1], 0, &event), 1);
    assert_int_equal(event.data_size, size);
    assert_int_equal((uintptr_t)event.data % 64, 0);
    assert_int_equal(dora__sample_offset(event.sample), at);
    assert_int_equal(
        dora_node_forward(nodes[1], 0, event.sample, 0, size, NULL, 0, NULL),
        0);
    dora_sample_unref(event.sample);
    assert_int_equal(dora_node_next(nodes[2], 0, &last), 1);
    assert_int_equal(last.data_size, size);
    assert_int_equal(dora__sample_offset(last.sample), at);
    expect_filled(last.data, size, seed);
    dora_sample_unref(last.sample);
}

static void
open_chain(struct flow *flow, struct dora_node **nodes, uint64_t heap)
{
    flow_plan_row(flow, 3, heap, 2, 0);
    flow_make(flow);
    flow_open(flow, nodes);
}

static uint64_t
copied(const struct flow *flow, uint32_t node)
{
    struct dora__heap_counts counts;

    dora__plane_heap_counts(&flow->plane, node, &counts);
    return counts.copied;
}

static void
test_payload_of_any_size_stays_in_place(void **state)
{
    static const size_t sizes[] = {
        0,      1,          63,          64,      65,          4095,
        4096,   4097,       65535,       65536,   65537,       8 * MB - 1,
        8 * MB, 8 * MB + 1, 64 * MB - 1, 64 * MB, 64 * MB + 1, 1024 * MB,
    };
    struct dora_node *nodes[3];
    struct flow flow;

    (void)state;
    open_chain(&flow, nodes, 1100 * MB);
    for (size_t i = 0; i < DORA_COUNT(sizes); i++) {
        pass_on(nodes, sizes[i], (unsigned)i);
        pass_on(nodes, sizes[i], (unsigned)i + 100);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(copied(&flow, i), 0);
    flow_close(&flow, nodes);
}

/* What a receiver could not read is refused where it is sent. */
static void
test_payload_metadata_is_checked(void **state)
{
    static const unsigned char cut[] = {1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0};
    struct dora_metadata latin1 = {.bytes = NULL};
    struct dora_node *nodes[3];
    struct dora_loan *loan;
    struct flow flow;

    (void)state;
    open_chain(&flow, nodes, MB);
    assert_int_equal(
        dora_node_loan(nodes[0], 0, 1, cut, sizeof cut, &loan, NULL), -EINVAL);
    assert_int_equal(dora_metadata_string(&latin1, "k", 1, "\xe9", 1), 0);
    assert_int_equal(
        dora_node_loan(nodes[0], 0, 1, latin1.bytes, latin1.size, &loan, NULL),
        -EINVAL);
    dora_metadata_fini(&latin1);
    flow_close(&flow, nodes);
}

/* --- many readers --------------------------------------------------------- */

enum { READERS = 8 };

/* Queues of every policy and length on one output: each gets what its policy
 * promises, whoever else is slow. */
static void
test_payload_goes_to_eight_readers_by_their_policies(void **state)
{
    static const unsigned policies[] = {0, FLOW_TWO_RINGS, FLOW_BACKPRESSURE,
                                        0};
    enum { MESSAGES = 6 };
    struct dora_node *nodes[READERS + 1];
    struct flow flow;

    (void)state;
    flow_begin(&flow, READERS + 1, MB);
    flow_output(&flow, 0, "out", 64);
    for (uint32_t i = 0; i < READERS; i++)
        flow_input(&flow, i + 1, "in", 0,
                   policies[i % 4] == FLOW_BACKPRESSURE ? MESSAGES : 1 + i % 4,
                   policies[i % 4]);
    flow_make(&flow);
    flow_open(&flow, nodes);
    for (uint64_t n = 1; n <= MESSAGES; n++)
        assert_int_equal(
            dora_node_send(nodes[0], 0, &n, sizeof n, NULL, 0, NULL), 0);
    for (uint32_t i = 0; i < READERS; i++) {
        uint64_t first = MESSAGES + 1 - flow.inputs[i].bound, n;
        struct dora_event event;

        for (uint64_t expected = first; expected <= MESSAGES; expected++) {
            assert_int_equal(dora_node_next(nodes[i + 1], 0, &event), 1);
            memcpy(&n, event.data, sizeof n);
            assert_int_equal(n, expected);
            dora_sample_unref(event.sample);
        }
        assert_int_equal(dora_node_next(nodes[i + 1], 0, &event), 0);
        assert_int_equal(flow_counts(&flow, i).dropped, first - 1);
    }
    flow_close(&flow, nodes);
}

/* --- no room -------------------------------------------------------------- */

enum { BLOCKS = 3, BLOCK = 1 << 20 };

struct full {
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event held[BLOCKS];
};

/* The reader holds all that the heap has room for. */
static void
open_full(struct full *f, bool wait)
{
    struct dora_loan *loan;

    flow_plan_row(&f->flow, 2, BLOCKS * BLOCK, BLOCKS, 0);
    f->flow.nodes[0].heap_wait = wait;
    flow_make(&f->flow);
    flow_open(&f->flow, f->nodes);
    for (unsigned i = 0; i < BLOCKS; i++) {
        assert_int_equal(
            dora_node_loan(f->nodes[0], 0, BLOCK, NULL, 0, &loan, NULL), 0);
        memset(dora_loan_data(loan), (int)i, BLOCK);
        assert_int_equal(dora_loan_send(loan, 0, NULL), 0);
        dora_loan_drop(loan);
        assert_int_equal(dora_node_next(f->nodes[1], 0, &f->held[i]), 1);
    }
}

static void
let_go(struct full *f, unsigned i)
{
    assert_int_equal(((const unsigned char *)f->held[i].data)[BLOCK - 1], i);
    dora_sample_unref(f->held[i].sample);
    f->held[i].sample = NULL;
}

static void
close_full(struct full *f)
{
    for (unsigned i = 0; i < BLOCKS; i++)
        dora_sample_unref(f->held[i].sample);
    flow_close(&f->flow, f->nodes);
}

static void
test_payload_without_room_names_who_holds_it(void **state)
{
    struct full f;
    struct dora_loan *loan = NULL;
    struct dora_error err;

    (void)state;
    open_full(&f, false);
    assert_int_equal(dora_node_loan(f.nodes[0], 0, 1, NULL, 0, &loan, &err),
                     -ENOSPC);
    assert_null(loan);
    if (!strstr(err.text, "n1") || !strstr(err.text, "'out'"))
        fail_msg("%s", err.text);
    assert_int_equal(
        dora_node_loan(f.nodes[0], 0, BLOCKS * BLOCK + 1, NULL, 0, &loan, &err),
        -EMSGSIZE);
    /* One release is enough, at once. */
    let_go(&f, 1);
    assert_int_equal(dora_node_loan(f.nodes[0], 0, BLOCK, NULL, 0, &loan, &err),
                     0);
    dora_loan_drop(loan);
    close_full(&f);
}

struct waiting {
    struct full *f;
    int r;
    struct dora_error err;
};

static void *
wait_for_room(void *arg)
{
    struct waiting *w = arg;
    struct dora_loan *loan;

    w->r = dora_node_loan(w->f->nodes[0], 0, BLOCK, NULL, 0, &loan, &w->err);
    if (w->r == 0)
        dora_loan_drop(loan);
    return NULL;
}

/* Until the producer has said that it waits. */
static void
await_starving(struct full *f)
{
    struct dora__shared_node *node = dora__node_of(f->flow.plane.control, 0);

    while (!atomic_load(&node->starved) || !(atomic_load(&node->bell) & 1))
        (void)sched_yield();
}

static void
test_payload_waits_for_room_until_a_release(void **state)
{
    struct full f;
    struct waiting w = {.f = &f};
    pthread_t thread;

    (void)state;
    open_full(&f, true);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_room, &w), 0);
    await_starving(&f);
    let_go(&f, 2);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.r, 0);
    close_full(&f);
}

static void
test_payload_waits_for_room_until_stop(void **state)
{
    struct full f;
    struct waiting w = {.f = &f};
    pthread_t thread;

    (void)state;
    open_full(&f, true);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_room, &w), 0);
    await_starving(&f);
    dora__plane_stop(&f.flow.plane);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.r, -ECANCELED);
    close_full(&f);
}

/* A loan adrift is written and sent like any, and reaches nobody. */
static void
test_payload_adrift_goes_nowhere(void **state)
{
    struct full f;
    struct dora_loan *loan, *other;
    uint64_t sent;

    (void)state;
    open_full(&f, true);
    sent = flow_counts(&f.flow, 0).sent;
    for (size_t size = 0; size < 200; size += 99) {
        assert_int_equal(
            dora__node_loan_adrift(f.nodes[0], 0, size, &loan, NULL), 0);
        assert_int_equal((uintptr_t)dora_loan_data(loan) % 64, 0);
        assert_int_equal(dora_loan_size(loan), size);
        memset(dora_loan_data(loan), 1, size);
        assert_int_equal(dora_loan_send(loan, -1, NULL), 0);
        assert_int_equal(dora_loan_send(loan, -1, NULL), -EALREADY);
        dora_loan_drop(loan);
    }
    assert_int_equal(flow_counts(&f.flow, 0).sent, sent);
    /* Who keeps them is told at the node's limit, until he lets go. */
    assert_int_equal(
        dora__node_loan_adrift(f.nodes[0], 0, BLOCKS * BLOCK, &loan, NULL), 0);
    assert_int_equal(dora__node_loan_adrift(f.nodes[0], 0, 1, &other, NULL),
                     -ECANCELED);
    dora_loan_drop(loan);
    assert_int_equal(dora__node_loan_adrift(f.nodes[0], 0, 1, &loan, NULL), 0);
    dora_loan_drop(loan);
    let_go(&f, 2);
    /* Its struct serves a real one again. */
    assert_int_equal(dora_node_loan(f.nodes[0], 0, 8, NULL, 0, &loan, NULL), 0);
    assert_int_equal(dora_loan_send(loan, -1, NULL), 0);
    dora_loan_drop(loan);
    assert_int_equal(flow_counts(&f.flow, 0).sent, sent + 1);
    close_full(&f);
}

/* The holder dies: what it held is room. */
static void
test_payload_waits_for_room_until_the_holder_dies(void **state)
{
    struct full f;
    struct waiting w = {.f = &f};
    pthread_t thread;

    (void)state;
    open_full(&f, true);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_room, &w), 0);
    await_starving(&f);
    dora__node_orphan(f.nodes[1]);
    while (dora__plane_node_died(&f.flow.plane, 1, false, "killed") == -EAGAIN)
        ;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.r, 0);
    close_full(&f);
}

/* --- fragmentation -------------------------------------------------------- */

enum { HELD = 500, LARGEST = 32 << 20 };

static uint64_t
draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* A reader holds up to 500 values of 1 B to 32 MB and lets go in any order; as
 * long as twice the largest is free, the largest finds its place. */
static void
test_payload_finds_room_between_what_is_held(void **state)
{
    const uint64_t limit = 512 * MB;
    struct dora_event held[HELD];
    struct dora_node *nodes[2];
    struct flow flow;
    uint64_t seed = 88172645463325252, used = 0;
    size_t count = 0;

    (void)state;
    flow_begin(&flow, 2, limit);
    flow.nodes[0].heap_range = 4 * limit;
    flow.nodes[1].heap_at = 4 * limit;
    flow.plan.heaps_size = 5 * limit;
    flow_output(&flow, 0, "out", 1024);
    flow_input(&flow, 1, "in", 0, 1, 0);
    flow_make(&flow);
    flow_open(&flow, nodes);
    for (unsigned i = 0; i < 1500; i++) {
        size_t size = (draw(&seed) >> (39 + draw(&seed) % 24)) % LARGEST + 1;
        struct dora_loan *loan;
        struct dora_error err;

        while (count == HELD || used + 2 * (uint64_t)LARGEST > limit) {
            size_t k = draw(&seed) % count;

            used -= held[k].data_size;
            dora_sample_unref(held[k].sample);
            held[k] = held[--count];
        }
        if (dora_node_loan(nodes[0], 0, LARGEST, NULL, 0, &loan, &err) < 0)
            fail_msg("%zu values, %ju bytes: %s", count, (uintmax_t)used,
                     err.text);
        dora_loan_drop(loan);
        assert_int_equal(
            dora_node_loan(nodes[0], 0, size, NULL, 0, &loan, NULL), 0);
        assert_int_equal(dora_loan_send(loan, 0, NULL), 0);
        dora_loan_drop(loan);
        assert_int_equal(dora_node_next(nodes[1], 0, &held[count]), 1);
        used += held[count++].data_size;
    }
    while (count)
        dora_sample_unref(held[--count].sample);
    flow_close(&flow, nodes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_payload_of_any_size_stays_in_place),
        cmocka_unit_test(test_payload_metadata_is_checked),
        cmocka_unit_test(test_payload_goes_to_eight_readers_by_their_policies),
        cmocka_unit_test(test_payload_without_room_names_who_holds_it),
        cmocka_unit_test(test_payload_waits_for_room_until_a_release),
        cmocka_unit_test(test_payload_waits_for_room_until_stop),
        cmocka_unit_test(test_payload_adrift_goes_nowhere),
        cmocka_unit_test(test_payload_waits_for_room_until_the_holder_dies),
        cmocka_unit_test(test_payload_finds_room_between_what_is_held),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
