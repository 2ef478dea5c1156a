/* build.c - `git` and `build` of nodes (dora_build_file).
 *
 *   1. A line is a command, split as a shell would split it, and run without
 *      one in the directory of the file, or in the node's clone, one after the
 *      other; the first that fails ends it. All clones are there before.
 *   2. `pip`, `uv pip` and `python` mean those of the node's interpreter.
 *   3. What has succeeded is noted in out/.build/<node>, and is not run again
 *      until the lines, the interpreter or its environment are others. An
 *      environment that was made anew has another pyvenv.cfg.
 *   4. `pip install` of what is there does not run pip at all: no network, and
 *      no refusal by a Python that its distribution manages. */
#include "clone.h"
#include "dataflow.h"
#include "graph_text.h"
#include "tool.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

#ifndef DORA_LIBEXEC
#define DORA_LIBEXEC "/usr/local/libexec/dora-run"
#endif

/* Exit 0: every requirement is met. */
static const char is_met[] =
    "import sys\n"
    "from importlib.metadata import version\n"
    "try:\n"
    "    from packaging.requirements import Requirement\n"
    "except ImportError:\n"
    "    try:\n"
    "        from pip._vendor.packaging.requirements import Requirement\n"
    "    except ImportError:\n"
    "        Requirement = None\n"
    "try:\n"
    "    for text in sys.argv[1:]:\n"
    "        if Requirement is None:\n"
    "            version(text)\n"
    "            continue\n"
    "        r = Requirement(text)\n"
    "        if r.marker and not r.marker.evaluate():\n"
    "            continue\n"
    "        if r.extras or r.url or not r.specifier.contains(\n"
    "                version(r.name), prereleases=True):\n"
    "            sys.exit(1)\n"
    "except Exception:\n"
    "    sys.exit(1)\n";

struct build {
    const struct dora_options *options;
    unsigned flags;
    const char *base;      /* directory of the file */
    const char *directory; /* of the node */
    const struct dora__graph_node *node;
    char *interpreter; /* of the node: a path, or "python3" */
    struct dora__environment environment;
    struct dora_error *err;
};

/* --- saying --------------------------------------------------------------- */

static void
hear(void *arg, const char *text, size_t size)
{
    const struct build *b = arg;

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

/* --- pip ------------------------------------------------------------------ */

static bool
is_word(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

/* Words of the line that are `pip`, in whichever way; 0: it is no pip. */
static size_t
pip_words(char *const *words, size_t count)
{
    static const char *const pips[] = {"pip", "pip3", NULL};
    static const char *const pythons[] = {"python", "python3", NULL};

    if (count > 0 && is_word(words[0], pips))
        return 1;
    if (count > 1 && strcmp(words[0], "uv") == 0 &&
        strcmp(words[1], "pip") == 0)
        return 2;
    if (count > 2 && is_word(words[0], pythons) &&
        strcmp(words[1], "-m") == 0 && strcmp(words[2], "pip") == 0)
        return 3;
    return 0;
}

/* Whether `install` asks for nothing but names, perhaps with versions, and all
 * of it is there. */
static bool
met(const struct build *b, char *const *words, size_t count)
{
    static const char *const harmless[] = {"-q", "--quiet", NULL};
    char **argv = NULL;
    bool plain = count > 1 && strcmp(words[0], "install") == 0;
    int code = dora__launch_push(&argv, b->interpreter);

    if (code == 0)
        code = dora__launch_push(&argv, "-c");
    if (code == 0)
        code = dora__launch_push(&argv, is_met);
    for (size_t i = 1; i < count && plain && code == 0; i++) {
        if (is_word(words[i], harmless))
            continue;
        plain = words[i][0] != '-' && words[i][0] != '.' &&
                strchr(words[i], '/') == NULL;
        code = dora__launch_push(&argv, words[i]);
    }
    plain = plain && code == 0 && run(b, argv, true) == 0;
    (void)dora__words_free(argv);
    return plain;
}

/* The line as it is to be run, NULL-terminated, in *ret_argv. */
static int
translate(const struct build *b, char *const *words, size_t count,
          char ***ret_argv)
{
    static const char *const pythons[] = {"python", "python3", NULL};
    size_t skipped = pip_words(words, count);
    bool uv = skipped == 2 || (skipped > 0 && (b->flags & DORA_BUILD_UV));
    int code = 0;

    if (uv) {
        code = dora__launch_push(ret_argv, "uv");
        if (code == 0)
            code = dora__launch_push(ret_argv, "pip");
        if (code == 0 && skipped < count)
            code = dora__launch_push(ret_argv, words[skipped++]);
        if (code == 0)
            code = dora__launch_push(ret_argv, "--python");
        if (code == 0)
            code = dora__launch_push(ret_argv, b->interpreter);
    } else if (skipped > 0 || is_word(words[0], pythons)) {
        code = dora__launch_push(ret_argv, b->interpreter);
        if (code == 0 && skipped > 0)
            code = dora__launch_push(ret_argv, "-m");
        if (code == 0 && skipped > 0)
            code = dora__launch_push(ret_argv, "pip");
        skipped = skipped > 0 ? skipped : 1;
    }
    for (size_t i = skipped; i < count && code == 0; i++)
        code = dora__launch_push(ret_argv, words[i]);
    return code;
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
                      "node `%s`: build: `%s` exited with code %d", id, line,
                      WEXITSTATUS(status));
}

static int
build_words(const struct build *b, const char *line, char *const *words,
            size_t count)
{
    size_t skipped = pip_words(words, count);
    char **argv = NULL;
    int status;

    if (skipped > 0 && met(b, words + skipped, count - skipped)) {
        say_line(b, "build: is there already", line);
        return 0;
    }
    say_line(b, "build", line);
    status = translate(b, words, count, &argv);
    if (status == 0)
        status = run(b, argv, false);
    (void)dora__words_free(argv);
    return status == 0 ? 0 : fail_line(b, line, status);
}

static int
build_line(const struct build *b, const char *line)
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
build_lines(const struct build *b)
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

/* The Python that a line of the node means; one that is yet to be made counts
 * as not there. */
static char *
interpreter_of(const struct build *b, const struct dora__site *site)
{
    const struct dora_kind *const *kinds = b->options->kinds;
    struct dora__launch launch = {0};
    char *found = NULL;

    for (; kinds != NULL && *kinds != NULL && found == NULL; kinds++)
        if ((*kinds)->claims(b->node, site) &&
            (*kinds)->resolve(b->node, site, &launch, NULL) == 0) {
            found = strdup(launch.argv[0]);
            dora__launch_fini(&launch);
        }
    return found != NULL ? found : strdup("python3");
}

static void
set_environment(struct build *b)
{
    dora__environment_inherit(&b->environment, (const char *const *)environ);
    for (size_t i = 0; i < b->node->env_count; i++)
        dora__environment_set(&b->environment, b->node->env[i].key,
                              b->node->env[i].value);
}

static int
build_node(struct build *b, const struct dora__site *site)
{
    DORA_AUTOFREE char *path =
        dora__format("%s/out/.build/%s", b->base, b->node->id);
    DORA_AUTOFREE char *stamp = NULL;
    int code = -ENOMEM;

    b->interpreter = interpreter_of(b, site);
    set_environment(b);
    if (b->interpreter != NULL)
        stamp = stamp_text(b);
    if (path == NULL || stamp == NULL || b->environment.failed)
        code = dora__fail(b->err, ENOMEM, "out of memory");
    else if (!(b->flags & DORA_BUILD_AGAIN) && is_built(path, stamp))
        code = 0;
    else if ((code = build_lines(b)) == 0)
        note_built(b, path, stamp);
    free(b->interpreter);
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
        .file = graph->file,
        .base = b->base,
        .environment = (const char *const *)environ,
        .again = (b->flags & DORA_BUILD_AGAIN) != 0,
    };
    int code = 0;

    for (size_t i = 0; i < graph->node_count && code == 0; i++)
        if (graph->nodes[i].git.url != NULL && !is_fetched(graph, i))
            code = dora__clone_fetch(&fetch, &graph->nodes[i], b->err);
    return code;
}

/* In its directory. */
static int
build_at(struct build *b)
{
    const struct dora__site site = {
        .libexec =
            b->options->libexec != NULL ? b->options->libexec : DORA_LIBEXEC,
        .directory = b->directory,
        .python = b->options->python,
        .environment = (const char *const *)environ,
    };

    return build_node(b, &site);
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
    struct dora_options known = {0};
    const struct dora__graph_context context = {
        .file = path,
        .environment = (const char *const *)environ,
        .env = options->env,
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
    memcpy(&known, options,
           options->size < sizeof known ? options->size : sizeof known);
    b.base = directory;
    code = dora__graph_load(text, size, &context, &graph, err);
    if (code < 0)
        return code;
    code = build_graph(&graph, &b);
    dora__graph_fini(&graph);
    return code;
}
