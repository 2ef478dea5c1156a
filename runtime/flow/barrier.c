/* barrier.c - where nodes wait for each other before the first message.
 *
 *   1. It opens once, with the last of those whom it waits for, and not any
 *      more once the dataflow is stopping.
 *   2. Waited for is who will call Node(), Python and callback nodes; a program
 *      that only prints and a dynamic node come and go beside it. Who is
 *      started again, or comes late, finds it open.
 *   3. Time begins here: ticks, timeouts and `started_at` count from it. */
#include "dataflow.h"

#include <stdlib.h>

static void
open_barrier(struct dora_dataflow *flow)
{
    flow->opened = true;
    dora__plane_open(&flow->plane);
    (void)pthread_mutex_lock(&flow->lock);
    flow->started_at = dora__now();
    (void)pthread_mutex_unlock(&flow->lock);
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (flow->members[i].joined)
            dora__member_set_phase(flow, &flow->members[i], DORA_NODE_RUNNING);
}

void
dora__barrier_watch(struct dora_dataflow *flow)
{
    uint32_t awaited = 0;

    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage >= DORA__STAGE_DEAD || member->joined ||
            !dora__member_gates(member))
            continue;
        if (member->stage == DORA__STAGE_ALIVE &&
            dora__plane_node_joined(&flow->plane, i)) {
            dora__health_joined(member);
            if (flow->opened) /* started again */
                dora__member_set_phase(flow, member, DORA_NODE_RUNNING);
        } else {
            awaited++;
        }
    }
    if (awaited == 0 && !flow->opened && !flow->stopping)
        open_barrier(flow);
}

void
dora__barrier_name(struct dora_dataflow *flow)
{
    struct dora__text names = {0};

    if (flow->opened || flow->stopping)
        return;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        const struct dora__member *member = &flow->members[i];

        if (dora__member_gates(member) && !member->joined &&
            member->stage < DORA__STAGE_DEAD)
            dora__text_printf(&names, "%s`%s`", names.size > 0 ? ", " : "",
                              member->node->id);
    }
    if (names.size > 0)
        dora__flow_say(flow, DORA_LEVEL_INFO, NULL,
                       "waiting for %s to join the dataflow (to call Node())",
                       names.text);
    free(names.text);
}
