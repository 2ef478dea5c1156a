/* print_report.c - a run as JSON, for --report. Names and units are those of
 * dora.h: what ends in _ns is nanoseconds, sizes are bytes. */
#include "print.h"

#include <string.h>

/* A key with what comes before it. */
static void
key(struct dora__text *out, const char *indent, const char *name)
{
    dora__text_printf(
        out, "%s%s\"%s\": ", out->text[out->size - 1] == '{' ? "\n" : ",\n",
        indent, name);
}

static void
add_text(struct dora__text *out, const char *indent, const char *name,
         const char *value)
{
    key(out, indent, name);
    if (value)
        dora__text_json(out, value, strlen(value));
    else
        dora__text_puts(out, "null");
}

static void
add_number(struct dora__text *out, const char *indent, const char *name,
           int64_t value)
{
    key(out, indent, name);
    dora__text_printf(out, "%lld", (long long)value);
}

static const char *
exit_name(enum dora_exit exit)
{
    static const char *const names[] = {
        [DORA_EXIT_NONE] = "none",
        [DORA_EXIT_SUCCESS] = "success",
        [DORA_EXIT_CODE] = "code",
        [DORA_EXIT_SIGNAL] = "signal",
        [DORA_EXIT_GRACE] = "grace",
        [DORA_EXIT_NOT_STARTED] = "not_started",
        [DORA_EXIT_CONSEQUENCE] = "consequence",
        [DORA_EXIT_HUNG] = "hung",
        [DORA_EXIT_LOST] = "lost",
        [DORA_EXIT_ATTACHED] = "attached",
    };

    return (unsigned)exit < DORA_COUNT(names) ? names[exit] : "unknown";
}

#define IN "      "

static void
add_node(struct dora__text *out, const struct dora_node_stats *stats)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"exit_code", stats->exit_code},
        {"restarts", stats->restarts},
        {"user_ns", stats->user_ns},
        {"system_ns", stats->system_ns},
        {"voluntary_switches", stats->voluntary_switches},
        {"involuntary_switches", stats->involuntary_switches},
        {"heap_used", (int64_t)stats->heap_used},
        {"heap_peak", (int64_t)stats->heap_peak},
        {"heap_backed", (int64_t)stats->heap_backed},
        {"heap_limit", (int64_t)stats->heap_limit},
        {"copied_bytes", (int64_t)stats->copied_bytes},
    };

    dora__text_puts(out, "    {");
    add_text(out, IN, "id", stats->id);
    add_text(out, IN, "kind", stats->kind);
    add_text(out, IN, "tier", stats->tier);
    add_text(out, IN, "interpreter", stats->interpreter);
    add_text(out, IN, "reason", stats->reason);
    add_text(out, IN, "git", stats->git);
    add_text(out, IN, "exit", exit_name(stats->exit));
    for (size_t i = 0; i < DORA_COUNT(numbers); i++)
        add_number(out, IN, numbers[i].name, numbers[i].value);
    dora__text_puts(out, "\n    }");
}

static void
add_edge(struct dora__text *out, const struct dora_edge_stats *stats)
{
    dora__text_puts(out, "    {");
    add_text(out, IN, "source", stats->source);
    add_text(out, IN, "from_node", stats->from_node);
    add_text(out, IN, "output", stats->output);
    add_text(out, IN, "to_node", stats->to_node);
    add_text(out, IN, "input", stats->input);
    add_number(out, IN, "sent", (int64_t)stats->sent);
    add_number(out, IN, "delivered", (int64_t)stats->delivered);
    add_number(out, IN, "dropped", (int64_t)stats->dropped);
    add_number(out, IN, "queued", (int64_t)stats->queued);
    add_number(out, IN, "refused", (int64_t)stats->refused);
    key(out, IN, "never_read");
    dora__text_puts(out, stats->never_read ? "true" : "false");
    dora__text_puts(out, "\n    }");
}

static void
add_time(struct dora__text *out, int64_t time_ns)
{
    time_t second = (time_t)(time_ns / 1000000000);
    struct tm parts;
    char text[32] = "";

    if (gmtime_r(&second, &parts))
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    key(out, "  ", "started");
    dora__text_printf(out, "\"%s.%03dZ\"", text,
                      (int)(time_ns / 1000000 % 1000));
}

void
print_report(struct dora_dataflow *flow, const struct run *run,
             struct dora__text *out)
{
    struct dora_node_stats node;
    struct dora_edge_stats edge;

    dora__text_puts(out, "{");
    add_text(out, "  ", "version", DORA_VERSION);
    add_text(out, "  ", "file", run->file);
    add_text(out, "  ", "dataflow_id", dora_dataflow_id(flow));
    add_text(out, "  ", "log_directory", dora_dataflow_log_directory(flow));
    add_time(out, run->started_ns);
    add_number(out, "  ", "duration_ns", run->duration_ns);
    add_text(out, "  ", "stopped_by", run->stopped_by);
    add_number(out, "  ", "status", run->status);
    key(out, "  ", "nodes");
    dora__text_puts(out, "[");
    for (size_t i = 0; dora_dataflow_node_stats(flow, i, &node) == 0; i++) {
        dora__text_puts(out, i ? ",\n" : "\n");
        add_node(out, &node);
    }
    dora__text_puts(out, "]");
    key(out, "  ", "edges");
    dora__text_puts(out, "[");
    for (size_t i = 0; dora_dataflow_edge_stats(flow, i, &edge) == 0; i++) {
        dora__text_puts(out, i ? ",\n" : "\n");
        add_edge(out, &edge);
    }
    dora__text_puts(out, "]\n}\n");
}
