/* restart_test.c - whether and when a node comes back. */
#include "flow/restart.h"

#include <setjmp.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

/* Decides at `now`; the delay, or -1: no restart. */
static int64_t
decide(struct dora__restarts *restarts, const struct dora__graph_node *node,
       bool failed, int64_t now)
{
    int64_t delay = -2;

    if (!dora__restarts_decide(restarts, node, failed, now, &delay))
        return -1;
    return delay;
}

static void
test_restart_policy_decides(void **state)
{
    static const struct {
        enum dora__restart policy;
        bool failed, restarts;
    } cases[] = {
        {DORA__RESTART_NEVER, true, false},
        {DORA__RESTART_NEVER, false, false},
        {DORA__RESTART_ON_FAILURE, true, true},
        {DORA__RESTART_ON_FAILURE, false, false},
        {DORA__RESTART_ALWAYS, true, true},
        {DORA__RESTART_ALWAYS, false, true},
    };

    (void)state;
    for (size_t i = 0; i < DORA_COUNT(cases); i++) {
        struct dora__graph_node node = {.restart_policy = cases[i].policy};
        struct dora__restarts restarts = {0};

        dora__restarts_started(&restarts, 1);
        assert_int_equal(decide(&restarts, &node, cases[i].failed, 2),
                         cases[i].restarts ? 0 : -1);
        assert_false(restarts.gave_up);
    }
}

static void
test_restart_gives_up_after_the_most(void **state)
{
    struct dora__graph_node node = {.restart_policy = DORA__RESTART_ALWAYS,
                                    .max_restarts = 2};
    struct dora__restarts restarts = {0};

    (void)state;
    dora__restarts_started(&restarts, 1);
    assert_int_equal(decide(&restarts, &node, false, 2), 0);
    assert_int_equal(decide(&restarts, &node, true, 3), 0);
    assert_false(restarts.gave_up);
    assert_int_equal(decide(&restarts, &node, true, 4), -1);
    assert_true(restarts.gave_up);
}

static void
test_restart_window_forgives(void **state)
{
    struct dora__graph_node node = {.restart_policy = DORA__RESTART_ALWAYS,
                                    .max_restarts = 1,
                                    .restart_window_ns = 10 * SECOND};
    struct dora__restarts restarts = {0};

    (void)state;
    dora__restarts_started(&restarts, SECOND);
    assert_int_equal(decide(&restarts, &node, true, 2 * SECOND), 0);
    dora__restarts_started(&restarts, 2 * SECOND); /* not a new window */
    assert_int_equal(decide(&restarts, &node, true, 12 * SECOND), 0);
    assert_int_equal(decide(&restarts, &node, true, 13 * SECOND), -1);
}

static void
test_restart_delay_doubles_to_its_limit(void **state)
{
    struct dora__graph_node node = {.restart_policy = DORA__RESTART_ALWAYS,
                                    .restart_delay_ns = SECOND,
                                    .max_restart_delay_ns = 5 * SECOND};
    static const int64_t expected[] = {1, 2, 4, 5, 5};
    struct dora__restarts restarts = {0};

    (void)state;
    dora__restarts_started(&restarts, 1);
    for (size_t i = 0; i < DORA_COUNT(expected); i++)
        assert_int_equal(decide(&restarts, &node, true, 2),
                         expected[i] * SECOND);
    node.max_restart_delay_ns = 0;
    restarts.count = 16;
    assert_int_equal(decide(&restarts, &node, true, 2), SECOND << 16);
    restarts.count = 1000;
    assert_int_equal(decide(&restarts, &node, true, 2), SECOND << 16);
    node.restart_delay_ns = INT64_MAX / 3;
    assert_int_equal(decide(&restarts, &node, true, 2), INT64_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_policy_decides),
        cmocka_unit_test(test_restart_gives_up_after_the_most),
        cmocka_unit_test(test_restart_window_forgives),
        cmocka_unit_test(test_restart_delay_doubles_to_its_limit),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
