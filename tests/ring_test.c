/* ring_test.c - one edge by hand: positions, parity, both rings; and under two
 * threads, over a wrap of every counter that can wrap. */
#include "flow.h"
#include "plane/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

struct one_edge {
    struct flow flow;
    struct dora__control *control;
    struct dora__shared_node *node;
    struct dora__edge *edge;
    struct dora__seen seen;
};

static void
edge_begin(struct one_edge *e, uint32_t bound, unsigned flags,
           uint64_t position)
{
    flow_plan_row(&e->flow, 2, 1 << 16, bound, flags);
    flow_make(&e->flow);
    e->control = e->flow.plane.control;
    e->node = dora__node_of(e->control, 0);
    e->edge = dora__edge_of(e->control, 0);
    for (unsigned ring = 0; ring < dora__edge_rings(e->edge); ring++) {
        atomic_init(&e->edge->tail[ring], position);
        atomic_init(&e->edge->head[ring], position << 1);
        e->seen.position[ring] = position;
    }
}

static void
edge_end(struct one_edge *e)
{
    flow_end(&e->flow);
}

static enum dora__pushed
push(struct one_edge *e, uint32_t record, bool is_protected)
{
    struct dora__record *r = dora__record_of(e->control, record);
    enum dora__pushed pushed;

    atomic_store_explicit(&r->holders, DORA__OWN_BIT, memory_order_release);
    dora__gate_enter(e->node);
    pushed = dora__edge_push(e->control, e->node, e->edge, &e->seen, record,
                             is_protected);
    dora__gate_leave(e->node);
    dora__record_release(r, DORA__OWN_BIT);
    return pushed;
}

static void
number(struct one_edge *e, uint32_t record, uint64_t seq)
{
    struct dora__record *r = dora__record_of(e->control, record);

    atomic_store_explicit(&r->seq, seq, memory_order_relaxed);
    atomic_store_explicit(&r->time, seq, memory_order_relaxed);
}

/* The record popped, or DORA__NONE. */
static uint32_t
pop(struct one_edge *e)
{
    struct dora__front front;

    do {
        dora__edge_look(e->control, e->edge, &front);
        if (front.record == (uint32_t)DORA__NONE)
            return front.record;
    } while (!dora__front_pop(e->edge, &front));
    return front.record;
}

static uint64_t
holders(struct one_edge *e, uint32_t record)
{
    return atomic_load_explicit(&dora__record_of(e->control, record)->holders,
                                memory_order_acquire);
}

static void
test_ring_keeps_order_and_bits(void **state)
{
    struct one_edge e;

    (void)state;
    edge_begin(&e, 4, 0, 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(push(&e, i, false), DORA__PUSHED);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(holders(&e, i), dora__edge_bit(e.edge));
        assert_int_equal(pop(&e), i);
        assert_int_equal(holders(&e, i), dora__edge_bit(e.edge));
        dora__record_release(dora__record_of(e.control, i),
                             dora__edge_bit(e.edge));
        assert_int_equal(holders(&e, i), 0);
    }
    assert_int_equal(pop(&e), (uint32_t)DORA__NONE);
    edge_end(&e);
}

static void
test_ring_drop_flips_the_parity(void **state)
{
    struct one_edge e;

    (void)state;
    edge_begin(&e, 2, 0, 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(push(&e, i, false), DORA__PUSHED);
        assert_int_equal(atomic_load(&e.edge->head[0]) & 1,
                         atomic_load(&e.edge->dropped[0]) & 1);
    }
    assert_int_equal(atomic_load(&e.edge->dropped[0]), 3);
    assert_int_equal(dora__position(atomic_load(&e.edge->head[0])), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(holders(&e, i), 0);
    assert_int_equal(pop(&e), 3);
    assert_int_equal(pop(&e), 4);
    assert_int_equal(atomic_load(&e.edge->head[0]) & 1, 1);
    edge_end(&e);
}

static void
test_ring_backpressure_reports_full(void **state)
{
    struct one_edge e;

    (void)state;
    edge_begin(&e, 2, FLOW_BACKPRESSURE, 0);
    assert_int_equal(push(&e, 0, false), DORA__PUSHED);
    assert_int_equal(push(&e, 1, false), DORA__PUSHED);
    assert_int_equal(push(&e, 2, false), DORA__PUSH_FULL);
    assert_int_equal(holders(&e, 2), 0);
    assert_int_equal(pop(&e), 0);
    assert_int_equal(push(&e, 2, false), DORA__PUSHED);
    edge_end(&e);
}

static void
test_ring_leaves_no_intent(void **state)
{
    struct one_edge e;

    (void)state;
    edge_begin(&e, 1, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(push(&e, i, false), DORA__PUSHED);
        assert_int_equal(atomic_load(&e.node->intent), 0);
        assert_int_equal(atomic_load(&e.node->gate), DORA__GATE_FREE);
    }
    edge_end(&e);
}

static void
test_ring_intent_survives_packing(void **state)
{
    const uint64_t positions[] = {0, 1, 0x7fffffff, 0x80000000, UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < DORA_COUNT(positions); i++) {
        struct dora__intent intent = dora__intent_unpack(dora__intent_pack(
            DORA__INTENT_DROP, 1, 63, 0xffffff - i, positions[i]));

        assert_int_equal(intent.kind, DORA__INTENT_DROP);
        assert_int_equal(intent.ring, 1);
        assert_int_equal(intent.bit, 63);
        assert_int_equal(intent.record, 0xffffff - i);
        assert_int_equal(intent.position, positions[i] & DORA__INTENT_POSITION);
    }
}

static void
test_ring_gate_excludes_the_host(void **state)
{
    struct one_edge e;

    (void)state;
    edge_begin(&e, 1, 0, 0);
    dora__gate_enter(e.node);
    assert_false(dora__gate_try_host(e.node));
    dora__gate_leave(e.node);
    assert_true(dora__gate_try_host(e.node));
    assert_false(dora__gate_try_host(e.node));
    dora__gate_leave_host(e.node);
    dora__gate_enter(e.node);
    dora__gate_leave(e.node);
    edge_end(&e);
}

/* What the host does to an intent, for a death at every place of a push and of
 * a drop; each is made by hand as the stores before it. */
static void
die(struct one_edge *e, unsigned kind, uint32_t record, uint64_t position)
{
    atomic_store(&e->node->intent,
                 dora__intent_pack(kind, 0, e->edge->bit, record, position));
    atomic_store(&e->node->gate, DORA__GATE_PRODUCER);
    assert_int_equal(dora__plane_node_died(&e->flow.plane, 0, true, NULL), 0);
    assert_int_equal(atomic_load(&e->node->intent), 0);
    assert_int_equal(atomic_load(&e->node->gate), DORA__GATE_FREE);
}

static void
test_ring_death_in_a_push_is_undone(void **state)
{
    struct one_edge e;
    struct dora__record *record;

    (void)state;
    edge_begin(&e, 2, 0, 0x7fffffff);
    record = dora__record_of(e.control, 3);
    /* The bit is set, the tail is not moved. */
    atomic_store(&record->holders, DORA__OWN_BIT | dora__edge_bit(e.edge));
    die(&e, DORA__INTENT_PUSH, 3, 0x7fffffff);
    assert_int_equal(holders(&e, 3), 0);
    assert_int_equal(pop(&e), (uint32_t)DORA__NONE);
    /* The tail is moved: the push stands. */
    assert_int_equal(push(&e, 3, false), DORA__PUSHED);
    die(&e, DORA__INTENT_PUSH, 3, 0x7fffffff);
    assert_int_equal(holders(&e, 3), dora__edge_bit(e.edge));
    assert_int_equal(pop(&e), 3);
    /* Taken by the consumer meanwhile: still its own. */
    die(&e, DORA__INTENT_PUSH, 3, 0x7fffffff);
    assert_int_equal(holders(&e, 3), dora__edge_bit(e.edge));
    edge_end(&e);
}

static void
test_ring_death_in_a_drop_is_finished(void **state)
{
    struct one_edge e;
    uint64_t head;

    (void)state;
    edge_begin(&e, 2, 0, 0);
    assert_int_equal(push(&e, 0, false), DORA__PUSHED);
    assert_int_equal(push(&e, 1, false), DORA__PUSHED);
    /* Before the CAS: nothing happened. */
    head = atomic_load(&e.edge->head[0]);
    die(&e, DORA__INTENT_DROP, 0, head);
    assert_int_equal(holders(&e, 0), dora__edge_bit(e.edge));
    assert_int_equal(flow_counts(&e.flow, 0).dropped, 0);
    /* The consumer took it: it stays the consumer's. */
    assert_int_equal(pop(&e), 0);
    die(&e, DORA__INTENT_DROP, 0, head);
    assert_int_equal(holders(&e, 0), dora__edge_bit(e.edge));
    assert_int_equal(flow_counts(&e.flow, 0).dropped, 0);
    /* After the CAS: the bit goes, the drop counts; in between as well. */
    head = atomic_load(&e.edge->head[0]);
    atomic_store(&e.edge->head[0], (head + 2) ^ 1);
    assert_int_equal(flow_counts(&e.flow, 0).dropped, 1);
    die(&e, DORA__INTENT_DROP, 1, head);
    assert_int_equal(holders(&e, 1), 0);
    assert_int_equal(atomic_load(&e.edge->dropped[0]), 1);
    assert_int_equal(flow_counts(&e.flow, 0).dropped, 1);
    edge_end(&e);
}

/* --- two threads --------------------------------------------------------- */

enum { MESSAGES = 200000, RECORDS = 64 };

struct consumer {
    struct one_edge *e;
    uint64_t popped;
    _Atomic bool over;
};

/* Pops until the producer is over and all is empty; FIFO by sequence number,
 * and what is held stays as it was. */
static void *
consume(void *arg)
{
    struct consumer *c = arg;
    uint64_t last = 0;

    for (;;) {
        bool over = atomic_load_explicit(&c->over, memory_order_acquire);
        uint32_t record = pop(c->e);

        if (record == (uint32_t)DORA__NONE) {
            if (over)
                return NULL;
            sched_yield();
            continue;
        }

        struct dora__record *r = dora__record_of(c->e->control, record);
        uint64_t seq = atomic_load_explicit(&r->seq, memory_order_relaxed);

        if (seq <= last ||
            atomic_load_explicit(&r->size, memory_order_relaxed) != ~seq)
            abort();
        last = seq;
        c->popped++;
        if (atomic_load_explicit(&r->seq, memory_order_relaxed) != seq)
            abort();
        dora__record_release(r, dora__edge_bit(c->e->edge));
    }
}

static uint32_t
free_record(struct one_edge *e)
{
    for (uint32_t i = 0;; i = (i + 1) % RECORDS)
        if (holders(e, i) == 0)
            return i;
}

static void
run_two_threads(unsigned flags, uint32_t bound)
{
    struct one_edge e;
    struct consumer consumer = {.e = &e};
    struct dora__edge_counts counts;
    pthread_t thread;

    edge_begin(&e, bound, flags, 0x7fffffff - MESSAGES / 2);
    assert_int_equal(pthread_create(&thread, NULL, consume, &consumer), 0);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        uint32_t record = free_record(&e);

        number(&e, record, seq);
        atomic_store_explicit(&dora__record_of(e.control, record)->size, ~seq,
                              memory_order_relaxed);
        while (push(&e, record, seq % 7 == 0) == DORA__PUSH_FULL)
            sched_yield();
        if (seq % 64 == 0)
            sched_yield();
    }
    atomic_store_explicit(&consumer.over, true, memory_order_release);
    pthread_join(thread, NULL);
    counts = flow_counts(&e.flow, 0);
    assert_int_equal(counts.queued, 0);
    assert_int_equal(counts.delivered + counts.dropped, counts.sent);
    /* The positions did not begin at 0; the rest is exact. */
    uint64_t base =
        (0x7fffffff - MESSAGES / 2) * (uint64_t)dora__edge_rings(e.edge);

    assert_int_equal(counts.sent - base + counts.refused, MESSAGES);
    assert_int_equal(counts.delivered - base, consumer.popped);
    for (uint32_t i = 0; i < RECORDS; i++)
        assert_int_equal(holders(&e, i), 0);
    edge_end(&e);
}

static void
test_ring_two_threads_drop_oldest(void **state)
{
    (void)state;
    run_two_threads(0, 1);
    run_two_threads(0, 5);
}

static void
test_ring_two_threads_protected(void **state)
{
    (void)state;
    run_two_threads(FLOW_TWO_RINGS, 3);
}

static void
test_ring_two_threads_backpressure(void **state)
{
    (void)state;
    run_two_threads(FLOW_BACKPRESSURE, 8);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_keeps_order_and_bits),
        cmocka_unit_test(test_ring_drop_flips_the_parity),
        cmocka_unit_test(test_ring_backpressure_reports_full),
        cmocka_unit_test(test_ring_leaves_no_intent),
        cmocka_unit_test(test_ring_intent_survives_packing),
        cmocka_unit_test(test_ring_gate_excludes_the_host),
        cmocka_unit_test(test_ring_death_in_a_push_is_undone),
        cmocka_unit_test(test_ring_death_in_a_drop_is_finished),
        cmocka_unit_test(test_ring_two_threads_drop_oldest),
        cmocka_unit_test(test_ring_two_threads_protected),
        cmocka_unit_test(test_ring_two_threads_backpressure),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
