/* dynamic.c - nodes that the file names and somebody else starts, whenever they
 * like (`path: dynamic`). All functions run on the supervisor's thread.
 *
 *   1. One process at a time is the node: the one that knocked first. It is
 *      dead when the kernel says so of its pidfd, and only then the plane
 *      learns of it; a connection that ends proves nothing.
 *   2. Nobody waits for it: not the barrier, not the end. Where there are other
 *      nodes the dataflow is over with the last of them; where there are none
 *      it runs until it is stopped.
 *   3. What is sent while nobody is the node is not kept for it. Its outputs
 *      stay open between two visits, until its own inputs have all closed. */
#include "dataflow.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

static void
retry(struct dora_dataflow *flow)
{
    int64_t at = dora__now() + DORA__RETRY_DELAY;

    if (at < flow->retry_at)
        flow->retry_at = at;
}

/* --- coming --------------------------------------------------------------- */

static bool
process_ended(int process_fd)
{
    struct pollfd polled = {.fd = process_fd, .events = POLLIN};

    return poll(&polled, 1, 0) > 0;
}

/* A pidfd of the visitor, or a negative errno. That the process with that
 * number is the visitor, and not one that was given its number after it, is
 * known when the connection is still held afterwards. */
static int
open_process(const struct dora__visitor *visitor)
{
    int fd = (int)syscall(SYS_pidfd_open, visitor->pid, 0);
    struct pollfd line = {.fd = visitor->fd, .events = POLLRDHUP};

    if (fd < 0)
        return -errno;
    if (!process_ended(fd) && poll(&line, 1, 0) == 0)
        return fd;
    (void)close(fd);
    return -ESRCH;
}

static void
be_attached(struct dora_dataflow *flow, struct dora__member *member, pid_t pid)
{
    (void)pthread_mutex_lock(&flow->lock);
    member->pid = pid;
    member->phase = DORA_NODE_STARTING;
    member->exit_code++; /* of its attachments */
    (void)pthread_mutex_unlock(&flow->lock);
    member->stage = DORA__STAGE_ALIVE;
    dora__flow_say(flow, DORA_LEVEL_INFO, member, "is attached: process %d",
                   (int)pid);
}

static void
attach(struct dora_dataflow *flow, struct dora__member *member,
       struct dora__visitor *visitor)
{
    struct dora__attachment attachment =
        dora__plane_attachment(&flow->plane, member->number);
    DORA_AUTOCLOSE int process_fd = open_process(visitor);
    pid_t pid = visitor->pid;
    int line;

    if (process_fd < 0) {
        dora__visitor_refuse(visitor, -process_fd,
                             "dora-run cannot watch process %d: %s", (int)pid,
                             strerror(-process_fd));
        return;
    }
    if (dora__supervisor_watch(flow, process_fd, DORA__SOURCE_DOOR) < 0) {
        dora__visitor_refuse(visitor, ENOMEM, "dora-run is out of memory");
        return;
    }
    line = dora__visitor_admit(visitor, &attachment);
    if (line < 0)
        return;
    member->outputs[0] = (struct dora__output){.fd = line};
    if (dora__supervisor_listen(flow, line, member, 0) < 0)
        dora__flow_say(flow, DORA_LEVEL_WARN, member, "its log is not read");
    member->process_fd = dora__take_fd(&process_fd);
    be_attached(flow, member, pid);
}

/* --- who wants to come ---------------------------------------------------- */

static void
list_dynamic(const struct dora_dataflow *flow, struct dora__text *names)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (flow->members[i].is_dynamic)
            dora__text_printf(names, "%s`%s`", names->size > 0 ? ", " : "",
                              flow->members[i].node->id);
}

static void
refuse_unknown(const struct dora_dataflow *flow, struct dora__visitor *visitor,
               bool exists)
{
    struct dora__text names = {0};

    list_dynamic(flow, &names);
    dora__visitor_refuse(visitor, ENOENT, "%s %s`%s`%s; those to attach: %s",
                         flow->file, exists ? "starts node " : "has no node ",
                         visitor->knock.node, exists ? " itself" : "",
                         names.failed ? "..." : names.text);
    free(names.text);
}

static void
answer(struct dora_dataflow *flow, struct dora__visitor *visitor)
{
    int number = dora__graph_find(&flow->graph, visitor->knock.node);
    struct dora__member *member;

    if (number < 0 || !flow->members[number].is_dynamic) {
        refuse_unknown(flow, visitor, number >= 0);
        return;
    }
    member = &flow->members[number];
    if (flow->stopping)
        dora__visitor_refuse(visitor, ESHUTDOWN,
                             "%s is being stopped: `%s` cannot be attached",
                             flow->file, member->node->id);
    else if (member->stage == DORA__STAGE_OVER)
        dora__visitor_refuse(visitor, ESHUTDOWN,
                             "all inputs of `%s` have closed: it is over",
                             member->node->id);
    else if (member->stage == DORA__STAGE_ALIVE)
        dora__visitor_refuse(visitor, EBUSY,
                             "node `%s` is attached already: it is process %d",
                             member->node->id, member->pid);
    else if (member->stage == DORA__STAGE_PLANNED)
        attach(flow, member, visitor);
    /* DEAD: in a moment */
}

/* --- being there, and leaving --------------------------------------------- */

static void
settle_in(struct dora_dataflow *flow, struct dora__member *member)
{
    if (member->joined ||
        !dora__plane_node_joined(&flow->plane, member->number))
        return;
    if (dora__plane_admit(&flow->plane, member->number) == -EAGAIN) {
        retry(flow);
        return;
    }
    member->joined = true;
    if (flow->opened)
        dora__member_set_phase(flow, member, DORA_NODE_RUNNING);
}

static void
note_end(struct dora_dataflow *flow, struct dora__member *member)
{
    int pid = member->pid;

    dora__member_drain(flow, member);
    dora__output_close(&member->outputs[0]);
    (void)close(dora__take_fd(&member->process_fd));
    (void)pthread_mutex_lock(&flow->lock);
    member->pid = 0;
    member->phase = DORA_NODE_PLANNED;
    (void)pthread_mutex_unlock(&flow->lock);
    member->joined = false;
    member->stage = DORA__STAGE_DEAD;
    dora__flow_say(flow, DORA_LEVEL_INFO, member,
                   "process %d has ended: is attached no more", pid);
}

static void
be_over(struct dora_dataflow *flow, struct dora__member *member)
{
    (void)pthread_mutex_lock(&flow->lock);
    member->pid = 0;
    member->phase = DORA_NODE_ENDED;
    member->exit = DORA_EXIT_ATTACHED;
    (void)pthread_mutex_unlock(&flow->lock);
    member->stage = DORA__STAGE_OVER;
    flow->left--;
}

/* For this time, or for good. */
static void
bury(struct dora_dataflow *flow, struct dora__member *member)
{
    bool final = flow->opened && dora__member_unfed(flow, member);

    if (dora__plane_node_died(&flow->plane, member->number,
                              final ? DORA__DEATH_FINAL : DORA__DEATH_LEAVE,
                              NULL) == -EAGAIN)
        retry(flow);
    else if (final)
        be_over(flow, member);
    else
        member->stage = DORA__STAGE_PLANNED;
}

static void
look_at(struct dora_dataflow *flow, struct dora__member *member)
{
    if (member->stage == DORA__STAGE_ALIVE)
        settle_in(flow, member);
    if (member->stage == DORA__STAGE_ALIVE && process_ended(member->process_fd))
        note_end(flow, member);
    /* Nobody is it, and nothing can come of it any more. */
    if (member->stage == DORA__STAGE_PLANNED && flow->opened &&
        dora__member_unfed(flow, member))
        member->stage = DORA__STAGE_DEAD;
    if (member->stage == DORA__STAGE_DEAD)
        bury(flow, member);
}

/* --- the end -------------------------------------------------------------- */

/* Whether nobody is left to whom it matters. */
static bool
is_over(const struct dora_dataflow *flow)
{
    bool others = false;

    for (uint32_t i = 0; i < flow->member_count; i++) {
        if (flow->members[i].is_dynamic)
            continue;
        others = true;
        if (flow->members[i].stage != DORA__STAGE_OVER)
            return false;
    }
    return others || flow->stopping;
}

/* Who is attached sees it for itself, in memory that outlives this host. */
static void
dismiss(struct dora_dataflow *flow)
{
    if (!flow->stopping)
        dora__plane_over(&flow->plane);
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        if (!member->is_dynamic || member->stage == DORA__STAGE_OVER)
            continue;
        if (member->process_fd >= 0)
            (void)close(dora__take_fd(&member->process_fd));
        be_over(flow, member);
    }
}

void
dora__dynamic_look(struct dora_dataflow *flow)
{
    uint32_t left;

    if (flow->door.socket < 0)
        return;
    do { /* one that is over may have fed another */
        left = flow->left;
        for (uint32_t i = 0; i < flow->member_count; i++)
            if (flow->members[i].is_dynamic)
                look_at(flow, &flow->members[i]);
    } while (flow->left != left);
    for (size_t i = 0; i < DORA__VISITORS; i++)
        if (dora__visitor_waits(&flow->door.visitors[i]))
            answer(flow, &flow->door.visitors[i]);
    if (is_over(flow))
        dismiss(flow);
}
