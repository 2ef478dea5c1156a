/* choice.c - which interpreter a node asks for. The first that is given:
 *
 *   1. the node's `python:`, or what its path or first line names
 *   2. the run's own choice (--python)
 *   3. the active environment: $VIRTUAL_ENV, then $CONDA_PREFIX
 *   4. the project's: `.venv` beside the dataflow, or above it beside a
 *      pyproject.toml
 *   5. the version that a `.python-version` says, here or above
 *   6. python3 on PATH
 *
 * Only files are looked at. */
#include "choice.h"

#include <string.h>
#include <sys/stat.h>

/* `python`, `python3`: whichever Python the node would get anyway. */
static bool
is_plain(const char *name)
{
    return !strcmp(name, "python") || !strcmp(name, "python3");
}

/* The program `name` means; a directory stands for the environment it holds.
 * One of PATH must be called after Python: `env`, not made yet, is not
 * /usr/bin/env. */
static int
find_interpreter(const struct dora__site *site, const char *name,
                 char **ret_path)
{
    DORA_AUTOFREE char *place =
        dora__format("%s%s%s/bin/python", *name == '/' ? "" : site->directory,
                     *name == '/' ? "" : "/", name);
    static const char *const nowhere[] = {"PATH=", NULL};
    int result;

    if (!place)
        return -ENOMEM;
    result = dora__find_program(place, "/", NULL, ret_path);
    if (result != -ENOENT)
        return result;
    return dora__find_program(
        name, site->directory,
        strstr(name, "python") ? site->environment : nowhere, ret_path);
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

/* A base environment is active in every shell of some people. */
static bool
in_conda_base(const struct dora__python_question *question)
{
    const char *name =
        dora__environment_get(question->site->environment, "CONDA_DEFAULT_ENV");

    return name && !strcmp(name, "base");
}

/* As little a request as python3 on PATH. */
static int
request_base(const struct dora__python_question *question,
             struct dora__python_choice *choice)
{
    int result = request_active(question, choice, "CONDA_PREFIX");

    choice->required = false;
    return result;
}

/* --- the project's environment -------------------------------------------- */

/* What others may write, as in /tmp, nobody here has made the project's. */
static bool
is_ours(const struct dora__python_question *question, const char *path)
{
    struct stat ours, status;

    return stat(question->site->directory, &ours) == 0 &&
           stat(path, &status) == 0 &&
           (status.st_uid == ours.st_uid || status.st_uid == geteuid() ||
            status.st_uid == 0);
}

/* Whether that is the directory of the node or of the dataflow file. */
static bool
is_here(const struct dora__python_question *question, const char *directory,
        int size)
{
    const char *base = question->site->base;

    return !directory[size] || (base && (int)strlen(base) == size &&
                                !strncmp(base, directory, (size_t)size));
}

/* directory/.venv. 1: it is asked for; 0: there is none. */
static int
request_venv(const struct dora__python_question *question,
             struct dora__python_choice *choice, const char *directory,
             int size)
{
    DORA_AUTOFREE char *path =
        dora__format("%.*s/.venv/bin/python", size, directory);
    DORA_AUTOFREE char *project =
        dora__format("%.*s/pyproject.toml", size, directory);
    int result;

    if (!path || !project)
        return -ENOMEM;
    if (!is_here(question, directory, size) && access(project, F_OK) < 0)
        return 0;
    result = dora__find_program(path, "/", NULL, &choice->path);
    if (result < 0)
        return result == -ENOMEM ? result : 0;
    path[strlen(path) - strlen("/bin/python")] = '\0';
    if (!is_ours(question, path)) {
        free(choice->path);
        choice->path = NULL;
        return 0;
    }
    choice->required = true;
    choice->reason = dora__format("the project's environment (%s)", path);
    return choice->reason ? 1 : -ENOMEM;
}

/* Beside the dataflow file, or above it beside a pyproject.toml: as uv finds
 * it. */
static int
request_project(const struct dora__python_question *question,
                struct dora__python_choice *choice)
{
    const char *directory = question->site->directory;
    int result = 0;

    for (int size = (int)strlen(directory); result == 0;) {
        result = request_venv(question, choice, directory, size);
        while (size > 0 && directory[size - 1] != '/')
            size--;
        if (size-- == 0)
            break;
    }
    return result;
}

/* --- what is there -------------------------------------------------------- */

/* "3.14" stands for every 3.14.x, "3.14t" for every free-threaded one. */
static bool
matches(const char *version, const char *wanted)
{
    bool threaded = dora__python_free_threaded(wanted);
    size_t size = strlen(wanted) - threaded;

    return dora__python_free_threaded(version) == threaded &&
           !strncmp(version, wanted, size) && strchr(".t", version[size]);
}

/* A Python of that version, on PATH or among the builds; -ENOENT. */
static int
find_version(const struct dora__python_question *question, const char *version,
             char **ret_path)
{
    DORA_AUTOFREE char *name = dora__format("python%s", version);
    const struct dora__python_table *table = question->table;
    int result;

    if (!name)
        return -ENOMEM;
    result = dora__python_named(name)
                 ? dora__find_program(name, "/", question->site->environment,
                                      ret_path)
                 : -ENOENT;
    for (size_t i = 0; result < 0 && result != -ENOMEM && i < table->count; i++)
        if (matches(table->builds[i].version, version)) {
            *ret_path = strdup(table->builds[i].base);
            return *ret_path ? 0 : -ENOMEM;
        }
    return result;
}

/* What a `.python-version` makes of the Python on PATH. That of pyenv obeys it;
 * else it counts where such a Python is to be had. */
static int
request_version(const struct dora__python_question *question,
                struct dora__python_choice *choice, const char *name,
                const struct dora__python_pin *pin)
{
    char *path = NULL;
    int result = 0;

    if (choice->path && dora__pyenv_shim(choice->path)) {
        choice->required = !pin->inherited;
        choice->reason =
            dora__format("%s on PATH, which is pyenv's; %s says %s", name,
                         pin->source, pin->version);
        return choice->reason ? 0 : -ENOMEM;
    }
    result = find_version(question, pin->version, &path);
    if (result == -ENOMEM)
        return result;
    if (result < 0) {
        choice->reason =
            dora__format("%s on PATH; %s says %s, which is not here", name,
                         pin->source, pin->version);
        return choice->reason ? 0 : -ENOMEM;
    }
    free(choice->path);
    choice->path = path;
    choice->required = true;
    choice->reason = dora__format("%s says %s", pin->source, pin->version);
    return choice->reason ? 0 : -ENOMEM;
}

static int
request_from_path(const struct dora__python_question *question,
                  struct dora__python_choice *choice)
{
    static const char *const names[] = {"python3", "python"};
    const struct dora__python_place place = {
        .libexec = question->site->libexec,
        .directory = question->site->directory,
        .environment = question->site->environment,
    };
    struct dora__python_pin pin;
    const char *name = "no python3 is";
    int result = -ENOENT;

    for (size_t i = 0; i < DORA_COUNT(names) && result < 0; i++) {
        /* "/": a file beside the dataflow that happens to be called so is not
         * meant. */
        result =
            dora__find_program(names[i], "/", place.environment, &choice->path);
        if (result == -ENOMEM)
            return result;
        if (result == 0)
            name = names[i];
    }
    result = dora__python_pin(
        &place, choice->path && dora__pyenv_shim(choice->path), &pin);
    if (result == 0) {
        result = request_version(question, choice, name, &pin);
        free(pin.source);
        return result;
    }
    if (result == -ENOENT)
        choice->reason = dora__format("%s on PATH", name);
    return choice->reason ? 0 : -ENOMEM;
}

static int
choose(const struct dora__python_question *question,
       struct dora__python_choice *choice, struct dora_error *err)
{
    const struct dora__graph_node *node = question->node;
    const char *named = question->named;
    bool is_named = named && !is_plain(named);
    int result;

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
    result = request_active(question, choice, "VIRTUAL_ENV");
    if (result == 0 && !in_conda_base(question))
        result = request_active(question, choice, "CONDA_PREFIX");
    if (result == 0)
        result = request_project(question, choice);
    if (result == 0)
        result = request_base(question, choice);
    if (result == 0)
        result = request_from_path(question, choice);
    return result < 0 ? result : 0;
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
