/* command_check.c - the commands that start no dataflow: check, graph, node,
 * --version. */
#include "command.h"
#include "print.h"

#include <stdio.h>
#include <string.h>

struct dora_options
command_options(const struct command *command)
{
    static const struct dora_kind *const kinds[] = {&dora_python, NULL};

    return (struct dora_options){
        .size = sizeof(struct dora_options),
        .kinds = kinds,
        .libexec = command->libexec,
        .python = command->python,
        .isolation = command->isolation,
        .env = command->env,
        .allow_shell = command->allow_shell,
        .exit_when_nodes_finish = command->exit_when_nodes_finish,
        .say_faults = true,
        .auto_inside = true,
        .stop_grace_ns = command->grace_ns,
    };
}

static void
say_count(const char *file, const struct problems *problems)
{
    if (problems->errors)
        (void)fprintf(stderr, "dora-run: %s: %zu error%s\n", file,
                      problems->errors, problems->errors == 1 ? "" : "s");
}

int
command_load(const struct command *command, const struct dora_options *options,
             struct dora_dataflow **ret_flow)
{
    struct dora_options told = *options;
    struct problems problems = {0};
    struct dora_error err;
    int result;

    told.problem = problems_add;
    told.problem_arg = &problems;
    result = dora_dataflow_load_file(command->file, &told, ret_flow, &err);
    problems_print(&problems);
    if (result < 0 && !problems.errors)
        (void)fprintf(stderr, "dora-run: %s\n", err.text);
    say_count(command->file, &problems);
    problems_fini(&problems);
    return result < 0 ? STATUS_FAILED : STATUS_OK;
}

/* --- check ---------------------------------------------------------------- */

enum { COLUMNS = 5 };

static void
node_columns(const struct dora_node_stats *stats, const char **columns)
{
    columns[0] = stats->id;
    columns[1] = stats->kind ? stats->kind : "";
    columns[2] = stats->tier ? stats->tier : "";
    columns[3] = stats->interpreter ? stats->interpreter : "";
    columns[4] = stats->reason ? stats->reason : "";
}

static void
widen(int *widths, const char *const *columns)
{
    for (size_t i = 0; i < COLUMNS; i++)
        if ((int)strlen(columns[i]) > widths[i])
            widths[i] = (int)strlen(columns[i]);
}

static void
print_row(const int *widths, const char *const *columns)
{
    for (size_t i = 0; i < COLUMNS - 1; i++)
        (void)printf("%-*s  ", widths[i], columns[i]);
    (void)printf("%s\n", columns[COLUMNS - 1]);
}

static void
print_nodes(struct dora_dataflow *flow)
{
    static const char *const head[COLUMNS] = {"node", "kind", "tier", "runs on",
                                              "because"};
    const char *columns[COLUMNS];
    struct dora_node_stats stats;
    int widths[COLUMNS] = {0};

    widen(widths, head);
    for (size_t i = 0; dora_dataflow_node_stats(flow, i, &stats) == 0; i++) {
        node_columns(&stats, columns);
        widen(widths, columns);
    }
    print_row(widths, head);
    for (size_t i = 0; dora_dataflow_node_stats(flow, i, &stats) == 0; i++) {
        node_columns(&stats, columns);
        print_row(widths, columns);
    }
}

/* Where files come from, of nodes that name a repository. */
static void
print_clones(struct dora_dataflow *flow)
{
    struct dora_node_stats stats;

    for (size_t i = 0; dora_dataflow_node_stats(flow, i, &stats) == 0; i++)
        if (stats.git)
            (void)printf("%s: git: %s\n", stats.id, stats.git);
}

int
command_check(const struct command *command)
{
    struct dora_options options = command_options(command);
    struct dora_dataflow *flow;
    struct dora_node_stats node;
    struct dora_edge_stats edge;
    size_t nodes = 0, edges = 0;
    int status = command_load(command, &options, &flow);

    if (status)
        return status;
    while (dora_dataflow_node_stats(flow, nodes, &node) == 0)
        nodes++;
    while (dora_dataflow_edge_stats(flow, edges, &edge) == 0)
        edges++;
    (void)printf("%s: ok, %zu node%s, %zu edge%s\n", command->file, nodes,
                 nodes == 1 ? "" : "s", edges, edges == 1 ? "" : "s");
    if (nodes)
        print_nodes(flow);
    print_clones(flow);
    dora_dataflow_free(flow);
    return STATUS_OK;
}

/* --- graph ---------------------------------------------------------------- */

int
command_graph(const struct command *command)
{
    struct dora_options options = command_options(command);
    struct dora_dataflow *flow;
    char *text = NULL;
    int status = command_load(command, &options, &flow);

    if (status)
        return status;
    if (dora_dataflow_mermaid(flow, &text) < 0) {
        (void)fputs("dora-run: out of memory\n", stderr);
        status = STATUS_FAILED;
    } else {
        (void)fputs(text, stdout);
    }
    free(text);
    dora_dataflow_free(flow);
    return status;
}

/* --- node ----------------------------------------------------------------- */

/* Returns only when the script cannot be the node. */
int
command_node(const struct command *command)
{
    struct dora_options base = command_options(command);
    struct dora_attach_options options = {
        .size = sizeof options,
        .kinds = base.kinds,
        .libexec = base.libexec,
        .python = base.python,
        .node = command->node,
        .run = command->run,
        .argv = command->script,
    };
    struct dora_error err;

    (void)dora_attach(&options, &err);
    (void)fprintf(stderr, "dora-run: %s\n", err.text);
    return STATUS_FAILED;
}

/* --- version -------------------------------------------------------------- */

/* The table of builds, a line each: version, interpreter, dora-python; and
 * whether it runs nodes inside. */
static void
print_builds(char *table)
{
    char *line;
    bool first = true;

    while ((line = strsep(&table, "\n"))) {
        const char *version = strsep(&line, "\t");
        const char *base = strsep(&line, "\t");
        const char *program = strsep(&line, "\t");

        if (!base || !program)
            continue;
        (void)printf("Python %-8s %s, by %s%s%s\n", version, base, program,
                     line ? " or inside dora-run" : "",
                     first ? " (where nothing else is asked for)" : "");
        first = false;
    }
}

int
command_version(const struct command *command)
{
    DORA_AUTOFREE char *builds = NULL;
    DORA_AUTOFREE char *stable = NULL;
    struct dora_error err;

    (void)printf("dora-run %s, memory layout %u\n", DORA_VERSION,
                 dora_layout_version());
    if (!command->libexec) {
        (void)printf("helper programs: not found beside dora-run\n");
        return STATUS_OK;
    }
    (void)printf("helper programs: %s\n", command->libexec);
    if (dora_python_builds(command->libexec, &builds, &err) < 0)
        (void)printf("no Python: %s\n", err.text);
    else
        print_builds(builds);
    stable = dora__format("%s/dora-stable", command->libexec);
    if (stable && access(stable, X_OK) == 0)
        (void)printf("other CPythons from 3.11 on: by %s\n", stable);
    return STATUS_OK;
}
