/* command_signals.c - Ctrl-C and its like, for the dataflow that runs.
 *
 * The handler acts at once, on whatever thread it runs, so that a stop needs
 * nobody's turn. The first signal asks all nodes to stop, the second kills
 * them, the third aborts. What comes within SIGNALS_REPEAT of another is that
 * one again: timeout(1) and hangups signal both a process and its group. */
#include "signals.h"

#include "command.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

/* What a signal handler can reach. */
static struct {
    struct dora_dataflow *_Atomic flow; /* NULL: nothing runs */
    atomic_int count, number;           /* of signals; the first one */
    atomic_llong last_ns;               /* when the last one counted */
    atomic_int inside;                  /* handlers that run now */
    atomic_bool leaving;                /* all is over but for a slow reader */
    int wake;
} signals;

static void
act_on_signal(int number)
{
    struct dora_dataflow *flow =
        atomic_load_explicit(&signals.flow, memory_order_seq_cst);
    long long last =
        atomic_load_explicit(&signals.last_ns, memory_order_relaxed);
    int64_t now = dora__now();
    int count;

    if (atomic_load_explicit(&signals.leaving, memory_order_relaxed))
        _exit(STATUS_FAILED);
    /* Of two threads that are here at once only one goes on. */
    if ((last && now - last < SIGNALS_REPEAT) ||
        !atomic_compare_exchange_strong_explicit(&signals.last_ns, &last, now,
                                                 memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    count =
        1 + atomic_fetch_add_explicit(&signals.count, 1, memory_order_relaxed);
    if (count == 1)
        atomic_store_explicit(&signals.number, number, memory_order_relaxed);
    if (count >= 3)
        abort();
    if (flow && count == 1)
        dora_dataflow_stop(flow);
    else if (flow)
        dora_dataflow_kill(flow);
    (void)eventfd_write(signals.wake, 1);
}

static void
on_signal(int number)
{
    int error = errno;

    /* seq_cst on both sides: either this sees no flow, or signals_forget sees
     * this one inside. */
    atomic_fetch_add_explicit(&signals.inside, 1, memory_order_seq_cst);
    act_on_signal(number);
    atomic_fetch_sub_explicit(&signals.inside, 1, memory_order_release);
    errno = error;
}

void
signals_forget(void)
{
    atomic_store_explicit(&signals.flow, NULL, memory_order_seq_cst);
    /* pairs with on_signal */
    while (atomic_load_explicit(&signals.inside, memory_order_seq_cst))
        (void)sched_yield();
}

/* Not ignored: that would be inherited by the nodes. The write says EPIPE. */
static void
on_pipe(int number)
{
    (void)number;
}

void
signals_catch(int wake)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction before;

    signals.wake = wake;
    for (size_t i = 0; i < DORA_COUNT(stops); i++) {
        /* nohup(1) means it. */
        if (stops[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 &&
            before.sa_handler == SIG_IGN)
            continue;
        (void)sigaction(stops[i], &action, NULL);
    }
    action.sa_handler = on_pipe;
    (void)sigaction(SIGPIPE, &action, NULL);
}

const char *
signals_name(int number)
{
    switch (number) {
    case SIGINT:
        return "SIGINT";
    case SIGHUP:
        return "SIGHUP";
    default:
        return "SIGTERM";
    }
}

void
signals_reach(struct dora_dataflow *flow)
{
    /* pairs with act_on_signal */
    atomic_store_explicit(&signals.flow, flow, memory_order_seq_cst);
    if (signals_count() > 0)
        dora_dataflow_stop(flow); /* it came while loading */
}

int
signals_count(void)
{
    return atomic_load_explicit(&signals.count, memory_order_relaxed);
}

int
signals_first(void)
{
    return atomic_load_explicit(&signals.number, memory_order_relaxed);
}

int64_t
signals_last(void)
{
    return atomic_load_explicit(&signals.last_ns, memory_order_relaxed);
}

void
signals_leave(void)
{
    atomic_store_explicit(&signals.leaving, true, memory_order_relaxed);
}
