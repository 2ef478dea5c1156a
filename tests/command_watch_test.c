/* command_watch_test.c - what is said while a dataflow runs, and when: time,
 * counters and the screen are made up. */
#include "command/command.h"
#include "command/print.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND ((int64_t)1000000000)

static struct dora_edge_stats edge;
static struct dora_node_stats nodes[8];
static size_t node_count, said_count;
static char said[1024];

int
dora_dataflow_edge_stats(struct dora_dataflow *flow, size_t index,
                         struct dora_edge_stats *ret_stats)
{
    (void)flow;
    if (index > 0)
        return -ENOENT;
    *ret_stats = edge;
    return 0;
}

int
dora_dataflow_node_stats(struct dora_dataflow *flow, size_t index,
                         struct dora_node_stats *ret_stats)
{
    (void)flow;
    if (index >= node_count)
        return -ENOENT;
    *ret_stats = nodes[index];
    return 0;
}

void
screen_say(struct screen *screen, const char *format, ...)
{
    va_list args;

    (void)screen;
    va_start(args, format);
    (void)vsnprintf(said, sizeof said, format, args);
    va_end(args);
    said_count++;
}

static int
setup(void **state)
{
    struct watch *watch;

    edge = (struct dora_edge_stats){
        .from_node = "camera",
        .output = "image",
        .to_node = "plot",
        .input = "image",
        .source = "camera/image",
    };
    node_count = said_count = 0;
    if (watch_new(NULL, NULL, SECOND, &watch) < 0)
        return -1;
    *state = watch;
    return 0;
}

static int
teardown(void **state)
{
    watch_free(*state);
    return 0;
}

static void
test_command_watch_losses_are_said_at_once_then_every_ten_seconds(void **state)
{
    int64_t now = SECOND;
    size_t looks = 0;

    /* A million messages in 100 s, all lost. */
    while (now < 101 * SECOND) {
        int64_t next = watch_look(*state, now);

        assert_true(next > now && next <= now + SECOND);
        now = next;
        edge.sent = edge.dropped = (uint64_t)(now / (SECOND / 10000));
        looks++;
        if (looks == 2)
            assert_int_equal(said_count, 1);
    }
    assert_int_equal(said_count, 10);
    assert_non_null(strstr(said, "camera/image -> plot/image: "));
    /* The last is the running total. */
    assert_true(strtoull(strstr(said, ": ") + 2 +
                             strlen("camera/image -> "
                                    "plot/image: "),
                         NULL, 10) > 900000);
}

static void
test_command_watch_is_silent_once_losses_stop(void **state)
{
    int64_t now = SECOND;

    edge.sent = edge.dropped = 5;
    for (int i = 0; i < 100; i++)
        now = watch_look(*state, now);
    assert_int_equal(said_count, 1);
    edge.sent = 6; /* moves, loses nothing */
    for (int i = 0; i < 100; i++)
        now = watch_look(*state, now);
    assert_int_equal(said_count, 1);
}

static void
test_command_watch_tells_the_slow_from_the_gone(void **state)
{
    nodes[0] =
        (struct dora_node_stats){.id = "plot", .phase = DORA_NODE_RUNNING};
    node_count = 1;
    edge.sent = edge.dropped = 5;
    (void)watch_look(*state, 2 * SECOND);
    assert_non_null(strstr(said, "5 of 5 messages dropped: `plot` does not "
                                 "keep up"));
    nodes[0].phase = DORA_NODE_ENDED;
    edge.sent = edge.dropped = 6;
    (void)watch_look(*state, 20 * SECOND);
    assert_non_null(strstr(said, "6 of 6 messages dropped: `plot` has ended"));
}

static void
test_command_watch_says_nothing_of_timers(void **state)
{
    int64_t now = SECOND;

    edge.from_node = edge.output = NULL;
    edge.sent = edge.dropped = 5;
    for (int i = 0; i < 10; i++)
        now = watch_look(*state, now);
    assert_int_equal(said_count, 0);
}

static void
test_command_watch_rests_when_nothing_moves(void **state)
{
    int64_t now = SECOND, next;
    size_t looks = 0;

    for (; now < 3601 * SECOND; now = next, looks++) {
        next = watch_look(*state, now);
        assert_true(next <= now + 64 * SECOND);
    }
    assert_true(looks < 70); /* in an hour */
    edge.sent = 1;
    assert_int_equal(watch_look(*state, now), now + SECOND);
}

static void
test_command_watch_names_who_does_not_stop(void **state)
{
    int64_t now = 10 * SECOND;

    for (; node_count < DORA_COUNT(nodes); node_count++)
        nodes[node_count] = (struct dora_node_stats){
            .id = "n",
            .phase = node_count ? DORA_NODE_RUNNING : DORA_NODE_ENDED,
        };
    watch_stopping(*state, now);
    (void)watch_look(*state, now + SECOND);
    assert_int_equal(said_count, 0);
    (void)watch_look(*state, now + 2 * SECOND);
    assert_string_equal(said, "waiting for n, n, n, n, n and 2 more to stop "
                              "(2 s)");
    (void)watch_look(*state, now + 3 * SECOND);
    assert_int_equal(said_count, 1);
    node_count = 2;
    (void)watch_look(*state, now + 4 * SECOND);
    assert_string_equal(said, "waiting for n to stop (4 s)");
    node_count = 0;
    (void)watch_look(*state, now + 8 * SECOND);
    assert_int_equal(said_count, 2);
}

#define WATCHING(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHING(
            test_command_watch_losses_are_said_at_once_then_every_ten_seconds),
        WATCHING(test_command_watch_is_silent_once_losses_stop),
        WATCHING(test_command_watch_tells_the_slow_from_the_gone),
        WATCHING(test_command_watch_says_nothing_of_timers),
        WATCHING(test_command_watch_rests_when_nothing_moves),
        WATCHING(test_command_watch_names_who_does_not_stop),
    };

    (void)alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
