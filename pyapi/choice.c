/* choice.c - which interpreter a node asks for. The first that is given:
 *   the node's `python:`, or the one its path or first line names
 *   the run's own choice (--python)
 *   the active environment: $VIRTUAL_ENV, then $CONDA_PREFIX
 *   python3 on PATH
 * Only files are looked at. */
#include "choice.h"

#include <string.h>

/* `python`, `python3`: whichever Python the node would get anyway. */
static bool
is_plain(const char *name)
{
    return !strcmp(name, "python") || !strcmp(name, "python3");
}

/* The program `name` means; a directory stands for the environment it holds. */
static int
find_interpreter(const struct dora__site *site, const char *name,
                 char **ret_path)
{
    DORA_AUTOFREE char *place =
        dora__format("%s%s%s/bin/python", *name == '/' ? "" : site->directory,
                     *name == '/' ? "" : "/", name);
    int result;

    if (!place)
        return -ENOMEM;
    result = dora__find_program(place, "/", NULL, ret_path);
    if (result != -ENOENT)
        return result;
    return dora__find_program(name, site->directory, site->environment,
                              ret_path);
}

/* An interpreter asked for by name, by `who`. */
static int
request_by_name(const struct dora__python_question *question,
                struct dora__python_choice *choice, const char *name,
                const char *who, struct dora_error *err)
{
    int result = find_interpreter(question->site, name, &choice->path);

    if (result == -ENOENT || result == -EACCES)
        return dora__fail(
            err, EINVAL, "node `%s`: %s names the interpreter `%s`, which %s",
            question->node->id, who, name,
            result == -ENOENT ? "does not exist" : "is not executable");
    if (result < 0)
        return result;
    choice->required = true;
    choice->reason = dora__format("%s names it", who);
    return choice->reason ? 0 : -ENOMEM;
}

/* The active environment in `variable`. 1: it is asked for; 0: there is none.
 */
static int
request_active(const struct dora__python_question *question,
               struct dora__python_choice *choice, const char *variable)
{
    const char *prefix =
        dora__environment_get(question->site->environment, variable);
    DORA_AUTOFREE char *path = NULL;
    int result;

    if (!prefix || *prefix != '/')
        return 0;
    path = dora__format("%s/bin/python", prefix);
    if (!path)
        return -ENOMEM;
    result = dora__find_program(path, "/", NULL, &choice->path);
    if (result == -ENOMEM)
        return result;
    if (result < 0)
        return 0; /* left over from an environment that is gone */
    choice->required = true;
    choice->reason = dora__format("active environment ($%s)", variable);
    return choice->reason ? 1 : -ENOMEM;
}

static int
request_from_path(const struct dora__python_question *question,
                  struct dora__python_choice *choice)
{
    static const char *const names[] = {"python3", "python"};
    int result = -ENOENT;

    for (size_t i = 0; i < DORA_COUNT(names) && result < 0; i++) {
        /* "/": a file beside the dataflow that happens to be called so is not
         * meant. */
        result = dora__find_program(names[i], "/", question->site->environment,
                                    &choice->path);
        if (result == -ENOMEM)
            return result;
        if (result == 0)
            choice->reason = dora__format("%s on PATH", names[i]);
    }
    if (result < 0)
        choice->reason = strdup("no python3 is on PATH");
    return choice->reason ? 0 : -ENOMEM;
}

static int
choose(const struct dora__python_question *question,
       struct dora__python_choice *choice, struct dora_error *err)
{
    static const char *const variables[] = {"VIRTUAL_ENV", "CONDA_PREFIX"};
    const struct dora__graph_node *node = question->node;
    const char *named = question->named;
    bool is_named = named && !is_plain(named);

    if (node->python && is_named && !question->script)
        return dora__fail(err, EINVAL,
                          "node `%s`: both `path` and `python` name an "
                          "interpreter: write `path: python`",
                          node->id);
    if (node->python)
        return request_by_name(question, choice, node->python,
                               "`python` of the node", err);
    if (is_named)
        return request_by_name(question, choice, named,
                               question->script ? "the first line of the script"
                                                : "`path` of the node",
                               err);
    if (question->site->python)
        return request_by_name(question, choice, question->site->python,
                               "--python", err);
    for (size_t i = 0; i < DORA_COUNT(variables); i++) {
        int result = request_active(question, choice, variables[i]);

        if (result)
            return result < 0 ? result : 0;
    }
    return request_from_path(question, choice);
}

int
dora__python_choose(const struct dora__python_question *question,
                    struct dora__python_choice *ret_choice,
                    struct dora_error *err)
{
    struct dora__python_choice choice = {0};
    int result = choose(question, &choice, err);

    if (result < 0)
        dora__python_choice_fini(&choice);
    else
        *ret_choice = choice;
    return result;
}

void
dora__python_choice_fini(struct dora__python_choice *choice)
{
    free(choice->path);
    free(choice->reason);
    *choice = (struct dora__python_choice){0};
}
