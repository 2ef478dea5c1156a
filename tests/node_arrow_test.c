/* node_arrow_test.c - Arrow arrays between nodes in C, and what becomes of a
 * value that is sent on. */
#include "flow.h"
#include "node/arrow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Of one field, with borrowed buffers and no release. */
struct column {
    struct ArrowSchema schema;
    struct ArrowArray array;
    const void *buffers[3];
};

static void
column(struct column *column, const char *format, int64_t length,
       int64_t n_buffers, const void *one, const void *two)
{
    memset(column, 0, sizeof *column);
    column->buffers[1] = one;
    column->buffers[2] = two;
    column->schema.format = format;
    column->array.length = length;
    column->array.n_buffers = n_buffers;
    column->array.buffers = column->buffers;
}

static void
send_column(struct dora_node *node, const struct column *column)
{
    assert_int_equal(dora_node_send_arrow(node, 0, &column->schema,
                                          &column->array, NULL, 0, NULL),
                     0);
}

static void
refused(struct dora_node *node, int output, const struct column *column,
        int code)
{
    assert_int_equal(dora_node_send_arrow(node, output, &column->schema,
                                          &column->array, NULL, 0, NULL),
                     code);
}

static void
next_input(struct dora_node *node, enum dora_value value,
           struct dora_event *ret_event)
{
    assert_int_equal(dora_node_next(node, 0, ret_event), 1);
    assert_int_equal(ret_event->type, DORA_EVENT_INPUT);
    assert_int_equal(ret_event->value, value);
}

static void
test_node_arrow_reads_in_place_what_was_sent(void **state)
{
    static const double numbers[] = {1.5, 2.5, 3.5};
    struct dora_node *nodes[2];
    struct ArrowSchema schema;
    struct dora_event event;
    struct ArrowArray array;
    struct column sent;
    struct flow flow;

    (void)state;
    flow_open_pair(&flow, nodes, 10, 0);
    column(&sent, "g", 3, 2, numbers, NULL);
    send_column(nodes[0], &sent);
    next_input(nodes[1], DORA_VALUE_ARROW, &event);
    assert_int_equal(dora_event_arrow(&event, &schema, &array), 0);
    dora_sample_unref(event.sample); /* the array has one of its own */
    assert_string_equal(schema.format, "g");
    assert_int_equal(array.length, 3);
    assert_memory_equal(array.buffers[1], numbers, sizeof numbers);
    assert_ptr_equal(array.buffers[1], event.data);
    schema.release(&schema);
    array.release(&array);
    flow_close(&flow, nodes);
}

static void
test_node_arrow_bytes_are_bytes(void **state)
{
    struct dora_node *nodes[2];
    struct ArrowSchema schema;
    struct dora_event event;
    struct ArrowArray array;
    struct column sent;
    struct flow flow;

    (void)state;
    flow_open_pair(&flow, nodes, 10, 0);
    column(&sent, "C", 3, 2, "-abc", NULL);
    sent.array.offset = 1;
    send_column(nodes[0], &sent);
    next_input(nodes[1], DORA_VALUE_BYTES, &event);
    assert_int_equal(event.data_size, 3);
    assert_memory_equal(event.data, "abc", 3);
    assert_int_equal(dora_event_arrow(&event, &schema, &array), -EINVAL);
    dora_sample_unref(event.sample);
    flow_close(&flow, nodes);
}

static void
test_node_arrow_refuses_what_it_cannot_lay_out(void **state)
{
    static const int32_t backwards[] = {5, 1};
    struct dora_node *nodes[2];
    struct column sent;
    struct flow flow;

    (void)state;
    flow_open_pair(&flow, nodes, 10, 0);
    column(&sent, "vu", 1, 3, NULL, NULL);
    refused(nodes[0], 0, &sent, -ENOTSUP);
    column(&sent, "u", 1, 3, backwards, "abcdef");
    refused(nodes[0], 0, &sent, -EINVAL);
    column(&sent, "l", 0, 2, NULL, NULL);
    refused(nodes[0], 7, &sent, -ENOENT);
    flow_assert_nothing(nodes[1]);
    flow_close(&flow, nodes);
}

/* The whole is what it was; a part of it is bytes. */
static void
test_node_arrow_sent_on_stays_one(void **state)
{
    static const int64_t numbers[] = {7, 8};
    struct dora_node *nodes[3];
    struct dora_event event, last;
    struct column sent;
    struct flow flow;

    (void)state;
    flow_plan_row(&flow, 3, 1 << 20, 10, 0);
    flow_make(&flow);
    flow_open(&flow, nodes);
    column(&sent, "l", 2, 2, numbers, NULL);
    send_column(nodes[0], &sent);
    next_input(nodes[1], DORA_VALUE_ARROW, &event);
    assert_int_equal(dora_node_forward(nodes[1], 0, event.sample, 0,
                                       event.data_size, NULL, 0, NULL),
                     0);
    assert_int_equal(
        dora_node_forward(nodes[1], 0, event.sample, 0, 8, NULL, 0, NULL), 0);
    dora_sample_unref(event.sample);
    next_input(nodes[2], DORA_VALUE_ARROW, &last);
    assert_memory_equal(last.data, numbers, sizeof numbers);
    dora_sample_unref(last.sample);
    next_input(nodes[2], DORA_VALUE_BYTES, &last);
    assert_int_equal(last.data_size, 8);
    dora_sample_unref(last.sample);
    flow_close(&flow, nodes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_arrow_reads_in_place_what_was_sent),
        cmocka_unit_test(test_node_arrow_bytes_are_bytes),
        cmocka_unit_test(test_node_arrow_refuses_what_it_cannot_lay_out),
        cmocka_unit_test(test_node_arrow_sent_on_stays_one),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
