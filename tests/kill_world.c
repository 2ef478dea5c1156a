/* kill_world.c - survivors that do what they are told: nodes of the test's own
 * process, between the instructions of the victim. */
#include "kill.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void
survivor_sends(struct world *w, uint32_t node, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(
            send_message(w->nodes[node], 0, w->next[node]++, PLAIN, 0), 0);
}

bool
survivor_takes(struct world *w, uint32_t node, struct dora_event *event)
{
    uint64_t number;
    int r;

    do {
        r = dora_node_next(w->nodes[node], 0, event);
        if (r != 1)
            return false;
    } while (event->type != DORA_EVENT_INPUT);
    assert_int_equal(read_message(event, &number), 0);
    if (!w->seen[node]++)
        w->first[node] = number;
    else
        assert_true(number > w->last[node]);
    w->last[node] = number;
    return true;
}

void
survivor_drains(struct world *w, uint32_t node)
{
    struct dora_event event;

    while (survivor_takes(w, node, &event))
        dora_sample_unref(event.sample);
}

void
survivor_holds(struct world *w, uint32_t node)
{
    while (w->held_count < HELD &&
           survivor_takes(w, node, &w->held_events[w->held_count])) {
        w->held[w->held_count] = w->held_events[w->held_count].sample;
        w->held_count++;
    }
}

void
survivors_let_go(struct world *w)
{
    uint64_t number;

    while (w->held_count) {
        assert_int_equal(
            read_message(&w->held_events[--w->held_count], &number), 0);
        dora_sample_unref(w->held[w->held_count]);
    }
}
