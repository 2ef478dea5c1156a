/* plane_test.c - the life of a dataflow: barrier, ends, deaths, restarts. Every
 * node has mappings of its own, as if it were another process. */
#include "flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

static void
test_plane_tells_who_failed_once(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;

    (void)state;
    flow_begin(&flow, 2, 1 << 20);
    flow_output(&flow, 0, "a", 64);
    flow_output(&flow, 0, "b", 64);
    flow_input(&flow, 1, "x", 0, 10, FLOW_TWO_RINGS);
    flow_input(&flow, 1, "y", 1, 10, FLOW_TWO_RINGS);
    flow_make(&flow);
    flow_open(&flow, nodes);
    flow_send_number(nodes[0], 1, 7);
    assert_int_equal(
        dora__plane_node_died(&flow.plane, 0, false, "exit code 3"), 0);
    assert_int_equal(flow_next_number(nodes[1]), 7);
    assert_int_equal(dora_node_next(nodes[1], 0, &event), 1);
    assert_int_equal(event.type, DORA_EVENT_NODE_FAILED);
    assert_string_equal(event.id, "n0");
    assert_string_equal(event.error, "exit code 3");
    assert_int_equal(event.input_count, 2);
    assert_string_equal(event.inputs[0], "x");
    assert_string_equal(event.inputs[1], "y");
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "x");
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "y");
    flow_assert_event(nodes[1], DORA_EVENT_STOP, "ALL_INPUTS_CLOSED");
    flow_assert_ended(nodes[1]);
    flow_close(&flow, nodes);
}

static void
test_plane_blocked_send_ends(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        struct flow flow;
        struct dora_node *nodes[2];
        struct flow_sender sender = {.count = 3};
        pthread_t thread;

        flow_open_pair(&flow, nodes, 2, FLOW_BACKPRESSURE);
        sender.node = nodes[0];
        assert_int_equal(pthread_create(&thread, NULL, flow_send_many, &sender),
                         0);
        while (flow_counts(&flow, 0).queued < 2)
            sched_yield();
        if (way == 0)
            dora__plane_stop(&flow.plane);
        else if (way == 1)
            dora__node_close(nodes[1]);
        else
            while (dora__plane_node_died(&flow.plane, 1, false, NULL) ==
                   -EAGAIN)
                sched_yield();
        pthread_join(thread, NULL);
        assert_int_equal(sender.result, way == 0 ? -ECANCELED : 0);
        flow_close(&flow, nodes);
    }
}

static void
test_plane_restart_keeps_queues_and_blocks(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2], *dead;
    struct dora_event held;
    uint64_t zero = 0;

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    flow_send_number(nodes[0], 0, 0);
    assert_int_equal(dora_node_next(nodes[1], 0, &held), 1);
    flow_send_number(nodes[0], 0, 1);
    dead = nodes[0];
    dora__node_orphan(dead); /* dies without a word */
    assert_int_equal(dora__plane_node_died(&flow.plane, 0, true, "crash"), 0);
    dora__node_detach(dead);
    nodes[0] = flow_attach(&flow, 0);
    assert_int_equal(dora__node_restart_count(nodes[0]), 1);
    assert_int_equal(dora__node_join(nodes[0], 0, NULL), 0);
    flow_send_number(nodes[0], 0, 2);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    flow_assert_event(nodes[1], DORA_EVENT_NODE_RESTARTED, "n0");
    assert_int_equal(flow_next_number(nodes[1]), 2);
    for (uint64_t i = 3; i < 100; i++) {
        flow_send_number(nodes[0], 0, i);
        assert_int_equal(flow_next_number(nodes[1]), i);
    }
    assert_memory_equal(held.data, &zero, sizeof zero);
    dora_sample_unref(held.sample);

    /* The consumer too: what it held is released, what is queued stays. */
    flow_send_number(nodes[0], 0, 100);
    flow_send_number(nodes[0], 0, 101);
    assert_int_equal(dora_node_next(nodes[1], 0, &held), 1);
    dead = nodes[1];
    dora__node_orphan(dead);
    assert_int_equal(dora__plane_node_died(&flow.plane, 1, true, NULL), 0);
    dora_sample_unref(held.sample);
    dora__node_detach(dead);
    nodes[1] = flow_attach(&flow, 1);
    assert_int_equal(flow_next_number(nodes[1]), 101);
    dora__node_close(nodes[0]);
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "in");
    flow_close(&flow, nodes);
}

static void
test_plane_barrier_fails_with_the_culprit(void **state)
{
    struct flow flow;
    struct dora_node *node;
    struct dora_error err;

    (void)state;
    flow_begin(&flow, 2, 1 << 20);
    flow_make(&flow);
    node = flow_attach(&flow, 0);
    assert_false(dora__plane_node_joined(&flow.plane, 0));
    assert_int_equal(dora__node_join(node, 1000, &err), -ETIMEDOUT);
    assert_int_equal(dora__plane_node_state(&flow.plane, 0), DORA__NODE_READY);
    dora__plane_fail(&flow.plane, "node 'n1': no such file");
    assert_int_equal(dora__node_join(node, -1, &err), -ECANCELED);
    assert_non_null(strstr(err.text, "n1"));
    dora__node_detach(node);
    assert_true(dora__plane_node_joined(&flow.plane, 0));
    flow_end(&flow);
}

static void
test_plane_child_of_a_fork_is_nobody(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;
    int status;
    pid_t child;

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_TWO_RINGS);
    flow_send_number(nodes[0], 0, 7);
    flow_send_number(nodes[0], 0, 8);
    assert_int_equal(dora_node_next(nodes[1], 0, &event), 1);
    child = fork();
    if (child == 0) {
        struct dora_event other;
        bool ok =
            dora_node_send(nodes[0], 0, "", 0, NULL, 0, NULL) == -ECHILD &&
            dora_node_next(nodes[1], 0, &other) == -ECHILD;

        dora_sample_unref(event.sample);
        dora__node_detach(nodes[0]);
        dora__node_detach(nodes[1]);
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(flow_counts(&flow, 0).queued, 1);
    assert_int_equal(flow_next_number(nodes[1]), 8);
    flow_assert_event(nodes[1], DORA_EVENT_STOP,
                      (dora__plane_stop(&flow.plane), "MANUAL"));
    dora_sample_unref(event.sample);
    flow_close(&flow, nodes);
}

/* A node that closes on its way out and then fails: its inputs are told, and
 * open again when it is back. */
static void
test_plane_reopens_after_a_restart(void **state)
{
    struct flow flow;
    struct dora_node *nodes[3];

    (void)state;
    flow_begin(&flow, 3, 1 << 20);
    flow_output(&flow, 0, "a", 64);
    flow_output(&flow, 2, "b", 64);
    flow_input(&flow, 1, "x", 0, 4, FLOW_TWO_RINGS);
    flow_input(&flow, 1, "y", 1, 4, FLOW_TWO_RINGS);
    flow_make(&flow);
    flow_open(&flow, nodes);
    dora__node_detach(nodes[0]);
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "x");
    assert_int_equal(dora__plane_node_died(&flow.plane, 0, true, "crash"), 0);
    flow_assert_event(nodes[1], DORA_EVENT_NODE_RESTARTED, "n0");
    nodes[0] = flow_attach(&flow, 0);
    flow_send_number(nodes[0], 0, 1);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    dora__node_close(nodes[2]);
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "y");
    flow_assert_nothing(nodes[1]);
    /* A failure that comes after the close is told all the same. */
    dora__node_close(nodes[0]);
    assert_int_equal(dora__plane_node_died(&flow.plane, 0, false, "again"), 0);
    flow_assert_event(nodes[1], DORA_EVENT_NODE_FAILED, "n0");
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "x");
    flow_assert_event(nodes[1], DORA_EVENT_STOP, "ALL_INPUTS_CLOSED");
    flow_close(&flow, nodes);
}

static void
test_plane_returns_what_the_dead_leave(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora__heap_counts counts;
    struct dora_loan *loan;
    struct dora_event held;
    unsigned char bytes[100];

    (void)state;
    flow_open_pair(&flow, nodes, 10, FLOW_TWO_RINGS);
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(dora_node_loan(nodes[0], 0, 700000, NULL, 0, &loan, NULL),
                     0);
    memset(dora_loan_data(loan), 1, 700000);
    assert_int_equal(
        dora_node_send(nodes[0], 0, bytes, sizeof bytes, NULL, 0, NULL), 0);
    assert_int_equal(dora_node_next(nodes[1], 0, &held), 1);
    dora__node_orphan(nodes[0]);
    assert_int_equal(dora__plane_node_died(&flow.plane, 0, false, NULL), 0);
    dora__plane_heap_counts(&flow.plane, 0, &counts);
    assert_int_equal(counts.backed, sysconf(_SC_PAGESIZE));
    assert_memory_equal(held.data, bytes, sizeof bytes);
    dora_sample_unref(held.sample);
    dora_loan_drop(loan);
    flow_close(&flow, nodes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plane_tells_who_failed_once),
        cmocka_unit_test(test_plane_blocked_send_ends),
        cmocka_unit_test(test_plane_restart_keeps_queues_and_blocks),
        cmocka_unit_test(test_plane_barrier_fails_with_the_culprit),
        cmocka_unit_test(test_plane_reopens_after_a_restart),
        cmocka_unit_test(test_plane_returns_what_the_dead_leave),
        cmocka_unit_test(test_plane_child_of_a_fork_is_nobody),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
