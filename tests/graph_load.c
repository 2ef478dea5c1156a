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
    if (strcmp(problem->file, "flow.yml") != 0)
        dora__text_printf(&told->lines, "%s:", problem->file);
    dora__text_printf(&told->lines, "%u:%u: %s\n", problem->line,
                      problem->column, problem->text);
}

static const struct beside *
find(const struct beside *files, const char *path)
{
    while (files->path != NULL && strcmp(files->path, path) != 0)
        files++;
    return files->path != NULL ? files : NULL;
}

static int
read_beside(void *files, const char *path, char **ret_text, size_t *ret_size,
            struct dora_error *err)
{
    const struct beside *file = find(files, path);

    if (file == NULL)
        return dora__fail(err, ENOENT, "%s: is not there", path);
    *ret_text = strdup(file->text);
    if (*ret_text == NULL)
        return dora__fail(err, ENOMEM, "out of memory");
    *ret_size = strlen(file->text);
    return 0;
}

static bool
has_beside(void *files, const char *path)
{
    return find(files, path) != NULL;
}

struct dora__graph_files
files_of(const struct beside *files)
{
    return (struct dora__graph_files){
        .read = read_beside, .has = has_beside, .arg = (void *)files};
}

int
load_beside(const char *text, const struct beside *beside,
            struct told *ret_told, struct dora__graph *ret_graph)
{
    const struct dora__graph_files files = files_of(beside);
    const struct dora__graph_context context = {.file = "flow.yml",
                                                .files = &files,
                                                .problem = take_problem,
                                                .problem_arg = ret_told};
    struct dora_error err;

    *ret_told = (struct told){0};
    dora__text_puts(&ret_told->lines, "");
    return dora__graph_load(text, strlen(text), &context, ret_graph, &err);
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
