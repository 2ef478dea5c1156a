/* guest.c - members that live inside the host, on a thread of their own, run by
 * code that their kind loads (kind.h).
 *
 *   1. To everybody else a guest is what a process would be: pipes for what it
 *      prints, an environment, an end that counts as the same exit status.
 *   2. One that finds before it has joined that it cannot live here starts anew
 *      as a process. Nobody has seen anything of it by then: it has not
 *      attached, and what it printed is still in the pipe.
 *   3. A guest is freed once the plane knows of its end, like a node that
 *      failed: who reads its outputs learns of the failure first. */
#include "dataflow.h"

#include <string.h>

/* --- start --------------------------------------------------------------- */

static int
load_class(struct dora__member *member, struct dora_error *err)
{
    const struct dora__guest_class *class;
    int code = member->launch.load(&member->launch, &class, err);

    if (code < 0)
        return code;
    if (class->version != DORA__GUEST_VERSION ||
        class->layout() != dora_layout_version())
        return dora__fail(err, ENOENT, "%s is of another version of dora-run",
                          member->launch.library);
    member->guest_class = class;
    return 0;
}

static int
make_guest(struct dora_dataflow *flow, struct dora__member *member,
           int stdout_fd, int stderr_fd, struct dora_error *err)
{
    struct dora__environment environment = {0};
    struct dora__guest_options options = {
        .id = member->node->id,
        .directory = dora__member_directory(flow, member),
        .base = member->launch.base,
        .program = member->launch.program,
        .argv = member->launch.argv,
        .attachment = dora__plane_attachment(&flow->plane, member->number),
        .cpus = member->node->cpu_affinity,
        .cpu_count = member->node->cpu_count,
        .stdout_fd = stdout_fd,
        .stderr_fd = stderr_fd,
        .guardian_fd = flow->guardian.socket,
        .say_faults = flow->options.say_faults,
    };
    int code = dora__member_environment(flow, member, &environment);

    options.env = environment.vars;
    if (code == 0)
        code = load_class(member, err);
    if (code == 0)
        code = member->guest_class->open(&options, &member->guest, err);
    dora__environment_fini(&environment);
    return code;
}

static int
make_thread(struct dora_dataflow *flow, struct dora__member *member)
{
    struct dora__callback_options options = {
        .wake_fd = flow->wake_fd,
        .name = member->node->id,
        .guest_class = member->guest_class,
        .guest = member->guest,
    };
    int code = dora__callback_start(&options, &member->callback);

    if (code < 0)
        member->guest_class->free(member->guest);
    member->guest = NULL; /* the thread's, until it is collected */
    return code == -EAGAIN ? -ENOMEM : code; /* no thread: not "later" */
}

int
dora__guest_start(struct dora_dataflow *flow, struct dora__member *member)
{
    DORA_AUTOCLOSE int stdout_fd = -1;
    DORA_AUTOCLOSE int stderr_fd = -1;
    struct dora_error err = {""};
    int code = dora__member_open_output(flow, member, 0, true, &stdout_fd);

    if (code == 0)
        code = dora__member_open_output(flow, member, 1, true, &stderr_fd);
    if (code == 0)
        code = make_guest(flow, member, stdout_fd, stderr_fd, &err);
    if (code == 0)
        code = make_thread(flow, member);
    if (err.text[0] != 0)
        dora__flow_say(flow, DORA_LEVEL_ERROR, member, "%s", err.text);
    if (code < 0)
        return code;
    member->stage = DORA__STAGE_ALIVE;
    member->hold_until = dora__now() + DORA__HOLD_OUTPUT;
    return 0;
}

/* --- while it runs ------------------------------------------------------- */

void
dora__guest_listen(struct dora_dataflow *flow, struct dora__member *member,
                   int64_t now)
{
    if (member->is_callback || member->hold_until == DORA__NEVER)
        return;
    if (now < member->hold_until &&
        dora__plane_node_state(&flow->plane, member->number) <
            DORA__NODE_READY) {
        if (member->hold_until < flow->retry_at)
            flow->retry_at = member->hold_until;
        return;
    }
    member->hold_until = DORA__NEVER;
    for (int stream = 0; stream < 2; stream++)
        if (dora__supervisor_listen(flow, member->outputs[stream].fd, member,
                                    stream) < 0)
            dora__output_close(&member->outputs[stream]);
}

void
dora__guests_press(struct dora_dataflow *flow, enum dora__guest_press how)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (member->stage != DORA__STAGE_ALIVE || member->is_callback ||
            member->callback == NULL)
            continue;
        dora__callback_press(member->callback, how);
        member->signalled |= how != DORA__PRESS_WAKE;
    }
}

/* --- end ----------------------------------------------------------------- */

static void
move_out(struct dora_dataflow *flow, struct dora__member *member,
         const char *why)
{
    char *reason = dora__format("moved out of the host: %s", why);

    dora__flow_say(flow, DORA_LEVEL_INFO, member,
                   "%s: it runs as a process instead", why);
    dora__output_close(&member->outputs[0]);
    dora__output_close(&member->outputs[1]);
    (void)pthread_mutex_lock(&flow->lock);
    member->launch.load = NULL;
    member->launch.tier = "process";
    if (reason != NULL) { /* the first one may be in use by a reader */
        member->launch.first_reason = member->launch.reason;
        member->launch.reason = reason;
    }
    member->phase = DORA_NODE_PLANNED;
    (void)pthread_mutex_unlock(&flow->lock);
    member->stage = DORA__STAGE_PLANNED;
}

void
dora__guest_returned(struct dora_dataflow *flow, struct dora__member *member,
                     const struct dora__callback_result *result)
{
    const struct dora__guest_result *guest = &result->guest;

    member->guest = result->left;
    if (guest->move[0] != 0) {
        member->guest_class->free(member->guest);
        member->guest = NULL;
        move_out(flow, member, guest->move);
        return;
    }
    member->held = guest->held;
    (void)pthread_mutex_lock(&flow->lock);
    member->stays |= guest->stays;
    (void)pthread_mutex_unlock(&flow->lock);
    dora__member_ended(flow, member, guest->status);
}
