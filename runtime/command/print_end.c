/* print_end.c - how a run ended, for a person: what failed and why, and what it
 * did. */
#include "print.h"

#include <signal.h>
#include <string.h>

enum { FEW_NODES = 40 };

void
print_duration(int64_t ns, struct dora__text *out)
{
    int64_t seconds = ns / 1000000000;

    if (seconds < 60)
        dora__text_printf(out, "%.2f s", (double)ns / 1e9);
    else if (seconds < 3600)
        dora__text_printf(out, "%lld min %lld s", (long long)seconds / 60,
                          (long long)seconds % 60);
    else
        dora__text_printf(out, "%lld h %lld min", (long long)seconds / 3600,
                          (long long)seconds / 60 % 60);
}

static void
signal_name(int number, struct dora__text *out)
{
    const char *name = sigabbrev_np(number);

    if (name)
        dora__text_printf(out, "SIG%s", name);
    else
        dora__text_printf(out, "signal %d", number);
}

void
print_exit(const struct dora_node_stats *stats, struct dora__text *out)
{
    switch (stats->exit) {
    case DORA_EXIT_NONE:
        dora__text_puts(out, "has not ended");
        break;
    case DORA_EXIT_SUCCESS:
        dora__text_puts(out, "succeeded");
        break;
    case DORA_EXIT_CODE:
        dora__text_printf(out, "exited with code %d", stats->exit_code);
        break;
    case DORA_EXIT_SIGNAL:
        dora__text_puts(out, "was killed by ");
        signal_name(stats->exit_code, out);
        if (stats->exit_code == SIGKILL)
            dora__text_puts(out, " (the kernel does so when memory runs out)");
        break;
    case DORA_EXIT_GRACE:
        dora__text_puts(out, "did not stop in time and was ");
        dora__text_puts(out, strcmp(stats->tier, "process") == 0 ? "killed"
                                                                 : "given up");
        break;
    case DORA_EXIT_NOT_STARTED:
        dora__text_puts(out, "was not started");
        break;
    case DORA_EXIT_CONSEQUENCE:
        dora__text_puts(out, "gave up because the dataflow did not start");
        break;
    case DORA_EXIT_HUNG:
        dora__text_puts(out, "hung and was killed");
        break;
    case DORA_EXIT_LOST:
        dora__text_puts(out, "was killed with dora-guardian");
        break;
    case DORA_EXIT_ATTACHED:
        if (stats->exit_code == 0)
            dora__text_puts(out, "was never attached");
        else
            dora__text_printf(out, "was attached %d time%s", stats->exit_code,
                              stats->exit_code == 1 ? "" : "s");
        break;
    }
}

static bool
is_root_cause(const struct dora_node_stats *stats)
{
    switch (stats->exit) {
    case DORA_EXIT_CODE:
    case DORA_EXIT_SIGNAL:
    case DORA_EXIT_GRACE:
    case DORA_EXIT_HUNG:
        return true;
    case DORA_EXIT_NOT_STARTED:
        return stats->exit_code != ECANCELED; /* else the stop came first */
    default:
        return false;
    }
}

/* --- the failure block ---------------------------------------------------- */

/* Most often it is there, for another interpreter. */
static bool
lacks_module(const char *tail)
{
    return strstr(tail, "\n    ModuleNotFoundError: No module named ") != NULL;
}

static void
print_culprit(const struct dora_node_stats *stats, const struct words *words,
              struct dora__text *out)
{
    const char *verdict = words_verdict(words, stats->id);
    struct dora__text tail = {0};

    dora__text_printf(out, "\nNode `%s` failed: ", stats->id);
    if (verdict)
        dora__text_puts(out, verdict);
    else
        print_exit(stats, out);
    if (words_tail(words, stats->id, &tail) && !tail.failed) {
        dora__text_puts(out, " with stderr output:\n");
        dora__text_add(out, tail.text, tail.size);
        if (stats->interpreter && lacks_module(tail.text))
            dora__text_printf(out,
                              "It ran on %s: install the module for that, or "
                              "name another with `python:`.\n",
                              stats->interpreter);
    } else {
        dora__text_puts(out, "\n");
    }
    free(tail.text);
}

void
print_failure(struct dora_dataflow *flow, const struct words *words,
              struct dora__text *out)
{
    const char *logs = dora_dataflow_log_directory(flow);
    struct dora_node_stats stats;
    size_t consequences = 0, lost = 0;

    dora__text_puts(out, "[ERROR] Dataflow failed\n");
    for (size_t i = 0; dora_dataflow_node_stats(flow, i, &stats) == 0; i++) {
        if (is_root_cause(&stats))
            print_culprit(&stats, words, out);
        consequences += stats.exit == DORA_EXIT_CONSEQUENCE;
        lost += stats.exit == DORA_EXIT_LOST;
    }
    if (lost)
        dora__text_printf(
            out,
            "\ndora-guardian, which starts the nodes, was killed, "
            "and %zu node%s with it: by somebody, or by the kernel "
            "because memory ran out, which `dmesg` tells. Start "
            "the dataflow again.\n",
            lost, lost == 1 ? "" : "s");
    dora__text_puts(out, "\n");
    if (consequences)
        dora__text_printf(out, "%zu more node%s gave up because of that.\n",
                          consequences, consequences == 1 ? "" : "s");
    if (logs)
        dora__text_printf(out, "All that the nodes wrote is in %s\n\n", logs);
}

/* --- the summary ---------------------------------------------------------- */

static void
print_node(const struct dora_node_stats *stats, int width, int64_t duration,
           struct dora__text *out)
{
    int64_t cpu = stats->user_ns + stats->system_ns;

    dora__text_printf(out, "  %-*s  ", width, stats->id);
    print_exit(stats, out);
    if (stats->restarts)
        dora__text_printf(out, ", restarted %u time%s", stats->restarts,
                          stats->restarts == 1 ? "" : "s");
    if (cpu > 0) {
        dora__text_puts(out, ", CPU ");
        print_duration(cpu, out);
        if (duration > 0)
            dora__text_printf(out, " (%.0f %%)",
                              100.0 * (double)cpu / (double)duration);
    }
    dora__text_puts(out, "\n");
}

static void
print_nodes(struct dora_dataflow *flow, int64_t duration,
            struct dora__text *out)
{
    struct dora_node_stats stats;
    size_t count = 0, silent = 0;
    int width = 0;

    for (; dora_dataflow_node_stats(flow, count, &stats) == 0; count++)
        if ((int)strlen(stats.id) > width)
            width = (int)strlen(stats.id);
    for (size_t i = 0; i < count; i++) {
        if (dora_dataflow_node_stats(flow, i, &stats) < 0)
            break;
        if (count <= FEW_NODES || is_root_cause(&stats) || stats.restarts)
            print_node(&stats, width < 30 ? width : 30, duration, out);
        else
            silent++;
    }
    if (silent)
        dora__text_printf(out, "  and %zu more nodes without failure\n",
                          silent);
}

static void
print_edge(const struct dora_edge_stats *stats, struct dora__text *out)
{
    if (stats->never_read && stats->sent)
        dora__text_printf(
            out, "  %s never read its input `%s` (%llu messages)\n",
            stats->to_node, stats->input, (unsigned long long)stats->sent);
    else if (stats->from_node && stats->dropped + stats->refused)
        dora__text_printf(out, "  %s -> %s/%s: %llu of %llu messages dropped\n",
                          stats->source, stats->to_node, stats->input,
                          (unsigned long long)(stats->dropped + stats->refused),
                          (unsigned long long)(stats->sent + stats->refused));
}

void
print_summary(struct dora_dataflow *flow, const struct run *run,
              struct dora__text *out)
{
    struct dora_edge_stats stats;

    dora__text_printf(out, "dora-run: %s: ran ", run->file);
    print_duration(run->duration_ns, out);
    if (run->stopped_by)
        dora__text_printf(out, ", stopped by %s", run->stopped_by);
    dora__text_puts(out, "\n");
    print_nodes(flow, run->duration_ns, out);
    for (size_t i = 0; dora_dataflow_edge_stats(flow, i, &stats) == 0; i++)
        print_edge(&stats, out);
}
