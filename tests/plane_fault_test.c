/* plane_fault_test.c - a dataflow's life in which the n-th allocation, mapping,
 * file or reservation fails, for all n: a clean error, nothing left behind, and
 * the same call works afterwards. */
#include "facts.h"
#include "fault.h"
#include "flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 200, KEPT = 150 };

static unsigned
count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned count = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, "memfd:dora-") != NULL;
    (void)fclose(maps);
    return count;
}

/* Sends, keeps most of what comes, forwards nothing. 0, or the error met. */
static int
exchange(struct dora_node **nodes)
{
    struct dora_event kept[KEPT];
    unsigned count = 0;
    int failed = 0;

    for (unsigned i = 0; failed == 0 && i < MESSAGES; i++) {
        unsigned char bytes[600];
        struct dora_event event;

        memset(bytes, (int)i, sizeof bytes);
        failed =
            dora_node_send(nodes[0], 0, bytes, sizeof bytes, NULL, 0, NULL);
        if (failed < 0)
            break;
        failed = dora_node_next(nodes[1], 0, &event);
        if (failed == -ENOMEM) { /* it stays queued */
            assert_int_equal(dora_node_next(nodes[1], 0, &event), 1);
            dora_sample_unref(event.sample);
            break;
        }
        assert_int_equal(failed, 1);
        failed = 0;
        assert_memory_equal(event.data, bytes, sizeof bytes);
        if (count < KEPT)
            kept[count++] = event;
        else
            dora_sample_unref(event.sample);
    }
    for (unsigned i = 0; i < count; i++)
        dora_sample_unref(kept[i].sample);
    return failed;
}

static int
loan_large(struct dora_node *node)
{
    struct dora_loan *loan;
    int failed = dora_node_loan(node, 0, 600000, NULL, 0, &loan, NULL);

    if (failed < 0)
        return failed;
    memset(dora_loan_data(loan), 1, dora_loan_size(loan));
    failed = dora_loan_send(loan, -1, NULL);
    dora_loan_drop(loan);
    return failed;
}

static int
live(struct flow *flow)
{
    struct dora_node *nodes[2] = {NULL, NULL};
    int failed = dora__plane_create(&flow->plan, "fault", &flow->plane, NULL);

    if (failed < 0)
        return failed;
    for (uint32_t i = 0; failed == 0 && i < 2; i++) {
        struct dora__attachment attachment =
            dora__plane_attachment(&flow->plane, i);

        failed = dora__node_attach(&attachment, &nodes[i], NULL);
    }
    if (failed == 0) {
        dora__plane_open(&flow->plane);
        failed = exchange(nodes);
    }
    if (failed == 0)
        failed = loan_large(nodes[0]);
    dora__node_detach(nodes[0]);
    dora__node_detach(nodes[1]);
    for (uint32_t i = 0; i < 2; i++)
        while (dora__plane_node_died(&flow->plane, i, false, NULL) == -EAGAIN)
            ;
    flow_end(flow);
    return failed;
}

static void
fail_each(enum fault kind)
{
    struct flow flow;
    unsigned descriptors = entries("/proc/self/fd");

    flow_plan_row(&flow, 2, 1 << 20, 10, FLOW_TWO_RINGS);
    flow.nodes[0].prefault = 1 << 16;
    for (unsigned n = 1;; n++) {
        int failed;
        bool hit;

        fault_arm(kind, n);
        failed = live(&flow);
        hit = fault_disarm();
        assert_int_equal(entries("/proc/self/fd"), descriptors);
        assert_int_equal(count_mappings(), 0);
        if (!hit) {
            assert_int_equal(failed, 0);
            assert_true(n > 1);
            return;
        }
    }
}

static void
test_plane_fault_memory(void **state)
{
    (void)state;
    fail_each(FAULT_MEMORY);
}

static void
test_plane_fault_mappings(void **state)
{
    (void)state;
    fail_each(FAULT_MMAP);
}

static void
test_plane_fault_files(void **state)
{
    (void)state;
    fail_each(FAULT_MEMFD);
    fail_each(FAULT_FD);
}

static void
test_plane_fault_reservations(void **state)
{
    (void)state;
    fail_each(FAULT_FALLOCATE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plane_fault_memory),
        cmocka_unit_test(test_plane_fault_mappings),
        cmocka_unit_test(test_plane_fault_files),
        cmocka_unit_test(test_plane_fault_reservations),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
