/* ladder.c - how what runs is brought to its end, step by step.
 *
 *     at once             STOP in every node's event stream; SIGTERM to
 *                         programs that have none
 *     DORA__TERM_GRACE    SIGTERM to the process groups of what is left
 *     DORA__KILL_GRACE    more: SIGKILL to them; the threads of callbacks that
 *                         have not returned are abandoned
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
    flow->term_at = dora__now() + DORA__TERM_GRACE;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage == DORA__STAGE_ALIVE && !dora__member_gates(member))
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
}

static void
signal_all(struct dora_dataflow *flow, int number)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage == DORA__STAGE_ALIVE && !member->is_callback)
            member->signal_due = number;
    }
}

static void
name_the_late(struct dora_dataflow *flow, const char *what)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (flow->members[i].stage == DORA__STAGE_ALIVE)
            dora__flow_say(flow, DORA_LEVEL_WARN, &flow->members[i],
                           "has not stopped: %s",
                           flow->members[i].is_callback
                               ? "waiting for its function to return"
                               : what);
}

static void
abandon_callbacks(struct dora_dataflow *flow)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage == DORA__STAGE_ALIVE && member->is_callback &&
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
}

void
dora__ladder_climb(struct dora_dataflow *flow, int64_t now)
{
    if (now >= flow->term_at) {
        name_the_late(flow, "sending SIGTERM");
        signal_all(flow, SIGTERM);
        flow->term_at = DORA__NEVER;
        flow->kill_at = now + DORA__KILL_GRACE;
    }
    if (now >= flow->kill_at) {
        name_the_late(flow, "killing it");
        signal_all(flow, SIGKILL);
        flow->kill_at = DORA__NEVER;
        flow->abandon_at = now;
    }
    if (now >= flow->abandon_at) {
        flow->abandon_at = DORA__NEVER;
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
