/* health.c - nodes that hang (`startup_timeout`, `health_check_timeout`).
 *
 *   1. A node is well while it waits in the runtime - for events, for room, for
 *      memory - and whenever it asks for events or sends. Only one that does
 *      none of it for the whole time is taken for hung, and killed: a failure
 *      like any other, after which its restart policy decides.
 *   2. Its time begins when the barrier has opened and it has joined, anew for
 *      each incarnation, and ends when it closes its node, or with the
 *      dataflow: from then on the ladder keeps time. Until it has joined, from
 *      its process on, another time runs: that of `startup_timeout`.
 *   3. What is counted is time in which it was seen to do nothing, look by
 *      look. When the host itself did not run - stopped, suspended, starved -
 *      that is one look, however long it took: a stopped job may go on.
 *
 * Only dataflows that ask for it are looked at, LOOKS times in the shortest
 * timeout. */
#include "dataflow.h"

#include <signal.h>

enum { LOOKS = 8 };

#define LEAST_PERIOD (DORA__SECOND / 1000)
#define MOST_PERIOD DORA__SECOND

/* A node inside the host cannot be killed alone, a program that does not take
 * part asks for nothing. */
static bool
is_watched(const struct dora__member *member)
{
    return (member->node->startup_timeout_ns > 0 ||
            member->node->health_check_timeout_ns > 0) &&
           !dora__member_inside(member) && member->launch.attaches;
}

static int64_t
sooner(int64_t least, int64_t timeout)
{
    return timeout > 0 && timeout < least ? timeout : least;
}

/* Between two looks; DORA__NEVER: nobody is to be looked at. */
static int64_t
period_of(const struct dora_dataflow *flow)
{
    int64_t least = DORA__NEVER;

    for (uint32_t i = 0; i < flow->member_count; i++) {
        const struct dora__member *member = &flow->members[i];

        if (!is_watched(member) || member->stage >= DORA__STAGE_OVER)
            continue;
        least = sooner(least, member->node->startup_timeout_ns);
        least = sooner(least, member->node->health_check_timeout_ns);
    }
    if (least == DORA__NEVER)
        return least;
    least /= LOOKS;
    return least < LEAST_PERIOD  ? LEAST_PERIOD
           : least > MOST_PERIOD ? MOST_PERIOD
                                 : least;
}

static void
kill_hung(struct dora_dataflow *flow, struct dora__member *member)
{
    member->hung = true;
    member->signal_due = SIGKILL;
    if (member->joined)
        dora__flow_say(flow, DORA_LEVEL_WARN, member,
                       "neither waits for events nor has asked for any for "
                       "%.3g s (health_check_timeout): killing it",
                       (double)member->node->health_check_timeout_ns /
                           DORA__SECOND);
    else
        dora__flow_say(flow, DORA_LEVEL_WARN, member,
                       "has not called Node() in %.3g s (startup_timeout): "
                       "killing it",
                       (double)member->node->startup_timeout_ns / DORA__SECOND);
}

static void
look_at_start(struct dora_dataflow *flow, struct dora__member *member,
              int64_t passed)
{
    int64_t timeout = member->node->startup_timeout_ns;

    member->idle_ns = member->idle_ns < 0 ? 0 : member->idle_ns + passed;
    if (timeout > 0 && member->idle_ns >= timeout)
        kill_hung(flow, member);
}

/* From here on its health is looked at. */
void
dora__health_joined(struct dora__member *member)
{
    member->joined = true;
    member->idle_ns = -1;
}

/* `passed`: since the last look, at most a period. */
static void
look_at(struct dora_dataflow *flow, struct dora__member *member, int64_t passed)
{
    int64_t timeout = member->node->health_check_timeout_ns;
    struct dora__pulse pulse;

    if (member->stage == DORA__STAGE_ALIVE && !member->joined &&
        !member->hung) {
        look_at_start(flow, member, passed);
        return;
    }
    if (member->stage != DORA__STAGE_ALIVE || !flow->opened || member->hung ||
        dora__plane_node_state(&flow->plane, member->number) !=
            DORA__NODE_READY) {
        member->idle_ns = -1;
        return;
    }
    dora__plane_pulse(&flow->plane, member->number, &pulse);
    if (pulse.waits || pulse.beats != member->beats || member->idle_ns < 0)
        member->idle_ns = 0;
    else
        member->idle_ns += passed;
    member->beats = pulse.beats;
    if (timeout > 0 && member->idle_ns >= timeout)
        kill_hung(flow, member);
}

void
dora__health_look(struct dora_dataflow *flow)
{
    int64_t now = dora__plane_time(&flow->plane), period = period_of(flow);
    int64_t passed = now - flow->looked_at;

    flow->health_at = DORA__NEVER;
    if (flow->stopping || period == DORA__NEVER)
        return;
    flow->looked_at = now;
    flow->health_at = now + period;
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (is_watched(&flow->members[i]))
            look_at(flow, &flow->members[i], passed < period ? passed : period);
}
