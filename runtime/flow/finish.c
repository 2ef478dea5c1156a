/* finish.c - nodes that outstay their inputs.
 *
 * When every node that still runs has been told that all its inputs closed,
 * nothing can happen any more but that they end. They get a grace for it, and
 * it begins anew as long as one still works off what was queued; who then still
 * runs is named, stopped, and counts as failed. A program that does not take
 * part has reasons of its own: while one runs, nobody is hurried. */
#include "dataflow.h"

static uint64_t
delivered(const struct dora_dataflow *flow, bool *ret_queued)
{
    struct dora__edge_counts counts;
    uint64_t sum = 0;

    *ret_queued = false;
    for (uint32_t i = 0; i < flow->plan.edge_count; i++) {
        if (flow->plan.inputs[i].kind != DORA__INPUT_DATA ||
            flow->members[flow->plan.inputs[i].node].stage != DORA__STAGE_ALIVE)
            continue;
        dora__plane_edge_counts(&flow->plane, i, &counts);
        sum += counts.delivered;
        *ret_queued |= counts.queued > 0;
    }
    return sum;
}

/* How long everybody left may still run: each of them was told that all its
 * inputs have closed. DORA__NEVER: somebody has reason to run. */
static int64_t
finish_grace(const struct dora_dataflow *flow)
{
    int64_t grace = -1;

    if (!flow->opened || flow->stopping)
        return DORA__NEVER;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        const struct dora__member *member = &flow->members[i];
        int64_t own = member->node->finish_grace_ns;

        if (member->stage >= DORA__STAGE_DEAD || member->is_dynamic)
            continue;
        if (member->stage != DORA__STAGE_ALIVE || !dora__member_gates(member) ||
            !dora__member_unfed(flow, member))
            return DORA__NEVER;
        own = own < 0 ? flow->finish_grace_ns : own;
        if (own == DORA__NEVER)
            return DORA__NEVER;
        grace = own > grace ? own : grace;
    }
    return grace < 0 ? DORA__NEVER : grace; /* nobody is left */
}

static int64_t
finish_deadline(const struct dora_dataflow *flow)
{
    return dora__after(dora__plane_time(&flow->plane), finish_grace(flow));
}

void
dora__finish_watch(struct dora_dataflow *flow)
{
    int64_t deadline = finish_deadline(flow);
    bool queued;

    if (deadline != DORA__NEVER && flow->finish_at != DORA__NEVER)
        return; /* counting since earlier */
    flow->finish_at = deadline;
    if (deadline != DORA__NEVER)
        flow->finish_progress = delivered(flow, &queued);
}

void
dora__finish_end(struct dora_dataflow *flow)
{
    uint64_t progress = flow->finish_progress;
    bool queued;

    flow->finish_progress = delivered(flow, &queued);
    if (queued && flow->finish_progress != progress) {
        flow->finish_at = finish_deadline(flow);
        return; /* slow, not stuck */
    }
    flow->finish_at = DORA__NEVER;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage != DORA__STAGE_ALIVE || member->is_dynamic)
            continue;
        member->straggles = true;
        dora__flow_say(flow, DORA_LEVEL_WARN, member,
                       "still runs though all its inputs have closed: "
                       "stopping it");
    }
    dora__ladder_stop(flow);
    flow->term_at = dora__now(); /* they were told to stop long ago */
}
