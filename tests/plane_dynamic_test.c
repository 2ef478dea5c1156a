/* plane_dynamic_test.c - nodes that come and go while the others stay. Every
 * node has mappings of its own, as if it were another process. */
#include "flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>

/* n0 -> n1 (dynamic) -> n2, open; n1 is not there. */
struct chain {
    struct flow flow;
    struct dora_node *first, *last;
};

static void
begin(struct chain *chain, unsigned flags)
{
    struct flow *flow = &chain->flow;
    struct dora_error err;

    flow_begin(flow, 3, 1 << 20);
    flow->graph_nodes[1].path = (char *)(uintptr_t) "dynamic";
    flow_output(flow, 0, "a", 64);
    flow_output(flow, 1, "b", 64);
    flow_input(flow, 1, "x", 0, 2, flags);
    flow_input(flow, 2, "y", 1, 4, flags);
    flow_make(flow);
    chain->first = flow_attach(flow, 0);
    chain->last = flow_attach(flow, 2);
    dora__plane_open(&flow->plane);
    assert_int_equal(dora__node_join(chain->first, -1, &err), 0);
    assert_int_equal(dora__node_join(chain->last, -1, &err), 0);
}

static void
end(struct chain *chain)
{
    dora__node_detach(chain->first);
    dora__node_detach(chain->last);
    flow_end(&chain->flow);
}

/* As its process and the host do it. */
static struct dora_node *
come(struct chain *chain)
{
    struct dora_node *node = flow_attach(&chain->flow, 1);
    struct dora_error err;

    assert_int_equal(dora__node_join(node, 0, &err), -ETIMEDOUT);
    assert_true(dora__plane_node_joined(&chain->flow.plane, 1));
    assert_int_equal(dora__plane_admit(&chain->flow.plane, 1), 0);
    assert_int_equal(dora__node_join(node, 0, &err), 0);
    return node;
}

/* Its process has ended, whatever it was doing. */
static void
die(struct chain *chain, struct dora_node *node)
{
    dora__node_orphan(node);
    assert_int_equal(
        dora__plane_node_died(&chain->flow.plane, 1, DORA__DEATH_LEAVE, NULL),
        0);
}

static void
test_plane_dynamic_node_gets_what_comes_after_it(void **state)
{
    struct chain chain;
    struct dora_node *node;
    struct dora_event event;

    (void)state;
    begin(&chain, FLOW_BACKPRESSURE);
    for (uint64_t i = 0; i < 5; i++) /* nobody there, nobody waits */
        flow_send_number(chain.first, 0, i);
    assert_int_equal(flow_counts(&chain.flow, 0).sent, 0);
    node = come(&chain);
    flow_assert_nothing(node);
    flow_send_number(chain.first, 0, 5);
    assert_int_equal(flow_next_number(node), 5);
    flow_send_number(node, 0, 50);
    assert_int_equal(flow_next_number(chain.last), 50);
    /* It leaves with one taken and one queued; both come back. */
    flow_send_number(chain.first, 0, 6);
    flow_send_number(chain.first, 0, 7);
    assert_int_equal(dora_node_next(node, 0, &event), 1);
    die(&chain, node);
    assert_int_equal(flow_counts(&chain.flow, 0).sent, 3);
    assert_int_equal(flow_counts(&chain.flow, 0).dropped, 1);
    assert_int_equal(flow_counts(&chain.flow, 0).queued, 0);
    flow_assert_event(chain.last, DORA_EVENT_NODE_RESTARTED, "n1");
    for (uint64_t i = 0; i < 100; i++) /* more than the output has records */
        flow_send_number(chain.first, 0, i);
    dora_sample_unref(event.sample);
    dora__node_detach(node);
    node = come(&chain);
    assert_int_equal(dora__node_restart_count(node), 1);
    flow_send_number(chain.first, 0, 8);
    assert_int_equal(flow_next_number(node), 8);
    die(&chain, node);
    dora__node_detach(node);
    end(&chain);
}

/* That it closes by itself says nothing: it may come again. */
static void
test_plane_dynamic_node_closes_for_good_by_the_host(void **state)
{
    struct chain chain;
    struct dora_node *node;

    (void)state;
    begin(&chain, FLOW_TWO_RINGS);
    node = come(&chain);
    flow_send_number(node, 0, 1);
    dora__node_close(node);
    assert_int_equal(flow_next_number(chain.last), 1);
    flow_assert_nothing(chain.last);
    die(&chain, node);
    dora__node_detach(node);
    flow_assert_event(chain.last, DORA_EVENT_NODE_RESTARTED, "n1");
    dora__node_close(chain.first);
    assert_int_equal(
        dora__plane_node_died(&chain.flow.plane, 1, DORA__DEATH_FINAL, NULL),
        0);
    flow_assert_event(chain.last, DORA_EVENT_INPUT_CLOSED, "y");
    flow_assert_event(chain.last, DORA_EVENT_STOP, "ALL_INPUTS_CLOSED");
    end(&chain);
}

/* Who comes when its inputs have closed is told so at once. */
static void
test_plane_dynamic_node_comes_late(void **state)
{
    struct chain chain;
    struct dora_node *node;

    (void)state;
    begin(&chain, FLOW_TWO_RINGS);
    dora__node_close(chain.first);
    node = come(&chain);
    flow_assert_event(node, DORA_EVENT_INPUT_CLOSED, "x");
    flow_assert_event(node, DORA_EVENT_STOP, "ALL_INPUTS_CLOSED");
    flow_assert_ended(node);
    die(&chain, node);
    dora__node_detach(node);
    end(&chain);
}

/* When the others are done, what was sent before comes first. */
static void
test_plane_over_is_told_after_what_is_queued(void **state)
{
    struct chain chain;
    struct dora_node *node;

    (void)state;
    begin(&chain, FLOW_TWO_RINGS);
    node = come(&chain);
    flow_send_number(chain.first, 0, 1);
    flow_send_number(chain.first, 0, 2);
    dora__plane_over(&chain.flow.plane);
    assert_int_equal(flow_next_number(node), 1);
    assert_int_equal(flow_next_number(node), 2);
    flow_assert_event(node, DORA_EVENT_STOP, "MANUAL");
    flow_assert_ended(node);
    dora__node_detach(node);
    end(&chain);
}

static void *
wait_for_event(void *arg)
{
    struct dora_event event;

    assert_int_equal(dora_node_next(arg, -1, &event), 1);
    assert_int_equal(event.type, DORA_EVENT_STOP);
    return NULL;
}

/* Nobody is left who could ring its bell. */
static void
test_plane_dynamic_node_notices_the_end_of_its_host(void **state)
{
    struct chain chain;
    struct dora_node *node;
    struct dora_error err;
    pthread_t thread;
    char line[256];
    int ends[2];

    (void)state;
    begin(&chain, 0);
    node = come(&chain);
    assert_false(dora__node_is_dynamic(node));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(dora__node_set_host(node, ends[1], &err), 0);
    assert_true(dora__node_is_dynamic(node));
    dora_node_log(node, DORA_LEVEL_WARN, NULL, "a line");
    assert_true(read(ends[0], line, sizeof line) > 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_event, node), 0);
    (void)close(ends[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(dora__node_stopping(chain.first));
    dora__node_detach(node);
    end(&chain);
}

/* Its own going is not the host's. */
static void
test_plane_dynamic_node_hangs_up(void **state)
{
    struct chain chain;
    struct dora_node *node;
    struct dora_error err;
    char byte;
    int ends[2];

    (void)state;
    begin(&chain, 0);
    node = come(&chain);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(dora__node_set_host(node, ends[1], &err), 0);
    dora__node_detach(node);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    assert_false(dora__node_stopping(chain.first));
    (void)close(ends[0]);
    end(&chain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plane_dynamic_node_gets_what_comes_after_it),
        cmocka_unit_test(test_plane_dynamic_node_closes_for_good_by_the_host),
        cmocka_unit_test(test_plane_dynamic_node_comes_late),
        cmocka_unit_test(test_plane_over_is_told_after_what_is_queued),
        cmocka_unit_test(test_plane_dynamic_node_notices_the_end_of_its_host),
        cmocka_unit_test(test_plane_dynamic_node_hangs_up),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
