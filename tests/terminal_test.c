/* terminal_test.c - one node at a time has the terminal, and the dataflow's
 * time stands still meanwhile. The host's answers are given by hand. */
#include "flow.h"
#include "plane/layout.h"
#include "plane/terminal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { MILLISECOND = 1000000 };

/* Two nodes, each with a timer of a millisecond. */
static void
open_flow(struct flow *flow, struct dora_node **nodes)
{
    (void)alarm(300);
    flow_begin(flow, 2, 1 << 16);
    (void)flow_timer(flow, 0, "tick", MILLISECOND, 100);
    (void)flow_timer(flow, 1, "tick", MILLISECOND, 100);
    flow_make(flow);
    flow_open(flow, nodes);
}

/* Its turn. */
static uint32_t
take(struct flow *flow, struct dora_node **nodes, uint32_t node)
{
    uint32_t turn;

    assert_int_equal(dora__node_take_terminal(nodes[node], 0), -ETIMEDOUT);
    turn = dora__plane_debugger(&flow->plane);
    assert_int_not_equal(turn, 0);
    dora__plane_lend_terminal(&flow->plane, turn, true);
    assert_int_equal(dora__node_take_terminal(nodes[node], 0), 0);
    return turn;
}

/* Takes all ticks that are due. How many. */
static unsigned
take_ticks(struct dora_node *node)
{
    struct dora_event event;
    unsigned count = 0;

    while (dora_node_next(node, 0, &event) == 1)
        count++;
    return count;
}

static void
test_terminal_timers_stand_still(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;
    struct dora__edge_counts counts;

    (void)state;
    open_flow(&flow, nodes);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    (void)take(&flow, nodes, 0);
    (void)take_ticks(nodes[1]);
    counts = flow_counts(&flow, 1);
    /* The wait is not ended by ticks, nor does it spin for them. */
    assert_int_equal(dora_node_next(nodes[1], 50 * MILLISECOND, &event), 0);
    assert_int_equal(flow_counts(&flow, 1).sent, counts.sent);
    dora__node_return_terminal(nodes[0]);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    assert_int_equal(flow_counts(&flow, 1).dropped, counts.dropped);
    flow_close(&flow, nodes);
}

/* The producer is not late because somebody thinks; nor is it any later than it
 * was before. */
static void
test_terminal_input_timeouts_stand_still(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;

    (void)state;
    (void)alarm(300);
    flow_plan_row(&flow, 2, 1 << 20, 10, FLOW_TWO_RINGS);
    flow.inputs[0].timeout_ns = 200 * MILLISECOND;
    flow_make(&flow);
    flow_open(&flow, nodes);
    flow_send_number(nodes[0], 0, 1);
    (void)take(&flow, nodes, 0);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    assert_int_equal(dora_node_next(nodes[1], 250 * MILLISECOND, &event), 0);
    dora__node_return_terminal(nodes[0]);
    assert_int_equal(dora_node_next(nodes[1], 0, &event), 0);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    assert_int_equal(event.type, DORA_EVENT_INPUT_CLOSED);
    flow_close(&flow, nodes);
}

static void
test_terminal_time_stands_still(void **state)
{
    const struct timespec moment = {.tv_nsec = MILLISECOND};
    struct flow flow;
    struct dora_node *nodes[2];
    int64_t stands, real = dora__now(), time;

    (void)state;
    open_flow(&flow, nodes);
    time = dora__plane_time(&flow.plane);
    assert_true(time >= real);
    for (int i = 0; i < 2; i++) {
        (void)take(&flow, nodes, 0);
        stands = dora__plane_time(&flow.plane);
        assert_true(stands >= time);
        (void)nanosleep(&moment, NULL);
        assert_true(dora__plane_time(&flow.plane) == stands);
        assert_true(dora__plane_moment(&flow.plane, stands) == INT64_MAX);
        real = dora__now();
        dora__node_return_terminal(nodes[0]);
        time = dora__plane_time(&flow.plane);
        assert_true(time >= stands && time - stands <= dora__now() - real);
        assert_true(dora__plane_moment(&flow.plane, stands) >= real);
        assert_true(dora__plane_moment(&flow.plane, INT64_MAX) == INT64_MAX);
    }
    flow_close(&flow, nodes);
}

static void
test_terminal_is_one_nodes_at_a_time(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    uint32_t turn;

    (void)state;
    open_flow(&flow, nodes);
    turn = take(&flow, nodes, 0);
    assert_int_equal(dora__node_take_terminal(nodes[1], MILLISECOND),
                     -ETIMEDOUT);
    assert_int_equal(dora__plane_debugger(&flow.plane), turn);
    dora__node_return_terminal(nodes[1]); /* not his to return */
    assert_int_equal(dora__plane_debugger(&flow.plane), turn);
    dora__node_return_terminal(nodes[0]);
    assert_int_equal(dora__plane_debugger(&flow.plane), 0);
    (void)take(&flow, nodes, 1);
    dora__node_return_terminal(nodes[1]);
    flow_close(&flow, nodes);
}

/* The host has not yet looked since the last turn: it may take the terminal
 * back at any moment. */
static void
test_terminal_is_lent_for_one_turn(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    uint32_t turn;

    (void)state;
    open_flow(&flow, nodes);
    turn = take(&flow, nodes, 0);
    dora__node_return_terminal(nodes[0]);
    assert_int_equal(dora__node_take_terminal(nodes[0], 0), -ETIMEDOUT);
    assert_int_not_equal(dora__plane_debugger(&flow.plane), turn);
    dora__plane_lend_terminal(&flow.plane, turn, true); /* late */
    assert_int_equal(dora__node_take_terminal(nodes[0], 0), -ETIMEDOUT);
    (void)take(&flow, nodes, 0);
    dora__node_return_terminal(nodes[0]);
    flow_close(&flow, nodes);
}

static void
test_terminal_may_not_be_there(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];

    (void)state;
    open_flow(&flow, nodes);
    assert_int_equal(dora__node_take_terminal(nodes[0], 0), -ETIMEDOUT);
    dora__plane_lend_terminal(&flow.plane, dora__plane_debugger(&flow.plane),
                              false);
    assert_int_equal(dora__node_take_terminal(nodes[0], 0), -ENOTTY);
    assert_int_equal(dora__plane_debugger(&flow.plane), 0);
    assert_false(dora__flow_stands(flow.plane.control));
    flow_close(&flow, nodes);
}

static void
test_terminal_of_the_dead_is_taken_back(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;

    (void)state;
    open_flow(&flow, nodes);
    (void)take(&flow, nodes, 0);
    assert_false(dora__plane_take_back_terminal(&flow.plane, 1));
    assert_true(dora__plane_take_back_terminal(&flow.plane, 0));
    assert_false(dora__plane_take_back_terminal(&flow.plane, 0));
    (void)take_ticks(nodes[1]);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    (void)take(&flow, nodes, 1);
    flow_close(&flow, nodes);
}

static void
test_terminal_is_none_in_a_stop(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];

    (void)state;
    open_flow(&flow, nodes);
    dora__plane_stop(&flow.plane);
    assert_int_equal(dora__node_take_terminal(nodes[0], -1), -ECANCELED);
    flow_close(&flow, nodes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal_timers_stand_still),
        cmocka_unit_test(test_terminal_input_timeouts_stand_still),
        cmocka_unit_test(test_terminal_time_stands_still),
        cmocka_unit_test(test_terminal_is_one_nodes_at_a_time),
        cmocka_unit_test(test_terminal_is_lent_for_one_turn),
        cmocka_unit_test(test_terminal_may_not_be_there),
        cmocka_unit_test(test_terminal_of_the_dead_is_taken_back),
        cmocka_unit_test(test_terminal_is_none_in_a_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
