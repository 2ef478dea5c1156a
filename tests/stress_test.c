/* stress_test.c - four producers, four consumers, and somebody who counts.
 *
 * Every node is a thread with mappings of its own, as if it were a process.
 * Each producer feeds each consumer; queues drop the oldest, keep protected
 * messages or block, by turns; consumers hold some of what they get, and
 * forward some. All the time a reader samples every edge's counters: sent is
 * delivered, dropped and queued, at any instant.
 *
 *     stress_test [MESSAGES]     of each producer */
#include "flow.h"
#include "plane/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    PRODUCERS = 4,
    CONSUMERS = 4,
    SINK = PRODUCERS + CONSUMERS, /* gets what consumers forward */
    ALL = SINK + 1,
    HEAP = 1 << 20,
    HELD = 5,
    LARGEST = 2000,
};

static uint64_t messages = 4000;

struct stress {
    struct flow flow;
    struct dora_node *nodes[ALL];
    uint64_t received[ALL];
    _Atomic unsigned running; /* nodes */
    _Atomic unsigned faults;  /* assertions only work on the test's thread */
};

struct actor {
    struct stress *stress;
    uint32_t number;
};

static void
expect(struct stress *s, bool holds, const char *what, uint32_t number)
{
    if (holds)
        return;
    (void)fprintf(stderr, "node %u: %s\n", number, what);
    atomic_fetch_add_explicit(&s->faults, 1, memory_order_relaxed);
}

/* --- messages: who, which, and bytes that follow from both ------------------
 */

struct heading {
    uint32_t producer, size;
    uint64_t number;
};

static void
write_message(unsigned char *bytes, struct heading heading)
{
    memcpy(bytes, &heading, sizeof heading);
    memset(bytes + sizeof heading,
           (int)((heading.number + heading.producer) & 0xff),
           heading.size - sizeof heading);
}

static struct heading
read_message(struct stress *s, uint32_t me, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    struct heading heading = {.size = 0};

    if (size >= sizeof heading)
        memcpy(&heading, data, sizeof heading);
    expect(s, heading.size == size, "a message of another size", me);
    for (size_t i = sizeof heading; i < size; i++)
        if (bytes[i] != (unsigned char)(heading.number + heading.producer)) {
            expect(s, false, "bytes that nobody sent", me);
            break;
        }
    return heading;
}

/* --- nodes ------------------------------------------------------------------
 */

static void *
produce(void *arg)
{
    struct actor *actor = arg;
    struct stress *s = actor->stress;
    struct dora_node *node = s->nodes[actor->number];
    struct dora_metadata protect = {.bytes = NULL};

    (void)dora_metadata_int(&protect, "goal_id", 7, 1);
    for (uint64_t i = 1; i <= messages; i++) {
        struct heading heading = {
            .producer = actor->number,
            .size = (uint32_t)(sizeof heading + i * 977 % LARGEST),
            .number = i,
        };
        size_t metadata_size = i % 5 == 0 ? protect.size : 0;
        struct dora_loan *loan;
        struct dora_error err;

        if (dora_node_loan(node, 0, heading.size, protect.bytes, metadata_size,
                           &loan, &err) < 0) {
            expect(s, false, err.text, actor->number);
            break;
        }
        write_message(dora_loan_data(loan), heading);
        expect(s, dora_loan_send(loan, -1, &err) == 0, "a send failed",
               actor->number);
        dora_loan_drop(loan);
    }
    dora__node_close(node);
    dora_metadata_fini(&protect);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

/* The last few samples, let go in another order than they came. */
struct keeper {
    struct dora_event events[HELD];
    unsigned next;
};

static void
keep(struct stress *s, uint32_t me, struct keeper *k,
     const struct dora_event *event)
{
    struct dora_event *old = &k->events[k->next++ % HELD];

    if (old->sample)
        (void)read_message(s, me, old->data, old->data_size);
    dora_sample_unref(old->sample);
    *old = (struct dora_event){.sample = NULL};
    if (event)
        *old = *event;
}

static void
take(struct stress *s, uint32_t me, struct keeper *k, uint64_t *last,
     const struct dora_event *event)
{
    struct heading heading = read_message(s, me, event->data, event->data_size);

    expect(s, heading.number > last[heading.producer], "messages out of order",
           me);
    last[heading.producer] = heading.number;
    s->received[me]++;
    if (me != SINK && heading.number % 3 == 0)
        expect(s,
               dora_node_forward(s->nodes[me], 0, event->sample, 0,
                                 event->data_size, NULL, 0, NULL) == 0,
               "a forward failed", me);
    if (heading.number % 2)
        keep(s, me, k, event);
    else
        dora_sample_unref(event->sample);
}

static void *
consume(void *arg)
{
    struct actor *actor = arg;
    struct stress *s = actor->stress;
    uint32_t me = actor->number;
    uint64_t last[CONSUMERS][PRODUCERS] = {{0}};
    struct keeper keeper = {.next = 0};
    struct dora_event event;

    while (dora_node_next(s->nodes[me], -1, &event) >= 0)
        if (event.type == DORA_EVENT_INPUT)
            take(s, me, &keeper, last[me == SINK ? event.input : 0], &event);
    for (unsigned i = 0; i < HELD; i++)
        keep(s, me, &keeper, NULL);
    dora__node_close(s->nodes[me]);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

/* --- the whole --------------------------------------------------------------
 */

static void
plan(struct flow *flow)
{
    static const unsigned policies[] = {0, FLOW_TWO_RINGS, FLOW_BACKPRESSURE};
    unsigned turn = 0;

    flow_begin(flow, ALL, HEAP);
    for (uint32_t i = 0; i < PRODUCERS + CONSUMERS; i++)
        flow_output(flow, i, "out", 256);
    for (uint32_t c = 0; c < CONSUMERS; c++)
        for (uint32_t p = 0; p < PRODUCERS; p++, turn++)
            flow_input(flow, PRODUCERS + c, "in", p, 1 + turn % 5,
                       policies[turn % 3]);
    for (uint32_t c = 0; c < CONSUMERS; c++)
        flow_input(flow, SINK, "in", PRODUCERS + c, 4, 0);
}

static void
sample_counters(struct stress *s, uint64_t *ret_samples)
{
    uint64_t sent[FLOW_INPUTS] = {0};

    while (atomic_load(&s->running) > 0)
        for (uint32_t i = 0; i < s->flow.plan.input_count; i++) {
            struct dora__edge_counts c = flow_counts(&s->flow, i);

            assert_int_equal(c.sent, c.delivered + c.dropped + c.queued);
            assert_true(c.queued <= s->flow.inputs[i].bound);
            assert_true(c.sent >= sent[i]);
            sent[i] = c.sent;
            ++*ret_samples;
        }
}

/* Of each edge at the end, and that nobody holds anything. */
static void
check_end(struct stress *s)
{
    struct dora__control *control = s->flow.plane.control;

    for (uint32_t i = 0; i < s->flow.plan.input_count; i++) {
        struct dora__edge_counts c = flow_counts(&s->flow, i);

        assert_int_equal(c.queued, 0);
        assert_int_equal(c.shown, c.delivered);
        if (i < PRODUCERS * CONSUMERS)
            assert_int_equal(c.sent + c.refused, messages);
        if (s->flow.inputs[i].backpressure)
            assert_int_equal(c.dropped + c.refused, 0);
    }
    for (uint32_t i = 0; i < control->output_count; i++) {
        struct dora__output *output = dora__output_of(control, i);
        uint32_t count = atomic_load(&output->record_count);

        for (uint32_t k = 0; k < count; k++)
            assert_int_equal(
                atomic_load(&dora__record_of(control, output->first_record + k)
                                 ->holders),
                0);
    }
}

static void
test_stress_counters_agree_at_any_instant(void **state)
{
    static struct stress s;
    struct actor actors[ALL];
    pthread_t threads[ALL];
    uint64_t samples = 0;

    (void)state;
    memset(&s, 0, sizeof s);
    plan(&s.flow);
    flow_make(&s.flow);
    flow_open(&s.flow, s.nodes);
    atomic_store(&s.running, ALL);
    for (uint32_t i = 0; i < ALL; i++) {
        actors[i] = (struct actor){.stress = &s, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < PRODUCERS ? produce : consume,
                                        &actors[i]),
                         0);
    }
    sample_counters(&s, &samples);
    for (uint32_t i = 0; i < ALL; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&s.faults), 0);
    for (uint32_t i = PRODUCERS; i < ALL; i++)
        assert_true(s.received[i] > 0);
    assert_true(samples > 100);
    check_end(&s);
    flow_close(&s.flow, s.nodes);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stress_counters_agree_at_any_instant),
    };

    if (argc > 1)
        messages = strtoull(argv[1], NULL, 10);
    else
        (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
