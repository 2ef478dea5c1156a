/* graph_load.c - loading a graph in a test. */
#include "graph_load.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static void
take_problem(void *arg, const struct dora_problem *problem)
{
    struct told *told = arg;

    if (problem->warning)
        told->warnings++;
    else
        told->errors++;
    dora__text_printf(&told->lines, "%u:%u: %s\n", problem->line,
                      problem->column, problem->text);
}

int
load_told(const char *text, const char *const *env, struct told *ret_told,
          struct dora__graph *ret_graph)
{
    static const char *const environment[] = {"HOME=/home/me", "EMPTY=", NULL};
    const struct dora__graph_context context = {
        .file = "flow.yml",
        .problem = take_problem,
        .problem_arg = ret_told,
        .environment = environment,
        .env = env,
    };
    struct dora_error err;

    *ret_told = (struct told){0};
    dora__text_puts(&ret_told->lines, "");
    return dora__graph_load(text, strlen(text), &context, ret_graph, &err);
}

struct dora__graph
load_good(const char *text, unsigned warnings)
{
    struct dora__graph graph;
    struct told told;

    if (load_told(text, NULL, &told, &graph) < 0 || told.warnings != warnings)
        fail_msg("%s", told.lines.text);
    free(told.lines.text);
    return graph;
}
