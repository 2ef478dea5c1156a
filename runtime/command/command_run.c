/* command_run.c - runs a dataflow on a terminal, or under whatever started it.
 *
 * Threads: this one sleeps until a signal, the end, or the time to say
 * something; `waiter` waits for the end; the screen's own writes. They meet in
 * one eventfd, `wake`, which signals ring as well (command_signals.c). */
#include "command.h"
#include "print.h"
#include "signals.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define START_LIMIT ((int64_t)60 * 1000000000)
#define START_LOOK ((int64_t)20 * 1000000)
#define PATIENCE ((int64_t)5 * 1000000000)
#define PATIENCE_STOPPED ((int64_t)1000000000)

struct run_state {
    const struct command *command;
    struct dora_dataflow *flow;
    struct screen *screen;
    struct terminal *terminal; /* for the debuggers of nodes */
    struct words *words;
    struct watch *watch;
    struct run run;
    int report_fd; /* -1: none */
    bool stays;    /* threads of nodes still run */
    int wake;
    int64_t started;  /* dora__now() */
    int signals_said; /* of those that came */
    pthread_t waiter;
    atomic_bool ended; /* result and err are there */
    int result;
    struct dora_error err;
};

/* --- while it runs -------------------------------------------------------- */

static void
hear(void *arg, const struct dora_log_record *record)
{
    struct run_state *state = arg;

    words_hear(state->words, record);
    screen_log(state->screen, record);
}

static void *
wait_for_end(void *arg)
{
    struct run_state *state = arg;

    state->result = dora_dataflow_wait(state->flow, -1, &state->err);
    /* pairs with has_ended */
    atomic_store_explicit(&state->ended, true, memory_order_release);
    (void)eventfd_write(state->wake, 1);
    return NULL;
}

static bool
has_ended(struct run_state *state)
{
    /* pairs with wait_for_end */
    return atomic_load_explicit(&state->ended, memory_order_acquire);
}

/* Somebody wants the dataflow to end; only the first is remembered. */
static bool
note_stop(struct run_state *state, const char *by)
{
    if (state->run.stopped_by)
        return false;
    state->run.stopped_by = by;
    watch_stopping(state->watch, dora__now());
    return true;
}

/* What has come by now. It is said once SIGNALS_REPEAT has passed: who answers
 * to the words with another signal means another. Returns when to look again.
 */
static int64_t
look_at_signals(struct run_state *state, int64_t now)
{
    int count = signals_count();
    const char *name = signals_name(signals_first());
    int64_t due = SIGNALS_REPEAT + signals_last();

    if (count == state->signals_said)
        return INT64_MAX;
    (void)note_stop(state, name);
    if (now < due && count == 1)
        return due;
    if (count == 1)
        screen_say(state->screen, "stopping: %s (once more to kill all nodes)",
                   name);
    else
        screen_say(state->screen, "killing all nodes");
    state->signals_said = count;
    return INT64_MAX;
}

static void
sleep_until(struct run_state *state, int64_t deadline)
{
    struct pollfd ready = {.fd = state->wake, .events = POLLIN};
    int64_t left = deadline - dora__now();
    struct timespec timeout = {
        .tv_sec = (time_t)(left / 1000000000),
        .tv_nsec = (long)(left % 1000000000),
    };
    eventfd_t value;

    if (left > 0 && ppoll(&ready, 1, &timeout, NULL) > 0)
        (void)eventfd_read(state->wake, &value);
}

/* When --stop-after says stop: so long after all nodes have started. That is
 * asked for when it matters; nodes that do not start get START_LIMIT. */
static int64_t
stop_time(struct run_state *state, int64_t now)
{
    int64_t after = state->command->stop_after_ns;
    int64_t begun = dora_dataflow_started(state->flow);

    if (begun)
        return begun + after;
    if (now < state->started + after)
        return state->started + after;
    if (now < state->started + after + START_LIMIT)
        return now + START_LOOK;
    return now;
}

/* Stops if it is time to, or nobody reads; returns when to look again. */
static int64_t
look_at_limits(struct run_state *state, int64_t now)
{
    int64_t stop_at;

    if (state->run.stopped_by)
        return INT64_MAX;
    if (screen_gone(state->screen) && note_stop(state, "closed output"))
        dora_dataflow_stop(state->flow);
    if (state->command->stop_after_ns < 0)
        return INT64_MAX;
    stop_at = stop_time(state, now);
    if (now < stop_at)
        return stop_at;
    if (note_stop(state, "--stop-after")) {
        screen_say(state->screen, "stopping: --stop-after");
        dora_dataflow_stop(state->flow);
    }
    return INT64_MAX;
}

static void
supervise(struct run_state *state)
{
    while (!has_ended(state)) {
        int64_t now = dora__now();
        int64_t next[] = {
            look_at_signals(state, now),
            look_at_limits(state, now),
            watch_look(state->watch, now),
        };

        for (size_t i = 1; i < DORA_COUNT(next); i++)
            if (next[i] < next[0])
                next[0] = next[i];
        sleep_until(state, next[0]);
    }
    (void)look_at_signals(state, dora__now());
}

/* --- beginning and end ---------------------------------------------------- */

static int
complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "dora-run: %s: %s\n", what, why);
    return STATUS_FAILED;
}

/* Before anything runs: a report that cannot be written is found now. */
static int
open_report(struct run_state *state)
{
    const char *path = state->command->report;

    if (!path)
        return STATUS_OK;
    state->report_fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (state->report_fd < 0)
        return complain(path, strerrordesc_np(errno));
    return STATUS_OK;
}

static void
write_report(struct run_state *state)
{
    struct dora__text text = {0};
    const char *path = state->command->report;

    if (!path)
        return;
    print_report(state->flow, &state->run, &text);
    for (size_t at = 0; !text.failed && at < text.size;) {
        ssize_t got = write(state->report_fd, text.text + at, text.size - at);

        if (got < 0 && errno != EINTR) {
            screen_say(state->screen, "%s: %s", path, strerrordesc_np(errno));
            state->run.status = STATUS_FAILED;
            break;
        }
        at += got > 0 ? (size_t)got : 0;
    }
    free(text.text);
}

static void
conclude(struct run_state *state)
{
    struct dora__text text = {0};

    state->run.duration_ns = dora__now() - state->started;
    if (state->result < 0 || signals_count() > 1)
        state->run.status = STATUS_FAILED;
    if (state->result == -ECANCELED)
        print_failure(state->flow, state->words, &text);
    if (state->result < 0 && state->result != -ECANCELED)
        dora__text_printf(&text, "[ERROR] %s\n", state->err.text);
    else
        print_summary(state->flow, &state->run, &text);
    if (!text.failed)
        screen_write(state->screen, text.text, text.size);
    free(text.text);
    write_report(state);
}

/* From start to end; the dataflow is loaded. */
static void
run_flow(struct run_state *state)
{
    int result;

    state->started = dora__now();
    state->run.started_ns = dora__clock(CLOCK_REALTIME);
    state->result =
        watch_new(state->flow, state->screen, state->started, &state->watch);
    if (state->result == 0)
        state->result = dora_dataflow_start(state->flow, &state->err);
    if (state->result < 0) {
        if (state->result == -ENOMEM && !state->watch)
            dora__error_set(&state->err, "out of memory");
        return;
    }
    screen_set_logs(state->screen, dora_dataflow_log_directory(state->flow));
    result = pthread_create(&state->waiter, NULL, wait_for_end, state);
    if (result) {
        state->result =
            dora__fail(&state->err, result, "cannot start a thread: %s",
                       strerrordesc_np(result));
        dora_dataflow_kill(state->flow);
        return;
    }
    supervise(state);
    (void)pthread_join(state->waiter, NULL);
}

/* Threads that nobody can end may be in the middle of anything: no destructor
 * shall meet them. */
static bool
anything_stays(struct dora_dataflow *flow)
{
    struct dora_node_stats stats;

    for (size_t i = 0; dora_dataflow_node_stats(flow, i, &stats) == 0; i++)
        if (stats.stays)
            return true;
    return false;
}

static int
run_loaded(struct run_state *state)
{
    signals_reach(state->flow);
    run_flow(state);
    conclude(state);
    signals_forget();
    state->stays = anything_stays(state->flow);
    dora_dataflow_free(state->flow);
    watch_free(state->watch);
    return state->run.status;
}

/* Whether to end before anything runs. */
static bool
is_stopped(void *arg)
{
    (void)arg;
    return signals_count() > 0;
}

/* What is wrong with the file is left to who loads it, and tells all of it. */
static int
build(struct run_state *state, const struct dora_options *options)
{
    const struct command *command = state->command;
    struct dora_error err;

    if (command->no_build ||
        dora_build_file(command->file, options, command->uv ? DORA_BUILD_UV : 0,
                        &err) != -ECANCELED)
        return STATUS_OK;
    screen_say(state->screen, "%s", err.text);
    return STATUS_FAILED;
}

int
command_run(const struct command *command)
{
    struct run_state state = {
        .command = command, .report_fd = -1, .run.file = command->file};
    struct dora_options options = command_options(command);
    struct dora_error err;
    int status = open_report(&state);

    if (status)
        return status;
    state.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (state.wake < 0)
        return complain("eventfd", strerrordesc_np(errno));
    signals_catch(state.wake);
    if (words_new(&state.words) < 0)
        return complain("run", "out of memory");
    if (screen_open(command->log_level, state.wake, &state.screen, &err) < 0)
        return complain("screen", err.text);
    if (terminal_new(state.screen, &state.terminal) < 0)
        return complain("run", "out of memory");
    options.log = hear;
    options.log_arg = &state;
    options.stop = is_stopped;
    options.terminal = terminal_lend;
    options.terminal_arg = state.terminal;
    status = build(&state, &options);
    if (status == STATUS_OK)
        status = command_load(command, &options, &state.flow);
    if (status == STATUS_OK)
        status = run_loaded(&state);
    signals_leave();
    terminal_free(state.terminal);
    screen_close(state.screen,
                 state.run.stopped_by ? PATIENCE_STOPPED : PATIENCE);
    words_free(state.words);
    if (state.report_fd >= 0)
        (void)close(state.report_fd);
    if (state.stays) {
        (void)fflush(stdout);
        _exit(status);
    }
    return status;
}
