/* kill_scenarios.c - what the victims of kill_test.c do when they are killed,
 * and what the survivors must find. */
#include "kill.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* --- scenarios: a producer ------------------------------------------------ */

static void
plan_pair(struct flow *flow, unsigned flags)
{
    flow_plan_row(flow, 2, HEAP, 3, flags);
}

/* One reader that two rings serve, and one that is waited for. */
static void
plan_fan_out(struct flow *flow, unsigned flags)
{
    (void)flags;
    flow_begin(flow, 3, HEAP);
    flow_output(flow, 0, "out", 64);
    flow_input(flow, 1, "in", 0, 2, FLOW_TWO_RINGS);
    flow_input(flow, 2, "in", 0, 8, FLOW_BACKPRESSURE);
}

static void
victim_sends(struct victim *v, unsigned count, enum kind kind)
{
    for (unsigned i = 0; i < count; i++)
        if (send_message(v->node, 0, v->next++, kind, v->patience) < 0)
            _exit(3);
}

static void
prepare_full(struct victim *v)
{
    victim_sends(v, 5, PLAIN);
    v->loan = loan_message(v->node, 0, v->next, PLAIN);
}

static void
prepare_some(struct victim *v)
{
    victim_sends(v, 2, PLAIN);
    v->loan = loan_message(v->node, 0, v->next, PLAIN);
}

static void
prepare_protected(struct victim *v)
{
    victim_sends(v, 2, PROTECTED);
    victim_sends(v, 1, PLAIN);
    v->loan = loan_message(v->node, 0, v->next, PROTECTED);
}

static void
prepare_all_protected(struct victim *v)
{
    victim_sends(v, 3, PROTECTED);
    v->loan = loan_message(v->node, 0, v->next, PROTECTED);
}

static void
prepare_flush(struct victim *v)
{
    victim_sends(v, 1, PROTECTED);
    victim_sends(v, 2, PLAIN);
    v->loan = loan_message(v->node, 0, v->next, FLUSH);
}

static void
window_send(struct victim *v)
{
    (void)dora_loan_send(v->loan, 0, NULL);
}

static void
window_send_and_drop(struct victim *v)
{
    (void)dora_loan_send(v->loan, 0, NULL);
    dora_loan_drop(v->loan);
}

static void
prepare_five(struct victim *v)
{
    victim_sends(v, 5, PLAIN);
}

static void
window_copy(struct victim *v)
{
    unsigned char bytes[512];

    write_message(bytes, v->next);
    (void)dora_node_send(v->node, 0, bytes, size_of_message(v->next), NULL, 0,
                         NULL);
}

static void
window_loan_and_drop(struct victim *v)
{
    dora_loan_drop(loan_message(v->node, 0, v->next, PLAIN));
}

static void
window_close(struct victim *v)
{
    dora_loan_drop(v->loan);
    dora__node_close(v->node);
}

static void
consumer_drains(struct world *w)
{
    survivor_drains(w, 1);
}

static void
consumer_holds(struct world *w)
{
    survivor_holds(w, 1);
}

static void
consumers_drain(struct world *w)
{
    survivor_drains(w, 1);
    survivor_drains(w, 2);
}

/* A new producer goes on where the old one ended. */
static void
producer_again(struct world *w)
{
    w->next[0] = 100;
    survivor_sends(w, 0, 2);
}

/* The last message of the old producer that arrived, `n` or `n + 1` were
 * sent. */
static void
check_last_sent(struct world *w, uint32_t consumer, uint64_t n)
{
    survivor_drains(w, consumer);
    assert_true(w->last[consumer] == n || w->last[consumer] == n + 1);
}

static void
after_full(struct world *w, bool restarted)
{
    check_last_sent(w, 1, 5);
    assert_true(w->seen[1] >= 2);
    assert_true(w->first[1] >= 3);
    assert_int_equal(w->last[1] - w->first[1] + 1, w->seen[1]);
    if (restarted)
        producer_again(w);
}

/* A consumer that was told the end reads no more. */
static void
after_closing(struct world *w, bool restarted)
{
    (void)restarted;
    check_last_sent(w, 1, 2);
    assert_int_equal(w->first[1], 1);
    assert_int_equal(w->last[1], w->seen[1]);
}

static void
after_some(struct world *w, bool restarted)
{
    after_closing(w, restarted);
    if (restarted)
        producer_again(w);
}

/* Messages 1 and 2 were protected. */
static void
after_protected(struct world *w, bool restarted)
{
    survivor_drains(w, 1);
    assert_int_equal(w->first[1], 1);
    assert_true(w->seen[1] >= 2 && w->last[1] <= 4);
    if (restarted)
        producer_again(w);
}

static void
after_all_protected(struct world *w, bool restarted)
{
    check_last_sent(w, 1, 3);
    assert_true(w->first[1] <= 2);
    assert_int_equal(w->last[1] - w->first[1] + 1, w->seen[1]);
    if (restarted)
        producer_again(w);
}

static void
after_flush(struct world *w, bool restarted)
{
    survivor_drains(w, 1);
    assert_int_equal(w->first[1], 1);
    assert_true(w->last[1] <= 4);
    if (restarted)
        producer_again(w);
}

/* Per edge the message was sent or not; what came before was. */
static void
after_fan_out(struct world *w, bool restarted)
{
    check_last_sent(w, 1, 5);
    check_last_sent(w, 2, 5);
    assert_int_equal(w->first[2], 1);
    assert_int_equal(w->seen[2], w->last[2]);
    if (restarted)
        producer_again(w);
}

/* --- scenarios: a consumer ------------------------------------------------ */

static void
producer_sends_three(struct world *w)
{
    survivor_sends(w, 0, 3);
}

static void
producer_sends_one(struct world *w)
{
    survivor_sends(w, 0, 1);
}

static void
prepare_nothing(struct victim *v)
{
    (void)v;
}

static void
prepare_holding(struct victim *v)
{
    if (dora_node_next(v->node, v->patience, &v->event) != 1)
        _exit(3);
}

static void
window_take(struct victim *v)
{
    (void)dora_node_next(v->node, 0, &v->event);
}

static void
window_release(struct victim *v)
{
    dora_sample_unref(v->event.sample);
}

static void
window_take_and_release(struct victim *v)
{
    (void)dora_node_next(v->node, 0, &v->event);
    dora_sample_unref(v->event.sample);
}

/* What the dead had not taken waits for the next one, in order and without a
 * hole up to the last; without a next one it is dropped. */
static void
after_consumer(struct world *w, bool restarted)
{
    struct dora__edge_counts counts = flow_counts(&w->flow, 0);

    assert_int_equal(counts.delivered, counts.shown + counts.lost);
    assert_true(counts.delivered <= 1);
    if (!restarted) {
        assert_int_equal(counts.queued, 0);
        survivor_sends(w, 0, 3);
        return;
    }
    survivor_drains(w, 1);
    assert_int_equal(w->last[1], w->next[0] - 1);
    assert_int_equal(w->last[1] - w->first[1] + 1, w->seen[1]);
    assert_int_equal(w->seen[1], counts.queued);
    survivor_sends(w, 0, 2);
    survivor_drains(w, 1);
    assert_int_equal(w->last[1], w->next[0] - 1);
}

/* Room that the dead made is room. */
static void
after_backpressure_consumer(struct world *w, bool restarted)
{
    int r = send_message(w->nodes[0], 0, w->next[0], PLAIN, 0);

    assert_true(r == 0 || (restarted && r == -ETIMEDOUT));
    w->next[0] += r == 0;
    if (restarted)
        survivor_drains(w, 1);
}

/* --- scenarios: forwarding ------------------------------------------------ */

/* 0 sends to 1, which forwards to 2. */
static void
plan_chain(struct flow *flow, unsigned flags)
{
    flow_plan_row(flow, 3, HEAP, 4, flags);
}

static void
window_forward(struct victim *v)
{
    (void)dora_node_forward(v->node, 0, v->event.sample, 0, v->event.data_size,
                            NULL, 0, NULL);
    dora_sample_unref(v->event.sample);
}

/* The sink keeps what it has, the source goes on writing. */
static void
chain_works_on(struct world *w)
{
    if (w->nodes[2])
        survivor_holds(w, 2);
    survivor_sends(w, 0, 6);
}

static void
after_forwarder(struct world *w, bool restarted)
{
    survivor_holds(w, 2);
    survivor_sends(w, 0, 6);
    survivors_let_go(w);
    assert_true(w->seen[2] <= 1);
    if (w->seen[2])
        assert_int_equal(w->last[2], 1);
    if (restarted) {
        survivor_drains(w, 1);
        assert_int_equal(w->last[1], w->next[0] - 1);
    }
}

static void
forward_one(struct world *w)
{
    struct dora_event event;

    assert_true(survivor_takes(w, 1, &event));
    assert_int_equal(dora_node_forward(w->nodes[1], 0, event.sample, 0,
                                       event.data_size, NULL, 0, NULL),
                     0);
    dora_sample_unref(event.sample);
}

/* The source dies while others read its messages through another's record. */
static void
prepare_source(struct victim *v)
{
    victim_sends(v, 4, PLAIN);
}

static void
forward_two(struct world *w)
{
    forward_one(w);
    forward_one(w);
    survivor_holds(w, 2);
    assert_int_equal(w->held_count, 2);
}

static void
window_send_more(struct victim *v)
{
    victim_sends(v, 1, PLAIN);
}

static void
after_source(struct world *w, bool restarted)
{
    forward_one(w);
    if (restarted) {
        w->next[0] = 100;
        survivor_sends(w, 0, 20);
    }
    survivor_holds(w, 2);
    survivors_let_go(w);
}

/* --- scenarios: all of a node's life -------------------------------------- */

static void
window_join(struct victim *v)
{
    v->node = flow_attach(v->flow, v->number);
    if (dora__node_join(v->node, 0, NULL) < 0)
        _exit(2);
}

static void
window_leave(struct victim *v)
{
    dora__node_detach(v->node);
}

static void
after_joining_producer(struct world *w, bool restarted)
{
    survivor_drains(w, 1);
    assert_int_equal(w->seen[1], 0);
    if (restarted)
        producer_again(w);
}

/* --- the table ------------------------------------------------------------ */

const struct scenario kill_scenarios[] = {
    {
        .name = "send, oldest dropped",
        .plan = plan_pair,
        .prepare = prepare_full,
        .window = window_send,
        .meanwhile = consumer_drains,
        .after = after_full,
    },
    {
        .name = "send, oldest dropped, reader keeps",
        .plan = plan_pair,
        .prepare = prepare_full,
        .window = window_send_and_drop,
        .meanwhile = consumer_holds,
        .after = after_full,
    },
    {
        .name = "send by copy",
        .plan = plan_pair,
        .prepare = prepare_five,
        .window = window_copy,
        .meanwhile = consumer_drains,
        .after = after_full,
    },
    {
        .name = "send, backpressure",
        .plan = plan_pair,
        .flags = FLOW_BACKPRESSURE,
        .prepare = prepare_some,
        .window = window_send_and_drop,
        .meanwhile = consumer_drains,
        .after = after_some,
    },
    {
        .name = "send, protected displaces ordinary",
        .plan = plan_pair,
        .flags = FLOW_TWO_RINGS,
        .prepare = prepare_protected,
        .window = window_send,
        .meanwhile = consumer_drains,
        .after = after_protected,
    },
    {
        .name = "send, protected displaces protected",
        .plan = plan_pair,
        .flags = FLOW_TWO_RINGS,
        .prepare = prepare_all_protected,
        .window = window_send,
        .meanwhile = consumer_holds,
        .after = after_all_protected,
    },
    {
        .name = "send, flush",
        .plan = plan_pair,
        .flags = FLOW_TWO_RINGS,
        .prepare = prepare_flush,
        .window = window_send,
        .meanwhile = consumer_drains,
        .after = after_flush,
    },
    {
        .name = "send, two readers",
        .plan = plan_fan_out,
        .prepare = prepare_full,
        .window = window_send_and_drop,
        .meanwhile = consumers_drain,
        .after = after_fan_out,
    },
    {
        .name = "loan and drop",
        .plan = plan_pair,
        .prepare = prepare_five,
        .window = window_loan_and_drop,
        .meanwhile = consumer_drains,
        .after = after_full,
    },
    {
        .name = "close",
        .plan = plan_pair,
        .prepare = prepare_some,
        .window = window_close,
        .meanwhile = consumer_drains,
        .after = after_closing,
    },
    {
        .name = "take",
        .victim = 1,
        .plan = plan_pair,
        .before = producer_sends_three,
        .prepare = prepare_nothing,
        .window = window_take,
        .meanwhile = producer_sends_three,
        .after = after_consumer,
    },
    {
        .name = "take, two rings",
        .victim = 1,
        .plan = plan_pair,
        .flags = FLOW_TWO_RINGS,
        .before = producer_sends_three,
        .prepare = prepare_nothing,
        .window = window_take_and_release,
        .meanwhile = producer_sends_three,
        .after = after_consumer,
    },
    {
        .name = "release",
        .victim = 1,
        .plan = plan_pair,
        .before = producer_sends_three,
        .prepare = prepare_holding,
        .window = window_release,
        .meanwhile = producer_sends_three,
        .after = after_consumer,
    },
    {
        .name = "take, backpressure",
        .victim = 1,
        .plan = plan_pair,
        .flags = FLOW_BACKPRESSURE,
        .before = producer_sends_three,
        .prepare = prepare_nothing,
        .window = window_take_and_release,
        .after = after_backpressure_consumer,
    },
    {
        .name = "forward",
        .victim = 1,
        .plan = plan_chain,
        .before = producer_sends_one,
        .prepare = prepare_holding,
        .window = window_forward,
        .meanwhile = chain_works_on,
        .after = after_forwarder,
    },
    {
        .name = "send what others forward",
        .plan = plan_chain,
        .prepare = prepare_source,
        .arrange = forward_two,
        .window = window_send_more,
        .after = after_source,
    },
    {
        .name = "attach and join",
        .plan = plan_pair,
        .unattached = true,
        .coarse = true,
        .window = window_join,
        .after = after_joining_producer,
    },
    {
        .name = "detach",
        .plan = plan_pair,
        .prepare = prepare_some,
        .window = window_leave,
        .meanwhile = consumer_drains,
        .after = after_closing,
    },
};
