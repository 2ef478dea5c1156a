/* build.c - `git` and `build` of nodes (dora_build_file).
 *
 *   1. A line is a command, split as a shell would split it, and run without
 *      one in the directory of the file, or in the node's clone, one after the
 *      other; the first that fails ends it. All clones are there before.
 *   2. `pip`, `uv pip` and `python` mean those of the node's interpreter, which
 *      an earlier line may have made.
 *   3. What has succeeded is noted in out/.build/<node>, and is not run again
 *      until the lines, the interpreter or its environment are others. An
 *      environment that was made anew has another pyvenv.cfg.
 *   4. `pip install` of what is there does not run pip at all: no network, and
 *      no refusal by a Python that its distribution manages. */
#include "clone.h"
#include "graph/graph_text.h"
#include "host/environment.h"
#include "host/file.h"
#include "host/journal.h"
#include "host/kind.h"
#include "host/options.h"
#include "host/tool.h"
#include "pip.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

struct build {
    const struct dora_options *options;
    unsigned flags;
    const char *base;      /* directory of the file */
    const char *directory; /* of the node */
    const struct dora__graph_node *node;
    char *interpreter;         /* of the node: a path, or "python3" */
    struct dora_error missing; /* why it is the latter, if there is a reason */
    bool no_pip;               /* somebody has said so */
    struct dora__environment environment;
    struct dora__site site;
    struct dora_error *err;
};

/* --- saying --------------------------------------------------------------- */

static void
hear(void *arg, const char *text, size_t size)
{
    static const char no_pip[] = "No module named pip";
    struct build *b = arg;

    if (memmem(text, size, no_pip, sizeof no_pip - 1) != NULL)
        b->no_pip = true;
    dora__tool_say(b->options, b->node->id, DORA_LEVEL_STDOUT,
                   DORA_STREAM_STDOUT, text, size);
}

static void
say_line(const struct build *b, const char *what, const char *line)
{
    DORA_AUTOFREE char *text = dora__format("%s: %s", what, line);

    if (text != NULL)
        dora__tool_say(b->options, b->node->id, DORA_LEVEL_INFO,
                       DORA_STREAM_HOST, text, strlen(text));
}

/* As dora__tool_run. */
static int
run(const struct build *b, char **argv, bool quiet)
{
    const struct dora__tool tool = {
        .options = b->options,
        .directory = b->directory,
        .environment = b->environment.vars,
        .hear = quiet ? NULL : hear,
        .hear_arg = (void *)(uintptr_t)b,
    };

    return dora__tool_run(&tool, argv);
}

/* --- the interpreter ------------------------------------------------------ */

/* What runs the node, or would if all of it were there. */
static char *
ask_kind(const struct build *b, const struct dora_kind *kind,
         struct dora_error *missing)
{
    struct dora__launch launch = {0};
    char *found = NULL;

    if (kind->claims(b->node, &b->site) &&
        kind->resolve(b->node, &b->site, &launch, NULL) == 0) {
        found = strdup(launch.argv[0]);
        dora__launch_fini(&launch);
    } else if (kind->interpreter != NULL &&
               kind->interpreter(b->node, &b->site, &found, missing) < 0) {
        found = NULL;
    }
    return found;
}

/* Looks anew which Python the node's lines mean. */
static int
find_interpreter(struct build *b)
{
    const struct dora_kind *const *kinds = b->options->kinds;

    free(b->interpreter);
    b->interpreter = NULL;
    b->missing.text[0] = '\0';
    for (; kinds != NULL && *kinds != NULL && b->interpreter == NULL; kinds++)
        b->interpreter = ask_kind(b, *kinds, &b->missing);
    if (b->interpreter == NULL)
        b->interpreter = strdup("python3");
    return b->interpreter == NULL ? dora__fail(b->err, ENOMEM, "out of memory")
                                  : 0;
}

/* --- a line --------------------------------------------------------------- */

static int
fail_line(const struct build *b, const char *line, int status)
{
    const char *id = b->node->id;

    if (status == -EINTR)
        return dora__fail(b->err, ECANCELED,
                          "node `%s`: build: `%s` was stopped", id, line);
    if (status < 0)
        return dora__fail(b->err, ECANCELED, "node `%s`: build: `%s`: %s", id,
                          line, strerror(-status));
    if (WIFSIGNALED(status))
        return dora__fail(b->err, ECANCELED,
                          "node `%s`: build: `%s` was ended by signal %d", id,
                          line, WTERMSIG(status));
    return dora__fail(b->err, ECANCELED,
                      "node `%s`: build: `%s` exited with code %d%s%s%s", id,
                      line, WEXITSTATUS(status), b->no_pip ? ": " : "",
                      b->no_pip ? b->interpreter : "",
                      b->no_pip ? " has no pip; --uv lets uv do it" : "");
}

/* Runs the line. 0: it has succeeded. */
static int
run_line(struct build *b, const char *line, char *const *words, size_t count)
{
    bool uv = (b->flags & DORA_BUILD_UV) != 0;
    char **argv = NULL;
    int status = dora__pip_command(b->interpreter, uv, words, count, &argv);
    bool no_uv = false;

    b->no_pip = false;
    if (status == 0) {
        status = run(b, argv, false);
        no_uv = status == -ENOENT && strcmp(argv[0], "uv") == 0;
    }
    (void)dora__words_free(argv);
    if (no_uv)
        return dora__fail(b->err, ECANCELED,
                          "node `%s`: build: `%s`: there is no program `uv` on "
                          "PATH: `pip install uv` makes one%s",
                          b->node->id, line,
                          strcmp(words[0], "uv") == 0 ? ""
                                                      : ", without --uv it is "
                                                        "pip itself");
    return status == 0 ? 0 : fail_line(b, line, status);
}

/* Whether the line is one of pip that has nothing to do. */
static bool
is_met(const struct build *b, char *const *words, size_t count)
{
    char **argv = NULL;
    bool met = dora__pip_question(b->interpreter, words, count, &argv) == 0 &&
               run(b, argv, true) == 0;

    (void)dora__words_free(argv);
    return met;
}

static int
build_words(struct build *b, const char *line, char *const *words, size_t count)
{
    bool pip = dora__pip_words(words, count) > 0;
    int code = pip || dora__pip_python(words[0]) ? find_interpreter(b) : 0;

    if (code < 0)
        return code;
    if (pip && b->missing.text[0] != '\0')
        return dora__fail(b->err, ECANCELED,
                          "%s: an earlier line of `build` has to make it, "
                          "before `%s`",
                          b->missing.text, line);
    if (pip && is_met(b, words, count)) {
        say_line(b, "build: is there already", line);
        return 0;
    }
    say_line(b, "build", line);
    return run_line(b, line, words, count);
}

static int
build_line(struct build *b, const char *line)
{
    const char *fault = "out of memory";
    char **words = NULL;
    size_t count = 0;
    int code = dora__split_words(line, &words, &count, &fault);

    if (code < 0)
        return dora__fail(b->err, ECANCELED, "node `%s`: build: `%s`: %s",
                          b->node->id, line, fault);
    if (count > 0)
        code = build_words(b, line, words, count);
    (void)dora__words_free(words);
    return code;
}

/* --- what is built already ------------------------------------------------ */

/* What the stamp of the node says once all its lines have succeeded. */
static char *
stamp_text(const struct build *b)
{
    DORA_AUTOFREE char *directory = strdup(b->interpreter);
    DORA_AUTOFREE char *config = NULL;
    char *slash = directory == NULL ? NULL : strrchr(directory, '/');
    struct stat status = {0};

    if (slash != NULL) {
        *slash = 0;
        config = dora__format("%s/../pyvenv.cfg", directory);
        if (config == NULL || stat(config, &status) < 0)
            status = (struct stat){0};
    }
    return dora__format("%s %llu %lld\n%s%s%s\n", b->interpreter,
                        (unsigned long long)status.st_ino,
                        (long long)status.st_mtim.tv_sec,
                        b->directory != b->base ? b->directory : "",
                        b->directory != b->base ? "\n" : "", b->node->build);
}

static bool
is_built(const char *path, const char *text)
{
    size_t size = strlen(text);
    DORA_AUTOFREE char *found = malloc(size + 1);
    DORA_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    return found != NULL && fd >= 0 &&
           read(fd, found, size + 1) == (ssize_t)size &&
           memcmp(found, text, size) == 0;
}

/* Worth nothing but time: where it cannot be written, lines run again. */
static void
note_built(const struct build *b, const char *path, const char *text)
{
    DORA_AUTOFREE char *stamps = dora__format("%s/out/.build", b->base);
    DORA_AUTOCLOSE int fd = -1;

    if (stamps == NULL || dora__journal_make_out(b->base) < 0 ||
        (mkdir(stamps, 0777) < 0 && errno != EEXIST))
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0)
        (void)!write(fd, text, strlen(text));
}

/* --- a node --------------------------------------------------------------- */

static int
build_lines(struct build *b)
{
    DORA_AUTOFREE char *text = strdup(b->node->build);
    char *rest = text, *line;
    int code = text == NULL ? -ENOMEM : 0;

    while (code == 0 && (line = strsep(&rest, "\n")) != NULL) {
        line += strspn(line, " \t\r");
        if (*line != 0 && *line != '#')
            code = build_line(b, line);
    }
    return code;
}

static void
set_environment(struct build *b)
{
    dora__environment_inherit(&b->environment, (const char *const *)environ);
    for (size_t i = 0; i < b->node->env_count; i++)
        dora__environment_set(&b->environment, b->node->env[i].key,
                              b->node->env[i].value);
}

/* The lines may have made the interpreter that counts from now on. */
static int
build_anew(struct build *b, const char *stamp_path)
{
    DORA_AUTOFREE char *stamp = NULL;
    int code = build_lines(b);

    if (code == 0)
        code = find_interpreter(b);
    if (code < 0)
        return code;
    stamp = stamp_text(b);
    if (stamp != NULL)
        note_built(b, stamp_path, stamp);
    return 0;
}

static int
build_node(struct build *b)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/out/.build/%s", b->base, b->node->id);
    DORA_AUTOFREE char *stamp = NULL;
    int code = find_interpreter(b);

    set_environment(b);
    if (code == 0)
        stamp = stamp_text(b);
    if (path == NULL || stamp == NULL || b->environment.failed)
        code = dora__fail(b->err, ENOMEM, "out of memory");
    else if ((b->flags & DORA_BUILD_AGAIN) || !is_built(path, stamp))
        code = build_anew(b, path);
    free(b->interpreter);
    b->interpreter = NULL;
    dora__environment_fini(&b->environment);
    b->environment = (struct dora__environment){0};
    return code;
}

/* --- a file --------------------------------------------------------------- */

/* Two nodes that ask for the same get the same, whatever happens to the branch
 * meanwhile. */
static bool
is_fetched(const struct dora__graph *graph, size_t number)
{
    for (size_t i = 0; i < number; i++)
        if (dora__git_same(&graph->nodes[i].git, &graph->nodes[number].git))
            return true;
    return false;
}

static int
fetch_clones(const struct dora__graph *graph, const struct build *b)
{
    const struct dora__fetch fetch = {
        .options = b->options,
        .graph = graph,
        .base = b->base,
        .environment = (const char *const *)environ,
        .again = (b->flags & DORA_BUILD_AGAIN) != 0,
    };
    int code = 0;

    for (size_t i = 0; i < graph->node_count && code == 0; i++)
        if (graph->nodes[i].git.url != NULL && !is_fetched(graph, i))
            code = dora__clone_fetch(&fetch, &graph->nodes[i], b->err);
    if (code == 0 && fetch.again)
        dora__clone_sweep(&fetch, graph);
    return code;
}

/* In its directory. */
static int
build_at(struct build *b)
{
    b->site = (struct dora__site){
        .libexec = b->options->libexec,
        .directory = b->directory,
        .base = b->base,
        .python = b->options->python,
        .environment = (const char *const *)environ,
    };
    return build_node(b);
}

static int
build_graph(const struct dora__graph *graph, struct build *b)
{
    int code = fetch_clones(graph, b);

    for (size_t i = 0; i < graph->node_count && code == 0; i++) {
        DORA_AUTOFREE char *clone = NULL;

        b->node = &graph->nodes[i];
        if (b->node->build == NULL)
            continue;
        if (b->node->git.url != NULL)
            code = dora__clone_find(b->base, &b->node->git, &clone);
        b->directory = clone != NULL ? clone : b->base;
        code = code < 0 ? dora__fail(b->err, -code, "node `%s`: its clone: %s",
                                     b->node->id, strerror(-code))
                        : build_at(b);
    }
    return code;
}

int
dora_build_file(const char *path, const struct dora_options *options,
                unsigned flags, struct dora_error *err)
{
    const struct dora_options known = dora__options_read(options);
    struct dora__graph_files files;
    const struct dora__graph_context context = {
        .file = path,
        .files = &files,
        .environment = (const char *const *)environ,
        .env = known.env,
    };
    DORA_AUTOFREE char *text = NULL;
    DORA_AUTOFREE char *directory = NULL;
    struct build b = {.options = &known, .flags = flags, .err = err};
    struct dora__graph graph;
    size_t size = 0;
    int code = dora__file_read(path, &text, &size, err);

    if (code < 0)
        return code;
    directory = dora__file_directory(path);
    if (directory == NULL)
        return dora__fail(err, errno, "%s: %s", path, strerror(errno));
    files = dora__files_below(directory);
    b.base = directory;
    code = dora__graph_load(text, size, &context, &graph, err);
    if (code < 0)
        return code;
    code = build_graph(&graph, &b);
    dora__graph_fini(&graph);
    return code;
}
