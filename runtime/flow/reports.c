/* reports.c - what the guardian says of the processes that it was asked for,
 * and what is left to do when it says nothing more. */
#include "dataflow.h"

#include "guardian/strays.h"

#include <signal.h>

/* It was killed. What it had started is gone, but for what the nodes themselves
 * have, if both of it went at once. */
static void
lose_guardian(struct dora_dataflow *flow)
{
    struct dora__report killed = {.status = SIGKILL};

    flow->guardian_lost = true;
    dora__flow_say(flow, DORA_LEVEL_ERROR, NULL,
                   "dora-guardian, which starts the nodes, was killed: all "
                   "that run in processes have ended with it");
    dora__guardian_reap(&flow->guardian);
    dora__strays_kill(flow->id);
    dora__ladder_stop(flow);
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (dora__member_inside(member) || member->is_dynamic)
            continue;
        if (member->stage == DORA__STAGE_ASKED)
            dora__member_not_started(flow, member, EIO,
                                     "dora-guardian has ended");
        else if (member->stage == DORA__STAGE_ALIVE)
            dora__member_exited(flow, member, &killed);
    }
}

static const char *
step_text(uint32_t step)
{
    return step == DORA__STEP_FORK        ? "cannot make a process"
           : step == DORA__STEP_PREPARE   ? "cannot set up its process"
           : step == DORA__STEP_DIRECTORY ? "cannot enter its directory"
           : step == DORA__STEP_EXECUTE   ? "cannot execute its program"
                                          : "its request was not understood";
}

void
dora__reports_hear(struct dora_dataflow *flow)
{
    struct dora__report report;
    int got;

    while ((got = dora__guardian_read(&flow->guardian, &report)) == 1) {
        struct dora__member *member = &flow->members[report.node];

        if (report.type == DORA__REPORT_SPAWNED)
            dora__member_spawned(flow, member, &report);
        else if (report.type == DORA__REPORT_FAILED)
            dora__member_not_started(flow, member, report.code,
                                     step_text(report.step));
        else
            dora__member_exited(flow, member, &report);
    }
    if (got == 0)
        lose_guardian(flow);
}
