/* dataflow.c - the life of a dataflow as its embedder steers it (dora.h).
 *
 *   load    file -> graph -> plan -> members          load.c
 *   start   memory, guardian, supervisor              here
 *   ...     members start, join, end                  supervisor.c, member.c
 *   stop    a flag and a write: the supervisor acts   here
 *   wait    for the supervisor to be done             here
 *   free    kill, wait, release                       here
 *
 * What runs: one supervisor thread per dataflow; a thread for each node that
 * is a callback; a guardian process if there are process nodes, started before
 * the threads, and under it the processes. Nodes move messages among
 * themselves, in memory (plane.h); the supervisor only sees them begin and
 * end, reads what they print, and keeps time.
 *
 * All state hangs off the struct: dataflows in one process do not know each
 * other. */
#include "echo.h"

#include <string.h>

/* A forked child has neither the threads nor the lock, and the descriptors are
 * its parent's. */
static bool
is_foreign(const struct dora_dataflow *flow)
{
    pid_t owner = atomic_load_explicit(&flow->owner, memory_order_relaxed);

    return owner != 0 && owner != getpid();
}

/* --- start --------------------------------------------------------------- */

static int
check_callbacks(const struct dora_dataflow *flow, struct dora_error *err)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (flow->members[i].is_callback && flow->members[i].body == NULL)
            return dora__fail(err, EINVAL,
                              "node `%s` has `path: callback`, but no function "
                              "was set for it",
                              flow->members[i].node->id);
    return 0;
}

static bool
has_processes(const struct dora_dataflow *flow)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (!flow->members[i].is_callback && !flow->members[i].is_dynamic)
            return true;
    return false;
}

static int
open_door(struct dora_dataflow *flow, struct dora_error *err)
{
    for (uint32_t i = 0; i < flow->member_count; i++)
        if (flow->members[i].is_dynamic)
            return dora__door_open(flow->id, &flow->door, err);
    return 0;
}

/* Large enough that a burst does not make a node wait, not so large that many
 * nodes use up what a user may have in pipes. */
static size_t
choose_pipe_size(uint32_t members)
{
    size_t size = DORA__PIPE_MOST;

    while (size > DORA__PIPE_LEAST && size * 2 * members > (32U << 20))
        size /= 2;
    return size;
}

/* Logs are worth a complaint, not a failure. */
static void
open_journal(struct dora_dataflow *flow)
{
    struct dora__journal_run run = {
        .id = flow->id,
        .file = flow->file,
        .started_ns = dora__clock(CLOCK_REALTIME),
        .layout = dora_layout_version(),
        .control_fd = flow->plane.control_fd,
    };

    if (!flow->options.no_files)
        (void)dora__journal_open(flow->directory, &run, &flow->journal,
                                 &flow->complaint);
}

static int
start(struct dora_dataflow *flow, struct dora_error *err)
{
    int code = check_callbacks(flow, err);

    if (code < 0)
        return code;
    code = dora__plane_create(&flow->plan, flow->id, &flow->plane, err);
    if (code < 0)
        return code;
    flow->has_plane = true;
    code = open_door(flow, err);
    if (code == 0)
        code = dora__echo_open(flow, err);
    if (code < 0)
        return code;
    flow->pipe_size = choose_pipe_size(flow->member_count);
    open_journal(flow);
    if (has_processes(flow))
        code =
            dora__guardian_start(flow->options.libexec, &flow->guardian, err);
    if (code == 0)
        code = dora__supervisor_start(flow, err);
    if (code < 0) {
        dora__guardian_reap(&flow->guardian);
        dora__door_close(&flow->door);
    }
    return code;
}

/* Files that are not there are to be fetched before the load that knows how to
 * run them. */
static int
check_clones(const struct dora_dataflow *flow, struct dora_error *err)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        const struct dora__member *member = &flow->members[i];
        const struct dora__graph_node *node = member->node;

        if (member->to_fetch && !member->is_callback && !member->is_dynamic)
            return dora__fail(err, ENOENT,
                              "%s:%u:%u: node `%s`: its `git` source has not "
                              "been fetched yet: `dora-run build` does it",
                              dora__graph_file(&flow->graph, node->git.mark),
                              node->git.mark.line, node->git.mark.column,
                              node->id);
    }
    return 0;
}

int
dora_dataflow_start(struct dora_dataflow *flow, struct dora_error *err)
{
    bool again;
    int code;

    if (flow == NULL)
        return dora__fail(err, EINVAL, "no dataflow");
    (void)pthread_mutex_lock(&flow->lock);
    again = flow->started_once;
    flow->started_once = true;
    if (!again)
        atomic_store_explicit(&flow->owner, getpid(), memory_order_relaxed);
    (void)pthread_mutex_unlock(&flow->lock);
    if (again)
        return dora__fail(err, EALREADY, "%s was started before", flow->file);
    code = check_clones(flow, err);
    if (code < 0)
        return code;
    if (atomic_load_explicit(&flow->asked, memory_order_relaxed) !=
        DORA__ASKED_NOTHING)
        return dora__fail(err, ECANCELED,
                          "%s was stopped before it was started", flow->file);
    code = start(flow, err);
    flow->has_supervisor = code == 0;
    return code;
}

int
dora_dataflow_set_callback(struct dora_dataflow *flow, const char *id,
                           dora_node_body body, void *arg,
                           struct dora_error *err)
{
    struct dora__member *member;
    int number;

    if (flow == NULL || id == NULL || body == NULL)
        return dora__fail(err, EINVAL, "dataflow, node and function needed");
    if (flow->started_once)
        return dora__fail(err, EINVAL, "%s was started before", flow->file);
    number = dora__graph_find(&flow->graph, id);
    if (number < 0)
        return dora__fail(err, ENOENT, "%s has no node `%s`", flow->file, id);
    member = &flow->members[number];
    if (!member->is_callback)
        return dora__fail(err, EINVAL,
                          "node `%s` has `path: %s`, not `path: callback`", id,
                          member->node->path);
    member->body = body;
    member->body_arg = arg;
    return 0;
}

/* --- stop ---------------------------------------------------------------- */

/* Async-signal-safe. */
static void
ask(struct dora_dataflow *flow, int what)
{
    int saved = errno;
    int asked = atomic_load_explicit(&flow->asked, memory_order_relaxed);
    uint64_t one = 1;

    /* Pairs with the supervisor's look. */
    while (asked < what && !atomic_compare_exchange_weak_explicit(
                               &flow->asked, &asked, what, memory_order_release,
                               memory_order_relaxed))
        continue;
    (void)!write(flow->wake_fd, &one, sizeof one);
    errno = saved;
}

void
dora_dataflow_stop(struct dora_dataflow *flow)
{
    if (flow != NULL && !is_foreign(flow))
        ask(flow, DORA__ASKED_STOP);
}

void
dora_dataflow_kill(struct dora_dataflow *flow)
{
    if (flow != NULL && !is_foreign(flow))
        ask(flow, DORA__ASKED_KILL);
}

/* --- wait, free ---------------------------------------------------------- */

static struct timespec
deadline(int64_t timeout_ns)
{
    int64_t now = dora__now();
    int64_t at = timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;

    return (struct timespec){at / DORA__SECOND, at % DORA__SECOND};
}

int
dora_dataflow_wait(struct dora_dataflow *flow, int64_t timeout_ns,
                   struct dora_error *err)
{
    struct timespec until = deadline(timeout_ns < 0 ? INT64_MAX : timeout_ns);
    bool finished;
    int code = 0;

    if (flow == NULL || !flow->has_supervisor)
        return dora__fail(err, EINVAL, "the dataflow does not run");
    if (is_foreign(flow))
        return dora__fail(err, ECHILD, "a forked child cannot wait for %s",
                          flow->file);
    (void)pthread_mutex_lock(&flow->lock);
    while (!flow->finished && code == 0)
        code = timeout_ns < 0 ? pthread_cond_wait(&flow->changed, &flow->lock)
                              : pthread_cond_timedwait(&flow->changed,
                                                       &flow->lock, &until);
    finished = flow->finished;
    (void)pthread_mutex_unlock(&flow->lock);
    if (!finished)
        return dora__fail(err, ETIMEDOUT, "%s still runs", flow->file);
    if (flow->first_failure.text[0] != 0)
        return dora__fail(err, ECANCELED, "%s", flow->first_failure.text);
    return 0;
}

void
dora_dataflow_free(struct dora_dataflow *flow)
{
    if (flow == NULL || is_foreign(flow))
        return;
    if (flow->has_supervisor) {
        ask(flow, DORA__ASKED_KILL);
        (void)pthread_join(flow->supervisor, NULL);
    }
    dora__echo_close(flow);
    if (flow->has_plane)
        dora__plane_fini(&flow->plane);
    dora__journal_fini(&flow->journal);
    dora__flow_unload(flow);
}

/* --- what it is ---------------------------------------------------------- */

const char *
dora_dataflow_id(const struct dora_dataflow *flow)
{
    return flow->id;
}

const char *
dora_dataflow_log_directory(const struct dora_dataflow *flow)
{
    return flow->journal.directory;
}

int
dora_dataflow_mermaid(const struct dora_dataflow *flow, char **ret_text)
{
    struct dora__text text = {0};

    dora__graph_mermaid(&flow->graph, &text);
    if (text.failed || text.text == NULL) {
        free(text.text);
        return -ENOMEM;
    }
    *ret_text = text.text;
    return 0;
}
