/* member_end.c - the end of a node: how it counts, whether it comes again, and
 * what the plane is told of it. All functions run on the supervisor's thread,
 * which alone moves `stage`. */
#include "dataflow.h"
#include "node/node.h"
#include "verdict.h"

#include <signal.h>
#include <string.h>

static bool
others_gate(const struct dora_dataflow *flow, const struct dora__member *member)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (&flow->members[i] != member &&
            dora__member_gates(&flow->members[i]) &&
            flow->members[i].stage < DORA__STAGE_DEAD)
            return true;
    return false;
}

static bool
plan_restart(struct dora_dataflow *flow, struct dora__member *member,
             bool failed)
{
    int64_t delay = 0;

    if (flow->stopping || member->is_callback || member->held ||
        dora__member_unfed(flow, member))
        return false;
    if (!dora__restarts_decide(&member->restarts, member->node, failed,
                               dora__plane_time(&flow->plane), &delay)) {
        if (member->restarts.gave_up)
            dora__flow_say(flow, DORA_LEVEL_ERROR, member,
                           "max restarts (%u) exceeded, giving up",
                           member->node->max_restarts);
        return false;
    }
    member->not_before = dora__after(dora__now(), delay);
    dora__flow_say(flow, DORA_LEVEL_WARN, member,
                   "%s; starting it again in %.3g s (restart %u)",
                   member->failure.text, (double)delay / DORA__SECOND,
                   member->restart_count + 1);
    return true;
}

/* The last word on a member that will not come back. */
static void
conclude(struct dora_dataflow *flow, struct dora__member *member,
         enum dora_exit exit)
{
    (void)pthread_mutex_lock(&flow->lock);
    member->phase = DORA_NODE_ENDED;
    if (member->failed && flow->first_failure.text[0] == 0)
        dora__error_set(&flow->first_failure, "node `%s` %s", member->node->id,
                        member->failure.text);
    (void)pthread_mutex_unlock(&flow->lock);
    if (exit == DORA_EXIT_SUCCESS)
        return;
    dora__flow_say(flow, member->failed ? DORA_LEVEL_ERROR : DORA_LEVEL_WARN,
                   member, "%s", member->failure.text);
}

/* The member is dead; how that counts is decided, `failure` says it in words
 * or is empty for the usual ones. */
static void
settle(struct dora_dataflow *flow, struct dora__member *member,
       enum dora_exit exit, int code)
{
    if (member->failure.size == 0)
        dora__verdict_text(exit, code, &member->failure);
    member->failed = dora__verdict_fails(exit) &&
                     !(exit == DORA_EXIT_NOT_STARTED && code == ECANCELED);
    (void)pthread_mutex_lock(&flow->lock);
    member->exit = exit;
    member->exit_code = code;
    member->pid = 0;
    (void)pthread_mutex_unlock(&flow->lock);
    member->stage = DORA__STAGE_DEAD;
    member->signal_due = 0;
    member->will_restart = exit != DORA_EXIT_NOT_STARTED &&
                           plan_restart(flow, member, member->failed);
    if (member->will_restart)
        return;
    conclude(flow, member, exit);
    if (!flow->opened && !flow->stopping && dora__member_gates(member) &&
        (member->failed || others_gate(flow, member)))
        dora__ladder_barrier_failed(flow, member);
}

/* It was to be started again, and will not: its last end is its end. */
static void
stay_ended(struct dora_dataflow *flow, struct dora__member *member)
{
    (void)pthread_mutex_lock(&flow->lock);
    member->restart_count--;
    (void)pthread_mutex_unlock(&flow->lock);
    member->failure = member->past.failure;
    member->past.failure = (struct dora__text){0};
    settle(flow, member, member->past.exit, member->past.code);
}

void
dora__member_not_started(struct dora_dataflow *flow,
                         struct dora__member *member, int code, const char *why)
{
    if (member->stage == DORA__STAGE_ASKED)
        flow->in_flight--;
    if (code == ECANCELED && member->restart_count > 0) {
        stay_ended(flow, member);
        return;
    }
    dora__text_printf(&member->failure, "was not started: %s", why);
    if (code != ECANCELED && code != 0)
        dora__text_printf(&member->failure, ": %s", strerror(code));
    settle(flow, member, DORA_EXIT_NOT_STARTED, code);
}

void
dora__member_add_usage(struct dora_dataflow *flow, struct dora__member *member,
                       int64_t user_ns, int64_t system_ns, int64_t voluntary,
                       int64_t involuntary)
{
    (void)pthread_mutex_lock(&flow->lock);
    member->user_ns += user_ns;
    member->system_ns += system_ns;
    member->voluntary_switches += voluntary;
    member->involuntary_switches += involuntary;
    (void)pthread_mutex_unlock(&flow->lock);
}

void
dora__member_ended(struct dora_dataflow *flow, struct dora__member *member,
                   int status)
{
    struct dora__ending ending = {.status = status,
                                  .signalled = member->signalled,
                                  .killed = member->killed,
                                  .hung = member->hung};
    enum dora_exit exit;
    int code;

    dora__member_drain(flow, member);
    /* The plane still knows, should it have come and gone in between. */
    member->joined |= dora__plane_node_joined(&flow->plane, member->number);
    ending.given_up = !flow->opened && flow->stopping && member->joined;
    exit = dora__verdict(&ending, &code);
    if (exit == DORA_EXIT_SIGNAL && flow->guardian_lost &&
        !dora__member_inside(member))
        exit = DORA_EXIT_LOST;
    if (exit == DORA_EXIT_SUCCESS && code != 0 && flow->failed_barrier) {
        exit = DORA_EXIT_CONSEQUENCE; /* it had nothing to run for */
    } else if (exit == DORA_EXIT_SUCCESS && member->straggles) {
        exit = DORA_EXIT_GRACE;
        dora__text_puts(&member->failure,
                        "had to be stopped: it went on after all its inputs "
                        "had closed");
    } else if (exit == DORA_EXIT_SUCCESS && !member->joined && !flow->opened &&
               !flow->stopping && dora__member_gates(member) &&
               others_gate(flow, member)) {
        exit = DORA_EXIT_NOT_STARTED;
        dora__text_puts(&member->failure,
                        "ended (code 0) before it joined the dataflow: it "
                        "never called Node()");
    }
    if (exit == DORA_EXIT_HUNG && !member->joined)
        dora__text_printf(
            &member->failure,
            "hung and was killed: it had not called Node() in %.3g s "
            "(startup_timeout)",
            (double)member->node->startup_timeout_ns / DORA__SECOND);
    else if (exit == DORA_EXIT_HUNG)
        dora__text_printf(
            &member->failure,
            "hung and was killed: for %.3g s it neither waited for events nor "
            "asked for any (health_check_timeout)",
            (double)member->node->health_check_timeout_ns / DORA__SECOND);
    settle(flow, member, exit, code);
}

static int64_t
nanoseconds(const struct timeval *t)
{
    return ((int64_t)t->tv_sec * 1000000 + t->tv_usec) * 1000;
}

void
dora__member_exited(struct dora_dataflow *flow, struct dora__member *member,
                    const struct dora__report *report)
{
    const struct rusage *usage = &report->usage;

    dora__member_add_usage(flow, member, nanoseconds(&usage->ru_utime),
                           nanoseconds(&usage->ru_stime), usage->ru_nvcsw,
                           usage->ru_nivcsw);
    dora__member_ended(flow, member, report->status);
}

void
dora__member_returned(struct dora_dataflow *flow, struct dora__member *member)
{
    struct dora__callback_result result;
    enum dora_exit exit = DORA_EXIT_SUCCESS;

    dora__callback_collect(member->callback, &result);
    member->callback = NULL;
    dora__member_add_usage(flow, member, result.user_ns, result.system_ns,
                           result.voluntary_switches,
                           result.involuntary_switches);
    if (!member->is_callback) {
        dora__guest_returned(flow, member, &result);
        return;
    }
    member->returned = result.node;
    member->held = result.held;
    dora__member_drain(flow, member);
    if (!result.joined && flow->stopping) {
        exit = DORA_EXIT_CONSEQUENCE;
    } else if (!result.joined) {
        exit = DORA_EXIT_NOT_STARTED;
        result.code = -result.code;
        dora__text_printf(&member->failure, "was not started: %s",
                          result.error.text);
    } else if (result.code != 0) {
        exit = DORA_EXIT_CODE;
        dora__text_printf(&member->failure, "returned %d", result.code);
    }
    settle(flow, member, exit, result.code);
}

void
dora__member_abandon(struct dora_dataflow *flow, struct dora__member *member)
{
    int outputs[2];

    dora__member_drain(flow, member);
    for (int i = 0; i < 2; i++)
        outputs[i] = dora__take_fd(&member->outputs[i].fd);
    dora__callback_abandon(member->callback, outputs);
    member->callback = NULL;
    (void)pthread_mutex_lock(&flow->lock);
    member->stays = true;
    (void)pthread_mutex_unlock(&flow->lock);
    dora__text_puts(&member->failure,
                    "did not return after the stop; its thread is abandoned");
    settle(flow, member, DORA_EXIT_GRACE, 0);
}

static void
plan_again(struct dora_dataflow *flow, struct dora__member *member)
{
    free(member->past.failure.text);
    member->past =
        (struct dora__past){member->exit, member->exit_code, member->failure};
    member->failure = (struct dora__text){0};
    (void)pthread_mutex_lock(&flow->lock);
    member->restart_count++;
    member->phase = DORA_NODE_PLANNED;
    member->exit = DORA_EXIT_NONE;
    member->exit_code = 0;
    (void)pthread_mutex_unlock(&flow->lock);
    member->stage = DORA__STAGE_PLANNED;
    member->joined = member->will_restart = member->hung = false;
    member->signalled = member->killed = false;
    member->idle_ns = -1;
}

/* Who is alive is not declared dead: an abandoned thread; a callback whose
 * samples are still about, which only sends no more. And when the guardian is
 * lost, everything stops anyhow. */
static int
tell_plane(struct dora_dataflow *flow, const struct dora__member *member)
{
    const char *failure = member->failed ? member->failure.text : NULL;

    if (flow->guardian_lost ||
        (dora__member_inside(member) && member->exit == DORA_EXIT_GRACE &&
         member->guest == NULL))
        return 0;
    if (member->held)
        return dora__plane_close_outputs(&flow->plane, member->number, failure);
    return dora__plane_node_died(&flow->plane, member->number,
                                 member->will_restart, failure);
}

int
dora__member_bury(struct dora_dataflow *flow, struct dora__member *member)
{
    int code;

    dora__debug_bury(flow, member->number);
    code = tell_plane(flow, member);
    if (code < 0)
        return code;
    dora__node_detach(member->returned);
    member->returned = NULL;
    if (member->guest != NULL)
        member->guest_class->free(member->guest);
    member->guest = NULL;
    if (member->will_restart) {
        plan_again(flow, member);
    } else {
        free(member->failure.text);
        member->failure = (struct dora__text){0};
        free(member->past.failure.text);
        member->past.failure = (struct dora__text){0};
        member->stage = DORA__STAGE_OVER;
        flow->left--;
    }
    return 0;
}
