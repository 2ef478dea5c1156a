/* git.c - see git.h.
 *
 *   1. It asks nobody anything: it has no terminal, and its input is empty.
 *   2. It is found on PATH alone, and is not told by our environment to work on
 *      another repository.
 *   3. Its words are told to the log, of its progress one a second. */
#include "git.h"
#include "graph/graph_text.h"
#include "host/kind.h"
#include "host/tool.h"

#include <string.h>

#define PROGRESS_PACE ((int64_t)1000000000)

/* --- hearing -------------------------------------------------------------- */

static bool
begins_with(const char *text, size_t size, const char *begin)
{
    size_t length = strlen(begin);

    return size >= length && memcmp(text, begin, length) == 0;
}

static bool
ends_with(const char *text, size_t size, const char *end)
{
    size_t length = strlen(end);

    return size >= length && memcmp(text + size - length, end, length) == 0;
}

/* "Receiving objects:  45% (9/20), 1.2 MiB", and what sums it up. */
static bool
is_progress(const char *text, size_t size)
{
    return memmem(text, size, "% (", 3) != NULL ||
           ends_with(text, size, "done.");
}

/* What says nothing that is not known. */
static bool
is_idle(const char *text, size_t size)
{
    return begins_with(text, size, "remote: Total ") ||
           begins_with(text, size, "Cloning into ");
}

/* The first reason that git gives is the best, but for one that only says that
 * somebody else has just given it. */
static void
keep_last(struct dora__git_program *g, const char *text, size_t size)
{
    bool echoes =
        begins_with(text, size, "fatal: Could not read from remote repository");

    if (g->fatal)
        return;
    g->fatal = begins_with(text, size, "fatal: ");
    if (echoes && g->last[0] != '\0')
        return;
    if (text[size - 1] == '.')
        size--;
    if (size >= sizeof g->last)
        size = sizeof g->last - 1;
    memcpy(g->last, text, size);
    g->last[size] = '\0';
}

/* Of a tag that has a text of its own the line NAME^{} counts, and comes last.
 */
static bool
is_wanted(const struct dora__git_program *g, const char *name, size_t size)
{
    return begins_with(name, size, g->wanted) &&
           (size == strlen(g->wanted) ||
            (size == strlen(g->wanted) + 3 && ends_with(name, size, "^{}")));
}

/* "ID<TAB>NAME", or an id alone when no name is wanted. */
static bool
take_answer(struct dora__git_program *g, const char *text, size_t size)
{
    const char *tab = memchr(text, '\t', size);
    size_t digits = tab != NULL ? (size_t)(tab - text) : size;

    if (!dora__is_commit(text, digits) || (tab == NULL) != (g->wanted == NULL))
        return false;
    if (tab == NULL || is_wanted(g, tab + 1, size - digits - 1)) {
        memcpy(g->found, text, digits);
        g->found[digits] = '\0';
    }
    return true;
}

static void
hear(void *arg, const char *text, size_t size)
{
    struct dora__git_program *g = arg;
    int64_t now;

    while (size > 0 && text[size - 1] == ' ')
        size--;
    if (size == 0 || is_idle(text, size) || take_answer(g, text, size))
        return;
    if (is_progress(text, size)) {
        now = dora__now();
        if (now - g->said_at < PROGRESS_PACE)
            return;
        g->said_at = now;
    } else {
        keep_last(g, text, size);
    }
    dora__tool_say(g->options, g->node, DORA_LEVEL_STDOUT, DORA_STREAM_STDOUT,
                   text, size);
}

/* --- running -------------------------------------------------------------- */

static int
set_environment(struct dora__git_program *g, const char *const *environment)
{
    /* What `git rev-parse --local-env-vars` lists but for its settings. */
    static const char *const others[] = {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    };
    struct dora__environment *e = &g->environment;

    dora__environment_inherit(e, environment);
    for (size_t i = 0; i < DORA_COUNT(others); i++)
        dora__environment_remove(e, others[i]);
    dora__environment_set(e, "GIT_TERMINAL_PROMPT", "0");
    dora__environment_set(e, "LC_ALL", "C.UTF-8"); /* "fatal: ", "done." */
    if (dora__environment_get((const char *const *)e->vars,
                              "GIT_ALLOW_PROTOCOL") == NULL)
        dora__environment_set(e, "GIT_ALLOW_PROTOCOL",
                              "file:git:http:https:ssh");
    return e->failed ? -ENOMEM : 0;
}

int
dora__git_open(struct dora__git_program *g, const char *const *environment)
{
    int code = set_environment(g, environment);

    if (code < 0)
        return code;
    /* Not beside the dataflow: no program is in this place. */
    code = dora__find_program(
        "git", "/dev/null", (const char *const *)g->environment.vars, &g->path);
    return code == -EACCES ? -ENOENT : code;
}

int
dora__git_run(struct dora__git_program *g, const char *directory,
              const char *const *words)
{
    const struct dora__tool tool = {
        .options = g->options,
        .directory = directory,
        .environment = g->environment.vars,
        .alone = true,
        .rewrites = true,
        .hear = hear,
        .hear_arg = g,
    };
    char **argv = NULL;
    int code = dora__launch_push(&argv, g->path);

    g->last[0] = '\0';
    g->fatal = false;
    g->found[0] = '\0';
    g->said_at = dora__now(); /* what is quick needs none */
    for (; *words != NULL && code == 0; words++)
        if (**words != '\0')
            code = dora__launch_push(&argv, *words);
    if (code == 0)
        code = dora__tool_run(&tool, argv);
    (void)dora__words_free(argv);
    return code;
}

void
dora__git_close(struct dora__git_program *g)
{
    dora__environment_fini(&g->environment);
    free(g->path);
    g->path = NULL;
}
