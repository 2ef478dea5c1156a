/* ladder.c - how what runs is brought to its end, step by step.
 *
 *     at once             STOP in every node's event stream; SIGTERM to
 *                         programs that have none
 *     stop_grace_ns       SIGTERM to the process groups of what is left; an
 *                         exception in the interpreters of guests, harder and
 *                         harder
 *     term_grace_ns more  SIGKILL to them; the threads of callbacks and guests
 *                         that have not returned are abandoned
 *
 * A kill begins at the last step, but gives callbacks DORA__ABANDON_GRACE. The
 * same ladder ends what is left when the barrier can no longer open, and nodes
 * that outstay their inputs (finish.c). Signals are only noted here: the
 * supervisor sends them as the guardian's socket takes them. */
#include "dataflow.h"

#include <signal.h>

/* The rungs from here on; nothing is started any more. */
static void
mount(struct dora_dataflow *flow)
{
    flow->stopping = true;
    flow->term_at = dora__after(dora__now(), flow->stop_grace_ns);
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage == DORA__STAGE_ALIVE && !member->is_dynamic &&
            !dora__member_gates(member))
            member->signal_due = SIGTERM;
    }
}

void
dora__ladder_stop(struct dora_dataflow *flow)
{
    if (!flow->failed_barrier)
        dora__plane_stop(&flow->plane);
    if (!flow->stopping)
        mount(flow);
    dora__guests_press(flow, DORA__PRESS_WAKE);
}

/* Guests know no signals: these stand in for SIGTERM. However short the grace,
 * each has its turn. */
static void
press_on(struct dora_dataflow *flow, int64_t now)
{
    static const enum dora__guest_press steps[] = {
        DORA__PRESS_ASK, DORA__PRESS_INTERRUPT, DORA__PRESS_BREAK};
    int64_t share = flow->term_grace_ns / ((int64_t)DORA_COUNT(steps) + 1);

    dora__guests_press(flow, steps[flow->presses++ % DORA_COUNT(steps)]);
    flow->press_at =
        now + (!flow->killing && share < DORA__PRESS_DELAY ? share
                                                           : DORA__PRESS_DELAY);
}

static void
signal_all(struct dora_dataflow *flow, int number)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage == DORA__STAGE_ALIVE && !member->is_dynamic &&
            !dora__member_inside(member))
            member->signal_due = number;
    }
}

/* What happens to a member that has not stopped; `hard`: for the last time. */
static const char *
consequence(const struct dora__member *member, bool hard)
{
    if (member->is_callback)
        return "waiting for its function to return";
    if (dora__member_inside(member))
        return hard ? "giving it up" : "raising an exception in it";
    return hard ? "killing it" : "sending SIGTERM";
}

static void
name_the_late(struct dora_dataflow *flow, bool hard)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (flow->members[i].stage == DORA__STAGE_ALIVE &&
            !flow->members[i].is_dynamic)
            dora__flow_say(flow, DORA_LEVEL_WARN, &flow->members[i],
                           "has not stopped: %s",
                           consequence(&flow->members[i], hard));
}

static void
abandon_callbacks(struct dora_dataflow *flow)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage == DORA__STAGE_ALIVE && member->callback != NULL &&
            !dora__callback_returned(member->callback))
            dora__member_abandon(flow, member);
    }
}

void
dora__ladder_kill(struct dora_dataflow *flow)
{
    flow->killing = true;
    dora__ladder_stop(flow);
    flow->term_at = flow->kill_at = DORA__NEVER;
    flow->abandon_at = dora__now() + DORA__ABANDON_GRACE;
    signal_all(flow, SIGKILL);
    dora__guests_press(flow, DORA__PRESS_TELL);
    press_on(flow, dora__now());
}

void
dora__ladder_climb(struct dora_dataflow *flow, int64_t now)
{
    if (now >= flow->term_at) {
        name_the_late(flow, false);
        signal_all(flow, SIGTERM);
        dora__guests_press(flow, DORA__PRESS_TELL);
        flow->press_at = now;
        flow->term_at = DORA__NEVER;
        flow->kill_at = dora__after(now, flow->term_grace_ns);
    }
    if (now >= flow->press_at)
        press_on(flow, now);
    if (now >= flow->kill_at) {
        name_the_late(flow, true);
        signal_all(flow, SIGKILL);
        flow->kill_at = DORA__NEVER;
        flow->abandon_at = now;
    }
    if (now >= flow->abandon_at) {
        flow->abandon_at = flow->press_at = DORA__NEVER;
        abandon_callbacks(flow);
    }
}

void
dora__ladder_barrier_failed(struct dora_dataflow *flow,
                            struct dora__member *culprit)
{
    if (flow->failed_barrier)
        return;
    flow->failed_barrier = true;
    dora__flow_say(flow, DORA_LEVEL_ERROR, NULL,
                   "the dataflow cannot run: node `%s` %s", culprit->node->id,
                   culprit->failure.text);
    dora__plane_fail(&flow->plane, culprit->node->id);
    if (!flow->stopping)
        mount(flow);
}
