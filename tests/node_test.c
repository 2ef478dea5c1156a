/* node_test.c - sending and receiving: every node of one process has mappings
 * of its own, as if it were another process. */
#include "flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

static void
test_node_delivers_the_bytes_in_place(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_loan *loan;
    struct dora_event event;

    (void)state;
    flow_open_pair(&flow, nodes, 10, FLOW_TWO_RINGS);
    assert_int_equal(dora_node_output(nodes[0], "out"), 0);
    assert_int_equal(dora_node_output(nodes[0], "other"), -ENOENT);
    assert_int_equal(dora_node_loan(nodes[0], 0, 100000, NULL, 0, &loan, NULL),
                     0);
    memset(dora_loan_data(loan), 0x5a, 100000);
    assert_int_equal((uintptr_t)dora_loan_data(loan) % 64, 0);
    uint64_t offset = dora__loan_offset(loan);

    flow_assert_nothing(nodes[1]);
    assert_int_equal(dora_loan_send(loan, -1, NULL), 0);
    assert_int_equal(dora_loan_send(loan, -1, NULL), -EALREADY);
    dora_loan_drop(loan);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    assert_int_equal(event.data_size, 100000);
    assert_int_equal(dora__sample_offset(event.sample), offset);
    assert_int_equal(((const char *)event.data)[99999], 0x5a);
    assert_string_equal(event.id, "in");
    dora_sample_unref(event.sample);

    struct dora__heap_counts counts;

    dora__plane_heap_counts(&flow.plane, 0, &counts);
    assert_int_equal(counts.copied, 0);
    flow_close(&flow, nodes);
}

static void
test_node_drops_the_oldest_at_arrival(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];

    (void)state;
    flow_open_pair(&flow, nodes, 3, FLOW_TWO_RINGS);
    for (uint64_t i = 0; i < 10; i++)
        flow_send_number(nodes[0], 0, i);
    for (uint64_t i = 7; i < 10; i++)
        assert_int_equal(flow_next_number(nodes[1]), i);
    flow_assert_nothing(nodes[1]);

    struct dora__edge_counts counts = flow_counts(&flow, 0);

    assert_int_equal(counts.sent, 10);
    assert_int_equal(counts.delivered, 3);
    assert_int_equal(counts.dropped, 7);
    assert_int_equal(counts.shown, 3);
    flow_close(&flow, nodes);
}

static void
send_protected(struct dora_node *node, uint64_t number)
{
    struct dora_metadata metadata = {0};

    assert_int_equal(dora_metadata_string(&metadata, "request_id", 10, "x", 1),
                     0);
    assert_int_equal(dora_node_send(node, 0, &number, sizeof number,
                                    metadata.bytes, metadata.size, NULL),
                     0);
    dora_metadata_fini(&metadata);
}

static void
test_node_keeps_protected_messages(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];

    (void)state;
    flow_open_pair(&flow, nodes, 3, FLOW_TWO_RINGS);
    flow_send_number(nodes[0], 0, 0);
    send_protected(nodes[0], 1);
    flow_send_number(nodes[0], 0, 2);
    flow_send_number(nodes[0], 0, 3); /* takes 0's place */
    send_protected(nodes[0], 4);      /* takes 2's */
    send_protected(nodes[0], 5);      /* takes 3's */
    flow_send_number(nodes[0], 0, 6); /* is refused */
    send_protected(nodes[0], 7);      /* takes 1's */
    assert_int_equal(flow_next_number(nodes[1]), 4);
    assert_int_equal(flow_next_number(nodes[1]), 5);
    flow_send_number(nodes[0], 0, 8);
    assert_int_equal(flow_next_number(nodes[1]), 7);
    assert_int_equal(flow_next_number(nodes[1]), 8);

    struct dora__edge_counts counts = flow_counts(&flow, 0);

    assert_int_equal(counts.sent, 8);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.dropped, 4);
    assert_int_equal(counts.delivered, 4);
    flow_close(&flow, nodes);
}

static void
test_node_flushes_ordinary_messages(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_metadata metadata = {0};
    uint64_t number = 3;

    (void)state;
    flow_open_pair(&flow, nodes, 5, FLOW_TWO_RINGS);
    assert_int_equal(dora_metadata_bool(&metadata, "flush", 5, true), 0);
    flow_send_number(nodes[0], 0, 0);
    send_protected(nodes[0], 1);
    flow_send_number(nodes[0], 0, 2);
    assert_int_equal(dora_node_send(nodes[0], 0, &number, sizeof number,
                                    metadata.bytes, metadata.size, NULL),
                     0);
    dora_metadata_fini(&metadata);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    assert_int_equal(flow_next_number(nodes[1]), 3);
    flow_assert_nothing(nodes[1]);
    flow_close(&flow, nodes);
}

static void
test_node_tells_the_end_after_the_data(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];

    (void)state;
    flow_open_pair(&flow, nodes, 10, FLOW_TWO_RINGS);
    flow_send_number(nodes[0], 0, 1);
    flow_send_number(nodes[0], 0, 2);
    dora__node_close(nodes[0]);
    assert_int_equal(dora_node_send(nodes[0], 0, "", 0, NULL, 0, NULL), -EPIPE);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    assert_int_equal(flow_next_number(nodes[1]), 2);
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_CLOSED, "in");
    flow_assert_event(nodes[1], DORA_EVENT_STOP, "ALL_INPUTS_CLOSED");
    flow_assert_ended(nodes[1]);
    flow_close(&flow, nodes);
}

static void
test_node_stop_jumps_ahead(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];

    (void)state;
    flow_begin(&flow, 2, 1 << 20);
    flow_output(&flow, 0, "out", 64);
    flow_input(&flow, 1, "lossless", 0, 10, FLOW_BACKPRESSURE);
    flow_input(&flow, 1, "lossy", 0, 10, FLOW_TWO_RINGS);
    flow_make(&flow);
    flow_open(&flow, nodes);
    flow_send_number(nodes[0], 0, 1);
    flow_send_number(nodes[0], 0, 2);
    dora__plane_stop(&flow.plane);
    flow_assert_event(nodes[1], DORA_EVENT_STOP, "MANUAL");
    flow_send_number(nodes[0], 0, 3);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    assert_int_equal(flow_next_number(nodes[1]), 2);
    flow_assert_ended(nodes[1]);
    flow_assert_event(nodes[0], DORA_EVENT_STOP, "MANUAL");
    flow_assert_ended(nodes[0]);
    flow_close(&flow, nodes);
}

static void
test_node_merges_inputs_by_time(void **state)
{
    struct flow flow;
    struct dora_node *nodes[3];

    (void)state;
    flow_begin(&flow, 3, 1 << 20);
    flow_output(&flow, 0, "a", 64);
    flow_output(&flow, 1, "b", 64);
    flow_input(&flow, 2, "x", 0, 10, FLOW_TWO_RINGS);
    flow_input(&flow, 2, "y", 1, 10, FLOW_TWO_RINGS);
    flow_make(&flow);
    flow_open(&flow, nodes);
    for (uint64_t i = 0; i < 8; i++)
        flow_send_number(nodes[i * 5 % 8 < 4 ? 0 : 1], 0, i);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(flow_next_number(nodes[2]), i);
    flow_close(&flow, nodes);
}

static void
test_node_forwards_by_reference(void **state)
{
    struct flow flow;
    struct dora_node *nodes[3];
    struct dora_event event;
    unsigned char bytes[4096];

    (void)state;
    flow_begin(&flow, 3, 64 << 10);
    flow_output(&flow, 0, "a", 64);
    flow_output(&flow, 1, "b", 64);
    flow_input(&flow, 1, "x", 0, 10, FLOW_TWO_RINGS);
    flow_input(&flow, 2, "y", 1, 10, FLOW_TWO_RINGS);
    flow_make(&flow);
    flow_open(&flow, nodes);
    for (unsigned round = 0; round < 200; round++) {
        memset(bytes, (int)round, sizeof bytes);
        assert_int_equal(
            dora_node_send(nodes[0], 0, bytes, sizeof bytes, NULL, 0, NULL), 0);
        assert_int_equal(dora_node_next(nodes[1], 0, &event), 1);

        struct dora_sample *found =
            dora__node_find_sample(nodes[1], (const char *)event.data + 9, 50);

        assert_ptr_equal(found, event.sample);
        assert_int_equal(
            dora_node_forward(nodes[1], 0, found, 9, 50, "", 0, NULL), 0);
        dora_sample_unref(found);

        uint64_t offset = dora__sample_offset(event.sample);

        dora_sample_unref(event.sample);
        /* What the root's producer does now must not touch its bytes. */
        for (unsigned more = 0; more < 12; more++)
            assert_int_equal(
                dora_node_send(nodes[0], 0, "zzzz", 4, NULL, 0, NULL), 0);
        assert_int_equal(dora_node_next(nodes[2], 0, &event), 1);
        assert_int_equal(dora__sample_offset(event.sample), offset + 9);
        assert_int_equal(event.data_size, 50);
        assert_memory_equal(event.data, bytes, 50);
        dora_sample_unref(event.sample);
        while (dora_node_next(nodes[1], 0, &event) == 1)
            dora_sample_unref(event.sample);
    }
    flow_close(&flow, nodes);
}

static void
test_node_names_holders_when_full(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event held[16];
    struct dora_loan *loan;
    struct dora_error err;
    unsigned count = 0;
    int result;

    (void)state;
    flow_open_pair(&flow, nodes, 10, FLOW_TWO_RINGS);
    while ((result = dora_node_loan(nodes[0], 0, 128 << 10, NULL, 0, &loan,
                                    &err)) == 0) {
        assert_int_equal(dora_loan_send(loan, -1, NULL), 0);
        dora_loan_drop(loan);
        assert_int_equal(dora_node_next(nodes[1], 0, &held[count++]), 1);
        assert_true(count < 16);
    }
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(count, 8);
    assert_non_null(strstr(err.text, "n1/in 8 messages"));
    assert_int_equal(dora_node_loan(nodes[0], 0, 2 << 20, NULL, 0, &loan, &err),
                     -EMSGSIZE);
    dora_sample_unref(held[3].sample);
    assert_int_equal(
        dora_node_loan(nodes[0], 0, 128 << 10, NULL, 0, &loan, &err), 0);
    dora_loan_drop(loan);
    for (unsigned i = 0; i < count; i++)
        if (i != 3)
            dora_sample_unref(held[i].sample);
    flow_close(&flow, nodes);
}

static void
test_node_copies_small_values_out_for_hoarders(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event held[1000];
    struct dora__heap_counts counts;

    (void)state;
    flow_open_pair(&flow, nodes, 10, FLOW_TWO_RINGS);
    for (uint64_t i = 0; i < 1000; i++) {
        flow_send_number(nodes[0], 0, i);
        assert_int_equal(dora_node_next(nodes[1], 0, &held[i]), 1);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_memory_equal(held[i].data, &i, sizeof i);
        dora_sample_unref(held[i].sample);
    }
    dora__plane_heap_counts(&flow.plane, 1, &counts);
    assert_int_equal(counts.copied, (1000 - 128) * sizeof(uint64_t));
    flow_close(&flow, nodes);
}

static void
test_node_timer_ticks_on_the_grid(void **state)
{
    struct flow flow;
    struct dora_node *node;
    struct dora_event event;
    int64_t first;

    (void)state;
    flow_begin(&flow, 1, 1 << 20);
    flow_timer(&flow, 0, "tick", 1000000, 3);
    flow_make(&flow);
    flow_open(&flow, &node);
    assert_int_equal(dora_node_next(node, -1, &event), 1);
    assert_null(event.sample);
    assert_int_equal(event.value, DORA_VALUE_NULL);
    first = event.sent_ns;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(dora_node_next(node, -1, &event), 1);
        assert_int_equal((event.sent_ns - first) % 1000000, 0);
    }
    dora__plane_stop(&flow.plane);
    flow_assert_event(node, DORA_EVENT_STOP, "MANUAL");
    flow_close(&flow, &node);
}

static void
test_node_tiny_timer_bounds_its_backlog(void **state)
{
    struct flow flow;
    struct dora_node *node;
    struct dora_event event;
    int64_t last = 0;

    (void)state;
    flow_begin(&flow, 1, 1 << 20);
    uint32_t input = flow_timer(&flow, 0, "tick", 1, 2);
    flow_make(&flow);
    flow_open(&flow, &node);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(dora_node_next(node, -1, &event), 1);
        assert_true(event.sent_ns > last);
        last = event.sent_ns;
    }

    struct dora__edge_counts counts = flow_counts(&flow, input);

    assert_int_equal(counts.shown, 100);
    assert_int_equal(counts.sent,
                     counts.delivered + counts.dropped + counts.queued);
    assert_true(dora_node_queued(node) <= 2);
    flow_close(&flow, &node);
}

static void
test_node_backpressure_loses_nothing(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct flow_sender sender = {.count = 20000};
    struct dora_event event;
    pthread_t thread;

    (void)state;
    flow_open_pair(&flow, nodes, 4, FLOW_BACKPRESSURE);
    sender.node = nodes[0];
    assert_int_equal(pthread_create(&thread, NULL, flow_send_many, &sender), 0);
    for (uint64_t i = 0; i < sender.count; i++) {
        uint64_t number;

        assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
        memcpy(&number, event.data, sizeof number);
        assert_int_equal(number, i);
        dora_sample_unref(event.sample);
    }
    pthread_join(thread, NULL);
    assert_int_equal(flow_counts(&flow, 0).dropped, 0);
    flow_close(&flow, nodes);
}

static void
test_node_send_goes_on_where_it_was_left(void **state)
{
    struct flow flow;
    struct dora_node *nodes[3];
    struct dora_loan *loan;

    (void)state;
    flow_begin(&flow, 3, 1 << 20);
    flow_output(&flow, 0, "out", 64);
    flow_input(&flow, 1, "tight", 0, 1, FLOW_BACKPRESSURE);
    flow_input(&flow, 2, "loose", 0, 10, FLOW_TWO_RINGS);
    flow_make(&flow);
    flow_open(&flow, nodes);
    flow_send_number(nodes[0], 0, 0);
    assert_int_equal(dora_node_loan(nodes[0], 0, 8, NULL, 0, &loan, NULL), 0);
    memset(dora_loan_data(loan), 1, 8);
    assert_int_equal(dora_loan_send(loan, 0, NULL), -ETIMEDOUT);
    assert_int_equal(dora_loan_send(loan, 1000000, NULL), -ETIMEDOUT);
    assert_int_equal(flow_next_number(nodes[2]), 0);
    assert_int_equal(flow_next_number(nodes[2]), 0x0101010101010101);
    flow_assert_nothing(nodes[2]);
    assert_int_equal(flow_next_number(nodes[1]), 0);
    assert_int_equal(dora_loan_send(loan, 0, NULL), 0);
    assert_int_equal(flow_next_number(nodes[1]), 0x0101010101010101);
    flow_assert_nothing(nodes[2]);
    dora_loan_drop(loan);
    flow_close(&flow, nodes);
}

static void
test_node_waits_for_memory(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct flow_sender sender = {.count = 5000};
    struct dora_event event, last = {.type = 0};
    pthread_t thread;

    (void)state;
    flow_begin(&flow, 2, 1 << 20);
    flow_output(&flow, 0, "out", 4);
    flow_input(&flow, 1, "in", 0, 2, FLOW_BACKPRESSURE);
    flow.nodes[0].heap_wait = true;
    flow_make(&flow);
    flow_open(&flow, nodes);
    /* Held values of a record limit of 4 would be copied out at 2. */
    sender.node = nodes[0];
    assert_int_equal(pthread_create(&thread, NULL, flow_send_many, &sender), 0);
    for (uint64_t i = 0; i < sender.count; i++) {
        assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
        assert_memory_equal(event.data, &i, sizeof i);
        dora_sample_unref(last.sample);
        last = event;
    }
    dora_sample_unref(last.sample);
    pthread_join(thread, NULL);
    assert_int_equal(sender.result, 0);
    flow_close(&flow, nodes);
}

static void
test_node_input_timeout_breaks_and_recovers(void **state)
{
    struct flow flow;
    struct dora_node *nodes[2];
    struct dora_event event;

    (void)state;
    flow_plan_row(&flow, 2, 1 << 20, 10, FLOW_TWO_RINGS);
    flow.inputs[0].timeout_ns = 2000000;
    flow_make(&flow);
    flow_open(&flow, nodes);
    flow_send_number(nodes[0], 0, 1);
    assert_int_equal(flow_next_number(nodes[1]), 1);
    assert_int_equal(dora_node_next(nodes[1], -1, &event), 1);
    assert_int_equal(event.type, DORA_EVENT_INPUT_CLOSED);
    flow_assert_nothing(nodes[1]);
    flow_send_number(nodes[0], 0, 2);
    flow_assert_event(nodes[1], DORA_EVENT_INPUT_RECOVERED, "in");
    assert_int_equal(flow_next_number(nodes[1]), 2);
    flow_close(&flow, nodes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_delivers_the_bytes_in_place),
        cmocka_unit_test(test_node_drops_the_oldest_at_arrival),
        cmocka_unit_test(test_node_keeps_protected_messages),
        cmocka_unit_test(test_node_flushes_ordinary_messages),
        cmocka_unit_test(test_node_tells_the_end_after_the_data),
        cmocka_unit_test(test_node_stop_jumps_ahead),
        cmocka_unit_test(test_node_merges_inputs_by_time),
        cmocka_unit_test(test_node_forwards_by_reference),
        cmocka_unit_test(test_node_names_holders_when_full),
        cmocka_unit_test(test_node_copies_small_values_out_for_hoarders),
        cmocka_unit_test(test_node_timer_ticks_on_the_grid),
        cmocka_unit_test(test_node_tiny_timer_bounds_its_backlog),
        cmocka_unit_test(test_node_backpressure_loses_nothing),
        cmocka_unit_test(test_node_send_goes_on_where_it_was_left),
        cmocka_unit_test(test_node_waits_for_memory),
        cmocka_unit_test(test_node_input_timeout_breaks_and_recovers),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
