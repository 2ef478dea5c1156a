/* supervisor.c - the one thread that runs a dataflow from start to end.
 *
 * It sleeps in epoll_wait for one of: a request of the embedder or the end of
 * a callback (wake_fd), a node's word that its state changed (doorbell), a
 * report of the guardian, a line of output, a deadline. Where nothing is due
 * it sleeps without limit: an idle dataflow wakes nobody.
 *
 *   1. Handlers of events only note facts; look() then moves every member that
 *      can move, until none can. What must wait for something that makes no
 *      event is tried again after DORA__RETRY_DELAY.
 *   2. It never blocks: not on the guardian, not on a node's gate, not on a
 *      callback's thread before that has said it is returning.
 *   3. The run is over when every member is; only then the guardian is
 *      dismissed, which kills what the nodes have left behind. */
#include "echo.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS = 64, IN_FLIGHT_LIMIT = 16 };

/* --- moving members ------------------------------------------------------ */

static void
start_member(struct dora_dataflow *flow, struct dora__member *member,
             int64_t now)
{
    int code;

    if (flow->stopping) {
        dora__member_not_started(flow, member, ECANCELED,
                                 "the dataflow was stopped first");
        return;
    }
    if (now < member->not_before) {
        if (member->not_before < flow->retry_at)
            flow->retry_at = member->not_before;
        return;
    }
    if (!dora__member_inside(member) && flow->in_flight >= IN_FLIGHT_LIMIT)
        return; /* a report will come */
    code = dora__member_start(flow, member);
    if (code == -EAGAIN)
        flow->retry_at = now + DORA__RETRY_DELAY;
    else if (code < 0)
        dora__member_not_started(flow, member, -code, "no resources for it");
}

static void
send_signal(struct dora_dataflow *flow, struct dora__member *member)
{
    int code = dora__guardian_signal(&flow->guardian, member->number,
                                     member->signal_due);

    if (code == -EAGAIN) {
        flow->retry_at = dora__now() + DORA__RETRY_DELAY;
        return;
    }
    member->signalled = true;
    member->killed |= member->signal_due == SIGKILL;
    member->signal_due = 0;
}

/* Moves the member as far as it can go now. */
static void
look_at(struct dora_dataflow *flow, struct dora__member *member, int64_t now)
{
    enum dora__stage before;

    do {
        before = member->stage;
        if (before == DORA__STAGE_PLANNED)
            start_member(flow, member, now);
        else if (before == DORA__STAGE_ALIVE && member->callback != NULL &&
                 dora__callback_returned(member->callback))
            dora__member_returned(flow, member);
        else if (before == DORA__STAGE_ALIVE && member->callback != NULL)
            dora__guest_listen(flow, member, now);
        else if (before == DORA__STAGE_ALIVE && member->signal_due != 0)
            send_signal(flow, member);
        else if (before == DORA__STAGE_DEAD && !dora__echo_waits(member) &&
                 dora__member_bury(flow, member) == -EAGAIN)
            flow->retry_at = now + DORA__RETRY_DELAY;
    } while (member->stage != before);
}

static void
look(struct dora_dataflow *flow)
{
    int asked = atomic_load_explicit(&flow->asked, memory_order_acquire);
    int64_t now = dora__now();
    bool was_stopping;

    if (asked < DORA__ASKED_STOP &&
        dora__plane_state(&flow->plane) == DORA__FLOW_STOPPING)
        asked = DORA__ASKED_STOP; /* by a node */
    if (asked >= DORA__ASKED_STOP && !flow->stop_begun) {
        flow->stop_begun = true;
        dora__ladder_stop(flow);
    }
    if (asked >= DORA__ASKED_KILL && !flow->killing)
        dora__ladder_kill(flow);
    flow->retry_at = DORA__NEVER;
    do {
        was_stopping = flow->stopping;
        for (uint32_t i = 0; i < flow->member_count; i++)
            if (!flow->members[i].is_dynamic)
                look_at(flow, &flow->members[i], now);
    } while (flow->stopping != was_stopping || dora__echo_retry(flow));
    dora__barrier_watch(flow);
    dora__debug_look(flow);
    dora__dynamic_look(flow);
    dora__finish_watch(flow);
}

/* --- what is heard ------------------------------------------------------- */

static void
clear_counter(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof count);
}

/* --- pipes ---------------------------------------------------------------- */

/* A node that prints a lot would wake the supervisor for every write. So the
 * pipes have an epoll of their own, which is slept on only when some time has
 * passed since they were read: a pipe does not fill in that, unless there was
 * more in it than was read. */
static void
hear_outputs(struct dora_dataflow *flow)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(flow->outputs_fd, events, EVENTS, 0);
    int64_t now = dora__now();
    bool more = false;

    for (int i = 0; i < n; i++)
        more |= dora__member_read(flow, &flow->members[events[i].data.u64 / 2],
                                  (int)(events[i].data.u64 % 2));
    (void)dora__echo_retry(flow); /* of what waits now, its room will ring */
    if (n > 0 && !more && now - flow->heard_at < DORA__OUTPUT_PACE)
        flow->listen_at = now + DORA__OUTPUT_PACE;
    flow->heard_at = now;
}

int
dora__supervisor_listen(struct dora_dataflow *flow, int fd,
                        const struct dora__member *member, int stream)
{
    struct epoll_event event = {
        .events = EPOLLIN,
        .data.u64 = (uint64_t)member->number * 2 + (unsigned)stream,
    };

    return epoll_ctl(flow->outputs_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno
                                                                      : 0;
}

void
dora__supervisor_ignore(struct dora_dataflow *flow, int fd)
{
    (void)epoll_ctl(flow->outputs_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* --- events -------------------------------------------------------------- */

static void
handle(struct dora_dataflow *flow, enum dora__source source)
{
    switch (source) {
    case DORA__SOURCE_WAKE:
        clear_counter(flow->wake_fd);
        break;
    case DORA__SOURCE_DOORBELL:
        clear_counter(flow->plane.doorbell_fd);
        break;
    case DORA__SOURCE_GUARDIAN:
        if (flow->guardian.socket >= 0)
            dora__reports_hear(flow);
        break;
    case DORA__SOURCE_DOOR:
        dora__door_hear(&flow->door);
        break;
    }
}

int
dora__supervisor_watch(struct dora_dataflow *flow, int fd,
                       enum dora__source source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = source};

    return epoll_ctl(flow->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno
                                                                    : 0;
}

/* --- the loop ------------------------------------------------------------ */

static int64_t
next_deadline(const struct dora_dataflow *flow)
{
    const int64_t all[] = {
        flow->term_at,
        flow->press_at,
        flow->kill_at,
        flow->abandon_at,
        flow->flush_at,
        flow->retry_at,
        flow->listen_at,
        dora__plane_moment(&flow->plane, flow->finish_at),
        dora__plane_moment(&flow->plane, flow->notice_at),
        dora__plane_moment(&flow->plane, flow->health_at),
    };
    int64_t next = DORA__NEVER;

    for (size_t i = 0; i < DORA_COUNT(all); i++)
        if (all[i] < next)
            next = all[i];
    return next;
}

/* What is due. Whether members have to be looked at. */
static bool
meet_deadlines(struct dora_dataflow *flow, int64_t now)
{
    int64_t time = dora__plane_time(&flow->plane);
    bool moved = now >= flow->term_at || now >= flow->kill_at ||
                 now >= flow->abandon_at || now >= flow->retry_at ||
                 time >= flow->finish_at || time >= flow->health_at;

    dora__ladder_climb(flow, now);
    if (time >= flow->finish_at)
        dora__finish_end(flow);
    if (time >= flow->health_at)
        dora__health_look(flow);
    if (time >= flow->notice_at) {
        flow->notice_at = DORA__NEVER;
        dora__barrier_name(flow);
    }
    if (now >= flow->listen_at)
        flow->listen_at = DORA__NEVER;
    if (now >= flow->flush_at) {
        flow->flush_at = DORA__NEVER;
        dora__flow_flush(flow);
    }
    return moved;
}

/* Sleeps at most until then. *ret_heard: pipes have something to say. */
static void
sleep_until(struct dora_dataflow *flow, int64_t deadline, bool *ret_heard)
{
    bool listening = flow->listen_at == DORA__NEVER;
    struct pollfd polled[] = {
        {flow->epoll_fd, POLLIN, 0},
        {listening ? flow->outputs_fd : -1, POLLIN, 0},
    };
    int64_t left = deadline - dora__now();
    struct timespec timeout = {0, 0};

    if (left > 0)
        timeout = (struct timespec){left / DORA__SECOND, left % DORA__SECOND};
    *ret_heard = ppoll(polled, DORA_COUNT(polled),
                       deadline == DORA__NEVER ? NULL : &timeout, NULL) > 0 &&
                 polled[1].revents != 0;
}

/* Sleeps until something happens; lines are written when there is time. */
static int
await(struct dora_dataflow *flow, struct epoll_event *events, bool *ret_heard)
{
    int n;

    if (flow->dirty) {
        sleep_until(flow, 0, ret_heard);
        n = epoll_wait(flow->epoll_fd, events, EVENTS, 0);
        if (n > 0 || *ret_heard) {
            if (flow->flush_at == DORA__NEVER)
                flow->flush_at = dora__now() + DORA__LOG_DELAY;
            return n;
        }
        dora__flow_flush(flow);
        flow->flush_at = DORA__NEVER;
    }
    sleep_until(flow, next_deadline(flow), ret_heard);
    return epoll_wait(flow->epoll_fd, events, EVENTS, 0);
}

static void
turn(struct dora_dataflow *flow)
{
    struct epoll_event events[EVENTS];
    bool heard;
    int n = await(flow, events, &heard);

    if (heard)
        hear_outputs(flow);
    for (int i = 0; i < n; i++)
        handle(flow, (enum dora__source)events[i].data.u64);
    if (meet_deadlines(flow, dora__now()) || n > 0)
        look(flow);
}

/* --- begin and end ------------------------------------------------------- */

static void
begin(struct dora_dataflow *flow)
{
    struct dora_error err = {""};

    if (flow->complaint.text[0] != 0)
        dora__flow_say(flow, DORA_LEVEL_WARN, NULL, "%s", flow->complaint.text);
    for (uint32_t i = 0; i < flow->member_count; i++) {
        const struct dora__graph_node *node = flow->members[i].node;

        if (flow->journal.directory != NULL && err.text[0] == 0 &&
            dora__journal_file_open(&flow->journal, node->id,
                                    node->max_log_size, node->max_rotated_files,
                                    &flow->members[i].journal, &err) < 0)
            dora__flow_say(flow, DORA_LEVEL_WARN, NULL, "%s", err.text);
        if (flow->members[i].is_dynamic)
            dora__flow_say(flow, DORA_LEVEL_INFO, &flow->members[i],
                           "is attached by hand: dora-run node --id %s "
                           "SCRIPT.py",
                           node->id);
        else if (!flow->members[i].is_callback &&
                 !flow->members[i].launch.attaches)
            dora__flow_say(flow, DORA_LEVEL_INFO, &flow->members[i],
                           "runs beside the dataflow: nobody waits for this "
                           "program to join");
    }
}

/* The nodes are over; what they left running goes now, then the last lines of
 * it are taken. */
static void
end(struct dora_dataflow *flow)
{
    dora__echo_close(flow);
    dora__guardian_reap(&flow->guardian);
    for (uint32_t i = 0; i < flow->member_count; i++) {
        struct dora__member *member = &flow->members[i];

        dora__member_drain(flow, member);
        dora__output_close(&member->outputs[0]);
        dora__output_close(&member->outputs[1]);
        dora__journal_file_close(&member->journal);
    }
    dora__door_close(&flow->door);
    (void)close(flow->outputs_fd);
    (void)close(flow->epoll_fd);
    free(flow->buffer);
    free(flow->scratch.text);
    (void)pthread_mutex_lock(&flow->lock);
    flow->finished = true;
    (void)pthread_cond_broadcast(&flow->changed);
    (void)pthread_mutex_unlock(&flow->lock);
}

static void *
run(void *arg)
{
    struct dora_dataflow *flow = arg;

    begin(flow);
    look(flow);
    while (flow->left > 0)
        turn(flow);
    end(flow);
    return NULL;
}

static int
prepare(struct dora_dataflow *flow)
{
    int code;

    flow->buffer = malloc(DORA__READ_SIZE);
    if (flow->buffer == NULL)
        return -ENOMEM;
    flow->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    flow->outputs_fd = epoll_create1(EPOLL_CLOEXEC);
    if (flow->epoll_fd < 0 || flow->outputs_fd < 0)
        return -errno;
    code = dora__supervisor_watch(flow, flow->wake_fd, DORA__SOURCE_WAKE);
    if (code == 0)
        code = dora__supervisor_watch(flow, flow->plane.doorbell_fd,
                                      DORA__SOURCE_DOORBELL);
    if (code == 0 && flow->guardian.socket >= 0)
        code = dora__supervisor_watch(flow, flow->guardian.socket,
                                      DORA__SOURCE_GUARDIAN);
    if (code == 0 && flow->door.epoll_fd >= 0)
        code = dora__supervisor_watch(flow, flow->door.epoll_fd,
                                      DORA__SOURCE_DOOR);
    return code;
}

/* The application's signals are for its own threads. */
static int
make_thread(struct dora_dataflow *flow)
{
    sigset_t all, before;
    int code;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&flow->supervisor, NULL, run, flow);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -code;
}

int
dora__supervisor_start(struct dora_dataflow *flow, struct dora_error *err)
{
    int code;

    flow->epoll_fd = flow->outputs_fd = -1;
    flow->listen_at = DORA__NEVER;
    flow->started = dora__now();
    flow->left = flow->member_count;
    flow->term_at = flow->kill_at = flow->abandon_at = DORA__NEVER;
    flow->press_at = DORA__NEVER;
    flow->flush_at = flow->retry_at = flow->finish_at = DORA__NEVER;
    flow->notice_at = flow->started + DORA__WAITING_NOTICE;
    flow->health_at = flow->started;
    code = prepare(flow);
    if (code == 0)
        code = make_thread(flow);
    if (code == 0)
        return 0;
    dora__close_fd(&flow->epoll_fd);
    dora__close_fd(&flow->outputs_fd);
    free(flow->buffer);
    flow->buffer = NULL;
    return dora__fail(err, -code, "cannot start the supervisor: %s",
                      strerror(-code));
}
